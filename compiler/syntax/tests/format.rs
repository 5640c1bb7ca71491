//! The canonical layout, by example.

use insta::assert_snapshot;
use netc_syntax::format;

/// The text formatted, which must be the text formatted twice.
fn check(text: &str) -> String {
    let once = format(text).unwrap_or_else(|list| panic!("does not parse: {list:?}\n{text}"));
    assert_eq!(format(&once).as_ref(), Ok(&once), "formatting twice differs");
    once
}

#[test]
fn lenet() {
    assert_snapshot!(check(r#"
// LeNet-5 (LeCun et al., 1998)
net lenet5(classes=10){
  input image : f32[ 1,32, 32 ]
  image
     |> conv(6, 5) |> tanh |> avg_pool(2)
     |> conv(16, 5) |> tanh |> avg_pool( 2, )
     |> conv(120, 5) |> tanh |> flatten

     |> dense(84)   |> tanh() // wide
     |> dense(classes)
     |> output logits
  expect params=61_706,
     macs = 416_520   // measured
}
train lenet5 { data = idx("data/digits",fit=enlarge)
  loss=cross_entropy(label_smoothing = 0.1)
   optimizer = sgd(lr = 0.05, momentum = 0.9, weight_decay = 5E-4) // from the paper

  augment = [shift(2), // pixels
    rotate(10)]
  epochs=12 batch   = 64 seed=1
}
"#), @r#"
    // LeNet-5 (LeCun et al., 1998)
    net lenet5(classes = 10) {
        input image: f32[1, 32, 32]
        image
            |> conv(6, 5)   |> tanh |> avg_pool(2)
            |> conv(16, 5)  |> tanh |> avg_pool(2)
            |> conv(120, 5) |> tanh |> flatten

            |> dense(84)    |> tanh // wide
            |> dense(classes)
            |> output logits
        expect params = 61_706, macs = 416_520 // measured
    }

    train lenet5 {
        data      = idx("data/digits", fit = enlarge)
        loss      = cross_entropy(label_smoothing = 0.1)
        optimizer = sgd(lr = 0.05, momentum = 0.9, weight_decay = 5e-4) // from the paper

        augment = [
            shift(2), // pixels
            rotate(10),
        ]
        epochs = 12  batch = 64  seed = 1
    }
    "#);
}

#[test]
fn short_pipelines_are_joined() {
    assert_snapshot!(check(r#"
use "a.net"
const a = 1


const b = ((a + 2)) * 3 ^ -(2) - (1 - 2)
block residual(channels, kernel = 3) {
    let main = in |> conv(channels, kernel, pad = same)
        |> relu |> conv(channels, kernel, pad = same)

    add(main, in)
        |> relu
}
net n { input x: f32[1]
    let stem = x
        // the stem
        |> conv(64, 7) as stem
    (stem |> relu) |> tanh
        |> output y
    x |> repeat 3 as i { in
            |> residual(64 * i) } |> output z }
"#), @r#"
    use "a.net"
    const a = 1

    const b = (a + 2) * 3 ^ -2 - (1 - 2)

    block residual(channels, kernel = 3) {
        let main = in
            |> conv(channels, kernel, pad = same)
            |> relu |> conv(channels, kernel, pad = same)

        add(main, in) |> relu
    }

    net n {
        input x: f32[1]
        let stem = x
            // the stem
            |> conv(64, 7) as stem
        (stem |> relu) |> tanh |> output y
        x |> repeat 3 as i { in |> residual(64 * i) } |> output z
    }
    "#);
}

#[test]
fn long_things_are_broken() {
    assert_snapshot!(check(r#"
net n {
    input x: f32[1]
    let a = concat(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, cccccccccccccccccccccccccccccccc, d)
    x |> repeat 3 { let a = in |> relu
       add(a, in) } |> conv(16, [3, 5], stride = [1, 2], pad = same, dilation = [1, 2], groups = 16, bias = false, init = zero) as c |> output y
    add(x |> relu |> relu |> relu |> relu |> relu |> relu |> relu |> relu, x |> tanh |> tanh |> tanh |> tanh |> tanh) |> output z
    x |> relu |> relu |> relu |> relu |> relu |> relu |> relu |> relu |> relu |> relu |> relu |> relu |> relu |> output w
}
"#), @r#"
    net n {
        input x: f32[1]
        let a = concat(
            aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,
            bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb,
            cccccccccccccccccccccccccccccccc,
            d,
        )
        x
            |> repeat 3 {
                let a = in |> relu
                add(a, in)
            }
            |> conv(
                16,
                [3, 5],
                stride = [1, 2],
                pad = same,
                dilation = [1, 2],
                groups = 16,
                bias = false,
                init = zero,
            ) as c
            |> output y
        add(
            x
                |> relu |> relu |> relu |> relu |> relu |> relu |> relu |> relu,
            x
                |> tanh |> tanh |> tanh |> tanh |> tanh,
        )
            |> output z
        x
            |> relu |> relu |> relu |> relu |> relu |> relu |> relu |> relu |> relu |> relu |> relu
            |> relu |> relu |> output w
    }
    "#);
}

#[test]
fn comments_stay_near() {
    assert_snapshot!(check(r#"// first


// second
use "a.net" // third
// fourth

// fifth
net n( // sixth
    a = 3 // seventh
) { // eighth

    // ninth
    input x: f32[1, // tenth
        2]
    // eleventh
    x // twelfth
        |> conv(1, // thirteenth
            2
            // fourteenth
        ) // fifteenth
        // sixteenth
        |> repeat 3 { // seventeenth
            in |> relu
            // eighteenth
        } // nineteenth
        |> output y // twentieth

    // twenty-first
} // twenty-second

train n {
    // twenty-third
}
train n {}
// twenty-fourth
"#), @r#"
    // first

    // second
    use "a.net" // third

    // fourth

    // fifth
    // sixth
    // seventh
    net n(a = 3) { // eighth
        // ninth
        // tenth
        input x: f32[1, 2]
        // eleventh
        x // twelfth
            |> conv(
                1, // thirteenth
                2,
                // fourteenth
            ) // fifteenth
            // sixteenth
            |> repeat 3 { // seventeenth
                in |> relu
                // eighteenth
            } // nineteenth
            |> output y // twentieth

        // twenty-first
    } // twenty-second

    train n {
        // twenty-third
    }

    train n {}
    // twenty-fourth
    "#);
}

#[test]
fn odd_files() {
    assert_eq!(check(""), "");
    assert_eq!(check("\n\n // only a comment  \n\n"), "// only a comment\n");
    assert_eq!(check("\u{feff}const a = 1\r\n// b\r\n"), "const a = 1\n// b\n");
    assert_eq!(check(r#"use "a\\\"b\tc.net""#), "use \"a\\\\\\\"b\\tc.net\"\n");
    assert_eq!(
        check("const a = (61_706)\nconst b = 1E-4"),
        "const a = 61_706\nconst b = 1e-4\n"
    );
}

#[test]
fn mistakes_are_returned() {
    assert_eq!(format("net {").unwrap_err().len(), 1);
}

//! What people get wrong, and the whole message they get.

use insta::assert_snapshot;
use netc_diagnostics::{Diagnostics, Sources, Style};
use netc_syntax::{MOST_BYTES, parse};

/// The messages for a text that must not parse.
fn messages(text: &str) -> String {
    let mut sources = Sources::new();
    let file = sources.add("a.net", text);
    match parse(file, text) {
        Ok(tree) => panic!("this parses:\n{text}\n{tree}"),
        Err(list) => Diagnostics::from(list).render(&sources, Style::Plain),
    }
}

/// The messages for one line in the body of a net.
fn in_net(line: &str) -> String {
    messages(&format!(
        "net n {{\n    input x: f32[1, 8, 8]\n    {line}\n    x |> output y\n}}\n"
    ))
}

#[test]
fn missing_layer() {
    assert_snapshot!(in_net("x |> conv(6, 5) |> ) |> output a"), @r#"
    error[E0101]: expected a layer after `|>`, found `)`
      ┌─ a.net:3:24
      │
    3 │     x |> conv(6, 5) |> ) |> output a
      │                        ^ expected a layer, and nothing is open here
    hint: write a layer such as `relu` or `conv(16, 3)` instead of `)`
    "#);
}

#[test]
fn missing_layer2() {
    assert_snapshot!(in_net("x |> |> relu |> output a"), @r#"
    error[E0101]: expected a layer after `|>`, found `|>`
      ┌─ a.net:3:10
      │
    3 │     x |> |> relu |> output a
      │          ^^ expected a layer
    hint: remove one `|>`, or write the layer that is missing between them
    "#);
}

#[test]
fn stage_number() {
    assert_snapshot!(in_net("x |> 3 |> output a"), @r#"
    error[E0101]: expected a layer after `|>`, found the number `3`
      ┌─ a.net:3:10
      │
    3 │     x |> 3 |> output a
      │          ^ expected a layer
    hint: write a layer such as `relu` or `conv(16, 3)`, or remove the `|>`
    "#);
}

#[test]
fn missing_pipe_same_line() {
    assert_snapshot!(in_net("let a = x |> conv(6, 5) relu"), @r#"
    error[E0110]: two statements on one line
      ┌─ a.net:3:29
      │
    3 │     let a = x |> conv(6, 5) relu
      │                             ^^^^ is a `|>` missing before this?
    hint: write `|>` between the stages of a pipeline, and a new statement on a new line
    "#);
}

#[test]
fn missing_pipe_next_line() {
    assert_snapshot!(in_net("x\n        conv(6, 5)\n        |> output a"), @r#"
    error[E0110]: `|>` is missing between the stages of a pipeline
      ┌─ a.net:4:9
      │
    3 │     x
      │     - this value goes nowhere
    4 │         conv(6, 5)
      │         ^^^^^^^^^^ expected `|>` before this
    hint: write `|>` in front of every stage, or give the first part a name with `let`
    "#);
}

#[test]
fn arrow() {
    assert_snapshot!(in_net("x -> relu | tanh |> output a"), @r#"
    error[E0103]: a pipeline is written with `|>`, found `->`
      ┌─ a.net:3:7
      │
    3 │     x -> relu | tanh |> output a
      │       ^^ not an operator of this language
    hint: write `|>`

    error[E0103]: a pipeline is written with `|>`, found `|`
      ┌─ a.net:3:15
      │
    3 │     x -> relu | tanh |> output a
      │               ^ not an operator of this language
    hint: write `|>`
    "#);
}

#[test]
fn semicolon_comma() {
    assert_snapshot!(in_net("let a = x |> relu;\n    let b = a |> tanh,"), @r#"
    error[E0108]: statements end with the line, found `;`
      ┌─ a.net:3:22
      │
    3 │     let a = x |> relu;
      │                      ^ not needed
    hint: remove the `;`

    error[E0108]: nothing is separated by a comma here, found `,`
      ┌─ a.net:4:22
      │
    4 │     let b = a |> tanh,
      │                      ^ not needed
      │
      = commas stand between arguments, between list elements, and between the entries of `expect`
    hint: remove the `,`
    "#);
}

#[test]
fn colon_for_equals() {
    assert_snapshot!(in_net("let a = x |> conv(6, 5, stride: 2)"), @r#"
    error[E0116]: the value of `stride` follows `=`, found `:`
      ┌─ a.net:3:35
      │
    3 │     let a = x |> conv(6, 5, stride: 2)
      │                                   ^ expected `=`
      │
      = types are inferred; only `input` has one
    hint: write `stride = …`
    "#);
}

#[test]
fn equals_for_colon() {
    assert_snapshot!(messages("net n {\n    input x = f32[1]\n    x |> output y\n}\n"), @r#"
    error[E0116]: the type of an input follows `:`, found `=`
      ┌─ a.net:2:13
      │
    2 │     input x = f32[1]
      │             ^ expected `:`
    hint: write `input x: f32[1, 28, 28]`
    "#);
}

#[test]
fn unclosed_brace_end() {
    assert_snapshot!(messages("net n {\n    input x: f32[1]\n    x |> output y\n"), @r#"
    error[E0104]: this `{` is never closed
      ┌─ a.net:1:7
      │
    1 │ net n {
      │       ^ opened here
    2 │     input x: f32[1]
    3 │     x |> output y
      │                  - `}` is missing: the file ends
    hint: close it with `}`
    "#);
}

#[test]
fn unclosed_brace_before_item() {
    assert_snapshot!(messages("net n {\n    input x: f32[1]\n    x |> output y\n\ntrain n {\n    epochs = 1\n}\n"), @r#"
    error[E0104]: this `{` is never closed
      ┌─ a.net:1:7
      │
    1 │ net n {
      │       ^ opened here
    2 │     input x: f32[1]
    3 │     x |> output y
      │                  - `}` is missing: the next item starts
    hint: close it with `}`
    "#);
}

#[test]
fn unclosed_repeat() {
    assert_snapshot!(messages("net n {\n    input x: f32[1]\n    x\n        |> repeat 3 {\n            in |> relu\n        |> output y\n}\n"), @r#"
    error[E0104]: this `{` is never closed
      ┌─ a.net:4:21
      │
    4 │         |> repeat 3 {
      │                     ^ opened here
    5 │             in |> relu
    6 │         |> output y
      │                    - `}` is missing: `}` follows
    hint: close it with `}`
    "#);
}

#[test]
fn unclosed_paren() {
    assert_snapshot!(in_net("let a = x |> conv(6, 5 |> relu"), @r#"
    error[E0104]: this `(` is never closed
      ┌─ a.net:3:22
      │
    3 │     let a = x |> conv(6, 5 |> relu
      │                      ^ opened here
    4 │     x |> output y
      │                  - `)` is missing: `}` follows
    hint: close it with `)`
    "#);
}

#[test]
fn unclosed_bracket() {
    assert_snapshot!(in_net("let a = x |> conv(6, [3, 5) |> relu"), @r#"
    error[E0104]: this `[` is never closed
      ┌─ a.net:3:26
      │
    3 │     let a = x |> conv(6, [3, 5) |> relu
      │                          ^    - `]` is missing: `)` follows
      │                          │
      │                          opened here
    hint: close it with `]`
    "#);
}

#[test]
fn stray_closer() {
    assert_snapshot!(in_net("let a = x |> relu)"), @r#"
    error[E0104]: this `)` closes nothing
      ┌─ a.net:3:22
      │
    3 │     let a = x |> relu)
      │                      ^ nothing is open here
    hint: remove it, or open it before with `(`
    "#);
}

#[test]
fn stray_brace() {
    assert_snapshot!(messages("net n {\n    input x: f32[1]\n    x |> output y\n}\n}\n"), @r#"
    error[E0104]: this `}` closes nothing
      ┌─ a.net:5:1
      │
    5 │ }
      │ ^ nothing is open here
    hint: remove it, or open it before with `{`
    "#);
}

#[test]
fn positional_after_named() {
    assert_snapshot!(in_net("let a = x |> conv(6, stride = 2, 5)"), @r#"
    error[E0114]: arguments without a name come first
      ┌─ a.net:3:38
      │
    3 │     let a = x |> conv(6, stride = 2, 5)
      │                          ----------  ^ has no name, and comes after one that has
      │                          │
      │                          `stride` is given by name
    hint: give it by name, or move it to the front
    "#);
}

#[test]
fn quotes() {
    assert_snapshot!(messages("use \u{201c}a.net\u{201d}\nuse 'b.net'\n"), @r#"
    error[E0117]: strings are written in `"`, found `“`
      ┌─ a.net:1:5
      │
    1 │ use “a.net”
      │     ^ not a quotation mark of this language
    hint: write `"…"`

    error[E0117]: strings are written in `"`, found `'`
      ┌─ a.net:2:5
      │
    2 │ use 'b.net'
      │     ^ not a quotation mark of this language
    hint: write `"…"`
    "#);
}

#[test]
fn comments() {
    assert_snapshot!(messages("# a net\n/* more */\nconst a = 1\n"), @r#"
    error[E0107]: comments start with `//`, found `#`
      ┌─ a.net:1:1
      │
    1 │ # a net
      │ ^ not a comment in this language
    hint: write `//` instead of `#`

    error[E0107]: comments start with `//` and end with the line, found `/*`
      ┌─ a.net:2:1
      │
    2 │ /* more */
      │ ^^ not a comment in this language
    hint: write `//` in front of every line of the comment
    "#);
}

#[test]
fn unterminated_string() {
    assert_snapshot!(messages("use \"a.net\nconst a = 1\n"), @r#"
    error[E0105]: this string has no end
      ┌─ a.net:1:5
      │
    1 │ use "a.net
      │     ^ opened here, not closed on this line
    hint: close it with `"`
    "#);
}

#[test]
fn escapes() {
    assert_snapshot!(messages(r#"use "C:\models\a.net""#), @r#"
    error[E0105]: `\m` is not an escape
      ┌─ a.net:1:8
      │
    1 │ use "C:\models\a.net"
      │        ^^ unknown escape
    hint: the escapes are `\"`, `\\`, `\n` and `\t`; paths are written with `/`

    error[E0105]: `\a` is not an escape
      ┌─ a.net:1:15
      │
    1 │ use "C:\models\a.net"
      │               ^^ unknown escape
    hint: the escapes are `\"`, `\\`, `\n` and `\t`; paths are written with `/`
    "#);
}

#[test]
fn numbers() {
    assert_snapshot!(messages("const a = 1.2.3\nconst b = 99999999999999999999\nconst c = .5\nconst d = 5.\nconst e = 3x3\nconst f = 2 ** 3\n"), @r#"
    error[E0106]: `1.2.3` is not a number
      ┌─ a.net:1:11
      │
    1 │ const a = 1.2.3
      │           ^^^^^ neither an integer nor a decimal number
    hint: numbers look like `32`, `61_706`, `0.5` or `5e-4`; a name cannot start with a digit

    error[E0106]: the number 99999999999999999999 is too large
      ┌─ a.net:2:11
      │
    2 │ const b = 99999999999999999999
      │           ^^^^^^^^^^^^^^^^^^^^ does not fit
      │
      = integers go up to 2^63 - 1 = 9_223_372_036_854_775_807, others up to about 1.8e308
    hint: write a smaller number

    error[E0106]: `.5` starts with a point
      ┌─ a.net:3:11
      │
    3 │ const c = .5
      │           ^^ a digit is missing
    hint: write `0.5`

    error[E0106]: `5.` ends with a point
      ┌─ a.net:4:11
      │
    4 │ const d = 5.
      │           ^^ a digit is missing
    hint: write `5.0`, or no point for a whole number

    error[E0106]: `3x3` is not a number
      ┌─ a.net:5:11
      │
    5 │ const e = 3x3
      │           ^^^ one number per axis is a list
    hint: write `[3, 3]`

    error[E0103]: expected `^`, found `**`
      ┌─ a.net:6:13
      │
    6 │ const f = 2 ** 3
      │             ^^ not an operator of this language
    hint: write `^`
    "#);
}

#[test]
fn invalid_characters() {
    assert_snapshot!(messages("const a = 1 \0\0\0\nconst b = @@@ 2\nconst gr\u{f6}\u{df}e = 3\n"), @r#"
    error[E0102]: found the character U+0000, which is invisible
      ┌─ a.net:1:13
      │
    1 │ const a = 1 ���
      │             ^ not part of the language
    hint: outside of comments and strings, a file holds names, numbers, spaces, and `|> = : , ( ) [ ] { } + - * / % ^`

    error[E0102]: found `@`, which means nothing here
      ┌─ a.net:2:11
      │
    2 │ const b = @@@ 2
      │           ^ not part of the language
    hint: outside of comments and strings, a file holds names, numbers, spaces, and `|> = : , ( ) [ ] { } + - * / % ^`

    error[E0102]: names are made of the letters a to z, digits and `_`, found `ö`
      ┌─ a.net:3:7
      │
    3 │ const größe = 3
      │       ^^^^^ not an ASCII name
      │
      = names become keys of weights, and columns of tables that other programs read
    hint: spell it with ASCII letters
    "#);
}

#[test]
fn keyword_as_name() {
    assert_snapshot!(messages("const net = 3\nnet n(in = 3) {\n    input output: f32[1]\n    let let = x |> relu as use\n    x |> conv(3, repeat = 2) |> output y\n}\n"), @r#"
    error[E0109]: `net` is a keyword and cannot be a name
      ┌─ a.net:1:7
      │
    1 │ const net = 3
      │       ^^^ a word of the language
      │
      = the keywords are use, const, block, net, input, let, in, as, repeat, output, expect, train, prune, quantize, distill, transfer
    hint: choose another name, such as `net_1`

    error[E0109]: `in` is a keyword and cannot be a name
      ┌─ a.net:2:7
      │
    2 │ net n(in = 3) {
      │       ^^ a word of the language
      │
      = the keywords are use, const, block, net, input, let, in, as, repeat, output, expect, train, prune, quantize, distill, transfer
    hint: choose another name, such as `in_1`

    error[E0109]: `output` is a keyword and cannot be a name
      ┌─ a.net:3:11
      │
    3 │     input output: f32[1]
      │           ^^^^^^ a word of the language
      │
      = the keywords are use, const, block, net, input, let, in, as, repeat, output, expect, train, prune, quantize, distill, transfer
    hint: choose another name, such as `output_1`

    error[E0109]: `let` is a keyword and cannot be a name
      ┌─ a.net:4:9
      │
    4 │     let let = x |> relu as use
      │         ^^^ a word of the language
      │
      = the keywords are use, const, block, net, input, let, in, as, repeat, output, expect, train, prune, quantize, distill, transfer
    hint: choose another name, such as `let_1`

    error[E0109]: `repeat` is a keyword and cannot be a name
      ┌─ a.net:5:18
      │
    5 │     x |> conv(3, repeat = 2) |> output y
      │                  ^^^^^^ a word of the language
      │
      = the keywords are use, const, block, net, input, let, in, as, repeat, output, expect, train, prune, quantize, distill, transfer
    hint: choose another name, such as `repeat_1`
    "#);
}

#[test]
fn empty_bodies() {
    assert_snapshot!(messages("net n {\n}\nblock b() {}\nnet m {\n    input x: f32[]\n    x |> repeat 3 {} |> output y\n}\n"), @r#"
    error[E0113]: the body of a net is empty
      ┌─ a.net:1:7
      │
    1 │ net n {
      │       ^ expected a statement
    hint: a net needs an `input` and an `output`: `input image: f32[1, 28, 28]`, `image |> … |> output logits`

    error[E0113]: the body of a block is empty
      ┌─ a.net:3:11
      │
    3 │ block b() {}
      │           ^^ expected a statement
    hint: write what happens to `in`, such as `in |> conv(16, 3) |> relu`

    error[E0113]: the shape of this input is empty
      ┌─ a.net:5:5
      │
    5 │     input x: f32[]
      │     ^^^^^^^^^^^^^^ expected at least one dimension
    hint: write the shape without the batch, channels first: `f32[1, 28, 28]`

    error[E0113]: the body of a `repeat` is empty
      ┌─ a.net:6:19
      │
    6 │     x |> repeat 3 {} |> output y
      │                   ^^ expected a statement
    hint: write what happens to `in`, such as `in |> conv(16, 3) |> relu`
    "#);
}

#[test]
fn missing_let() {
    assert_snapshot!(in_net("a = x |> relu"), @r#"
    error[E0101]: `a` is given a value without `let`
      ┌─ a.net:3:7
      │
    3 │     a = x |> relu
      │       ^ only a `let` gives a value
    hint: write `let a = …`
    "#);
}

#[test]
fn misspelled_let() {
    assert_snapshot!(in_net("lte a = x |> relu"), @r#"
    error[E0101]: expected a statement, found the name `lte`
      ┌─ a.net:3:5
      │
    3 │     lte a = x |> relu
      │     ^^^ not a keyword
    hint: did you mean `let`?
    "#);
}

#[test]
fn misspelled_input() {
    assert_snapshot!(messages("net n {\n    inptu x: f32[1]\n    x |> output y\n}\n"), @r#"
    error[E0101]: expected a statement, found the name `inptu`
      ┌─ a.net:2:5
      │
    2 │     inptu x: f32[1]
      │     ^^^^^ not a keyword
    hint: did you mean `input`?
    "#);
}

#[test]
fn misspelled_item() {
    assert_snapshot!(messages("nett n {\n    input x: f32[1]\n}\n\nnet m {\n    input x: f32[1]\n    x |> |> output y\n}\n"), @r#"
    error[E0101]: expected an item, found the name `nett`
      ┌─ a.net:1:1
      │
    1 │ nett n {
      │ ^^^^ expected an item
    hint: did you mean `net`?

    error[E0101]: expected a layer after `|>`, found `|>`
      ┌─ a.net:7:10
      │
    7 │     x |> |> output y
      │          ^^ expected a layer
    hint: remove one `|>`, or write the layer that is missing between them
    "#);
}

#[test]
fn let_at_top() {
    assert_snapshot!(messages("let a = 3\nconst b = \nconst c = 3 4\n"), @r#"
    error[E0101]: expected an item, found the keyword `let`
      ┌─ a.net:1:1
      │
    1 │ let a = 3
      │ ^^^ expected an item
    hint: at the top level of a file, write `const` for a number, or move it into a net

    error[E0101]: expected a value after `=`, found the keyword `const`
      ┌─ a.net:2:10
      │
    2 │ const b =
      │          ^ expected a value
    3 │ const c = 3 4
      │ ----- found this instead
    hint: a value is a number, a name, a call, a list or a pipeline

    error[E0101]: expected an item, found the number `4`
      ┌─ a.net:3:13
      │
    3 │ const c = 3 4
      │             ^ expected an item
    hint: a file holds `use`, `const`, `block`, `net` and recipes such as `train`
    "#);
}

#[test]
fn missing_value() {
    assert_snapshot!(in_net("let a =\n    let b = x |> conv(6, , 5)\n    let c = x |> conv(6 5)\n    let d = 2 +\n    let e = [1 2]"), @r#"
    error[E0101]: expected a value after `=`, found the keyword `let`
      ┌─ a.net:3:12
      │
    3 │     let a =
      │            ^ expected a value
    4 │     let b = x |> conv(6, , 5)
      │     --- found this instead
    hint: a value is a number, a name, a call, a list or a pipeline

    error[E0101]: expected a value after `,`, found `,`
      ┌─ a.net:4:26
      │
    4 │     let b = x |> conv(6, , 5)
      │                          ^ expected a value
    hint: write the missing value, or remove the `,`

    error[E0101]: expected `,` or `)` between arguments, found the number `5`
      ┌─ a.net:5:25
      │
    5 │     let c = x |> conv(6 5)
      │                         ^ expected `,` or `)` between arguments
    hint: separate arguments with `,`

    error[E0101]: expected a value after `+`, found the keyword `let`
      ┌─ a.net:6:16
      │
    6 │     let d = 2 +
      │                ^ expected a value
    7 │     let e = [1 2]
      │     --- found this instead
    hint: write what to compute with

    error[E0101]: expected `,` or `]` between elements, found the number `2`
      ┌─ a.net:7:16
      │
    7 │     let e = [1 2]
      │                ^ expected `,` or `]` between elements
    hint: separate elements with `,`
    "#);
}

#[test]
fn input_without_type() {
    assert_snapshot!(messages("net n {\n    input x\n    input z: [1, 2]\n    input w: f32\n    x |> output y\n}\n"), @r#"
    error[E0101]: expected `:` and a type after `input x`, found the keyword `input`
      ┌─ a.net:2:12
      │
    2 │     input x
      │            ^ expected `:` and a type
    3 │     input z: [1, 2]
      │     ----- found this instead
    hint: write `input x: f32[1, 28, 28]`

    error[E0101]: expected a type after `:`, found `[`
      ┌─ a.net:3:14
      │
    3 │     input z: [1, 2]
      │              ^ expected a type
    hint: write the type and the shape, as in `f32[1, 28, 28]`

    error[E0101]: expected a shape after `f32`, found the name `x`
      ┌─ a.net:4:17
      │
    4 │     input w: f32
      │                 ^ expected a shape
    5 │     x |> output y
      │     - found this instead
    hint: write the shape without the batch, channels first: `f32[1, 28, 28]`
    "#);
}

#[test]
fn call_on_new_line() {
    assert_snapshot!(in_net("let a = x |> conv\n        (6, 5)"), @r#"
    error[E0101]: the arguments of a call start on the line of its name
      ┌─ a.net:4:9
      │
    4 │         (6, 5)
      │         ^ on a new line
      │
      = a `(` at the start of a line starts a statement
    hint: write `conv(` on one line
    "#);
}

#[test]
fn label_on_head() {
    assert_snapshot!(in_net("let a = x as b"), @r#"
    error[E0101]: a label belongs to one stage
      ┌─ a.net:3:15
      │
    3 │     let a = x as b
      │               ^^ what comes before is not a stage
      │
      = `as` names the layer right before it, once
    hint: write it after a stage, as in `image |> conv(16, 3) as stem`
    "#);
}

#[test]
fn label_twice() {
    assert_snapshot!(in_net("let a = x |> relu as b as c"), @r#"
    error[E0101]: a label belongs to one stage
      ┌─ a.net:3:28
      │
    3 │     let a = x |> relu as b as c
      │                            ^^ what comes before is not a stage
      │
      = `as` names the layer right before it, once
    hint: write it after a stage, as in `image |> conv(16, 3) as stem`
    "#);
}

#[test]
fn repeat_without_body() {
    assert_snapshot!(in_net("let a = x |> repeat 3 |> relu\n    let b = x |> repeat { in |> relu }"), @r#"
    error[E0101]: expected `{` after the count of `repeat`, found `|>`
      ┌─ a.net:3:27
      │
    3 │     let a = x |> repeat 3 |> relu
      │                           ^^ expected `{`
    hint: write `repeat 3 { in |> … }`

    error[E0101]: expected a count after `repeat`, found `{`
      ┌─ a.net:4:25
      │
    4 │     let b = x |> repeat { in |> relu }
      │                         ^ expected a count
    hint: write `repeat 3 { in |> … }`
    "#);
}

#[test]
fn no_output() {
    assert_snapshot!(in_net("x |> relu |> tanh"), @r#"
    error[E0111]: this pipeline ends without an `output`
      ┌─ a.net:3:5
      │
    3 │     x |> relu |> tanh
      │     ^^^^^^^^^^^^^^^^^- expected `|> output NAME`
      │     │
      │     its value goes nowhere
    hint: end it with `|> output NAME`, or name its value with `let NAME = …`
    "#);
}

#[test]
fn output_in_the_middle() {
    assert_snapshot!(in_net("x |> output a |> relu |> output b\n    let c = x |> output d"), @r#"
    error[E0111]: `output` ends a pipeline of a net
      ┌─ a.net:3:10
      │
    3 │     x |> output a |> relu |> output b
      │          ^^^^^^^^ more stages follow
    hint: move it to the end; to use a value twice, name it with `let`

    error[E0111]: `output` ends a pipeline of a net
      ┌─ a.net:4:18
      │
    4 │     let c = x |> output d
      │                  ^^^^^^^^ not the end of a pipeline that stands as a statement of a net
    hint: write it as a statement of the net: `value |> output NAME`
    "#);
}

#[test]
fn block_statements() {
    assert_snapshot!(messages("block b(c) {\n    input x: f32[1]\n    in |> relu\n    expect params = 3\n    let a = in\n}\n"), @r#"
    error[E0112]: `input` stands in nets only, found it in a block
      ┌─ a.net:2:5
      │
    2 │     input x: f32[1]
      │     ^^^^^^^^^^^^^^^ not in a net
    hint: what flows in is called `in`

    error[E0111]: only the last statement of a block is its result
      ┌─ a.net:3:5
      │
    3 │     in |> relu
      │     ^^^^^^^^^^ its value goes nowhere
    hint: name its value with `let NAME = …`, or join it with the next statement by `|>`

    error[E0112]: `expect` stands in nets only, found it in a block
      ┌─ a.net:4:5
      │
    4 │     expect params = 3
      │     ^^^^^^^^^^^^^^^^^ not in a net
    hint: move it into a net

    error[E0111]: a block ends with its result
      ┌─ a.net:5:5
      │
    5 │     let a = in
      │     ^^^^^^^^^^ the last statement, and not a pipeline
    hint: add the result as the last statement, such as `add(main, in)`
    "#);
}

#[test]
fn net_in_net() {
    assert_snapshot!(messages("net n {\n    input x: f32[1] net m { x |> output y }\n    x |> output y\n}\n"), @r#"
    error[E0112]: `net` stands at the top level of a file
      ┌─ a.net:2:21
      │
    2 │     input x: f32[1] net m { x |> output y }
      │                     ^^^ not inside braces
    hint: move it out of the braces
    "#);
}

#[test]
fn method_call() {
    assert_snapshot!(in_net("let a = x.relu()"), @r#"
    error[E0103]: found `.`, which means nothing here
      ┌─ a.net:3:14
      │
    3 │     let a = x.relu()
      │              ^ not an operator of this language
    hint: a layer is applied with `|>`, as in `image |> relu`
    "#);
}

#[test]
fn section_fields() {
    assert_snapshot!(messages("train n {\n    epochs 12\n    batch: 64\n    seed = \n    data = idx(\"d\"),\n    |> 3\n}\n\ntrain {\n}\n"), @r#"
    error[E0101]: expected `=`, found the number `12`
      ┌─ a.net:2:12
      │
    2 │     epochs 12
      │            ^^ expected `=`
    hint: write `epochs = …`

    error[E0116]: the value of `batch` follows `=`, found `:`
      ┌─ a.net:3:10
      │
    3 │     batch: 64
      │          ^ expected `=`
      │
      = types are inferred; only `input` has one
    hint: write `batch = …`

    error[E0101]: expected a value after `=`
      ┌─ a.net:4:11
      │
    4 │     seed =
      │           ^ expected a value
    hint: a value is a number, a name, a call, a list or a pipeline

    error[E0108]: nothing is separated by a comma here, found `,`
      ┌─ a.net:5:20
      │
    5 │     data = idx("d"),
      │                    ^ not needed
      │
      = commas stand between arguments, between list elements, and between the entries of `expect`
    hint: remove the `,`

    error[E0101]: expected the name of a net after `train`, found `{`
      ┌─ a.net:9:7
      │
    9 │ train {
      │       ^ expected the name of a net
    hint: write `train lenet5 { … }`
    "#);
}

#[test]
fn three_mistakes_three_messages() {
    assert_snapshot!(messages("net n {\n    input x: f32[1]\n    let a = x |> |> relu\n    let b = x |> repeat 3 {\n        let c = = in\n        in |> relu\n    }\n    let = 3\n    x |> output y\n}\n"), @r#"
    error[E0101]: expected a layer after `|>`, found `|>`
      ┌─ a.net:3:18
      │
    3 │     let a = x |> |> relu
      │                  ^^ expected a layer
    hint: remove one `|>`, or write the layer that is missing between them

    error[E0101]: expected a value after `=`, found `=`
      ┌─ a.net:5:17
      │
    5 │         let c = = in
      │                 ^ expected a value
    hint: a value is a number, a name, a call, a list or a pipeline

    error[E0101]: expected a name after `let`, found `=`
      ┌─ a.net:8:9
      │
    8 │     let = 3
      │         ^ expected a name
    hint: write `let name = value`
    "#);
}

#[test]
fn deep_parentheses() {
    assert_snapshot!(messages(&format!("const a = {}1", "(".repeat(100_000))), @r#"
    error[E0115]: more than 64 brackets are open at once
      ┌─ a.net:1:75
      │
    1 │ const a = ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((…
      │                                                                           ^ one too many
    hint: name inner parts with `let`, or move them to a `block`
    "#);
}

#[test]
fn deep_lists() {
    assert_snapshot!(messages(&format!("const a = {}", "[".repeat(65))), @r#"
    error[E0115]: more than 64 brackets are open at once
      ┌─ a.net:1:75
      │
    1 │ const a = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[
      │                                                                           ^ one too many
    hint: name inner parts with `let`, or move them to a `block`
    "#);
}

#[test]
fn long_sum() {
    assert_snapshot!(messages(&format!("const a = 1{}", " + 1".repeat(300_000 / 4))), @r#"
    error[E0115]: more than 192 operators and brackets in one value
      ┌─ a.net:1:781
      │
    1 │ …+ 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 …
      │                                          ^ one too many
    hint: name parts of it with `const`
    "#);
}

#[test]
fn long_power() {
    assert_snapshot!(messages(&format!("const a = {}1", "-".repeat(100_000))), @r#"
    error[E0115]: more than 192 operators and brackets in one value
      ┌─ a.net:1:203
      │
    1 │ …----------------------------------------------------------------------------------------------------------------------------------------------------------------…
      │                                          ^ one too many
    hint: name parts of it with `const`
    "#);
}

#[test]
fn long_name() {
    assert_snapshot!(messages(&format!("const {} = 1", "a".repeat(101))), @r#"
    error[E0115]: a name of 101 characters is too long
      ┌─ a.net:1:7
      │
    1 │ const aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa = 1
      │       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ at most 100
    hint: choose a shorter name
    "#);
}

#[test]
fn large_file() {
    assert_snapshot!(messages(&" ".repeat(MOST_BYTES + 1)), @r#"
    error[E0115]: a file of 1048577 bytes is too large
      ┌─ a.net:1:1
      │
    1 │                                                                                                                                                                 …
      │ ^ at most 1048576 bytes
    hint: split it, and join the parts with `use`
    "#);
}

#[test]
fn many_mistakes() {
    assert_snapshot!(messages(&"const = 1\n".repeat(1000)).split("\n\n").last().unwrap(), @r#"
    error[E0101]: expected a name after `const`, found `=`
       ┌─ a.net:20:7
       │
    20 │ const = 1
       │       ^ expected a name
       │
       = only the first 20 mistakes are shown
    hint: write `const width = 32`
    "#);
}

#[test]
fn only_a_name() {
    assert_snapshot!(messages("lenet5"), @r#"
    error[E0101]: expected an item, found the name `lenet5`
      ┌─ a.net:1:1
      │
    1 │ lenet5
      │ ^^^^^^ expected an item
    hint: a file holds `use`, `const`, `block`, `net` and recipes such as `train`
    "#);
}

#[test]
fn use_without_quotes() {
    assert_snapshot!(messages("use blocks.net\n"), @r#"
    error[E0101]: expected a path in quotes after `use`
      ┌─ a.net:1:5
      │
    1 │ use blocks.net
      │     ^^^^^^^^^^ not in quotes
    hint: write `use "blocks.net"`
    "#);
}

#[test]
fn end_of_file() {
    assert_snapshot!(messages("const a ="), @r#"
    error[E0101]: expected a value after `=`, found the end of the file
      ┌─ a.net:1:10
      │
    1 │ const a =
      │          ^ expected a value
    hint: a value is a number, a name, a call, a list or a pipeline
    "#);
}

#[test]
fn bad_header() {
    assert_snapshot!(messages("net n(a, = 3) {\n    input x: f32[1]\n    x |> output y\n}\nblock b c {\n    in |> relu\n}\nnet\n"), @r#"
    error[E0101]: expected a parameter after `,`, found `=`
      ┌─ a.net:1:10
      │
    1 │ net n(a, = 3) {
      │          ^ expected a parameter
    hint: write the missing parameter, or remove the `=`

    error[E0101]: expected parameters or `{` after `block b`, found the name `c`
      ┌─ a.net:5:9
      │
    5 │ block b c {
      │         ^ expected parameters or `{`
    hint: write `block b(channels) { … }`

    error[E0101]: expected a name after `net`, found the end of the file
      ┌─ a.net:8:4
      │
    8 │ net
      │    ^ expected a name
    hint: write `net lenet5 { … }`
    "#);
}

#[test]
fn expect_comma() {
    assert_snapshot!(messages("net n {\n    input x: f32[1]\n    x |> output y\n    expect params = 3,\n    expect\n    expect params 3\n}\n"), @r#"
    error[E0108]: nothing is separated by a comma here, found `,`
      ┌─ a.net:4:22
      │
    4 │     expect params = 3,
      │                      ^ not needed
      │
      = commas stand between arguments, between list elements, and between the entries of `expect`
    hint: remove the `,`

    error[E0101]: expected a quantity after `expect`, found the keyword `expect`
      ┌─ a.net:5:11
      │
    5 │     expect
      │           ^ expected a quantity
    6 │     expect params 3
      │     ------ found this instead
    hint: write `expect params = 61_706`

    error[E0101]: expected `=`, found the number `3`
      ┌─ a.net:6:19
      │
    6 │     expect params 3
      │                   ^ expected `=`
    hint: write `params = …`
    "#);
}

#[test]
fn list_in_parentheses() {
    assert_snapshot!(in_net("let a = x |> conv(6, (3, 5))"), @r#"
    error[E0101]: expected `)`, found `,`
      ┌─ a.net:3:28
      │
    3 │     let a = x |> conv(6, (3, 5))
      │                          - ^ expected `)`
      │                          │
      │                          opened here
    hint: a list is written in brackets, as in `[3, 5]`
    "#);
}

#[test]
fn no_output_at_the_end() {
    assert_snapshot!(messages("net n {\n    input x: f32[1]\n    x |> relu\n}\n"), @r#"
    error[E0111]: this pipeline ends without an `output`
      ┌─ a.net:3:5
      │
    3 │     x |> relu
      │     ^^^^^^^^^- expected `|> output NAME`
      │     │
      │     its value goes nowhere
    hint: end it with `|> output NAME`, or name its value with `let NAME = …`
    "#);
}

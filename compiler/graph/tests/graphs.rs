//! Graphs as a whole: text, dot, JSON, the verifier, the interpreter's errors.

use std::collections::BTreeMap;

use netc_graph::operators::add::Add;
use netc_graph::operators::constant::Constant;
use netc_graph::operators::conv::Conv;
use netc_graph::operators::cross_entropy::CrossEntropy;
use netc_graph::operators::dense::Dense;
use netc_graph::operators::input::Input;
use netc_graph::operators::moving_average::MovingAverage;
use netc_graph::operators::parameter::{Parameter, Role};
use netc_graph::operators::relu::Relu;
use netc_graph::operators::reshape::Reshape;
use netc_graph::operators::window::Window;
use netc_graph::{Bindings, Graph, NodeId, ShapeError, Type, dot, interpret, interpret_keeping, to_text, verify};
use netc_runtime::{DType, Init, Shape, Tensor};

fn parameter(graph: &mut Graph, name: &str, shape: &[usize], role: Role) -> NodeId {
    let init = if role == Role::Weight {
        Init::Uniform { bound: 0.5 }
    } else {
        Init::Constant(0.0)
    };
    graph
        .add(
            name,
            Parameter {
                shape: shape.into(),
                role,
                init,
            },
            &[],
            None,
        )
        .unwrap()
}

/// A convolution, an activation, a dense layer, a sum with a constant, an update.
fn small() -> Graph {
    let mut graph = Graph::new("small");
    let image = graph
        .add(
            "image",
            Input {
                ty: Type::batched(DType::F32, [1, 3, 3]),
            },
            &[],
            None,
        )
        .unwrap();
    let w = parameter(&mut graph, "conv1.weight", &[2, 1, 2, 2], Role::Weight);
    let b = parameter(&mut graph, "conv1.bias", &[2], Role::Bias);
    let window = Window::new([2, 2]);
    let conv = graph
        .add("conv1", Conv { window, groups: 1 }, &[image, w, b], None)
        .unwrap();
    let relu = graph.add("relu1", Relu {}, &[conv], None).unwrap();
    let flat = graph
        .add("flatten1", Reshape { shape: [8].into() }, &[relu], None)
        .unwrap();
    let w = parameter(&mut graph, "dense1.weight", &[2, 8], Role::Weight);
    let dense = graph.add("dense1", Dense {}, &[flat, w], None).unwrap();
    let value = Tensor::from_f32([2], vec![0.5, -0.5]).unwrap();
    let constant = graph.add("offset", Constant { value }, &[], None).unwrap();
    let sum = graph.add("add1", Add {}, &[dense, constant], None).unwrap();
    graph.add_output("logits", sum);
    let next = graph
        .add("average", MovingAverage { momentum: 0.25 }, &[b, b], None)
        .unwrap();
    graph.add_update(b, next);
    graph
}

/// Zeros for the image, ones for every parameter.
fn bindings(graph: &Graph, batch: usize) -> Bindings {
    let bound = |ids: Vec<NodeId>, value: f32| -> BTreeMap<String, Tensor> {
        let tensor = |id| Tensor::filled(graph.ty(id).host_shape(batch), value);
        ids.into_iter()
            .map(|id| (graph.node(id).name.clone(), tensor(id)))
            .collect()
    };
    Bindings {
        inputs: bound(graph.input_nodes(), 0.0),
        parameters: bound(graph.parameters(), 1.0),
    }
}

#[test]
fn text_is_numbered_in_order() {
    insta::assert_snapshot!(to_text(&small()), @"
    graph small
    inputs
      %0 image : f32[N, 1, 3, 3]
    parameters
      %1 conv1.weight role=weight init=uniform(0.5) : f32[2, 1, 2, 2]
      %2 conv1.bias role=bias init=0 : f32[2]
      %3 dense1.weight role=weight init=uniform(0.5) : f32[2, 8]
    constants
      %4 offset value=[0.5, -0.5] : f32[2]
    operators
      %5 conv1 = conv(%0, %1, %2) kernel=2x2 stride=1 : f32[N, 2, 2, 2]
      %6 relu1 = relu(%5) : f32[N, 2, 2, 2]
      %7 flatten1 = reshape(%6) shape=8 : f32[N, 8]
      %8 dense1 = dense(%7, %3) : f32[N, 2]
      %9 add1 = add(%8, %4) : f32[N, 2]
      %10 average = moving_average(%2, %2) momentum=0.25 : f32[2]
    outputs
      logits = %9
    updates
      conv1.bias = %10
    ");
}

#[test]
fn text_quotes_odd_names() {
    let mut graph = Graph::new("odd\nname");
    let x = graph
        .add(
            "x y",
            Input {
                ty: Type::fixed(DType::I32, Shape::scalar()),
            },
            &[],
            None,
        )
        .unwrap();
    graph.add_output("a = b", x);
    insta::assert_snapshot!(to_text(&graph), @r#"
    graph "odd\nname"
    inputs
      %0 "x y" : i32[]
    outputs
      "a = b" = %0
    "#);
}

#[test]
fn dot_has_a_box_for_each_operator() {
    let mut graph = Graph::new("tiny");
    let x = graph
        .add(
            "say \"x\"",
            Input {
                ty: Type::batched(DType::F32, [2]),
            },
            &[],
            None,
        )
        .unwrap();
    let y = graph.add("twice", Add {}, &[x, x], None).unwrap();
    graph.add_output("y", y);
    insta::assert_snapshot!(dot::to_dot(&graph), @r#"
    digraph {
        0 [ shape=ellipse label="say \"x\"\ninput\nf32[N, 2]"]
        1 [ shape=box label="twice\nadd\nf32[N, 2]"]
        0 -> 1 [ label="0"]
        0 -> 1 [ label="1"]
        output0 [ shape=ellipse label="y" ]
        1 -> output0 [ ]
    }
    "#);
}

#[test]
fn json_round_trip() {
    let mut graph = small();
    // A hole in the node numbers, as passes leave them.
    let unused = graph.add("unused", Relu {}, &[graph.outputs()[0].1], None).unwrap();
    let used = graph.add("used", Relu {}, &[graph.outputs()[0].1], None).unwrap();
    graph.add_output("last", used);
    graph.remove_unused();
    assert!(graph.ids().all(|id| id != unused));
    let text = serde_json::to_string(&graph).unwrap();
    let again: Graph = serde_json::from_str(&text).unwrap();
    assert_eq!(verify(&again), []);
    assert_eq!(to_text(&again), to_text(&graph));
    assert_eq!(serde_json::to_string(&again).unwrap(), text);
}

#[test]
fn the_verifier_finds_what_is_broken() {
    assert_eq!(verify(&small()), []);
    let broken = |from: &str, to: &str| -> String {
        let text = serde_json::to_string(&small()).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        let graph: Graph = serde_json::from_str(&text.replacen(from, to, 1)).unwrap();
        verify(&graph)
            .iter()
            .map(|violation| format!("{violation}\n"))
            .collect()
    };
    insta::assert_snapshot!(broken("[3,4,0]", "[4,3,0]"), @"
    `conv1`: the inputs are in slots [0, 0, 1, 2]
    `relu1`: `relu` number of inputs: takes 1, found 0
    ");
    insta::assert_snapshot!(broken("[3,4,0]", "[4,4,0]"), @"the graph has a cycle");
    insta::assert_snapshot!(broken("[4,5,0]", "[4,5,3]"), @"`flatten1`: the inputs are in slots [3]");
    insta::assert_snapshot!(broken(r#""shape":[2,2,2]"#, r#""shape":[2,2,1]"#), @"
    `conv1`: claims f32[N, 2, 2, 1], gives f32[N, 2, 2, 2]
    `relu1`: claims f32[N, 2, 2, 2], gives f32[N, 2, 2, 1]
    ");
    insta::assert_snapshot!(broken(r#""name":"conv1.bias""#, r#""name":"conv1.weight""#), @"there are two inputs or parameters named `conv1.weight`");
    insta::assert_snapshot!(broken(r#"["logits",9]"#, r#"["logits",77]"#), @"output `logits` refers to a node that is not in the graph");
    insta::assert_snapshot!(broken(r#""parameter":2"#, r#""parameter":1"#), @"the update of `conv1.weight` does not fit: f32[2, 1, 2, 2] becomes f32[2]");
    insta::assert_snapshot!(broken(r#""groups":1"#, r#""groups":0"#), @"`conv1`: `conv` `groups` must be at least 1");
    insta::assert_snapshot!(broken(r#"{"F32":[0.5,-0.5]}"#, r#"{"F32":[0.5]}"#), @"`offset`: the constant's elements do not fill its shape");
}

#[test]
fn nothing_is_added_that_does_not_fit() {
    let mut graph = Graph::new("limits");
    let huge = Input {
        ty: Type::batched(DType::F32, [1 << 20, 1 << 20]),
    };
    assert!(matches!(
        graph.add("x", huge, &[], None),
        Err(ShapeError::TooLarge { .. })
    ));
    let empty = Input {
        ty: Type::batched(DType::F32, [3, 0]),
    };
    assert_eq!(
        graph.add("x", empty, &[], None),
        Err(ShapeError::Empty { shape: [3, 0].into() })
    );
    assert_eq!(graph.node_count(), 0);
}

#[test]
fn the_interpreter_keeps_what_is_asked_for() {
    let graph = small();
    for batch in [0, 1, 3] {
        let conv = graph.ids().find(|&id| graph.node(id).name == "conv1").unwrap();
        let result = interpret_keeping(&graph, &bindings(&graph, batch), batch, &[conv]).unwrap();
        assert_eq!(result.values[&conv], Tensor::filled([batch, 2, 2, 2], 1.0));
        let logits: Vec<f32> = [8.5, 7.5].repeat(batch);
        assert_eq!(result.outputs["logits"], Tensor::from_f32([batch, 2], logits).unwrap());
        assert_eq!(result.updates["conv1.bias"], Tensor::filled([2], 1.0));
    }
}

#[test]
fn what_is_bound_must_fit() {
    let graph = small();
    let good = bindings(&graph, 2);
    let error = |bindings: &Bindings, batch| interpret(&graph, bindings, batch).unwrap_err().to_string();
    insta::assert_snapshot!(error(&good, 3), @"input `image` is f32 2x1x3x3, needs f32 3x1x3x3");
    insta::assert_snapshot!(error(&good, usize::MAX), @"`image` has 18446744073709551615x1x3x3 elements with the batch, more than the limit of 8589934592");
    let mut bad = good.clone();
    bad.parameters.remove("dense1.weight");
    insta::assert_snapshot!(error(&bad, 2), @"parameter `dense1.weight` is missing: needs f32[2, 8]");
    let mut bad = good.clone();
    bad.inputs
        .insert("image".to_owned(), Tensor::zeros(DType::U8, [2, 1, 3, 3]));
    insta::assert_snapshot!(error(&bad, 2), @"input `image` is u8 2x1x3x3, needs f32 2x1x3x3");
}

#[test]
fn labels_must_name_classes() {
    let mut graph = Graph::new("loss");
    let logits = graph
        .add(
            "logits",
            Input {
                ty: Type::batched(DType::F32, [3]),
            },
            &[],
            None,
        )
        .unwrap();
    let labels = Input {
        ty: Type::batched(DType::I32, Shape::scalar()),
    };
    let labels = graph.add("labels", labels, &[], None).unwrap();
    let loss = graph
        .add("loss", CrossEntropy { label_smoothing: 0.0 }, &[logits, labels], None)
        .unwrap();
    graph.add_output("loss", loss);
    let run = |labels: Vec<i32>| {
        let labels = Tensor::from_i32([2], labels).unwrap();
        let logits = Tensor::zeros(DType::F32, [2, 3]);
        let inputs = BTreeMap::from([("logits".to_owned(), logits), ("labels".to_owned(), labels)]);
        interpret(
            &graph,
            &Bindings {
                inputs,
                ..Bindings::default()
            },
            2,
        )
    };
    assert!(run(vec![2, -1]).is_ok());
    insta::assert_snapshot!(run(vec![0, 3]).unwrap_err(), @"element 1 of `labels` is label 3, but there are 3 classes");
}

#[test]
fn a_node_can_be_wrapped() {
    let mut graph = small();
    let relu = graph.ids().find(|&id| graph.node(id).name == "relu1").unwrap();
    let inner = graph.derive(relu, Relu {}, &[relu]);
    let outer = graph.derive(relu, Relu {}, &[inner]);
    graph.replace_uses(relu, outer);
    assert_eq!(verify(&graph), []);
    assert_eq!(graph.users(relu), [inner]);
    assert_eq!(graph.node(graph.users(outer)[0]).name, "flatten1");
    // Without users, both go; what is an output or an input stays.
    graph.replace_uses(outer, relu);
    graph.remove_unused();
    assert_eq!(to_text(&graph), to_text(&small()));
}

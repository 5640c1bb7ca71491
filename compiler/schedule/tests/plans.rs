//! Plans of small graphs, as text a person can check; and what must hold of every plan.

use netc_graph::operators::{
    average_pool::AveragePool, concat::Concat, conv::Conv, conv_grad_input::ConvGradInput, dense::Dense,
    dropout::Dropout, input::Input, max_pool::MaxPool, multiply::Multiply, parameter::Parameter, parameter::Role,
    relu::Relu, reshape::Reshape, scale::Scale, scale_shift::ScaleShift, sgd_step::SgdStep, sgd_velocity::SgdVelocity,
    tanh::Tanh, window::Window,
};
use netc_graph::{Graph, NodeId, Operator, Type};
use netc_runtime::{DType, Init, Shape};
use netc_schedule::{Kernel, Machine, Plan, plan, to_text};

struct Builder(Graph);

impl Builder {
    fn new() -> Self {
        Self(Graph::new("net"))
    }

    fn input<const R: usize>(&mut self, name: &str, shape: [usize; R]) -> NodeId {
        let ty = Type::batched(DType::F32, shape);
        self.0.add(name, Input { ty }, &[], None).expect("a leaf")
    }

    fn parameter<const R: usize>(&mut self, name: &str, shape: [usize; R]) -> NodeId {
        let rule = Parameter {
            shape: Shape::from(shape),
            role: Role::Weight,
            init: Init::Constant(0.0),
        };
        self.0.add(name, rule, &[], None).expect("a leaf")
    }

    fn add(&mut self, name: &str, operator: impl Into<Operator>, inputs: &[NodeId]) -> NodeId {
        self.0.add(name, operator, inputs, None).expect("the test's shapes fit")
    }

    fn conv(&mut self, name: &str, x: NodeId, weight: [usize; 4], window: Window) -> NodeId {
        let w = self.parameter(&format!("{name}.weight"), weight);
        let b = self.parameter(&format!("{name}.bias"), [weight[0]]);
        self.add(name, Conv { window, groups: 1 }, &[x, w, b])
    }

    fn plan(&self) -> Plan {
        plan(&self.0, &Machine::portable())
    }
}

#[test]
fn a_small_network() {
    let mut net = Builder::new();
    let image = net.input("image", [1, 12, 12]);
    let conv1 = net.conv("conv1", image, [6, 1, 5, 5], Window::new([5, 5]).with_padding([2, 2]));
    let tanh1 = net.add("tanh1", Tanh {}, &[conv1]);
    let pool = net.add(
        "pool1",
        AveragePool {
            window: Window::new([2, 2]).with_stride([2, 2]),
            count_padding: true,
        },
        &[tanh1],
    );
    let conv2 = net.conv("conv2", pool, [16, 6, 3, 3], Window::new([3, 3]));
    let relu = net.add("relu2", Relu {}, &[conv2]);
    let flat = net.add("flatten1", Reshape { shape: [256].into() }, &[relu]);
    let dropped = net.add("dropout1", Dropout { rate: 0.5 }, &[flat]);
    let w = net.parameter("dense1.weight", [10, 256]);
    let dense = net.add("dense1", Dense {}, &[dropped, w]);
    net.0.add_output("logits", dense);
    insta::assert_snapshot!(to_text(&net.plan()));
}

/// Windows must lie whole in a tile of registers, and nobody else may need what they are taken from.
#[test]
fn only_small_pools_side_by_side_end_a_convolution() {
    let ends = |window: Window, others_read: bool| {
        let mut net = Builder::new();
        let image = net.input("image", [3, 13, 13]);
        let conv = net.conv("conv1", image, [4, 3, 3, 3], Window::new([3, 3]));
        let relu = net.add("relu1", Relu {}, &[conv]);
        let pool = net.add("pool1", MaxPool { window }, &[relu]);
        net.0.add_output("y", pool);
        if others_read {
            net.0.add_output("z", relu);
        }
        let steps = net.plan().steps;
        steps.iter().any(|step| step.kernel.name() == "contract_and_pool")
    };
    let window = |kernel: usize, stride: usize| Window::new([kernel; 2]).with_stride([stride; 2]);
    assert!(ends(window(2, 2), false));
    assert!(!ends(window(2, 2), true));
    assert!(!ends(window(2, 1), false));
    assert!(!ends(window(3, 3), false));
    assert!(!ends(window(2, 2).with_padding([1, 1]), false));
}

/// A layer that reads all before it: every value lies in the last concatenation, where later layers pad it, too. What is
/// an output, or is there twice, is copied.
#[test]
fn parts_are_made_in_their_concatenation() {
    let mut net = Builder::new();
    let image = net.input("image", [3, 6, 6]);
    let window = Window::new([3, 3]).with_padding([1, 1]);
    let first = net.conv("conv1", image, [2, 3, 3, 3], window.clone());
    let second = net.conv("conv2", first, [2, 2, 3, 3], window.clone());
    let inner = net.add("concat1", Concat { axis: 0 }, &[first, second]);
    let relu = net.add("relu1", Relu {}, &[inner]);
    let third = net.conv("conv3", relu, [2, 4, 3, 3], window.clone());
    let outer = net.add("concat2", Concat { axis: 0 }, &[inner, third, third]);
    let last = net.conv("conv4", outer, [1, 8, 3, 3], window);
    net.0.add_output("third", third);
    net.0.add_output("y", last);
    let plan = net.plan();
    let whole = |name: &str| {
        let mut written = plan.steps.iter().filter(|step| step.name == name);
        written.next_back().expect("every layer has a step").write.clone()
    };
    assert_eq!(whole("conv1").buffer, whole("concat2").buffer);
    assert_eq!(whole("conv2").buffer, whole("concat2").buffer);
    assert_ne!(whole("relu1").buffer, whole("concat2").buffer);
    let copies = |name: &str| {
        let copies = plan.steps.iter().filter(|step| step.kernel.name() == "copy");
        copies.filter(|step| step.name == name).count()
    };
    assert_eq!((copies("concat1"), copies("concat2")), (0, 2), "{}", to_text(&plan));
    assert_eq!(whole("conv2").offset, whole("conv1").offset + 2);
}

#[test]
fn a_strided_input_gradient_is_one_contraction_for_each_remainder() {
    let mut net = Builder::new();
    let dy = net.input("dy", [4, 3, 3]);
    let w = net.parameter("w", [4, 2, 3, 3]);
    let window = Window::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]);
    let dx = net.add(
        "conv1",
        ConvGradInput {
            window,
            groups: 1,
            input: [2, 6, 6].into(),
        },
        &[dy, w],
    );
    net.0.add_output("dx", dx);
    insta::assert_snapshot!(to_text(&net.plan()));
}

#[test]
fn updates_are_written_in_place_after_the_last_reader() {
    let mut net = Builder::new();
    let x = net.input("x", [8]);
    let rate = net
        .0
        .add(
            "rate",
            Input {
                ty: Type::fixed(DType::F32, Shape::scalar()),
            },
            &[],
            None,
        )
        .expect("a leaf");
    let w = net.parameter("w", [8, 8]);
    let g = net.parameter("g", [8, 8]);
    let v = net.parameter("w.velocity", [8, 8]);
    let velocity = net.add(
        "w",
        SgdVelocity {
            momentum: 0.9,
            weight_decay: 0.0,
        },
        &[w, g, v],
    );
    let step = net.add(
        "w",
        SgdStep {
            momentum: 0.9,
            nesterov: false,
            weight_decay: 0.0,
        },
        &[w, g, velocity, rate],
    );
    let y = net.add("dense1", Dense {}, &[x, w]);
    net.0.add_update(w, step);
    net.0.add_update(v, velocity);
    net.0.add_output("y", y);
    insta::assert_snapshot!(to_text(&net.plan()));
}

/// A scaled weight is packed for one convolution, and then overwritten by the product that the next one reads.
#[test]
fn weights_overwritten_in_place_are_packed_again() {
    let mut net = Builder::new();
    let (image, seen) = (net.input("image", [4, 2, 2]), net.parameter("seen", [4, 1, 1]));
    let (weight, factors) = (
        net.parameter("weight", [2, 4, 1, 1]),
        net.parameter("factors", [2, 4, 1, 1]),
    );
    let conv = Conv {
        window: Window::new([1, 1]),
        groups: 1,
    };
    let scaled = net.add("scaled", Scale { factor: 2.0 }, &[weight]);
    let bias = net.add("bias", conv.clone(), &[seen, scaled]);
    let bias = net.add("bias", Reshape { shape: [2].into() }, &[bias]);
    let product = net.add("product", Multiply {}, &[scaled, factors]);
    let y = net.add("y", conv, &[image, product, bias]);
    net.0.add_output("y", y);
    let plan = net.plan();
    let packs = plan
        .prologue
        .iter()
        .filter(|step| matches!(step.kernel, Kernel::PackWeights(_)));
    assert_eq!(packs.count(), 2, "{}", to_text(&plan));
}

/// The scale is read by a step of every run, so no product of the prologue may take over its memory, although the
/// product comes later in the order of the graph.
#[test]
fn what_runs_read_is_not_overwritten_in_the_prologue() {
    let mut net = Builder::new();
    let (image, shift) = (net.input("image", [2, 3]), net.parameter("shift", [2]));
    let (first, second) = (net.parameter("first", [2]), net.parameter("second", [2]));
    let scale = net.add("scale", Multiply {}, &[first, second]);
    let middle = net.add("middle", ScaleShift {}, &[image, scale, shift]);
    let square = net.add("square", Multiply {}, &[scale, first]);
    let y = net.add("y", ScaleShift {}, &[image, square, shift]);
    net.0.add_output("middle", middle);
    net.0.add_output("y", y);
    let plan = net.plan();
    let written: Vec<_> = plan.prologue.iter().map(|step| step.write.buffer).collect();
    assert!(written.len() == 2 && written[0] != written[1], "{}", to_text(&plan));
}

//! Graph to report: what each layer makes, holds, costs and sees.
//!
//! [`report`] reads a forward graph as `lower` makes it and gives one row for each layer, in the order in which values
//! flow, and totals. It promises numbers that follow from shapes alone: no clock, no machine. It does not run anything,
//! and it does not know how a network will be compiled.
//!
//! [`architecture`](fn@architecture) asks what other shapes would cost: stacks for wide convolutions, grey for colour,
//! depth for width.

pub mod architecture;
pub mod color;
pub mod depth;
pub mod factorize;
mod largest;
mod reach;
pub mod stack;
mod variant;
pub mod view;
pub mod wide;

use std::collections::{BTreeMap, BTreeSet};

use netc_graph::operators::parameter::{Parameter, Role};
use netc_graph::{Graph, NodeId, Operator};
use netc_runtime::Shape;
use serde::Serialize;

pub use architecture::{Architecture, Figures, architecture};
use reach::Reach;

/// What a network makes, holds, costs and sees.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The network's name.
    pub model: String,
    /// What it takes.
    pub inputs: Vec<PortReport>,
    /// What it gives.
    pub outputs: Vec<PortReport>,
    /// One row for each layer; a value comes after those it is made from.
    pub layers: Vec<LayerReport>,
    /// Learned numbers: weights, biases, scales and shifts. Running statistics are not learned and not counted.
    pub parameters: u64,
    /// Multiply-accumulates of convolutions and dense layers for one sample.
    pub macs: u64,
    /// Other arithmetic for one sample: additions, comparisons, exponentials.
    pub operations: u64,
    /// Bytes of everything that a weight file holds: learned numbers and running statistics, as f32.
    pub weights_bytes: u64,
    /// Bytes of all values between layers for one sample, had each memory of its own.
    pub activation_bytes: u64,
}

/// A value that a network takes or gives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PortReport {
    /// Its name in the network.
    pub name: String,
    /// Its shape without the batch, channels first.
    pub shape: Shape,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerReport {
    /// The key of its weights: `conv1`.
    pub name: String,
    /// The operator that does its work: `conv`.
    pub kind: &'static str,
    /// Shape of its result without the batch.
    pub shape: Shape,
    /// Learned numbers that it is the first to use.
    pub parameters: u64,
    /// Multiply-accumulates for one sample.
    pub macs: u64,
    /// Other arithmetic for one sample.
    pub operations: u64,
    /// Input positions that one value of the result depends on, for each spatial axis of the network's first input that
    /// reaches it. Borders do not cut it: it may be larger than the input. Empty where inputs have no spatial axes.
    pub receptive_field: Vec<u64>,
    /// Input positions between two neighboring values of the result, for each axis; 1 after the spatial axes are gone.
    pub effective_stride: Vec<f64>,
}

/// Reads a network's report off its graph.
#[must_use]
pub fn report(graph: &Graph) -> Report {
    let reaches = reach::of_all(graph);
    let mut layers: Vec<LayerReport> = Vec::new();
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    let mut counted = BTreeSet::new();
    let order = graph.topological();
    for &id in order.iter().filter(|&&id| computes(graph, id)) {
        let name = graph.node(id).name.as_str();
        let row = *rows.entry(name).or_insert_with(|| {
            layers.push(LayerReport::new(name));
            layers.len() - 1
        });
        layers[row].add(graph, id, &reaches[&id], &mut counted);
    }
    let sum = |of: fn(&LayerReport) -> u64| layers.iter().map(of).fold(0, u64::saturating_add);
    Report {
        model: graph.name().to_owned(),
        inputs: graph
            .input_nodes()
            .into_iter()
            .map(|id| port(graph, &graph.node(id).name, id))
            .collect(),
        outputs: graph
            .outputs()
            .iter()
            .map(|(name, id)| port(graph, name, *id))
            .collect(),
        parameters: sum(|layer| layer.parameters),
        macs: sum(|layer| layer.macs),
        operations: sum(|layer| layer.operations),
        weights_bytes: weights_bytes(graph),
        activation_bytes: order
            .iter()
            .filter(|&&id| computes(graph, id))
            .fold(0, |bytes: u64, &id| {
                bytes.saturating_add(graph.ty(id).size_bytes() as u64)
            }),
        layers,
    }
}

impl LayerReport {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: "",
            shape: Shape::scalar(),
            parameters: 0,
            macs: 0,
            operations: 0,
            receptive_field: Vec::new(),
            effective_stride: Vec::new(),
        }
    }

    /// Adds one operator of the layer; the last one makes the layer's result.
    fn add(&mut self, graph: &Graph, id: NodeId, reach: &Reach, counted: &mut BTreeSet<NodeId>) {
        let node = graph.node(id);
        let inputs = graph.inputs(id);
        let types: Vec<_> = inputs.iter().map(|&input| graph.ty(input)).collect();
        let cost = node.operator.cost(&types, &node.ty);
        // Of several operators, the one with products gives the layer its kind.
        if self.macs == 0 {
            self.kind = node.operator.name();
        }
        self.macs = self.macs.saturating_add(cost.macs);
        self.operations = self.operations.saturating_add(cost.operations);
        for &input in &inputs {
            let learned = parameter(graph, input).filter(|parameter| parameter.is_trainable());
            if let Some(parameter) = learned.filter(|_| counted.insert(input)) {
                self.parameters = self.parameters.saturating_add(parameter.shape.element_count() as u64);
            }
        }
        self.shape = node.ty.shape.clone();
        (self.receptive_field, self.effective_stride) = reach.sizes_and_strides();
    }
}

/// Whether a node computes something: is no input, parameter or constant.
fn computes(graph: &Graph, id: NodeId) -> bool {
    !matches!(
        graph.node(id).operator,
        Operator::Input(_) | Operator::Parameter(_) | Operator::Constant(_)
    )
}

fn parameter(graph: &Graph, id: NodeId) -> Option<&Parameter> {
    match &graph.node(id).operator {
        Operator::Parameter(parameter) => Some(parameter),
        _ => None,
    }
}

fn weights_bytes(graph: &Graph) -> u64 {
    let parameters = graph.parameters();
    let in_model = parameters
        .iter()
        .filter_map(|&id| parameter(graph, id))
        .filter(|it| it.role != Role::State);
    in_model.fold(0, |bytes: u64, it| {
        bytes.saturating_add((it.shape.element_count() as u64).saturating_mul(4))
    })
}

fn port(graph: &Graph, name: &str, id: NodeId) -> PortReport {
    PortReport {
        name: name.to_owned(),
        shape: graph.ty(id).shape.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netc_graph::Type;
    use netc_graph::operators::window::Window;
    use netc_graph::operators::{
        add::Add,
        conv::Conv,
        dense::Dense,
        input::Input,
        max_pool::MaxPool,
        relu::Relu,
        reshape::Reshape,
        upsample::{Upsample, UpsampleMode},
    };
    use netc_runtime::{DType, Init};

    struct Net(Graph);

    impl Net {
        fn new(shape: &[usize]) -> (Self, NodeId) {
            let mut graph = Graph::new("net");
            let image = graph
                .add(
                    "image",
                    Input {
                        ty: Type::batched(DType::F32, shape),
                    },
                    &[],
                    None,
                )
                .unwrap();
            (Self(graph), image)
        }

        fn weight(&mut self, name: &str, shape: &[usize], role: Role) -> NodeId {
            let init = Init::Constant(0.0);
            self.0
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

        fn conv(&mut self, name: &str, x: NodeId, channels: usize, window: Window) -> NodeId {
            let inputs = self.0.ty(x).shape[0];
            let shape = [&[channels, inputs], window.kernel.as_slice()].concat();
            let w = self.weight(&format!("{name}.weight"), &shape, Role::Weight);
            let b = self.weight(&format!("{name}.bias"), &[channels], Role::Bias);
            self.0.add(name, Conv { window, groups: 1 }, &[x, w, b], None).unwrap()
        }

        fn rows(mut self, result: NodeId) -> String {
            self.0.add_output("y", result);
            let report = report(&self.0);
            let row = |layer: &LayerReport| {
                let LayerReport {
                    name,
                    kind,
                    shape,
                    parameters,
                    macs,
                    receptive_field,
                    effective_stride,
                    ..
                } = layer;
                format!("{name} {kind} {shape} {parameters} {macs} sees {receptive_field:?} every {effective_stride:?}")
            };
            let rows: Vec<String> = report.layers.iter().map(row).collect();
            format!(
                "{}\n{} parameters, {} macs, {} bytes",
                rows.join("\n"),
                report.parameters,
                report.macs,
                report.weights_bytes
            )
        }
    }

    #[test]
    fn kernels_strides_and_dilations_add_up() {
        let (mut net, image) = Net::new(&[3, 224, 224]);
        let conv1 = net.conv(
            "conv1",
            image,
            64,
            Window::new([11, 11]).with_stride([4, 4]).with_padding([2, 2]),
        );
        let relu = net.0.add("relu1", Relu {}, &[conv1], None).unwrap();
        let window = Window::new([3, 3]).with_stride([2, 2]);
        let pool = net.0.add("pool1", MaxPool { window }, &[relu], None).unwrap();
        let conv2 = net.conv(
            "conv2",
            pool,
            8,
            Window::new([5, 3]).with_dilation([1, 2]).with_padding([2, 0]),
        );
        let flat = net.0.ty(conv2).shape.element_count();
        let flatten = net
            .0
            .add("flatten1", Reshape { shape: [flat].into() }, &[conv2], None)
            .unwrap();
        let w = net.weight("dense1.weight", &[10, flat], Role::Weight);
        let dense = net.0.add("dense1", Dense {}, &[flatten, w], None).unwrap();
        insta::assert_snapshot!(net.rows(dense), @r#"
        conv1 conv 64x55x55 23296 70276800 sees [11, 11] every [4.0, 4.0]
        relu1 relu 64x55x55 0 0 sees [11, 11] every [4.0, 4.0]
        pool1 max_pool 64x27x27 0 0 sees [19, 19] every [8.0, 8.0]
        conv2 conv 8x27x23 7688 4769280 sees [51, 51] every [8.0, 8.0]
        flatten1 reshape 4968 0 0 sees [224, 224] every [1.0, 1.0]
        dense1 dense 10 49680 49680 sees [224, 224] every [1.0, 1.0]
        80664 parameters, 75095760 macs, 322656 bytes
        "#);
    }

    #[test]
    fn branches_unite() {
        let (mut net, signal) = Net::new(&[4, 100]);
        let narrow = net.conv("narrow", signal, 4, Window::new([3]).with_padding([1]));
        let left = net.conv("left", narrow, 4, Window::new([5]).with_paddings([4], [0]));
        let right = net.conv("right", narrow, 4, Window::new([5]).with_paddings([0], [4]));
        let sum = net.0.add("sum", Add {}, &[left, right], None).unwrap();
        insta::assert_snapshot!(net.rows(sum), @r#"
        narrow conv 4x100 52 4800 sees [3] every [1.0]
        left conv 4x100 84 8000 sees [7] every [1.0]
        right conv 4x100 84 8000 sees [7] every [1.0]
        sum add 4x100 0 0 sees [11] every [1.0]
        220 parameters, 20800 macs, 880 bytes
        "#);
    }

    #[test]
    fn upsampling_halves_the_stride_and_shared_weights_count_once() {
        let (mut net, image) = Net::new(&[2, 16, 16]);
        let pool = net
            .0
            .add(
                "pool1",
                MaxPool {
                    window: Window::new([4, 4]).with_stride([4, 4]),
                },
                &[image],
                None,
            )
            .unwrap();
        let up = Upsample {
            factor: vec![2, 2],
            mode: UpsampleMode::Nearest,
        };
        let up = net.0.add("up1", up, &[pool], None).unwrap();
        let w = net.weight("conv1.weight", &[2, 2, 3, 3], Role::Weight);
        let conv = Conv {
            window: Window::new([3, 3]).with_padding([1, 1]),
            groups: 1,
        };
        let first = net.0.add("conv1", conv.clone(), &[up, w], None).unwrap();
        let second = net.0.add("conv2", conv, &[first, w], None).unwrap();
        net.weight("norm1.mean", &[2], Role::Statistic);
        insta::assert_snapshot!(net.rows(second), @r#"
        pool1 max_pool 2x4x4 0 0 sees [4, 4] every [4.0, 4.0]
        up1 upsample 2x8x8 0 0 sees [4, 4] every [2.0, 2.0]
        conv1 conv 2x8x8 36 2304 sees [8, 8] every [2.0, 2.0]
        conv2 conv 2x8x8 0 2304 sees [12, 12] every [2.0, 2.0]
        36 parameters, 4608 macs, 152 bytes
        "#);
    }
}

//! Small random graphs: what every rule carries to show where it applies, and what its test runs.
//!
//! A sample is a pure function of its seed. Shapes are a few elements wide, so that hundreds of them are interpreted in
//! a moment, but strides, paddings, dilations and groups vary as far as the shape rules admit.

use std::collections::BTreeMap;

use netc_graph::operators::parameter::{Parameter, Role};
use netc_graph::operators::quantization::Quantization;
use netc_graph::operators::{
    constant::Constant, conv::Conv, dense::Dense, input::Input, leaky_relu::LeakyRelu, relu::Relu, scale::Scale,
    sigmoid::Sigmoid, tanh::Tanh, window::Window,
};
use netc_graph::{Graph, NodeId, Operator, Type};
use netc_runtime::random::Stream;
use netc_runtime::{DType, Init, Shape, Tensor};

/// Builds one random graph.
pub(crate) struct Sampler {
    pub(crate) graph: Graph,
    /// Values that parameters of the sample must have.
    pub(crate) values: BTreeMap<String, Tensor>,
    stream: Stream,
    drawn: u64,
}

impl Sampler {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            graph: Graph::new("sample"),
            values: BTreeMap::new(),
            stream: Stream::new(seed, "sample"),
            drawn: 0,
        }
    }

    /// A number of `0..count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.drawn += 1;
        self.stream.u32_at(self.drawn) as usize % count
    }

    /// A number of `low..=high`.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.below(2) == 1
    }

    /// A number of `0.25, 0.5, … 2`, or also its negative.
    pub(crate) fn factor(&mut self, signed: bool) -> f32 {
        let size = self.between(1, 8) as f32 / 4.0;
        if signed && self.coin() { -size } else { size }
    }

    fn leaf(&mut self, name: &str, operator: impl Into<Operator>) -> NodeId {
        let name = format!("{name}{}", self.graph.node_count());
        self.graph
            .add(name, operator, &[], None)
            .expect("a sample's leaf has a sound type")
    }

    /// A batched input of this shape.
    pub(crate) fn input(&mut self, shape: impl Into<Shape>) -> NodeId {
        self.leaf(
            "x",
            Input {
                ty: Type::batched(DType::F32, shape),
            },
        )
    }

    fn parameter(&mut self, name: &str, shape: impl Into<Shape>, role: Role) -> NodeId {
        self.leaf(
            name,
            Parameter {
                shape: shape.into(),
                role,
                init: Init::Constant(0.0),
            },
        )
    }

    /// A weight of this shape.
    pub(crate) fn weight(&mut self, shape: impl Into<Shape>) -> NodeId {
        self.parameter("weight", shape, Role::Weight)
    }

    /// A vector of this length.
    pub(crate) fn vector(&mut self, count: usize) -> NodeId {
        self.parameter("bias", [count], Role::Bias)
    }

    /// Running means; drawn negative where magnitudes are bounded.
    pub(crate) fn mean(&mut self, count: usize) -> NodeId {
        self.parameter("mean", [count], Role::Statistic)
    }

    /// Running variances, drawn positive.
    pub(crate) fn variance(&mut self, count: usize) -> NodeId {
        self.parameter("variance", [count], Role::Statistic)
    }

    /// One or two spatial extents.
    pub(crate) fn spatial(&mut self) -> Vec<usize> {
        let axes = self.between(1, 2);
        (0..axes).map(|_| self.between(3, 7)).collect()
    }

    /// `[C, *S]` with so many channels and random spatial extents.
    pub(crate) fn image(&mut self, channels: usize) -> NodeId {
        let shape = [vec![channels], self.spatial()].concat();
        self.input(shape)
    }

    /// A shape of one to three axes.
    pub(crate) fn shape(&mut self) -> Vec<usize> {
        let axes = self.between(1, 3);
        (0..axes).map(|_| self.between(1, 5)).collect()
    }

    /// A window that fits these spatial extents.
    pub(crate) fn window(&mut self, spatial: &[usize]) -> Window {
        loop {
            let mut each = |low, high| -> Vec<usize> { spatial.iter().map(|_| self.between(low, high)).collect() };
            let window = Window::new(each(1, 3))
                .with_stride(each(1, 3))
                .with_dilation(each(1, 2))
                .with_paddings(each(0, 1), each(0, 2));
            if window.pooled_extents(spatial).is_ok() {
                return window;
            }
        }
    }

    /// A window that fits `x`.
    pub(crate) fn spatial_window(&mut self, x: NodeId) -> Window {
        let spatial = self.spatial_of(x);
        self.window(&spatial)
    }

    /// A window that fits these spatial extents and pads nothing.
    pub(crate) fn unpadded_window(&mut self, spatial: &[usize]) -> Window {
        loop {
            let window = self.window(spatial).with_padding(vec![0; spatial.len()]);
            if window.pooled_extents(spatial).is_ok() {
                return window;
            }
        }
    }

    /// An operator over nodes.
    pub(crate) fn node(&mut self, operator: impl Into<Operator>, inputs: &[NodeId]) -> NodeId {
        let operator = operator.into();
        let name = format!("{}{}", operator.name(), self.graph.node_count());
        self.graph
            .add(name, operator, inputs, None)
            .unwrap_or_else(|error| panic!("a sample is invalid: {error}"))
    }

    pub(crate) fn shape_of(&self, id: NodeId) -> Vec<usize> {
        self.graph.ty(id).shape.extents().to_vec()
    }

    /// A convolution of `x` with new parameters, with or without a bias.
    pub(crate) fn conv(&mut self, x: NodeId, outputs: usize, window: Window, groups: usize) -> NodeId {
        let biased = self.coin();
        self.conv_biased(x, outputs, window, groups, biased)
    }

    pub(crate) fn conv_biased(
        &mut self,
        x: NodeId,
        outputs: usize,
        window: Window,
        groups: usize,
        biased: bool,
    ) -> NodeId {
        let channels = self.graph.ty(x).shape[0];
        let w = self.weight([&[outputs, channels / groups], window.kernel.as_slice()].concat());
        let mut inputs = vec![x, w];
        if biased {
            inputs.push(self.vector(outputs));
        }
        self.node(Conv { window, groups }, &inputs)
    }

    /// A random convolution of a random image, grouped or not.
    pub(crate) fn any_conv(&mut self) -> NodeId {
        let groups = self.between(1, 2);
        let channels = groups * self.between(1, 2);
        let x = self.image(channels);
        let window = self.spatial_window(x);
        let outputs = groups * self.between(1, 3);
        self.conv(x, outputs, window, groups)
    }

    /// A dense layer of `x` with new parameters, with or without a bias.
    pub(crate) fn dense(&mut self, x: NodeId, outputs: usize) -> NodeId {
        let inputs = self.graph.ty(x).shape[0];
        let mut operands = vec![x, self.weight([outputs, inputs])];
        if self.coin() {
            operands.push(self.vector(outputs));
        }
        self.node(Dense {}, &operands)
    }
}

/// What single families need.
impl Sampler {
    /// A parameter of this shape whose elements are `value` of an index and a random number in [-1, 1).
    pub(crate) fn known(&mut self, shape: impl Into<Shape>, value: impl Fn(usize, f32) -> f32) -> NodeId {
        let mut tensor = Tensor::zeros(DType::F32, shape);
        self.drawn += 1;
        let values = tensor.as_f32_mut().expect("made as f32");
        self.stream.substream(self.drawn).fill_uniform(-1.0, 1.0, values);
        for (index, each) in values.iter_mut().enumerate() {
            *each = value(index, *each);
        }
        let parameter = self.parameter("known", tensor.shape().clone(), Role::Weight);
        self.values.insert(self.graph.node(parameter).name.clone(), tensor);
        parameter
    }

    /// A batched input of bytes.
    pub(crate) fn stored(&mut self, dtype: DType, shape: impl Into<Shape>) -> NodeId {
        let ty = Type::batched(dtype, shape);
        self.leaf("stored", Input { ty })
    }

    /// i8 or u8.
    pub(crate) fn byte(&mut self) -> DType {
        if self.coin() { DType::I8 } else { DType::U8 }
    }

    /// Scales of 1/256 to 1/32 and any zero points, one for all or one for each of the channels. Values of ±1 fill the
    /// middle of some and reach beyond others.
    pub(crate) fn quantization(&mut self, dtype: DType, channels: Option<usize>) -> Quantization {
        let count = channels.unwrap_or(1);
        let least = if dtype == DType::I8 { -128 } else { 0 };
        Quantization {
            dtype,
            scale: (0..count).map(|_| self.between(1, 8) as f32 / 256.0).collect(),
            zero_point: (0..count).map(|_| least + self.between(0, 255) as i32).collect(),
        }
    }

    /// As [`Sampler::quantization`], of any byte, per tensor or per channel of a value of so many.
    pub(crate) fn any_quantization(&mut self, channels: usize) -> Quantization {
        let dtype = self.byte();
        let channels = self.coin().then_some(channels);
        self.quantization(dtype, channels)
    }

    /// The fixed integer that random drops take.
    pub(crate) fn key(&mut self) -> NodeId {
        self.leaf(
            "key",
            Input {
                ty: Type::fixed(DType::I32, Shape::scalar()),
            },
        )
    }

    /// Integer labels below 2, batched.
    pub(crate) fn labels(&mut self, shape: impl Into<Shape>) -> NodeId {
        self.leaf(
            "labels",
            Input {
                ty: Type::batched(DType::I32, shape),
            },
        )
    }

    /// A constant with every element the same.
    pub(crate) fn filled(&mut self, shape: impl Into<Shape>, value: f32) -> NodeId {
        self.leaf(
            "constant",
            Constant {
                value: Tensor::filled(shape, value),
            },
        )
    }

    /// A constant of random elements.
    pub(crate) fn constant(&mut self, shape: impl Into<Shape>) -> NodeId {
        let mut value = Tensor::zeros(DType::F32, shape);
        self.drawn += 1;
        let values = value.as_f32_mut().expect("made as f32");
        self.stream.substream(self.drawn).fill_uniform(-1.0, 1.0, values);
        self.leaf("constant", Constant { value })
    }

    /// One tap at stride 1 for the spatial axes of `x`.
    pub(crate) fn pointwise_window(&self, x: NodeId) -> Window {
        Window::new(vec![1; self.graph.ty(x).shape.rank() - 1])
    }

    /// The spatial extents of `x`.
    pub(crate) fn spatial_of(&self, x: NodeId) -> Vec<usize> {
        self.graph.ty(x).shape.extents()[1..].to_vec()
    }

    /// A random operator that works element by element.
    pub(crate) fn pointwise(&mut self, x: NodeId) -> NodeId {
        match self.below(5) {
            0 => self.node(Relu {}, &[x]),
            1 => self.node(Tanh {}, &[x]),
            2 => self.node(Sigmoid {}, &[x]),
            3 => self.node(LeakyRelu { slope: 0.25 }, &[x]),
            _ => {
                let factor = self.factor(true);
                self.node(Scale { factor }, &[x])
            }
        }
    }
}

//! Random valid uses of every operator, for tests: shapes that agree, attributes in range, values that make sense.
//!
//! Whoever implements the operators a second time (compiled kernels, rewrites) draws samples here and compares with the
//! reference meaning, so a new operator is tested everywhere once it has an arm in `draw`. A sample is a pure function
//! of the operator's name and a seed. Shapes are small; odd extents, groups, dilations, uneven paddings and empty
//! batches all come up.

use netc_runtime::random::Stream;
use netc_runtime::{DType, Data, Shape, Tensor};

use crate::graph::Graph;
use crate::layout::Layout;
use crate::operator::Operator;
use crate::operators as op;
use crate::operators::quantization::Quantization;
use crate::operators::window::Window;
use crate::types::Type;

/// Operators on f32 that take bytes as well; one use in four does.
const MOVES_BYTES: [&str; 4] = ["max_pool", "reshape", "slice", "concat"];

/// One use of an operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The operator, attributes included.
    pub operator: Operator,
    /// What it is given.
    pub inputs: Vec<SampleInput>,
    seed: u64,
}

/// One input of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleInput {
    /// Its type.
    pub ty: Type,
    /// Which values make sense.
    pub values: Values,
}

/// Which values an input may have. Reals are multiples of 2⁻⁸ and at least 1/16 away from zero, so that small steps are
/// exact and cross no kink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// In ±(2 + 1/16).
    Any,
    /// In 1/16 ..= 2 + 1/16: variances, mean squares.
    Positive,
    /// No two closer than 1/8: for maxima.
    Distinct,
    /// 1/32 more than a multiple of 1/8, in ±(2 + 1/32), and so at least 1/32 from whatever is [`Values::Distinct`]: for
    /// the larger of two.
    Between,
    /// Classes below this number, or -1, which does not count.
    Labels(usize),
    /// Any integer. Bytes are any byte, whatever is asked for.
    Integer,
}

impl Sample {
    /// A use of the operator of this name; `None` for inputs, parameters and constants, which take nothing, and for
    /// names that are no operator's.
    #[must_use]
    pub fn draw(name: &str, seed: u64) -> Option<Self> {
        let mut random = Random {
            stream: Stream::new(seed, name),
            next: 0,
        };
        let (operator, mut inputs) = draw(name, &mut random)?;
        if MOVES_BYTES.contains(&name) && random.between(0, 3) == 0 {
            let dtype = random.byte();
            inputs.iter_mut().for_each(|input| input.ty.dtype = dtype);
        }
        let sample = Self { operator, inputs, seed };
        assert_eq!(sample.operator.name(), name, "the arm draws its own operator");
        Some(sample)
    }

    /// Type of the result.
    ///
    /// # Panics
    /// If the operator does not take the inputs: then the sample is wrong, or the shape rule.
    #[must_use]
    pub fn output(&self) -> Type {
        let types: Vec<&Type> = self.inputs.iter().map(|input| &input.ty).collect();
        self.operator
            .infer(&types)
            .unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }

    /// The inputs for `batch` samples.
    #[must_use]
    pub fn tensors(&self, batch: usize) -> Vec<Tensor> {
        let tensor = |(index, input): (u64, &SampleInput)| {
            let stream = Stream::new(self.seed, "values").substream(index);
            input.tensor(batch, stream)
        };
        (0u64..).zip(&self.inputs).map(tensor).collect()
    }

    /// A graph of this operator alone: inputs `x0`, `x1` … and output `y`.
    #[must_use]
    pub fn graph(&self) -> Graph {
        let mut graph = Graph::new("sample");
        let input = |(index, input): (usize, &SampleInput)| {
            let operator = op::input::Input { ty: input.ty.clone() };
            graph
                .add(format!("x{index}"), operator, &[], None)
                .expect("inputs of samples are valid")
        };
        let inputs: Vec<_> = self.inputs.iter().enumerate().map(input).collect();
        let y = graph
            .add("y", self.operator.clone(), &inputs, None)
            .expect("samples are valid");
        graph.add_output("y", y);
        graph
    }
}

impl SampleInput {
    fn tensor(&self, batch: usize, stream: Stream) -> Tensor {
        let shape = self.ty.host_shape(batch);
        let count = shape.element_count();
        let bits = |index: usize| stream.u32_at(index as u64);
        let magnitude = |bits: u32| 1.0 / 16.0 + (bits % 513) as f32 / 256.0;
        let real = |index: usize| magnitude(bits(index)) * if bits(index) >> 31 == 0 { 1.0 } else { -1.0 };
        let integers = |value: &dyn Fn(u32) -> i32| (0..count).map(|index| value(bits(index))).collect();
        if matches!(self.ty.dtype, DType::I8 | DType::U8) {
            return bytes(self.ty.dtype, shape, (0..count).map(bits));
        }
        let built = match self.values {
            Values::Any => Tensor::from_f32(shape, (0..count).map(real).collect()),
            Values::Positive => Tensor::from_f32(shape, (0..count).map(|index| magnitude(bits(index))).collect()),
            Values::Distinct => {
                let middle = count as f32 / 2.0;
                let ranks = stream.permutation(count).into_iter();
                Tensor::from_f32(
                    shape,
                    ranks.map(|rank| (rank as f32 - middle) / 8.0 + 1.0 / 16.0).collect(),
                )
            }
            Values::Between => {
                let number = |index| (bits(index) % 33) as f32 / 8.0 - 2.0 + 1.0 / 32.0;
                Tensor::from_f32(shape, (0..count).map(number).collect())
            }
            Values::Labels(classes) => {
                Tensor::from_i32(shape, integers(&|bits| (bits as usize % (classes + 1)) as i32 - 1))
            }
            Values::Integer => Tensor::from_i32(shape, integers(&u32::cast_signed)),
        };
        built.expect("as many elements as the shape has")
    }
}

/// Bytes of any value.
fn bytes(dtype: DType, shape: Shape, bits: impl Iterator<Item = u32>) -> Tensor {
    let bytes = bits.map(|bits| (bits >> 8) as u8);
    let data = match dtype {
        DType::I8 => Data::I8(bytes.map(u8::cast_signed).collect()),
        _ => Data::U8(bytes.collect()),
    };
    Tensor::new(shape, data).expect("as many elements as the shape has")
}

/// Numbers drawn one after another.
struct Random {
    stream: Stream,
    next: u64,
}

impl Random {
    /// One of `low..=high`.
    fn between(&mut self, low: usize, high: usize) -> usize {
        self.next += 1;
        low + self.stream.u32_at(self.next) as usize % (high - low + 1)
    }

    fn chance(&mut self) -> bool {
        self.between(0, 1) == 1
    }

    /// A multiple of 1/16 in `0..1`.
    fn share(&mut self) -> f32 {
        self.between(0, 15) as f32 / 16.0
    }

    fn extents(&mut self, axes: usize, low: usize, high: usize) -> Vec<usize> {
        (0..axes).map(|_| self.between(low, high)).collect()
    }

    /// Any shape of one to three axes.
    fn shape(&mut self) -> Shape {
        let rank = self.between(1, 3);
        Shape::new(self.extents(rank, 1, 5))
    }

    /// `[C, L]` or `[C, H, W]`.
    fn image(&mut self) -> Shape {
        let axes = self.between(1, 2);
        Shape::new(self.extents(axes + 1, 1, 6))
    }

    /// A window that fits these spatial extents.
    fn window(&mut self, spatial: &[usize]) -> Window {
        loop {
            let axes = spatial.len();
            let kernel = self.extents(axes, 1, 4);
            let plain = Window::new(kernel).with_stride(self.extents(axes, 1, 3));
            let dilated = if self.chance() {
                plain.with_dilation(self.extents(axes, 1, 3))
            } else {
                plain
            };
            let before = (0..axes)
                .map(|axis| self.between(0, (dilated.extent(axis) - 1).min(3)))
                .collect::<Vec<_>>();
            let after = (0..axes)
                .map(|axis| self.between(0, (dilated.extent(axis) - 1).min(3)))
                .collect::<Vec<_>>();
            let window = dilated.with_paddings(before, after);
            if window.pooled_extents(spatial).is_ok() {
                return window;
            }
        }
    }

    /// A convolution with the shapes of its input and weight.
    fn conv(&mut self) -> (op::conv::Conv, Shape, Shape) {
        let axes = self.between(1, 2);
        let groups = self.between(1, 3);
        let spatial = self.extents(axes, 1, 7);
        let window = self.window(&spatial);
        let (inputs, outputs) = (self.between(1, 3), groups * self.between(1, 3));
        let x = Shape::new([&[groups * inputs], spatial.as_slice()].concat());
        let w = Shape::new([&[outputs, inputs], window.kernel.as_slice()].concat());
        (op::conv::Conv { window, groups }, x, w)
    }

    /// A convolution of stride 1 by tiles, with the shapes of its input and weight.
    fn winograd_conv(&mut self) -> (op::winograd_conv::WinogradConv, Shape, Shape) {
        loop {
            let (conv, x, mut w) = self.conv();
            let axes = conv.window.axes();
            let window = conv.window.with_stride(vec![1; axes]);
            let tile = window
                .kernel
                .iter()
                .map(|&taps| if taps == 1 { 1 } else { self.between(1, 9 - taps) });
            let (tile, turned) = (tile.collect(), self.chance());
            if turned {
                let outputs = w[0] / conv.groups;
                w = Shape::new([&[x[0], outputs], window.kernel.as_slice()].concat());
            }
            if window.output_extents(&x.extents()[1..]).is_ok() {
                let groups = conv.groups;
                return (
                    op::winograd_conv::WinogradConv {
                        window,
                        groups,
                        tile,
                        turned,
                    },
                    x,
                    w,
                );
            }
        }
    }

    /// Any shape of one to five axes, the longer ones of short axes.
    fn deep_shape(&mut self) -> Shape {
        let rank = self.between(1, 5);
        Shape::new(self.extents(rank, 1, if rank > 3 { 3 } else { 5 }))
    }

    /// The axes of a shape in any order.
    fn order(&mut self, rank: usize) -> Vec<usize> {
        let mut left: Vec<usize> = (0..rank).collect();
        (0..rank)
            .map(|_| left.remove(self.between(0, left.len() - 1)))
            .collect()
    }

    /// At least one axis of a shape, in rising order.
    fn axes(&mut self, rank: usize) -> Vec<usize> {
        let one = self.between(0, rank - 1);
        (0..rank).filter(|&axis| axis == one || self.chance()).collect()
    }

    /// A shape that repeats to this one.
    fn repeated_in(&mut self, shape: &Shape) -> Shape {
        let dropped = self.between(0, shape.rank() - 1);
        let mut one = |&extent: &usize| if self.chance() { 1 } else { extent };
        Shape::new(shape.extents()[dropped..].iter().map(&mut one).collect::<Vec<_>>())
    }

    /// Any function, and the numbers that it is for. Its kinks are where no number of a sample is near.
    fn function(&mut self) -> (op::function::Function, Values) {
        use op::function::Function;
        let exponents = [-2.0, -0.5, 0.5, 1.5, 2.0, 3.0, 5.0];
        let any = [
            Function::Absolute,
            Function::Exponential,
            Function::Erf,
            Function::Gelu,
            Function::GeluTanh,
            Function::Silu,
            Function::Softplus,
            Function::HardSwish,
            Function::Clip { low: 0.0, high: 6.0 },
            Function::Clip { low: -6.0, high: 0.0 },
            Function::Elu {
                alpha: self.share() + 0.5,
                scale: self.share() + 0.5,
            },
            Function::HardSigmoid {
                alpha: 0.2,
                beta: self.between(0, 2) as f32 / 2.0,
            },
        ];
        let positive = [
            Function::Logarithm,
            Function::SquareRoot,
            Function::Reciprocal,
            Function::Power {
                exponent: exponents[self.between(0, exponents.len() - 1)],
            },
        ];
        if self.between(0, 3) == 0 {
            (positive[self.between(0, positive.len() - 1)], Values::Positive)
        } else {
            (any[self.between(0, any.len() - 1)], Values::Any)
        }
    }

    fn byte(&mut self) -> DType {
        if self.chance() { DType::I8 } else { DType::U8 }
    }

    /// Scales of 1/64 to 1/2 and any zero points, for all elements or for each channel of `shape`.
    fn quantization(&mut self, dtype: DType, shape: &Shape) -> Quantization {
        let count = if self.chance() { shape[0] } else { 1 };
        let least = if dtype == DType::I8 { -128 } else { 0 };
        let zero_point = |r: &mut Self| {
            if dtype == DType::I32 {
                0
            } else {
                least + r.between(0, 255) as i32
            }
        };
        Quantization {
            dtype,
            scale: (0..count).map(|_| self.between(1, 32) as f32 / 64.0).collect(),
            zero_point: (0..count).map(|_| zero_point(self)).collect(),
        }
    }

    fn upsample(&mut self, axes: usize) -> op::upsample::Upsample {
        use op::upsample::{Upsample, UpsampleMode};
        let mode = if self.chance() {
            UpsampleMode::Nearest
        } else {
            UpsampleMode::Bilinear
        };
        Upsample {
            factor: self.extents(axes, 1, 3),
            mode,
        }
    }
}

fn input(ty: Type, values: Values) -> SampleInput {
    SampleInput { ty, values }
}

fn batched(shape: &Shape) -> SampleInput {
    input(Type::batched(DType::F32, shape.clone()), Values::Any)
}

fn fixed(shape: &Shape) -> SampleInput {
    input(Type::fixed(DType::F32, shape.clone()), Values::Any)
}

fn vector(length: usize) -> SampleInput {
    fixed(&Shape::from([length]))
}

fn scalar() -> SampleInput {
    fixed(&Shape::scalar())
}

fn positive(like: SampleInput) -> SampleInput {
    SampleInput {
        values: Values::Positive,
        ..like
    }
}

fn distinct(like: SampleInput) -> SampleInput {
    SampleInput {
        values: Values::Distinct,
        ..like
    }
}

/// Shape of the result of an operator on one f32 tensor of this shape.
fn result(operator: impl Into<Operator>, x: &Shape) -> Shape {
    operator
        .into()
        .infer(&[&Type::batched(DType::F32, x.clone())])
        .expect("drawn to fit")
        .shape
}

/// An operator of this name with inputs that fit.
#[allow(clippy::too_many_lines, reason = "a table: one arm for each operator")]
fn draw(name: &str, r: &mut Random) -> Option<(Operator, Vec<SampleInput>)> {
    let epsilon = 1.0 / 64.0;
    let drawn: (Operator, Vec<SampleInput>) = match name {
        "conv" => {
            let (conv, x, w) = r.conv();
            let bias = r.chance().then(|| vector(w[0]));
            (conv.into(), [batched(&x), fixed(&w)].into_iter().chain(bias).collect())
        }
        "conv_grad_input" => {
            let (conv, x, w) = r.conv();
            let dy = conv.shape(&x, &w).expect("drawn to fit");
            let op::conv::Conv { window, groups } = conv;
            (
                op::conv_grad_input::ConvGradInput {
                    window,
                    groups,
                    input: x,
                }
                .into(),
                vec![batched(&dy), fixed(&w)],
            )
        }
        "conv_grad_weight" => {
            let (conv, x, w) = r.conv();
            let dy = conv.shape(&x, &w).expect("drawn to fit");
            let op::conv::Conv { window, groups } = conv;
            (
                op::conv_grad_weight::ConvGradWeight {
                    window,
                    groups,
                    kernel: w,
                }
                .into(),
                vec![batched(&x), batched(&dy)],
            )
        }
        "winograd_conv" => {
            let (conv, x, w) = r.winograd_conv();
            let outputs = if conv.turned { conv.groups * w[1] } else { w[0] };
            let bias = r.chance().then(|| vector(outputs));
            (conv.into(), [batched(&x), fixed(&w)].into_iter().chain(bias).collect())
        }
        "dense" => {
            let (inputs, outputs) = (r.between(1, 9), r.between(1, 9));
            let bias = r.chance().then(|| vector(outputs));
            let [x, w] = [batched(&Shape::from([inputs])), fixed(&Shape::from([outputs, inputs]))];
            (op::dense::Dense {}.into(), [x, w].into_iter().chain(bias).collect())
        }
        "dense_grad_input" => {
            let (inputs, outputs) = (r.between(1, 9), r.between(1, 9));
            let [dy, w] = [batched(&Shape::from([outputs])), fixed(&Shape::from([outputs, inputs]))];
            (op::dense_grad_input::DenseGradInput {}.into(), vec![dy, w])
        }
        "dense_grad_weight" => {
            let [x, dy] = [
                batched(&Shape::from([r.between(1, 9)])),
                batched(&Shape::from([r.between(1, 9)])),
            ];
            (op::dense_grad_weight::DenseGradWeight {}.into(), vec![x, dy])
        }
        "max_pool" | "max_pool_grad" | "average_pool" | "average_pool_grad" => {
            let x = r.image();
            let window = r.window(&x.extents()[1..]);
            let count_padding = r.chance();
            let y = result(op::max_pool::MaxPool { window: window.clone() }, &x);
            match name {
                "max_pool" => (op::max_pool::MaxPool { window }.into(), vec![distinct(batched(&x))]),
                "max_pool_grad" => (
                    op::max_pool_grad::MaxPoolGrad { window }.into(),
                    vec![distinct(batched(&x)), batched(&y)],
                ),
                "average_pool" => (
                    op::average_pool::AveragePool { window, count_padding }.into(),
                    vec![batched(&x)],
                ),
                _ => {
                    let rule = op::average_pool_grad::AveragePoolGrad {
                        window,
                        count_padding,
                        input: x,
                    };
                    (rule.into(), vec![batched(&y)])
                }
            }
        }
        "global_average_pool" => (
            op::global_average_pool::GlobalAveragePool {}.into(),
            vec![batched(&r.image())],
        ),
        "global_average_pool_grad" => {
            let x = r.image();
            let dy = batched(&Shape::from([x[0]]));
            (
                op::global_average_pool_grad::GlobalAveragePoolGrad { input: x }.into(),
                vec![dy],
            )
        }
        "global_max_pool" => (
            op::global_max_pool::GlobalMaxPool {}.into(),
            vec![distinct(batched(&r.image()))],
        ),
        "global_max_pool_grad" => {
            let x = r.image();
            let dy = batched(&Shape::from([x[0]]));
            (
                op::global_max_pool_grad::GlobalMaxPoolGrad {}.into(),
                vec![distinct(batched(&x)), dy],
            )
        }
        "relu" => (op::relu::Relu {}.into(), vec![batched(&r.shape())]),
        "leaky_relu" => (
            op::leaky_relu::LeakyRelu { slope: r.share() - 0.5 }.into(),
            vec![batched(&r.shape())],
        ),
        "tanh" => (op::tanh::Tanh {}.into(), vec![batched(&r.shape())]),
        "sigmoid" => (op::sigmoid::Sigmoid {}.into(), vec![batched(&r.shape())]),
        "scale" => (
            op::scale::Scale {
                factor: r.share() - 0.5,
            }
            .into(),
            vec![batched(&r.shape())],
        ),
        "relayout" => {
            let layout = if r.chance() {
                Layout::ChannelsFirst
            } else {
                Layout::ChannelsLast
            };
            let x = batched(&r.image());
            (op::relayout::Relayout { layout }.into(), vec![x])
        }
        "dropout" => (
            op::dropout::Dropout { rate: r.share() }.into(),
            vec![batched(&r.shape())],
        ),
        "random_drop" => {
            let rule = op::random_drop::RandomDrop {
                rate: r.share(),
                salt: r.between(0, 1 << 30) as u32,
            };
            let key = input(Type::fixed(DType::I32, Shape::scalar()), Values::Integer);
            (rule.into(), vec![batched(&r.shape()), key])
        }
        "relu_grad" | "leaky_relu_grad" | "tanh_grad" | "sigmoid_grad" => {
            let shape = r.shape();
            let operator = match name {
                "relu_grad" => op::relu_grad::ReluGrad {}.into(),
                "leaky_relu_grad" => op::leaky_relu_grad::LeakyReluGrad { slope: r.share() - 0.5 }.into(),
                "tanh_grad" => op::tanh_grad::TanhGrad {}.into(),
                _ => op::sigmoid_grad::SigmoidGrad {}.into(),
            };
            (operator, vec![batched(&shape), batched(&shape)])
        }
        "softmax" | "log_softmax" | "softmax_grad" | "log_softmax_grad" => {
            let x = r.shape();
            let axis = r.between(0, x.rank() - 1);
            match name {
                "softmax" => (op::softmax::Softmax { axis }.into(), vec![batched(&x)]),
                "log_softmax" => (op::log_softmax::LogSoftmax { axis }.into(), vec![batched(&x)]),
                "softmax_grad" => (
                    op::softmax_grad::SoftmaxGrad { axis }.into(),
                    vec![batched(&x), batched(&x)],
                ),
                _ => (
                    op::log_softmax_grad::LogSoftmaxGrad { axis }.into(),
                    vec![batched(&x), batched(&x)],
                ),
            }
        }
        "local_response_norm" | "local_response_norm_grad" => {
            let x = r.shape();
            let (size, alpha) = (r.between(1, 5), r.share());
            let (beta, k) = (r.share() + 0.25, r.share() + 0.5);
            if name == "local_response_norm" {
                let rule = op::local_response_norm::LocalResponseNorm { size, alpha, beta, k };
                (rule.into(), vec![batched(&x)])
            } else {
                let rule = op::local_response_norm_grad::LocalResponseNormGrad { size, alpha, beta, k };
                (rule.into(), vec![batched(&x), batched(&x)])
            }
        }
        "batch_norm" => {
            let x = r.shape();
            let v = || vector(x[0]);
            let rule = op::batch_norm::BatchNorm { epsilon, momentum: 0.1 };
            (rule.into(), vec![batched(&x), v(), v(), v(), positive(v())])
        }
        "batch_norm_grad_input" => {
            let x = r.shape();
            let rule = op::batch_norm_grad_input::BatchNormGradInput { epsilon };
            (rule.into(), vec![batched(&x), vector(x[0]), positive(vector(x[0]))])
        }
        "batch_norm_grad_mean" => {
            let x = r.shape();
            let rule = op::batch_norm_grad_mean::BatchNormGradMean { epsilon };
            (rule.into(), vec![batched(&x), vector(x[0]), positive(vector(x[0]))])
        }
        "batch_norm_grad_scale" => {
            let x = r.shape();
            let rule = op::batch_norm_grad_scale::BatchNormGradScale { epsilon };
            (
                rule.into(),
                vec![batched(&x), batched(&x), vector(x[0]), positive(vector(x[0]))],
            )
        }
        "batch_norm_grad_variance" => {
            let x = r.shape();
            let rule = op::batch_norm_grad_variance::BatchNormGradVariance { epsilon };
            let v = || vector(x[0]);
            (rule.into(), vec![batched(&x), batched(&x), v(), v(), positive(v())])
        }
        "channel_mean" => (op::channel_mean::ChannelMean {}.into(), vec![batched(&r.shape())]),
        "channel_mean_grad" => {
            let x = r.shape();
            let d = vector(x[0]);
            (op::channel_mean_grad::ChannelMeanGrad { input: x }.into(), vec![d])
        }
        "channel_variance" => {
            let x = r.shape();
            let rule = op::channel_variance::ChannelVariance { unbiased: r.chance() };
            (rule.into(), vec![batched(&x), vector(x[0])])
        }
        "channel_variance_grad" => {
            let x = r.shape();
            let rule = op::channel_variance_grad::ChannelVarianceGrad { unbiased: r.chance() };
            (rule.into(), vec![batched(&x), vector(x[0]), vector(x[0])])
        }
        "channel_sum" => (op::channel_sum::ChannelSum {}.into(), vec![batched(&r.shape())]),
        "channel_dot" => {
            let x = r.shape();
            (op::channel_dot::ChannelDot {}.into(), vec![batched(&x), batched(&x)])
        }
        "channel_scale" => {
            let x = r.shape();
            (
                op::channel_scale::ChannelScale {}.into(),
                vec![batched(&x), vector(x[0])],
            )
        }
        "scale_shift" => {
            let x = r.shape();
            (
                op::scale_shift::ScaleShift {}.into(),
                vec![batched(&x), vector(x[0]), vector(x[0])],
            )
        }
        "upsample" => {
            let x = r.image();
            (r.upsample(x.rank() - 1).into(), vec![batched(&x)])
        }
        "upsample_grad" => {
            let x = r.image();
            let forward = r.upsample(x.rank() - 1);
            let dy = result(forward.clone(), &x);
            let op::upsample::Upsample { factor, mode } = forward;
            (
                op::upsample_grad::UpsampleGrad { factor, mode, input: x }.into(),
                vec![batched(&dy)],
            )
        }
        "reshape" => {
            let x = r.shape();
            let flat = Shape::from([x.element_count()]);
            let reversed = Shape::new(x.extents().iter().rev().copied().collect::<Vec<_>>());
            let shape = if r.chance() { flat } else { reversed };
            (op::reshape::Reshape { shape }.into(), vec![batched(&x)])
        }
        "concat" => {
            let first = r.shape();
            let axis = r.between(0, first.rank() - 1);
            let mut part = |_| {
                let mut extents = first.extents().to_vec();
                extents[axis] = r.between(1, 4);
                batched(&Shape::new(extents))
            };
            let count = part(()).ty.shape[axis].min(3);
            (
                op::concat::Concat { axis }.into(),
                vec![(); count].into_iter().map(part).collect(),
            )
        }
        "slice" => {
            let x = r.shape();
            let axis = r.between(0, x.rank() - 1);
            let start = r.between(0, x[axis] - 1);
            let end = r.between(start + 1, x[axis]);
            (op::slice::Slice { axis, start, end }.into(), vec![batched(&x)])
        }
        "pad" => {
            let x = r.shape();
            let rule = op::pad::Pad {
                axis: r.between(0, x.rank() - 1),
                before: r.between(0, 3),
                after: r.between(0, 3),
            };
            (rule.into(), vec![batched(&x)])
        }
        "add" | "subtract" | "multiply" => {
            let shape = r.shape();
            let operator = match name {
                "add" => op::add::Add {}.into(),
                "subtract" => op::subtract::Subtract {}.into(),
                _ => op::multiply::Multiply {}.into(),
            };
            let inputs = match r.between(0, 3) {
                0 => vec![batched(&shape), fixed(&shape)],
                1 => vec![fixed(&shape), batched(&shape)],
                2 => vec![fixed(&shape), fixed(&shape)],
                _ => vec![batched(&shape), batched(&shape)],
            };
            (operator, inputs)
        }
        "divide" => {
            let shape = r.shape();
            let inputs = match r.between(0, 2) {
                0 => vec![batched(&shape), fixed(&shape)],
                1 => vec![fixed(&shape), batched(&shape)],
                _ => vec![batched(&shape), batched(&shape)],
            };
            (op::divide::Divide {}.into(), inputs)
        }
        "maximum" | "minimum" => {
            let shape = r.shape();
            let operator = match name {
                "maximum" => op::maximum::Maximum {}.into(),
                _ => op::minimum::Minimum {}.into(),
            };
            let (a, b) = match r.between(0, 2) {
                0 => (batched(&shape), fixed(&shape)),
                1 => (fixed(&shape), batched(&shape)),
                _ => (batched(&shape), batched(&shape)),
            };
            let b = SampleInput {
                values: Values::Between,
                ..b
            };
            (operator, vec![distinct(a), b])
        }
        "unary" | "unary_grad" => {
            let shape = if r.chance() { r.shape() } else { r.deep_shape() };
            let (function, values) = r.function();
            let x = SampleInput {
                values,
                ..batched(&shape)
            };
            match name {
                "unary" => (op::unary::Unary { function }.into(), vec![x]),
                _ => (op::unary_grad::UnaryGrad { function }.into(), vec![x, batched(&shape)]),
            }
        }
        "prelu" => {
            let x = r.shape();
            (op::prelu::Prelu {}.into(), vec![batched(&x), vector(x[0])])
        }
        "prelu_grad" => {
            let x = r.shape();
            let inputs = vec![batched(&x), vector(x[0]), batched(&x)];
            (op::prelu_grad::PreluGrad {}.into(), inputs)
        }
        "transpose" => {
            let x = r.deep_shape();
            let axes = r.order(x.rank());
            let x = if r.chance() { batched(&x) } else { fixed(&x) };
            (op::transpose::Transpose { axes }.into(), vec![x])
        }
        "expand" => {
            let shape = r.deep_shape();
            let x = r.repeated_in(&shape);
            let x = if r.chance() { batched(&x) } else { fixed(&x) };
            (op::expand::Expand { shape }.into(), vec![x])
        }
        "take" | "take_grad" => {
            let x = r.deep_shape();
            let axis = r.between(0, x.rank() - 1);
            let count = r.between(1, 7);
            let indices: Vec<usize> = if r.chance() {
                (0..count).map(|_| r.between(0, x[axis] - 1)).collect()
            } else {
                let step = r.between(1, 3);
                (0..x[axis]).step_by(step).collect()
            };
            let take = op::take::Take { axis, indices };
            if name == "take" {
                (take.into(), vec![batched(&x)])
            } else {
                let dy = batched(&result(take.clone(), &x));
                let op::take::Take { axis, indices } = take;
                let input = x;
                (op::take_grad::TakeGrad { axis, indices, input }.into(), vec![dy])
            }
        }
        "reduce" => {
            use op::reduce::{Reduce, ReduceKind};
            let x = r.deep_shape();
            let axes = r.axes(x.rank());
            let kind = [ReduceKind::Sum, ReduceKind::Mean, ReduceKind::Maximum][r.between(0, 2)];
            let x = if r.chance() { batched(&x) } else { fixed(&x) };
            (Reduce { kind, axes }.into(), vec![distinct(x)])
        }
        "quantize" | "quantize_grad" => {
            let x = r.shape();
            let dtype = r.byte();
            let quantization = r.quantization(dtype, &x);
            if name == "quantize" {
                (op::quantize::Quantize { quantization }.into(), vec![batched(&x)])
            } else {
                let rule = op::quantize_grad::QuantizeGrad { quantization };
                (rule.into(), vec![batched(&x), batched(&x)])
            }
        }
        "dequantize" => {
            let x = r.shape();
            let dtype = [DType::I8, DType::U8, DType::I32][r.between(0, 2)];
            let quantization = r.quantization(dtype, &x);
            let stored = input(Type::batched(dtype, x), Values::Integer);
            (op::dequantize::Dequantize { quantization }.into(), vec![stored])
        }
        "clip" => {
            let dtype = r.byte();
            let least = if dtype == DType::I8 { -128 } else { 0 };
            let low = r.between(0, 255);
            let high = r.between(low, 255);
            let rule = op::clip::Clip {
                low: least + low as i32,
                high: least + high as i32,
            };
            let stored = input(Type::batched(dtype, r.shape()), Values::Integer);
            (rule.into(), vec![stored])
        }
        "cross_entropy" | "cross_entropy_grad" => {
            let x = r.shape();
            let label_smoothing = r.share();
            let labels = Type::batched(DType::I32, &x.extents()[1..]);
            let labels = input(labels, Values::Labels(x[0]));
            if name == "cross_entropy" {
                (
                    op::cross_entropy::CrossEntropy { label_smoothing }.into(),
                    vec![batched(&x), labels],
                )
            } else {
                let rule = op::cross_entropy_grad::CrossEntropyGrad { label_smoothing };
                (rule.into(), vec![batched(&x), labels, batched(&Shape::scalar())])
            }
        }
        "mean_squared_error" => {
            let x = r.shape();
            (
                op::mean_squared_error::MeanSquaredError {}.into(),
                vec![batched(&x), batched(&x)],
            )
        }
        "mean_squared_error_grad" => {
            let x = r.shape();
            let rule = op::mean_squared_error_grad::MeanSquaredErrorGrad {};
            (rule.into(), vec![batched(&x), batched(&x), batched(&Shape::scalar())])
        }
        "batch_mean" => (op::batch_mean::BatchMean {}.into(), vec![batched(&r.shape())]),
        "batch_sum" => (op::batch_sum::BatchSum {}.into(), vec![batched(&r.shape())]),
        "spread_mean" => (op::spread_mean::SpreadMean {}.into(), vec![fixed(&r.shape())]),
        "spread_sum" => (op::spread_sum::SpreadSum {}.into(), vec![fixed(&r.shape())]),
        "sgd_velocity" => {
            let w = fixed(&r.shape());
            let rule = op::sgd_velocity::SgdVelocity {
                momentum: r.share(),
                weight_decay: r.share(),
            };
            (rule.into(), vec![w.clone(), w.clone(), w])
        }
        "sgd_step" => {
            let w = fixed(&r.shape());
            let (momentum, nesterov, weight_decay) = (r.share(), r.chance(), r.share());
            if r.chance() {
                let rule = op::sgd_step::SgdStep {
                    momentum,
                    nesterov,
                    weight_decay,
                };
                (rule.into(), vec![w.clone(), w.clone(), w, scalar()])
            } else {
                let rule = op::sgd_step::SgdStep {
                    momentum: 0.0,
                    nesterov: false,
                    weight_decay,
                };
                (rule.into(), vec![w.clone(), w, scalar()])
            }
        }
        "adam_first" => {
            let w = fixed(&r.shape());
            let rule = op::adam_first::AdamFirst {
                beta1: r.share(),
                weight_decay: r.share(),
            };
            (rule.into(), vec![w.clone(), w.clone(), w])
        }
        "adam_second" => {
            let w = fixed(&r.shape());
            let rule = op::adam_second::AdamSecond {
                beta2: r.share(),
                weight_decay: r.share(),
            };
            (rule.into(), vec![w.clone(), w.clone(), positive(w)])
        }
        "adam_step" => {
            let w = fixed(&r.shape());
            let rule = op::adam_step::AdamStep {
                epsilon,
                weight_decay: r.share(),
            };
            let corrections = [positive(scalar()), positive(scalar())];
            (
                rule.into(),
                [w.clone(), w.clone(), positive(w), scalar()]
                    .into_iter()
                    .chain(corrections)
                    .collect(),
            )
        }
        "moving_average" => {
            let v = fixed(&r.shape());
            (
                op::moving_average::MovingAverage { momentum: r.share() }.into(),
                vec![v.clone(), v],
            )
        }
        "sum_of_squares" => (op::sum_of_squares::SumOfSquares {}.into(), vec![fixed(&r.shape())]),
        "clip_factor" => {
            let rule = op::clip_factor::ClipFactor { limit: r.share() + 0.5 };
            (rule.into(), vec![positive(scalar()); r.between(1, 4)])
        }
        "multiply_scalar" => (
            op::multiply_scalar::MultiplyScalar {}.into(),
            vec![fixed(&r.shape()), scalar()],
        ),
        _ => return None,
    };
    Some(drawn)
}

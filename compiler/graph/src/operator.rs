//! The operators, one table: to add one, write its file in `operators/`, its line here, and its arm in `samples.rs`, from
//! which the tests of shapes, gradients and kernels draw.

use std::fmt;

use netc_runtime::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::ShapeError;
use crate::graph::{ELEMENT_LIMIT, Graph, NodeId};
use crate::operators as op;
use crate::types::Type;

/// What one operator costs for one sample (or once, if nothing about it is batched).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Multiply-accumulates of convolutions and dense layers.
    pub macs: u64,
    /// Other arithmetic: one per addition, comparison, exponential…
    pub operations: u64,
}

impl Cost {
    /// So many multiply-accumulates and nothing else.
    #[must_use]
    pub const fn of_macs(macs: u64) -> Self {
        Self { macs, operations: 0 }
    }

    /// So many other operations and no multiply-accumulate.
    #[must_use]
    pub const fn of_operations(operations: u64) -> Self {
        Self { macs: 0, operations }
    }

    /// Nothing: the operator only names or views.
    pub const NONE: Self = Self { macs: 0, operations: 0 };
}

/// Where a gradient rule works: the node being differentiated and what is known about it.
#[derive(Clone, Copy, Debug)]
pub struct GradientSite<'a> {
    /// The node's inputs.
    pub inputs: &'a [NodeId],
    /// The node itself: its result may be used (`tanh`).
    pub output: NodeId,
    /// Gradient of the loss with respect to the node's result, of the type [`Type::of_gradient`] says.
    pub gradient: NodeId,
    /// For each input, whether anyone needs its gradient.
    pub wanted: &'a [bool],
}

impl GradientSite<'_> {
    /// Makes the gradient of one input if anyone needs it.
    pub fn when(&self, input: usize, make: impl FnOnce() -> NodeId) -> Option<NodeId> {
        self.wanted[input].then(make)
    }
}

/// Everything the compiler knows about one operator. Each implementor is one file in `operators/`.
pub trait Rule: Clone + fmt::Debug {
    /// The operator's name, in graph dumps, rewrite patterns, kernels, profiles and reports.
    const NAME: &'static str;

    /// The shape rule.
    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError>;

    /// The reference meaning: slow and obvious. Batched inputs have the batch as their first axis, which `batch` counts.
    /// Sums are taken in f64, so that the reference is more exact than what it judges.
    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor;

    /// Adds the nodes that compute the gradient of each wanted input to the graph; `None` where there is none
    /// (not wanted, or the derivative is zero everywhere, as for labels).
    ///
    /// # Panics
    /// Unless overridden: gradients, optimizer steps and the like are not differentiated again, and autodiff never asks.
    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let name = &graph.node(site.output).name;
        panic!("`{}` (of `{name}`) has no gradient of its own", Self::NAME)
    }

    /// Work for one sample.
    fn cost(&self, inputs: &[&Type], output: &Type) -> Cost {
        let _ = inputs;
        Cost::of_operations(output.shape.element_count() as u64)
    }

    /// Attributes as `key=value` pairs for dumps: `kernel=5x5 stride=1`. Empty if there is none.
    fn attributes(&self) -> String {
        String::new()
    }
}

/// Makes the enum and sends every question to the variant's own file.
macro_rules! operators {
    ($($variant:ident($rule:path)),* $(,)?) => {
        /// Any operator. Closed: a `match` lists every variant, so that the Rust compiler names what a new one lacks.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "each variant is documented where its rule is")]
        pub enum Operator {
            $($variant($rule)),*
        }

        $(impl From<$rule> for Operator {
            fn from(rule: $rule) -> Self {
                Self::$variant(rule)
            }
        })*

        impl Operator {
            /// Names of all operators, in the table's order.
            pub const NAMES: &'static [&'static str] = &[$(<$rule as Rule>::NAME),*];

            /// The operator's name.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => <$rule as Rule>::NAME),* }
            }

            /// The operator's shape rule ([`Rule::infer`]), and then what holds for every operator: a result has at
            /// least one element (per sample) and at most [`ELEMENT_LIMIT`].
            pub fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
                let ty = match self { $(Self::$variant(rule) => rule.infer(inputs)),* }?;
                match ty.shape.element_count() {
                    0 => Err(ShapeError::Empty { shape: ty.shape }),
                    count if count > ELEMENT_LIMIT => {
                        Err(ShapeError::TooLarge { shape: ty.shape, limit: ELEMENT_LIMIT })
                    }
                    _ => Ok(ty),
                }
            }

            /// See [`Rule::evaluate`].
            #[must_use]
            pub fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
                match self { $(Self::$variant(rule) => rule.evaluate(inputs, output, batch)),* }
            }

            /// See [`Rule::gradient`].
            pub fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
                match self { $(Self::$variant(rule) => rule.gradient(graph, site)),* }
            }

            /// See [`Rule::cost`].
            #[must_use]
            pub fn cost(&self, inputs: &[&Type], output: &Type) -> Cost {
                match self { $(Self::$variant(rule) => rule.cost(inputs, output)),* }
            }

            /// See [`Rule::attributes`].
            #[must_use]
            pub fn attributes(&self) -> String {
                match self { $(Self::$variant(rule) => rule.attributes()),* }
            }
        }
    };
}

operators! {
    // What a network is given.
    Input(op::input::Input),
    Parameter(op::parameter::Parameter),
    Constant(op::constant::Constant),

    // Layers.
    Conv(op::conv::Conv),
    Dense(op::dense::Dense),
    MaxPool(op::max_pool::MaxPool),
    AveragePool(op::average_pool::AveragePool),
    GlobalAveragePool(op::global_average_pool::GlobalAveragePool),
    GlobalMaxPool(op::global_max_pool::GlobalMaxPool),
    Relu(op::relu::Relu),
    LeakyRelu(op::leaky_relu::LeakyRelu),
    Prelu(op::prelu::Prelu),
    Tanh(op::tanh::Tanh),
    Sigmoid(op::sigmoid::Sigmoid),
    Unary(op::unary::Unary),
    Softmax(op::softmax::Softmax),
    LogSoftmax(op::log_softmax::LogSoftmax),
    LocalResponseNorm(op::local_response_norm::LocalResponseNorm),
    BatchNorm(op::batch_norm::BatchNorm),
    ChannelMean(op::channel_mean::ChannelMean),
    ChannelVariance(op::channel_variance::ChannelVariance),
    Dropout(op::dropout::Dropout),
    RandomDrop(op::random_drop::RandomDrop),
    Upsample(op::upsample::Upsample),

    // Shapes and element-wise arithmetic.
    Reshape(op::reshape::Reshape),
    Relayout(op::relayout::Relayout),
    Concat(op::concat::Concat),
    Slice(op::slice::Slice),
    Pad(op::pad::Pad),
    Take(op::take::Take),
    Transpose(op::transpose::Transpose),
    Expand(op::expand::Expand),
    Reduce(op::reduce::Reduce),
    Add(op::add::Add),
    Subtract(op::subtract::Subtract),
    Multiply(op::multiply::Multiply),
    Divide(op::divide::Divide),
    Maximum(op::maximum::Maximum),
    Minimum(op::minimum::Minimum),
    Scale(op::scale::Scale),
    ScaleShift(op::scale_shift::ScaleShift),

    // Stored integers.
    Quantize(op::quantize::Quantize),
    Dequantize(op::dequantize::Dequantize),
    Clip(op::clip::Clip),

    // The same layers by other arithmetic, which the rewriter chooses.
    WinogradConv(op::winograd_conv::WinogradConv),

    // Losses, and what leads from one per sample to one for all and back.
    CrossEntropy(op::cross_entropy::CrossEntropy),
    MeanSquaredError(op::mean_squared_error::MeanSquaredError),
    BatchMean(op::batch_mean::BatchMean),
    BatchSum(op::batch_sum::BatchSum),
    SpreadMean(op::spread_mean::SpreadMean),
    SpreadSum(op::spread_sum::SpreadSum),

    // Gradients.
    ConvGradInput(op::conv_grad_input::ConvGradInput),
    ConvGradWeight(op::conv_grad_weight::ConvGradWeight),
    DenseGradInput(op::dense_grad_input::DenseGradInput),
    DenseGradWeight(op::dense_grad_weight::DenseGradWeight),
    ChannelSum(op::channel_sum::ChannelSum),
    ChannelScale(op::channel_scale::ChannelScale),
    ChannelDot(op::channel_dot::ChannelDot),
    MaxPoolGrad(op::max_pool_grad::MaxPoolGrad),
    AveragePoolGrad(op::average_pool_grad::AveragePoolGrad),
    GlobalAveragePoolGrad(op::global_average_pool_grad::GlobalAveragePoolGrad),
    GlobalMaxPoolGrad(op::global_max_pool_grad::GlobalMaxPoolGrad),
    ReluGrad(op::relu_grad::ReluGrad),
    LeakyReluGrad(op::leaky_relu_grad::LeakyReluGrad),
    PreluGrad(op::prelu_grad::PreluGrad),
    TanhGrad(op::tanh_grad::TanhGrad),
    SigmoidGrad(op::sigmoid_grad::SigmoidGrad),
    UnaryGrad(op::unary_grad::UnaryGrad),
    SoftmaxGrad(op::softmax_grad::SoftmaxGrad),
    LogSoftmaxGrad(op::log_softmax_grad::LogSoftmaxGrad),
    LocalResponseNormGrad(op::local_response_norm_grad::LocalResponseNormGrad),
    BatchNormGradInput(op::batch_norm_grad_input::BatchNormGradInput),
    BatchNormGradScale(op::batch_norm_grad_scale::BatchNormGradScale),
    BatchNormGradMean(op::batch_norm_grad_mean::BatchNormGradMean),
    BatchNormGradVariance(op::batch_norm_grad_variance::BatchNormGradVariance),
    ChannelMeanGrad(op::channel_mean_grad::ChannelMeanGrad),
    ChannelVarianceGrad(op::channel_variance_grad::ChannelVarianceGrad),
    UpsampleGrad(op::upsample_grad::UpsampleGrad),
    TakeGrad(op::take_grad::TakeGrad),
    QuantizeGrad(op::quantize_grad::QuantizeGrad),
    CrossEntropyGrad(op::cross_entropy_grad::CrossEntropyGrad),
    MeanSquaredErrorGrad(op::mean_squared_error_grad::MeanSquaredErrorGrad),

    // Optimizer steps and running statistics.
    SgdVelocity(op::sgd_velocity::SgdVelocity),
    SgdStep(op::sgd_step::SgdStep),
    AdamFirst(op::adam_first::AdamFirst),
    AdamSecond(op::adam_second::AdamSecond),
    AdamStep(op::adam_step::AdamStep),
    MovingAverage(op::moving_average::MovingAverage),
    SumOfSquares(op::sum_of_squares::SumOfSquares),
    ClipFactor(op::clip_factor::ClipFactor),
    MultiplyScalar(op::multiply_scalar::MultiplyScalar),
}

//! The table of operators: which kernel family runs each, and what is counted for it. A new operator, or a new way to
//! run one, is one entry here.

use netc_graph::Operator;
use netc_graph::operators::function::Function;

use super::Site;
use super::product::{
    convolution, convolution_gradient, convolution_weight_gradient, dense, dense_gradient, dense_weight_gradient,
};
use super::steps::{
    Element, batch_spread, channel_spread, copies, cross_entropy, exponentials, loss_gradient, moves, neighbors,
    neighbors_gradient, nothing, one_by_one, rearranged, reduction, relayout, upsample, window, window_gradient,
};

use super::winograd::winograd;

/// Nanoseconds of a step but for its fee.
pub(super) type Run = fn(&Site<'_>) -> f64;

/// How an operator runs.
pub(super) enum Work {
    /// It is given.
    Nothing,
    /// Another name for the same bytes, unless there is something to move.
    View(Run),
    /// Element by element; joins the step that its first input comes from.
    ElementWise(Element),
    /// Sums of products: a step that may end in element-wise operators.
    Contraction(Run),
    /// Windows over an image: a step, or the end of a convolution's.
    Pool(Run),
    /// Any other step.
    Step(Run),
}

/// So many plain operations for an element.
const fn plain(operations: f64) -> Work {
    Work::ElementWise(Element {
        operations,
        functions: 0.0,
    })
}

/// So many functions for an element.
const fn function(functions: f64) -> Work {
    Work::ElementWise(Element {
        operations: 0.0,
        functions,
    })
}

/// A function of one number: a few operations, or something as long as a hyperbolic tangent.
const fn one_number(of: Function) -> Work {
    match of {
        Function::Absolute | Function::Clip { .. } => plain(2.0),
        Function::HardSigmoid { .. } => plain(3.0),
        Function::HardSwish => plain(5.0),
        Function::SquareRoot | Function::Reciprocal => function(0.5),
        Function::Exponential
        | Function::Logarithm
        | Function::Erf
        | Function::Elu { .. }
        | Function::Gelu
        | Function::GeluTanh
        | Function::Silu => function(1.0),
        Function::Power { .. } | Function::Softplus => function(2.0),
    }
}

/// The entry of an operator.
pub(super) const fn work(operator: &Operator) -> Work {
    match operator {
        Operator::Input(_) | Operator::Parameter(_) | Operator::Constant(_) => Work::Nothing,
        Operator::Dropout(_) => Work::View(nothing),
        Operator::Reshape(_) => Work::View(rearranged),
        Operator::Relayout(_) => Work::Step(relayout),

        Operator::Conv(_) => Work::Contraction(convolution),
        Operator::WinogradConv(_) => Work::Contraction(winograd),
        Operator::ConvGradInput(_) => Work::Contraction(convolution_gradient),
        Operator::Dense(_) => Work::Contraction(dense),
        Operator::DenseGradInput(_) => Work::Contraction(dense_gradient),
        Operator::ConvGradWeight(_) => Work::Step(convolution_weight_gradient),
        Operator::DenseGradWeight(_) => Work::Step(dense_weight_gradient),

        Operator::Relu(_) | Operator::Add(_) | Operator::Subtract(_) | Operator::Multiply(_) | Operator::Scale(_) => {
            plain(1.0)
        }
        Operator::ScaleShift(_)
        | Operator::ChannelScale(_)
        | Operator::MultiplyScalar(_)
        | Operator::BatchNormGradInput(_) => plain(1.0),
        Operator::LeakyRelu(_) | Operator::BatchNorm(_) | Operator::ReluGrad(_) => plain(2.0),
        Operator::Maximum(_) | Operator::Minimum(_) => plain(1.0),
        Operator::Prelu(_) | Operator::PreluGrad(_) => plain(2.0),
        // A division takes about half as long as a function.
        Operator::Divide(_) => function(0.5),
        Operator::Unary(rule) => one_number(rule.function),
        // The function's own, and what its derivative takes more.
        Operator::UnaryGrad(_) => function(1.5),
        Operator::LeakyReluGrad(_) | Operator::TanhGrad(_) | Operator::SigmoidGrad(_) => plain(3.0),
        Operator::Tanh(_) | Operator::Sigmoid(_) => function(1.0),
        // A hash of the element's number, about as long as a function.
        Operator::RandomDrop(_) => function(1.0),

        Operator::MaxPool(_) | Operator::AveragePool(_) => Work::Pool(window),
        Operator::MaxPoolGrad(_) | Operator::AveragePoolGrad(_) => Work::Step(window_gradient),
        Operator::Softmax(_) | Operator::LogSoftmax(_) | Operator::SoftmaxGrad(_) | Operator::LogSoftmaxGrad(_) => {
            Work::Step(exponentials)
        }
        Operator::CrossEntropy(_) | Operator::CrossEntropyGrad(_) => Work::Step(cross_entropy),
        Operator::LocalResponseNorm(_) => Work::Step(neighbors),
        Operator::LocalResponseNormGrad(_) => Work::Step(neighbors_gradient),
        Operator::Upsample(_) | Operator::UpsampleGrad(_) => Work::Step(upsample),
        Operator::Concat(_) | Operator::Slice(_) | Operator::Pad(_) => Work::Step(copies),
        Operator::Take(_) | Operator::TakeGrad(_) | Operator::Transpose(_) => Work::Step(moves),
        // Element-wise kernels read the original, again and again.
        Operator::Expand(_) => Work::View(nothing),

        Operator::Reduce(_)
        | Operator::GlobalAveragePool(_)
        | Operator::GlobalMaxPool(_)
        | Operator::GlobalMaxPoolGrad(_)
        | Operator::ChannelMean(_)
        | Operator::ChannelVariance(_)
        | Operator::ChannelSum(_)
        | Operator::ChannelDot(_)
        | Operator::BatchNormGradScale(_)
        | Operator::BatchNormGradMean(_)
        | Operator::BatchNormGradVariance(_)
        | Operator::MeanSquaredError(_)
        | Operator::SumOfSquares(_)
        | Operator::BatchMean(_)
        | Operator::BatchSum(_) => Work::Step(reduction),
        Operator::GlobalAveragePoolGrad(_) | Operator::ChannelMeanGrad(_) | Operator::ChannelVarianceGrad(_) => {
            Work::Step(channel_spread)
        }
        Operator::SpreadMean(_) | Operator::SpreadSum(_) => Work::Step(batch_spread),
        Operator::MeanSquaredErrorGrad(_) => Work::Step(loss_gradient),
        Operator::SgdVelocity(_)
        | Operator::SgdStep(_)
        | Operator::AdamFirst(_)
        | Operator::AdamSecond(_)
        | Operator::MovingAverage(_) => plain(2.0),
        // Divisions and a root.
        Operator::AdamStep(_) => function(2.0),
        Operator::Quantize(_) | Operator::Dequantize(_) | Operator::QuantizeGrad(_) | Operator::Clip(_) => {
            Work::Step(one_by_one)
        }
        Operator::ClipFactor(_) => Work::Step(nothing),
    }
}

//! The operators of ONNX that are read, by family, and the table that finds them.
//!
//! Each translation takes its node's inputs, constants or values that flow, and gives its outputs: constants where all
//! inputs are, so that shape arithmetic leaves nothing behind. What an older set of operators means is settled where an
//! attribute or input is read.

mod activation;
mod arithmetic;
mod contraction;
mod making;
mod normalization;
mod picking;
mod pool;
mod quantization;
mod reduction;
mod resize;
mod sampling;
mod shaping;

use crate::site::{Site, Value, Why};

/// Says a node as calls of layers, or works it out.
pub(crate) type Translate = fn(&mut Site<'_>) -> Result<Vec<Value>, Why>;

/// The translation of an operator.
pub(crate) fn find(operator: &str) -> Option<Translate> {
    let found = TABLE.iter().find(|(name, _)| *name == operator);
    found.map(|(_, translate)| *translate)
}

/// Every operator that is known, whether or not every use of it can be said.
pub(crate) const TABLE: &[(&str, Translate)] = &[
    // Sums of products.
    ("Conv", contraction::conv),
    ("ConvTranspose", contraction::conv_transpose),
    ("Gemm", contraction::gemm),
    ("MatMul", contraction::matmul),
    // Windows and channels.
    ("MaxPool", pool::max_pool),
    ("AveragePool", pool::average_pool),
    ("GlobalAveragePool", pool::global_average_pool),
    ("GlobalMaxPool", pool::global_max_pool),
    ("BatchNormalization", normalization::batch_normalization),
    ("LRN", normalization::lrn),
    ("Softmax", normalization::softmax),
    ("LogSoftmax", normalization::log_softmax),
    // Element by element.
    ("Relu", activation::relu),
    ("LeakyRelu", activation::leaky_relu),
    ("PRelu", activation::prelu),
    ("Clip", activation::clip),
    ("Sigmoid", activation::sigmoid),
    ("HardSigmoid", activation::hard_sigmoid),
    ("HardSwish", activation::hard_swish),
    ("Tanh", activation::tanh),
    ("Elu", activation::elu),
    ("Erf", activation::erf),
    ("Gelu", activation::gelu),
    ("Neg", activation::negate),
    ("Sqrt", activation::square_root),
    ("Abs", activation::absolute),
    ("Exp", activation::exponential),
    ("Log", activation::logarithm),
    ("Reciprocal", activation::reciprocal),
    ("Softplus", activation::softplus),
    ("Selu", activation::selu),
    ("Floor", activation::floor),
    ("Ceil", activation::ceil),
    ("Dropout", activation::dropout),
    ("Identity", shaping::identity),
    ("Add", arithmetic::add),
    ("Sub", arithmetic::subtract),
    ("Mul", arithmetic::multiply),
    ("Div", arithmetic::divide),
    ("Sum", arithmetic::sum),
    ("Max", arithmetic::maximum),
    ("Min", arithmetic::minimum),
    // Shapes.
    ("Flatten", shaping::flatten),
    ("Reshape", shaping::reshape),
    ("Squeeze", shaping::squeeze),
    ("Unsqueeze", shaping::unsqueeze),
    ("Transpose", shaping::transpose),
    ("Expand", shaping::expand),
    ("Shape", shaping::shape),
    ("Concat", picking::concat),
    ("Slice", picking::slice),
    ("Split", picking::split),
    ("Gather", picking::gather),
    ("Pad", picking::pad),
    ("Resize", resize::resize),
    ("Upsample", resize::upsample),
    ("DepthToSpace", resize::depth_to_space),
    ("ReduceMean", reduction::mean),
    ("ReduceSum", reduction::sum),
    ("ReduceMax", reduction::maximum),
    ("ReduceMin", reduction::minimum),
    ("ReduceProd", reduction::product_of),
    // Constants.
    ("Constant", making::constant),
    ("ConstantOfShape", making::constant_of_shape),
    ("Cast", making::cast),
    ("Range", making::range),
    ("QuantizeLinear", quantization::quantize),
    ("DequantizeLinear", quantization::dequantize),
];

/// One output.
fn one(value: Value) -> Result<Vec<Value>, Why> {
    Ok(vec![value])
}

/// Says that the language has no way to say something yet.
pub(crate) fn unsaid(what: impl std::fmt::Display) -> Why {
    format!("the language cannot say {what}")
}

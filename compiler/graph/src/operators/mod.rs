//! One file per operator: its attributes, shape rule, reference meaning, gradient, cost and text form.
//!
//! Beside them, what several share: [`window`] (sliding windows), [`quantization`] (integers for reals), [`function`] (functions of one number), and, private to this folder, `axis` (lanes along one
//! axis), `broadcast` (fixed beside batched), `channels` (sums per channel), `expect` (requirements of shape rules), `host`
//! (host tensors) and `step` (optimizer steps).
//!
//! Shapes are written without the batch. `[C, *S]` means channels and then one or two spatial axes; *batched* means one
//! per sample. A reference meaning sees a batched tensor with the batch as its first axis.

pub mod adam_first;
pub mod adam_second;
pub mod adam_step;
pub mod add;
pub mod average_pool;
pub mod average_pool_grad;
mod axis;
pub mod batch_mean;
pub mod batch_norm;
pub mod batch_norm_grad_input;
pub mod batch_norm_grad_mean;
pub mod batch_norm_grad_scale;
pub mod batch_norm_grad_variance;
pub mod batch_sum;
mod broadcast;
pub mod channel_dot;
pub mod channel_mean;
pub mod channel_mean_grad;
pub mod channel_scale;
pub mod channel_sum;
pub mod channel_variance;
pub mod channel_variance_grad;
mod channels;
pub mod clip;
pub mod clip_factor;
pub mod concat;
pub mod constant;
pub mod conv;
pub mod conv_grad_input;
pub mod conv_grad_weight;
pub mod cross_entropy;
pub mod cross_entropy_grad;
pub mod dense;
pub mod dense_grad_input;
pub mod dense_grad_weight;
pub mod dequantize;
pub mod divide;
pub mod dropout;
pub mod expand;
mod expect;
pub mod function;
pub mod global_average_pool;
pub mod global_average_pool_grad;
pub mod global_max_pool;
pub mod global_max_pool_grad;
mod host;
pub mod input;
pub mod leaky_relu;
pub mod leaky_relu_grad;
pub mod local_response_norm;
pub mod local_response_norm_grad;
pub mod log_softmax;
pub mod log_softmax_grad;
pub mod max_pool;
pub mod max_pool_grad;
pub mod maximum;
pub mod mean_squared_error;
pub mod mean_squared_error_grad;
pub mod minimum;
pub mod moving_average;
pub mod multiply;
pub mod multiply_scalar;
pub mod pad;
pub mod parameter;
pub mod prelu;
pub mod prelu_grad;
pub mod quantization;
pub mod quantize;
pub mod quantize_grad;
pub mod random_drop;
pub mod reduce;
pub mod relayout;
pub mod relu;
pub mod relu_grad;
pub mod reshape;
pub mod scale;
pub mod scale_shift;
pub mod sgd_step;
pub mod sgd_velocity;
pub mod sigmoid;
pub mod sigmoid_grad;
pub mod slice;
pub mod softmax;
pub mod softmax_grad;
pub mod spread_mean;
pub mod spread_sum;
mod step;
pub mod subtract;
pub mod sum_of_squares;
pub mod take;
pub mod take_grad;
pub mod tanh;
pub mod tanh_grad;
pub mod transpose;
pub mod unary;
pub mod unary_grad;
pub mod upsample;
pub mod upsample_grad;
pub mod window;
pub mod winograd_conv;

/// What almost every operator's file needs.
mod prelude {
    pub(super) use netc_runtime::{DType, Shape, Tensor};
    pub(super) use serde::{Deserialize, Serialize};

    pub(super) use super::{expect, host};
    pub(super) use crate::error::ShapeError;
    pub(super) use crate::graph::{Graph, NodeId};
    pub(super) use crate::operator::{Cost, GradientSite, Rule};
    pub(super) use crate::types::Type;
}

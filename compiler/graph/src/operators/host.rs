//! Host tensors as the reference meanings read and write them: flat, row-major, summed in f64, stored in f32.

use netc_runtime::{Shape, Tensor};

use crate::types::Type;

/// The elements of a tensor that a shape rule has checked to be f32.
pub(crate) fn floats(tensor: &Tensor) -> &[f32] {
    tensor.as_f32().expect("the shape rule admits only f32")
}

/// The elements of a tensor that a shape rule has checked to be i32.
pub(crate) fn integers(tensor: &Tensor) -> &[i32] {
    tensor.as_i32().expect("the shape rule admits only i32")
}

/// The only element of a scalar.
pub(crate) fn scalar(tensor: &Tensor) -> f64 {
    f64::from(floats(tensor)[0])
}

/// The result whose element `i` is `value(i)`.
pub(crate) fn build(output: &Type, batch: usize, mut value: impl FnMut(usize) -> f64) -> Tensor {
    let count = output.host_shape(batch).element_count();
    store(output, batch, (0..count).map(|index| value(index) as f32).collect())
}

/// The result with these sums as elements.
pub(crate) fn from_sums(output: &Type, batch: usize, sums: &[f64]) -> Tensor {
    store(output, batch, sums.iter().map(|&sum| sum as f32).collect())
}

/// The result with these elements.
pub(crate) fn store(output: &Type, batch: usize, values: Vec<f32>) -> Tensor {
    Tensor::from_f32(output.host_shape(batch), values).expect("as many elements as the shape rule says")
}

/// Zeros to sum into, one for each element of the result.
pub(crate) fn zeros(output: &Type, batch: usize) -> Vec<f64> {
    vec![0.0; output.host_shape(batch).element_count()]
}

/// The last `rank` extents of a host tensor: its shape without the batch.
pub(crate) fn sample_shape(tensor: &Tensor, rank: usize) -> Shape {
    let extents = tensor.shape().extents();
    Shape::from(&extents[extents.len() - rank..])
}

/// `a · b` in f64.
pub(crate) fn product(a: f32, b: f32) -> f64 {
    f64::from(a) * f64::from(b)
}

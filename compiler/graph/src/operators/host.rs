//! Host tensors as the reference meanings read and write them: flat, row-major, summed in f64, stored in f32. What only
//! moves elements, and what is stored as integers, keeps its type.

use std::borrow::Cow;

use netc_runtime::{DType, Data, Shape, Tensor};

use crate::types::Type;

/// The elements of a tensor that a shape rule has checked to be f32.
pub(crate) fn floats(tensor: &Tensor) -> &[f32] {
    tensor.as_f32().expect("the shape rule admits only f32")
}

/// The elements of a tensor that a shape rule has checked to be i32.
pub(crate) fn integers(tensor: &Tensor) -> &[i32] {
    tensor.as_i32().expect("the shape rule admits only i32")
}

/// The elements of a tensor of integers, whatever their width.
pub(crate) fn any_integers(tensor: &Tensor) -> Box<dyn Iterator<Item = i32> + '_> {
    match tensor.data() {
        Data::I8(values) => Box::new(values.iter().map(|&value| i32::from(value))),
        Data::U8(values) => Box::new(values.iter().map(|&value| i32::from(value))),
        Data::I32(values) => Box::new(values.iter().copied()),
        Data::F32(_) => unreachable!("the shape rule admits only integers"),
    }
}

/// The elements as f32, which holds every byte.
pub(crate) fn reals(tensor: &Tensor) -> Cow<'_, [f32]> {
    match tensor.data() {
        Data::F32(values) => Cow::Borrowed(values),
        _ => any_integers(tensor).map(|value| value as f32).collect(),
    }
}

/// The result whose elements are those of `tensor` at these indices, in any type.
pub(crate) fn pick(tensor: &Tensor, output: &Type, batch: usize, indices: impl Iterator<Item = usize>) -> Tensor {
    let data = match tensor.data() {
        Data::F32(values) => Data::F32(indices.map(|index| values[index]).collect()),
        Data::I32(values) => Data::I32(indices.map(|index| values[index]).collect()),
        Data::U8(values) => Data::U8(indices.map(|index| values[index]).collect()),
        Data::I8(values) => Data::I8(indices.map(|index| values[index]).collect()),
    };
    Tensor::new(output.host_shape(batch), data).expect("as many elements as the shape rule says")
}

/// The result with these integers, each in the range of the result's type.
pub(crate) fn store_integers(output: &Type, batch: usize, values: impl Iterator<Item = i32>) -> Tensor {
    let data = match output.dtype {
        DType::I8 => Data::I8(values.map(|value| value as i8).collect()),
        DType::U8 => Data::U8(values.map(|value| value as u8).collect()),
        DType::I32 => Data::I32(values.collect()),
        DType::F32 => unreachable!("the shape rule gives integers"),
    };
    Tensor::new(output.host_shape(batch), data).expect("as many elements as the shape rule says")
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

/// For each element of a shape in row-major order, where it is in a tensor whose axes have these strides.
pub(crate) fn places(shape: &Shape, strides: &[usize]) -> Vec<usize> {
    let mut places = vec![0];
    for (&extent, &stride) in shape.extents().iter().zip(strides) {
        places = places
            .into_iter()
            .flat_map(|place| (0..extent).map(move |index| place + index * stride))
            .collect();
    }
    places
}

//! What the optimizer steps share: fixed tensors of one shape, element by element, and scalars.

use super::prelude::*;

/// Fixed tensors of one shape give one more.
pub(crate) fn infer(inputs: &[&Type]) -> Result<Type, ShapeError> {
    let which: Vec<usize> = (0..inputs.len()).collect();
    expect::fixed(inputs, &which)?;
    inputs[1..]
        .iter()
        .try_for_each(|ty| expect::same_shape(&inputs[0].shape, &ty.shape))?;
    Ok(inputs[0].clone())
}

/// `scalars` are scalars, and nothing among `inputs` is batched.
pub(crate) fn fixed_scalars(inputs: &[&Type], scalars: &[&Type]) -> Result<(), ShapeError> {
    let which: Vec<usize> = (0..inputs.len()).collect();
    expect::fixed(inputs, &which)?;
    scalars.iter().try_for_each(|ty| expect::scalar(&ty.shape))
}

/// Each tensor as a function from index to element, in f64.
pub(crate) fn tensors<'a, const N: usize>(inputs: &[&'a Tensor]) -> [impl Fn(usize) -> f64 + 'a; N] {
    let inputs: [&Tensor; N] = inputs.try_into().expect("the shape rule has counted the inputs");
    inputs.map(|tensor| {
        let values = host::floats(tensor);
        move |index: usize| f64::from(values[index])
    })
}

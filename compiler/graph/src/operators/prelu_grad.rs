//! Gradient of the rectified linear unit with a learned slope.

use super::channels::Channels;
use super::prelude::*;

/// `dx[c, ..] = dy` where `x > 0`, else `slope[c] · dy`.
///
/// - Shapes: `x: f32[C, ..]`, `slope: f32[C]`, fixed, `dy: f32[C, ..]`; `x` and `dy` batched `→ dx: f32[C, ..]`.
/// - Errors: [`ShapeError::Rank`] for a scalar `x`; [`ShapeError::Mismatch`]; [`ShapeError::Batch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreluGrad {}

impl Rule for PreluGrad {
    const NAME: &'static str = "prelu_grad";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x, slope, dy] = expect::floats(inputs)?;
        expect::batched(inputs, &[0, 2])?;
        expect::fixed(inputs, &[1])?;
        expect::per_channel(&x.shape, &[slope])?;
        expect::same_shape(&x.shape, &dy.shape)?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let [x, slope, dy] = [0, 1, 2].map(|input| host::floats(inputs[input]));
        let channels = Channels::of(&output.shape);
        host::build(output, batch, |i| {
            if x[i] > 0.0 {
                f64::from(dy[i])
            } else {
                host::product(dy[i], slope[channels.channel(i)])
            }
        })
    }
}

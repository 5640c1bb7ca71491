//! Gradient of global average pooling.

use super::channels::Channels;
use super::prelude::*;

/// `dx[c, p] = dy[c] / |S|`.
///
/// - Shapes: `dy: f32[C] → dx: f32[C, *S]`.
/// - Errors: [`ShapeError::Mismatch`] if `dy` does not have the channels of `input`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalAveragePoolGrad {
    /// Shape of the forward pooling's input.
    pub input: Shape,
}

impl Rule for GlobalAveragePoolGrad {
    const NAME: &'static str = "global_average_pool_grad";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [dy] = expect::floats(inputs)?;
        expect::spatial(&self.input)?;
        expect::per_channel(&self.input, &[dy])?;
        Ok(dy.with_shape(self.input.clone()))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (dy, area) = (host::floats(inputs[0]), Channels::of(&self.input).plane());
        host::build(output, batch, |index| f64::from(dy[index / area]) / area as f64)
    }

    fn attributes(&self) -> String {
        format!("input={}", self.input)
    }
}

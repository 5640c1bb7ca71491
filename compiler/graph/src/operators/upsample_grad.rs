//! Gradient of upsampling.

use super::prelude::*;
use super::upsample::{Upsample, UpsampleMode};

/// `dx[c, q] = Σ weight · dy[c, p]` over the outputs `p` that `x[c, q]` contributes to.
///
/// - Shapes: `dy: f32[C, *(factor · S)] → dx: f32[C, *S]`.
/// - Errors: those of [`Upsample`]; [`ShapeError::Mismatch`] if `dy` is not what upsampling `input` gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpsampleGrad {
    /// The forward operator's factors.
    pub factor: Vec<usize>,
    /// The forward operator's mode.
    pub mode: UpsampleMode,
    /// Shape of the forward operator's input.
    pub input: Shape,
}

impl UpsampleGrad {
    /// The operator whose gradient this is.
    #[must_use]
    pub fn forward(&self) -> Upsample {
        Upsample {
            factor: self.factor.clone(),
            mode: self.mode,
        }
    }
}

impl Rule for UpsampleGrad {
    const NAME: &'static str = "upsample_grad";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [dy] = expect::floats(inputs)?;
        expect::same_shape(&dy.shape, &self.forward().shape(&self.input)?)?;
        Ok(dy.with_shape(self.input.clone()))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let spatial = &self.input.extents()[1..];
        let area: usize = spatial.iter().product();
        let enlarged = area * self.factor.iter().product::<usize>();
        let mut sums = host::zeros(output, batch);
        for (dy, sums) in host::floats(inputs[0])
            .chunks_exact(enlarged)
            .zip(sums.chunks_exact_mut(area))
        {
            self.forward()
                .for_each_source(spatial, |to, from, weight| sums[from] += weight * f64::from(dy[to]));
        }
        host::from_sums(output, batch, &sums)
    }

    fn cost(&self, inputs: &[&Type], output: &Type) -> Cost {
        self.forward().cost(&[output], inputs[0])
    }

    fn attributes(&self) -> String {
        format!("{} input={}", self.forward().attributes(), self.input)
    }
}

//! Gradient of local response normalization.

use super::axis::Lanes;
use super::local_response_norm::LocalResponseNorm;
use super::prelude::*;

/// `dx[j] = dy[j] · D[j]^-beta - 2·alpha·beta/size · x[j] · Σ dy[c] · x[c] · D[c]^(-beta - 1)`, `c` over the channels
/// whose window has `j` in it, `D` as in [`LocalResponseNorm`].
///
/// - Shapes: `x: f32[C, ..]`, `dy` alike, both batched or both fixed `→ dx: f32[C, ..]`.
/// - Errors: those of [`LocalResponseNorm`]; [`ShapeError::Mismatch`]; [`ShapeError::Batch`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalResponseNormGrad {
    /// Channels in the window, at least 1: `size/2` before the channel itself and `(size - 1)/2` after it.
    pub size: usize,
    /// Factor of the mean square.
    pub alpha: f32,
    /// Exponent.
    pub beta: f32,
    /// Summand, above 0.
    pub k: f32,
}

impl LocalResponseNormGrad {
    /// The normalization whose gradient this is.
    #[must_use]
    pub const fn forward(&self) -> LocalResponseNorm {
        LocalResponseNorm {
            size: self.size,
            alpha: self.alpha,
            beta: self.beta,
            k: self.k,
        }
    }
}

impl Rule for LocalResponseNormGrad {
    const NAME: &'static str = "local_response_norm_grad";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x, dy] = expect::floats(inputs)?;
        self.forward().check(&x.shape)?;
        expect::alike_batched(inputs)?;
        expect::same_shape(&x.shape, &dy.shape)?;
        Ok(dy.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (x, dy) = (host::floats(inputs[0]), host::floats(inputs[1]));
        let (forward, beta) = (self.forward(), f64::from(self.beta));
        let scale = 2.0 * f64::from(self.alpha) * beta / self.size as f64;
        let mut values = host::zeros(output, batch);
        for lane in Lanes::new(&output.shape, 0, output.samples(batch)).each() {
            let lane: Vec<usize> = lane.collect();
            let pixel: Vec<f64> = lane.iter().map(|&i| f64::from(x[i])).collect();
            for (c, d) in forward.denominators(&pixel).into_iter().enumerate() {
                let dy = f64::from(dy[lane[c]]);
                values[lane[c]] += dy * d.powf(-beta);
                for j in forward.around(c, pixel.len()) {
                    values[lane[j]] -= scale * pixel[j] * dy * pixel[c] * d.powf(-beta - 1.0);
                }
            }
        }
        host::from_sums(output, batch, &values)
    }

    fn cost(&self, inputs: &[&Type], output: &Type) -> Cost {
        let terms = self.size.min(inputs[0].shape[0]) as u64;
        Cost::of_operations((output.shape.element_count() as u64).saturating_mul(2 * terms + 5))
    }

    fn attributes(&self) -> String {
        self.forward().attributes()
    }
}

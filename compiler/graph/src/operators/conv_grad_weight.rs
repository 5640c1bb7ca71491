//! Gradient of a convolution with respect to its weight.

use super::conv::Conv;
use super::prelude::*;
use super::window::Window;

/// `dw[k] = Σ x[j] · dy[p]` over the batch and all products of the forward convolution in which `w[k]` is a factor.
///
/// - Shapes: `x: f32[C, *S]`, `dy: f32[O, *S']`, both batched or both fixed `→ dw: f32[O, C/groups, *kernel]`, fixed.
/// - Errors: those of [`Conv`], and [`ShapeError::Mismatch`] if `dy` is not what the convolution of `x` gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConvGradWeight {
    /// The forward convolution's window.
    pub window: Window,
    /// The forward convolution's groups.
    pub groups: usize,
    /// Shape of the weight.
    pub kernel: Shape,
}

impl ConvGradWeight {
    /// The convolution whose gradient this is.
    #[must_use]
    pub fn forward(&self) -> Conv {
        Conv {
            window: self.window.clone(),
            groups: self.groups,
        }
    }
}

impl Rule for ConvGradWeight {
    const NAME: &'static str = "conv_grad_weight";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x, dy] = expect::floats(inputs)?;
        expect::alike_batched(inputs)?;
        expect::same_shape(&dy.shape, &self.forward().shape(&x.shape, &self.kernel)?)?;
        Ok(Type::fixed(DType::F32, self.kernel.clone()))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (x, dy) = (host::floats(inputs[0]), host::floats(inputs[1]));
        let shape = host::sample_shape(inputs[0], self.window.axes() + 1);
        let samples = x.len() / shape.element_count();
        let mut sums = host::zeros(output, batch);
        self.forward()
            .for_each_product(samples, &shape, &self.kernel, |xi, wi, yi| {
                sums[wi] += host::product(x[xi], dy[yi]);
            });
        host::from_sums(output, batch, &sums)
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_macs(self.forward().macs(&inputs[1].shape, &self.kernel))
    }

    fn attributes(&self) -> String {
        format!("{} weight={}", Conv::text(&self.window, self.groups), self.kernel)
    }
}

//! Gradient of quantization, straight through.

use super::prelude::*;
use super::quantization::Quantization;

/// `dx = dq / scale` where `x / scale` is within half a step of some integer that the type holds, else 0.
///
/// - Shapes: `x: f32[C, ..]`, `dq: f32[C, ..]`, both batched or both fixed `→ dx: f32[C, ..]`. `dq` is the gradient
///   with respect to the stored integer, as a real number.
/// - Numerics: a NaN in `x` gives 0.
/// - Errors: those of [`Quantize`](super::quantize::Quantize); [`ShapeError::Mismatch`]; [`ShapeError::Batch`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuantizeGrad {
    /// The forward operator's.
    pub quantization: Quantization,
}

impl Rule for QuantizeGrad {
    const NAME: &'static str = "quantize_grad";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x, gradient] = expect::floats(inputs)?;
        expect::alike_batched(inputs)?;
        expect::same_shape(&x.shape, &gradient.shape)?;
        self.quantization.check(&x.shape, &[DType::I8, DType::U8], "i8 or u8")?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (x, gradient) = (host::floats(inputs[0]), host::floats(inputs[1]));
        let channel = Quantization::channel_of(&output.shape);
        let (low, high) = self.quantization.limits();
        host::build(output, batch, |i| {
            let (scale, zero_point) = self.quantization.pair(channel(i));
            let steps = x[i] / scale;
            let inside = steps >= (low - zero_point) as f32 - 0.5 && steps <= (high - zero_point) as f32 + 0.5;
            f64::from(if inside { gradient[i] / scale } else { 0.0 })
        })
    }

    fn cost(&self, _: &[&Type], output: &Type) -> Cost {
        Cost::of_operations(4 * output.shape.element_count() as u64)
    }

    fn attributes(&self) -> String {
        self.quantization.attributes()
    }
}

//! Stored integers held between two bounds: what a rectifier is for quantized values.

use super::prelude::*;

/// `y = min(max(q, low), high)` of bytes.
///
/// A rectified quantized value is one clipped at its zero point. Of bytes only: reals are rectified by
/// [`Relu`](super::relu::Relu).
///
/// - Shapes: `q: i8 or u8[*] →` the same.
/// - Gradient: none; it stands behind a `quantize` that rewriting has moved, after gradients are made.
/// - Errors: [`ShapeError::Elements`]; [`ShapeError::Range`] unless `low ≤ high` and both fit the type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clip {
    /// No result is below.
    pub low: i32,
    /// No result is above.
    pub high: i32,
}

impl Rule for Clip {
    const NAME: &'static str = "clip";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [q] = expect::count(inputs)?;
        expect::bytes(q)?;
        let (least, greatest) = if q.dtype == DType::I8 { (-128, 127) } else { (0, 255) };
        if !(least <= self.low && self.low <= self.high && self.high <= greatest) {
            return Err(ShapeError::Range {
                attribute: "low",
                expected: "two bounds in order that the type holds",
            });
        }
        Ok(q.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let stored = host::any_integers(inputs[0]);
        host::store_integers(output, batch, stored.map(|q| q.clamp(self.low, self.high)))
    }

    fn attributes(&self) -> String {
        format!("low={} high={}", self.low, self.high)
    }
}

//! Real numbers to bytes.

use super::prelude::*;
use super::quantization::Quantization;
use super::quantize_grad::QuantizeGrad;

/// `y = saturate(round(x / scale) + zero_point)`, halves to even: ONNX's `QuantizeLinear`.
///
/// - Shapes: `x: f32[C, ..] → i8 or u8[C, ..]`.
/// - Gradient: [`QuantizeGrad`], straight through: rounding is taken for the identity, so that what is learned in front
///   of it feels the loss; what saturates feels nothing. The gradient of a byte is f32, per step of the byte.
/// - Numerics: a NaN becomes the least integer. The division is rounded to f32; everything after it is exact.
/// - Errors: [`ShapeError::Elements`], [`ShapeError::ChannelCount`], [`ShapeError::Range`] for attributes.
/// - Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
///   Inference" (2018); straight-through: Bengio, Léonard, Courville (2013).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantize {
    /// What the bytes stand for.
    pub quantization: Quantization,
}

impl Rule for Quantize {
    const NAME: &'static str = "quantize";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        self.quantization.check(&x.shape, &[DType::I8, DType::U8], "i8 or u8")?;
        Ok(Type {
            dtype: self.quantization.dtype,
            ..x.clone()
        })
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let channel = Quantization::channel_of(&output.shape);
        let values = host::floats(inputs[0]).iter().enumerate();
        let stored = values.map(|(index, &x)| self.quantization.quantize(x, channel(index)));
        host::store_integers(output, batch, stored)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let rule = QuantizeGrad {
            quantization: self.quantization.clone(),
        };
        vec![site.when(0, || graph.derive(site.output, rule, &[site.inputs[0], site.gradient]))]
    }

    fn cost(&self, _: &[&Type], output: &Type) -> Cost {
        Cost::of_operations(4 * output.shape.element_count() as u64)
    }

    fn attributes(&self) -> String {
        self.quantization.attributes()
    }
}

//! Integers to the real numbers that they stand for.

use super::channel_scale::ChannelScale;
use super::constant::Constant;
use super::prelude::*;
use super::quantization::Quantization;
use super::reshape::Reshape;
use super::scale::Scale;

/// `y = (q - zero_point) · scale`: ONNX's `DequantizeLinear`.
///
/// - Shapes: `q: i8, u8 or i32[C, ..] → f32[C, ..]`. An i32 is a sum of products of bytes and has no zero point.
/// - Gradient: `dq = dy · scale`, f32, per step of the integer.
/// - Numerics: exact up to the rounding of the product, and for i32 that of the integer.
/// - Errors: [`ShapeError::DType`] if `q` is stored otherwise; [`ShapeError::Elements`], [`ShapeError::ChannelCount`],
///   [`ShapeError::Range`] for attributes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dequantize {
    /// What the integers stand for.
    pub quantization: Quantization,
}

impl Rule for Dequantize {
    const NAME: &'static str = "dequantize";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [q] = expect::count(inputs)?;
        self.quantization
            .check(&q.shape, &[DType::I8, DType::U8, DType::I32], "i8, u8 or i32")?;
        expect::dtype(q, self.quantization.dtype)?;
        Ok(Type {
            dtype: DType::F32,
            ..q.clone()
        })
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let channel = Quantization::channel_of(&output.shape);
        let stored = host::any_integers(inputs[0]);
        let values = stored.enumerate();
        host::store(
            output,
            batch,
            values
                .map(|(index, q)| self.quantization.dequantize(q, channel(index)))
                .collect(),
        )
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        vec![site.when(0, || {
            if let [factor] = *self.quantization.scale {
                return graph.derive(site.output, Scale { factor }, &[site.gradient]);
            }
            let scales = Constant {
                value: self.quantization.scales(),
            };
            let scales = graph.derive(site.output, scales, &[]);
            // Kernels know channels and two more axes.
            let shape = graph.ty(site.gradient).shape.clone();
            let rows = shape[0];
            let flat = Shape::from([rows, shape.element_count() / rows]);
            let rows = graph.derive(site.output, Reshape { shape: flat }, &[site.gradient]);
            let scaled = graph.derive(site.output, ChannelScale {}, &[rows, scales]);
            graph.derive(site.output, Reshape { shape }, &[scaled])
        })]
    }

    fn cost(&self, _: &[&Type], output: &Type) -> Cost {
        Cost::of_operations(3 * output.shape.element_count() as u64)
    }

    fn attributes(&self) -> String {
        self.quantization.attributes()
    }
}

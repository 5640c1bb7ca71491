//! Mean over all spatial positions.

use super::channels::Channels;
use super::global_average_pool_grad::GlobalAveragePoolGrad;
use super::prelude::*;

/// `y[c] = Σ_p x[c, p] / |S|`.
///
/// - Shapes: `x: f32[C, *S] → f32[C]`.
/// - Gradient: [`GlobalAveragePoolGrad`].
/// - Errors: [`ShapeError::Rank`] unless there are one or two spatial axes.
/// - Source: Lin, Chen, Yan, *Network in Network* (2014).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalAveragePool {}

impl Rule for GlobalAveragePool {
    const NAME: &'static str = "global_average_pool";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        let (channels, _) = expect::spatial(&x.shape)?;
        Ok(x.with_shape([channels]))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let x = host::floats(inputs[0]);
        let planes = output.samples(batch) * output.shape[0];
        let area = x.len().checked_div(planes).unwrap_or(1);
        host::build(output, batch, |plane| {
            x[plane * area..][..area].iter().copied().map(f64::from).sum::<f64>() / area as f64
        })
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let rule = GlobalAveragePoolGrad {
            input: graph.ty(site.inputs[0]).shape.clone(),
        };
        vec![site.when(0, || graph.derive(site.output, rule, &[site.gradient]))]
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        let shape = &inputs[0].shape;
        Cost::of_operations((shape[0] * Channels::of(shape).plane()) as u64)
    }
}

//! Maximum over all spatial positions.

use super::global_max_pool_grad::GlobalMaxPoolGrad;
use super::max_pool::beats;
use super::prelude::*;

/// `y[c] = max_p x[c, p]`.
///
/// - Shapes: `x: f32[C, *S] → f32[C]`.
/// - Gradient: [`GlobalMaxPoolGrad`]: all of it goes to the first of the largest values.
/// - Numerics: a NaN wins over any number.
/// - Errors: [`ShapeError::Rank`] unless there are one or two spatial axes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalMaxPool {}

impl GlobalMaxPool {
    /// Where the first of the largest values of one plane is.
    pub(crate) fn winner(plane: &[f32]) -> usize {
        (1..plane.len()).fold(
            0,
            |best, index| if beats(plane[index], plane[best]) { index } else { best },
        )
    }
}

impl Rule for GlobalMaxPool {
    const NAME: &'static str = "global_max_pool";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        let (channels, _) = expect::spatial(&x.shape)?;
        Ok(x.with_shape([channels]))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let x = host::floats(inputs[0]);
        let planes = output.samples(batch) * output.shape[0];
        let area = x.len().checked_div(planes).unwrap_or(1);
        host::build(output, batch, |index| {
            let plane = &x[index * area..][..area];
            f64::from(plane[Self::winner(plane)])
        })
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        vec![site.when(0, || {
            graph.derive(site.output, GlobalMaxPoolGrad {}, &[site.inputs[0], site.gradient])
        })]
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_operations(inputs[0].shape.element_count() as u64)
    }
}

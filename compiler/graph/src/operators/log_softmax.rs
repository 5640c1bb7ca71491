//! Logarithm of softmax along one axis.

use super::axis::Lanes;
use super::log_softmax_grad::LogSoftmaxGrad;
use super::prelude::*;

/// `y[i] = (x[i] - m) - ln Σⱼ exp(x[j] - m)`, with `m = maxⱼ x[j]`.
///
/// - Shapes: `x: f32[.., n, ..] → f32[.., n, ..]`.
/// - Gradient: [`LogSoftmaxGrad`] of `y`: `dx = dy - exp(y) · Σⱼ dy[j]`.
/// - Numerics: no logarithm of a small number is taken: the sum is at least 1.
/// - Errors: [`ShapeError::Axis`] if there is no such axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSoftmax {
    /// The axis, counted without the batch.
    pub axis: usize,
}

impl Rule for LogSoftmax {
    const NAME: &'static str = "log_softmax";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        expect::axis(self.axis, &x.shape)?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let x: Vec<f64> = host::floats(inputs[0]).iter().copied().map(f64::from).collect();
        let mut values = host::zeros(output, batch);
        for lane in Lanes::new(&output.shape, self.axis, output.samples(batch)).each() {
            let largest = lane.clone().map(|i| x[i]).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = lane.clone().map(|i| (x[i] - largest).exp()).sum();
            for i in lane {
                values[i] = (x[i] - largest) - sum.ln();
            }
        }
        host::from_sums(output, batch, &values)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let rule = LogSoftmaxGrad { axis: self.axis };
        vec![site.when(0, || graph.derive(site.output, rule, &[site.output, site.gradient]))]
    }

    fn cost(&self, _: &[&Type], output: &Type) -> Cost {
        Cost::of_operations(5 * output.shape.element_count() as u64)
    }

    fn attributes(&self) -> String {
        format!("axis={}", self.axis)
    }
}

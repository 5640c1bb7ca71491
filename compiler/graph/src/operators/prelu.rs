//! Rectified linear unit with a learned slope below zero.

use super::channel_dot::ChannelDot;
use super::channels::Channels;
use super::function::Function;
use super::prelu_grad::PreluGrad;
use super::prelude::*;
use super::unary::Unary;

/// `y[c, ..] = x` where `x > 0`, else `slope[c] · x`.
///
/// - Shapes: `x: f32[C, ..]`, batched, `slope: f32[C]`, fixed `→ f32[C, ..]`.
/// - Gradient: [`PreluGrad`] of `x`; for the slope the sum of `dy · x` over negative `x`.
/// - Errors: [`ShapeError::Rank`] for a scalar `x`; [`ShapeError::Mismatch`]; [`ShapeError::Batch`].
/// - Source: He, Zhang, Ren, Sun (2015).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prelu {}

impl Rule for Prelu {
    const NAME: &'static str = "prelu";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x, slope] = expect::floats(inputs)?;
        expect::batched(inputs, &[0])?;
        expect::fixed(inputs, &[1])?;
        expect::per_channel(&x.shape, &[slope])?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (x, slope) = (host::floats(inputs[0]), host::floats(inputs[1]));
        let channels = Channels::of(&output.shape);
        host::build(output, batch, |i| {
            if x[i] > 0.0 {
                f64::from(x[i])
            } else {
                host::product(x[i], slope[channels.channel(i)])
            }
        })
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let &GradientSite {
            inputs,
            output,
            gradient,
            ..
        } = site;
        vec![
            site.when(0, || {
                graph.derive(output, PreluGrad {}, &[inputs[0], inputs[1], gradient])
            }),
            site.when(1, || {
                let function = Function::Clip {
                    low: f32::MIN,
                    high: 0.0,
                };
                let negative = graph.derive(output, Unary { function }, &[inputs[0]]);
                graph.derive(output, ChannelDot {}, &[negative, gradient])
            }),
        ]
    }

    fn cost(&self, _: &[&Type], output: &Type) -> Cost {
        Cost::of_operations(2 * output.shape.element_count() as u64)
    }
}

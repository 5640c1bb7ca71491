//! A factor and a summand for each channel.

use super::channel_dot::ChannelDot;
use super::channel_scale::ChannelScale;
use super::channel_sum::ChannelSum;
use super::channels::Channels;
use super::prelude::*;

/// `y[c, ..] = x[c, ..] · scale[c] + shift[c]`.
///
/// - Shapes: `x: f32[C, ..]`, `scale: f32[C]`, `shift: f32[C]`, both fixed `→ f32[C, ..]`.
/// - Gradient: [`ChannelScale`], [`ChannelDot`], [`ChannelSum`].
/// - Errors: [`ShapeError::Rank`] for a scalar `x`; [`ShapeError::Mismatch`]; [`ShapeError::Batch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleShift {}

impl Rule for ScaleShift {
    const NAME: &'static str = "scale_shift";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x, scale, shift] = expect::floats(inputs)?;
        expect::fixed(inputs, &[1, 2])?;
        expect::per_channel(&x.shape, &[scale, shift])?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (x, scale, shift) = (
            host::floats(inputs[0]),
            host::floats(inputs[1]),
            host::floats(inputs[2]),
        );
        let channels = Channels::of(&output.shape);
        host::build(output, batch, |i| {
            let channel = channels.channel(i);
            host::product(x[i], scale[channel]) + f64::from(shift[channel])
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
            site.when(0, || graph.derive(output, ChannelScale {}, &[gradient, inputs[1]])),
            site.when(1, || graph.derive(output, ChannelDot {}, &[inputs[0], gradient])),
            site.when(2, || graph.derive(output, ChannelSum {}, &[gradient])),
        ]
    }

    fn cost(&self, _: &[&Type], output: &Type) -> Cost {
        Cost::of_operations(2 * output.shape.element_count() as u64)
    }
}

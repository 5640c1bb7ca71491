//! Mean per channel over the batch: half of what batch normalization learns from its input.

use super::channel_mean_grad::ChannelMeanGrad;
use super::channels::Channels;
use super::prelude::*;

/// `y[c] = Σ x[c, ..] / n`, with `n` the batch times the positions of one channel.
///
/// - Shapes: `x: f32[C, ..]` batched `→ f32[C]` fixed.
/// - Gradient: [`ChannelMeanGrad`].
/// - Numerics: 0 for an empty batch.
/// - Errors: [`ShapeError::Rank`] for a scalar `x`; [`ShapeError::Mismatch`]; [`ShapeError::Batch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelMean {}

impl Rule for ChannelMean {
    const NAME: &'static str = "channel_mean";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        expect::batched(inputs, &[0])?;
        Ok(Type::fixed(DType::F32, [expect::channels(&x.shape)?]))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let x = host::floats(inputs[0]);
        let channels = Channels::of_host(inputs[0]);
        let mut sums = channels.sums(batch, |i, _| f64::from(x[i]));
        let count = channels.count(batch).max(1) as f64;
        sums.iter_mut().for_each(|sum| *sum /= count);
        host::from_sums(output, batch, &sums)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let rule = ChannelMeanGrad {
            input: graph.ty(site.inputs[0]).shape.clone(),
        };
        vec![site.when(0, || graph.derive(site.output, rule, &[site.gradient]))]
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_operations(inputs[0].shape.element_count() as u64)
    }
}

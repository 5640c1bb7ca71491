//! Dropout as written in the network, at inference: the identity.

use super::prelude::*;

/// `y = x`. Marks where the training graph puts a [`RandomDrop`](super::random_drop::RandomDrop) of the same rate.
///
/// - Shapes: `x: f32[*] → f32[*]`.
/// - Gradient: `dx = dy`.
/// - Errors: [`ShapeError::Range`] unless `0 ≤ rate < 1`.
/// - Source: Srivastava et al. (2014), with the scaling done while training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dropout {
    /// Share of elements that are dropped while training.
    pub rate: f32,
}

impl Rule for Dropout {
    const NAME: &'static str = "dropout";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        expect::share("rate", self.rate)?;
        let [x] = expect::floats(inputs)?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let x = host::floats(inputs[0]);
        host::store(output, batch, x.to_vec())
    }

    fn gradient(&self, _: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        vec![site.when(0, || site.gradient)]
    }

    fn cost(&self, _: &[&Type], _: &Type) -> Cost {
        Cost::NONE
    }

    fn attributes(&self) -> String {
        format!("rate={}", self.rate)
    }
}

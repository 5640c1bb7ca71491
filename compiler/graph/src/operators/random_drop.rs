//! Dropout while training.

use netc_runtime::random::{dropout_bits, dropout_threshold};

use super::prelude::*;

/// `y[n, e] = 0` if `bits(n, e) < rate · 2³²`, else `x[n, e] / (1 - rate)`.
///
/// `bits(n, e) = dropout_bits(dropout_bits(key, salt), n · E + e)`, all in wrapping 32-bit arithmetic, with sample `n`,
/// element `e` in the logical channels-first order, and `E` elements per sample. The mask is a pure function of key, salt
/// and position: it is computed again for the gradient, never stored.
///
/// - Shapes: `x: f32[*]`, `key: i32[]` fixed `→ f32[*]`. The key changes from step to step, the salt from layer to layer.
/// - Gradient: the same operator applied to `dy`.
/// - Errors: [`ShapeError::Range`] unless `0 ≤ rate < 1`; [`ShapeError::DType`], [`ShapeError::Rank`],
///   [`ShapeError::Batch`] for another key.
/// - Source: Srivastava et al. (2014), with the scaling done while training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RandomDrop {
    /// Share of elements that are dropped.
    pub rate: f32,
    /// Tells the layers of a network apart.
    pub salt: u32,
}

impl RandomDrop {
    /// What kept elements are multiplied by: `1 / (1 - rate)`, rounded to f32.
    #[must_use]
    pub fn kept_scale(&self) -> f32 {
        (1.0 / (1.0 - f64::from(self.rate))) as f32
    }
}

impl Rule for RandomDrop {
    const NAME: &'static str = "random_drop";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        expect::share("rate", self.rate)?;
        let [x, key] = expect::count(inputs)?;
        expect::dtype(x, DType::F32)?;
        expect::dtype(key, DType::I32)?;
        expect::fixed(inputs, &[1])?;
        expect::scalar(&key.shape)?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (x, key) = (host::floats(inputs[0]), host::integers(inputs[1])[0]);
        let key = dropout_bits(key.cast_unsigned(), self.salt);
        let threshold = dropout_threshold(self.rate);
        host::build(output, batch, |i| {
            if dropout_bits(key, i as u32) < threshold {
                0.0
            } else {
                host::product(x[i], self.kept_scale())
            }
        })
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let inputs = [site.gradient, site.inputs[1]];
        vec![site.when(0, || graph.derive(site.output, self.clone(), &inputs)), None]
    }

    fn cost(&self, _: &[&Type], output: &Type) -> Cost {
        Cost::of_operations(20 * output.shape.element_count() as u64)
    }

    fn attributes(&self) -> String {
        format!("rate={} salt={:08x}", self.rate, self.salt)
    }
}

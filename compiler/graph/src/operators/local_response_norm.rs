//! Local response normalization across channels.

use super::axis::Lanes;
use super::local_response_norm_grad::LocalResponseNormGrad;
use super::prelude::*;

/// `y[c] = x[c] / D[c]^beta` with `D[c] = k + alpha/size · Σ x[j]²`, `j` over the `size` channels around `c`.
///
/// - Shapes: `x: f32[C, ..] → f32[C, ..]`.
/// - Channels outside count as zero; `alpha` is divided by `size` even at the border, as in PyTorch.
/// - Gradient: [`LocalResponseNormGrad`].
/// - Errors: [`ShapeError::Zero`] for `size`; [`ShapeError::Range`] unless `alpha ≥ 0` and `k > 0`;
///   [`ShapeError::Rank`] for a scalar `x`.
/// - Source: Krizhevsky, Sutskever, Hinton (2012), §3.3.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalResponseNorm {
    /// Channels in the window, at least 1: `size/2` before the channel itself and `(size - 1)/2` after it.
    pub size: usize,
    /// Factor of the mean square.
    pub alpha: f32,
    /// Exponent.
    pub beta: f32,
    /// Summand, above 0.
    pub k: f32,
}

impl LocalResponseNorm {
    /// The channels whose squares count for channel `c` of `count`.
    pub(crate) fn around(&self, c: usize, count: usize) -> std::ops::Range<usize> {
        c.saturating_sub(self.size / 2)..count.min(c.saturating_add((self.size - 1) / 2 + 1))
    }

    /// `D` of each channel, given one pixel's values.
    pub(crate) fn denominators(&self, pixel: &[f64]) -> Vec<f64> {
        let scale = f64::from(self.alpha) / self.size as f64;
        let sum = |c| pixel[self.around(c, pixel.len())].iter().map(|x| x * x).sum::<f64>();
        (0..pixel.len()).map(|c| f64::from(self.k) + scale * sum(c)).collect()
    }

    /// What the operator asks of its attributes and of the shape it normalizes.
    pub(crate) fn check(&self, shape: &Shape) -> Result<(), ShapeError> {
        if self.size == 0 {
            return Err(ShapeError::Zero { attribute: "size" });
        }
        expect::at_least_zero("alpha", self.alpha)?;
        expect::range("beta", self.beta, |_| true, "a finite number")?;
        expect::above_zero("k", self.k)?;
        expect::channels(shape).map(|_| ())
    }
}

impl Rule for LocalResponseNorm {
    const NAME: &'static str = "local_response_norm";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        self.check(&x.shape)?;
        Ok(x.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let x = host::floats(inputs[0]);
        let mut values = host::zeros(output, batch);
        for lane in Lanes::new(&output.shape, 0, output.samples(batch)).each() {
            let pixel: Vec<f64> = lane.clone().map(|i| f64::from(x[i])).collect();
            let denominators = self.denominators(&pixel);
            for (c, i) in lane.enumerate() {
                values[i] = pixel[c] * denominators[c].powf(-f64::from(self.beta));
            }
        }
        host::from_sums(output, batch, &values)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let &Self { size, alpha, beta, k } = self;
        let rule = LocalResponseNormGrad { size, alpha, beta, k };
        vec![site.when(0, || graph.derive(site.output, rule, &[site.inputs[0], site.gradient]))]
    }

    fn cost(&self, inputs: &[&Type], output: &Type) -> Cost {
        let terms = self.size.min(inputs[0].shape[0]) as u64;
        Cost::of_operations((output.shape.element_count() as u64).saturating_mul(terms + 3))
    }

    fn attributes(&self) -> String {
        format!(
            "size={} alpha={} beta={} k={}",
            self.size, self.alpha, self.beta, self.k
        )
    }
}

//! Mean over sliding windows.

use super::average_pool_grad::AveragePoolGrad;
use super::max_pool::pooled_shape;
use super::prelude::*;
use super::window::Window;

/// `y[c, p] = Σ_k x[c, p·stride + k·dilation - pad] / n[p]`.
///
/// - Shapes: `x: f32[C, *S] → f32[C, *S']`, `S'` by [`Window::output_extents`].
/// - Padding counts as zeros (`n` is the number of taps) if `count_padding`; otherwise `n[p]` counts only the taps
///   inside the input.
/// - Gradient: [`AveragePoolGrad`].
/// - Errors: those of [`Window::pooled_extents`]; [`ShapeError::Rank`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AveragePool {
    /// The sliding window.
    pub window: Window,
    /// Whether padding counts in the divisor. PyTorch's `count_include_pad`, true there by default.
    pub count_padding: bool,
}

impl AveragePool {
    /// For every output position of one plane, what its sum is divided by.
    pub(crate) fn divisors(&self, spatial: &[usize]) -> Vec<f64> {
        let outputs = spatial
            .iter()
            .enumerate()
            .map(|(axis, &extent)| self.window.output_extent(axis, extent))
            .product();
        if self.count_padding {
            return vec![self.window.tap_count() as f64; outputs];
        }
        let mut counts = vec![0.0; outputs];
        self.window.for_each_tap(spatial, |tap| counts[tap.output] += 1.0);
        counts
    }

    /// ` count_padding=false`, or nothing.
    pub(crate) fn text(window: &Window, count_padding: bool) -> String {
        window.attributes() + if count_padding { "" } else { " count_padding=false" }
    }
}

impl Rule for AveragePool {
    const NAME: &'static str = "average_pool";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        Ok(x.with_shape(pooled_shape(&self.window, &x.shape)?))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let shape = host::sample_shape(inputs[0], output.shape.rank());
        let spatial = &shape.extents()[1..];
        let divisors = self.divisors(spatial);
        let planes = host::floats(inputs[0]).chunks_exact(spatial.iter().product());
        let mut sums = host::zeros(output, batch);
        for (plane, sums) in planes.zip(sums.chunks_exact_mut(divisors.len())) {
            self.window
                .for_each_tap(spatial, |tap| sums[tap.output] += f64::from(plane[tap.input]));
            for (sum, divisor) in sums.iter_mut().zip(&divisors) {
                *sum /= divisor;
            }
        }
        host::from_sums(output, batch, &sums)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let input = graph.ty(site.inputs[0]).shape.clone();
        let rule = AveragePoolGrad {
            window: self.window.clone(),
            count_padding: self.count_padding,
            input,
        };
        vec![site.when(0, || graph.derive(site.output, rule, &[site.gradient]))]
    }

    fn cost(&self, _: &[&Type], output: &Type) -> Cost {
        Cost::of_operations((output.shape.element_count() as u64).saturating_mul(self.window.tap_count() as u64))
    }

    fn attributes(&self) -> String {
        Self::text(&self.window, self.count_padding)
    }
}

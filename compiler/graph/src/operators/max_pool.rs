//! Maximum over sliding windows.

use super::max_pool_grad::MaxPoolGrad;
use super::prelude::*;
use super::window::Window;

/// `y[c, p] = max_k x[c, p·stride + k·dilation - pad]` over the taps inside the input; padding never wins.
///
/// - Shapes: `x: f32[C, *S] → f32[C, *S']`, `S'` by [`Window::output_extents`].
/// - Gradient: [`MaxPoolGrad`]: all of it goes to the winner. Of equal values the first in row-major order wins.
/// - Numerics: a NaN wins over any number.
/// - Errors: those of [`Window::pooled_extents`]; [`ShapeError::Rank`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxPool {
    /// The sliding window.
    pub window: Window,
}

impl MaxPool {
    /// For every output position of one plane, the input position whose value it takes.
    pub(crate) fn winners(&self, spatial: &[usize], plane: &[f32]) -> Vec<usize> {
        let outputs = spatial
            .iter()
            .enumerate()
            .map(|(axis, &extent)| self.window.output_extent(axis, extent))
            .product();
        let mut winners: Vec<Option<usize>> = vec![None; outputs];
        self.window.for_each_tap(spatial, |tap| {
            let winner = &mut winners[tap.output];
            if winner.is_none_or(|best| beats(plane[tap.input], plane[best])) {
                *winner = Some(tap.input);
            }
        });
        winners
            .into_iter()
            .map(|winner| winner.expect("the shape rule refuses windows that see no input"))
            .collect()
    }
}

/// Whether a later value takes the place of the best so far.
pub(crate) fn beats(value: f32, best: f32) -> bool {
    value > best || (value.is_nan() && !best.is_nan())
}

impl Rule for MaxPool {
    const NAME: &'static str = "max_pool";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [x] = expect::floats(inputs)?;
        Ok(x.with_shape(pooled_shape(&self.window, &x.shape)?))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let shape = host::sample_shape(inputs[0], output.shape.rank());
        let spatial = &shape.extents()[1..];
        let planes = host::floats(inputs[0]).chunks_exact(spatial.iter().product());
        let values = planes.flat_map(|plane| self.winners(spatial, plane).into_iter().map(|winner| plane[winner]));
        host::store(output, batch, values.collect())
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let rule = MaxPoolGrad {
            window: self.window.clone(),
        };
        vec![site.when(0, || graph.derive(site.output, rule, &[site.inputs[0], site.gradient]))]
    }

    fn cost(&self, _: &[&Type], output: &Type) -> Cost {
        Cost::of_operations((output.shape.element_count() as u64).saturating_mul(self.window.tap_count() as u64))
    }

    fn attributes(&self) -> String {
        self.window.attributes()
    }
}

/// `[C, *S']` of pooling `[C, *S]`.
pub(crate) fn pooled_shape(window: &Window, x: &Shape) -> Result<Shape, ShapeError> {
    let (channels, spatial) = expect::spatial(x)?;
    Ok(Shape::new(
        [&[channels], window.pooled_extents(spatial)?.as_slice()].concat(),
    ))
}

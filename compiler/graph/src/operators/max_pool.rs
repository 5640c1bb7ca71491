//! Maximum over sliding windows.

use super::dequantize::Dequantize;
use super::max_pool_grad::MaxPoolGrad;
use super::prelude::*;
use super::quantization::Quantization;
use super::window::Window;

/// `y[c, p] = max_k x[c, p·stride + k·dilation - pad]` over the taps inside the input; padding never wins.
///
/// - Shapes: `x: f32[C, *S] → f32[C, *S']`, or of i8 or u8, `S'` by [`Window::output_extents`].
/// - Gradient: [`MaxPoolGrad`]: all of it goes to the winner. Of equal values the first in row-major order wins. For
///   bytes it is f32.
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
        let [x] = expect::count(inputs)?;
        expect::floats_or_bytes(x)?;
        Ok(x.with_shape(pooled_shape(&self.window, &x.shape)?))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let shape = host::sample_shape(inputs[0], output.shape.rank());
        let spatial = &shape.extents()[1..];
        let x = host::reals(inputs[0]);
        let area: usize = spatial.iter().product();
        let planes = x.chunks_exact(area).enumerate();
        let winners = planes.flat_map(|(number, plane)| {
            let winners = self.winners(spatial, plane).into_iter();
            winners.map(move |winner| number * area + winner)
        });
        host::pick(inputs[0], output, batch, winners)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let rule = MaxPoolGrad {
            window: self.window.clone(),
        };
        vec![site.when(0, || {
            let x = real(graph, site);
            graph.derive(site.output, rule, &[x, site.gradient])
        })]
    }

    fn cost(&self, _: &[&Type], output: &Type) -> Cost {
        Cost::of_operations((output.shape.element_count() as u64).saturating_mul(self.window.tap_count() as u64))
    }

    fn attributes(&self) -> String {
        self.window.attributes()
    }
}

/// The pooled input as f32: which element wins is the same for bytes and for the numbers that they are.
fn real(graph: &mut Graph, site: &GradientSite<'_>) -> NodeId {
    let x = site.inputs[0];
    let dtype = graph.ty(x).dtype;
    if dtype == DType::F32 {
        return x;
    }
    let rule = Dequantize {
        quantization: Quantization::unit(dtype),
    };
    graph.derive(site.output, rule, &[x])
}

/// `[C, *S']` of pooling `[C, *S]`.
pub(crate) fn pooled_shape(window: &Window, x: &Shape) -> Result<Shape, ShapeError> {
    let (channels, spatial) = expect::spatial(x)?;
    Ok(Shape::new(
        [&[channels], window.pooled_extents(spatial)?.as_slice()].concat(),
    ))
}

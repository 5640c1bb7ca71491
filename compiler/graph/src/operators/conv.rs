//! Convolution over one or two spatial axes.

use super::channel_sum::ChannelSum;
use super::conv_grad_input::ConvGradInput;
use super::conv_grad_weight::ConvGradWeight;
use super::prelude::*;
use super::window::Window;

/// Convolution (cross-correlation): `y[o, p] = b[o] + Σ_{i, k} w[o, i, k] · x[group(o)·I + i, p·stride + k·dilation - pad]`.
///
/// - Shapes: `x: f32[C, *S]`, `w: f32[O, C/groups, *kernel]`, optionally `b: f32[O]` `→ f32[O, *S']`, `S'` by
///   [`Window::output_extents`]. `w` and `b` are fixed.
/// - Gradient: [`ConvGradInput`], [`ConvGradWeight`], and [`ChannelSum`] for the bias.
/// - Cost: `|y| · C/groups · |kernel|` multiply-accumulates; the bias is not counted.
/// - Errors: those of [`Window::output_extents`]; [`ShapeError::Groups`]; [`ShapeError::Mismatch`] if `w` or `b` do not fit.
/// - Source: Goodfellow, Bengio, Courville, *Deep Learning* (2016), §9.1; groups: Krizhevsky et al. (2012).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conv {
    /// The sliding window.
    pub window: Window,
    /// Equal groups that the channels are split into; output group `g` reads input group `g` only.
    pub groups: usize,
}

impl Conv {
    /// Shape of the result and the number of multiply-accumulates for one sample.
    pub(crate) fn shape(&self, x: &Shape, w: &Shape) -> Result<Shape, ShapeError> {
        let (channels, spatial) = expect::spatial(x)?;
        if self.groups == 0 {
            return Err(ShapeError::Zero { attribute: "groups" });
        }
        let extents = self.window.output_extents(spatial)?;
        let outputs = expect::channels(w)?;
        for (which, channels) in [("input", channels), ("output", outputs)] {
            if channels % self.groups != 0 {
                return Err(ShapeError::Groups {
                    which,
                    channels,
                    groups: self.groups,
                });
            }
        }
        let kernel = [&[outputs, channels / self.groups], self.window.kernel.as_slice()].concat();
        expect::same_shape(w, &Shape::new(kernel))?;
        Ok(Shape::new([&[outputs], extents.as_slice()].concat()))
    }

    /// Multiply-accumulates for one sample, forward or either gradient.
    pub(crate) fn macs(&self, y: &Shape, w: &Shape) -> u64 {
        let taps = w.extents()[1..].iter().product::<usize>();
        (y.element_count() as u64).saturating_mul(taps as u64)
    }

    /// Visits every product `x · w` of `samples` convolutions as indices into x and w, and into y, where it is added.
    /// The gradients are the same products with another factor as the unknown.
    pub(crate) fn for_each_product(
        &self,
        samples: usize,
        x: &Shape,
        w: &Shape,
        mut visit: impl FnMut(usize, usize, usize),
    ) {
        let (channels, spatial) = expect::spatial(x).expect("the shape rule admits one or two spatial axes");
        let y = self.shape(x, w).expect("checked by the shape rule");
        let plane = |shape: &Shape, leading: usize| shape.extents()[leading..].iter().product::<usize>();
        let (x_plane, y_plane, w_plane) = (plane(x, 1), plane(&y, 1), plane(w, 2));
        let (outputs, inputs) = (w[0], w[1]);
        for sample in 0..samples {
            for output in 0..outputs {
                let group = output / (outputs / self.groups);
                let y_start = (sample * outputs + output) * y_plane;
                for input in 0..inputs {
                    let x_start = (sample * channels + group * inputs + input) * x_plane;
                    let w_start = (output * inputs + input) * w_plane;
                    self.window.for_each_tap(spatial, |tap| {
                        visit(x_start + tap.input, w_start + tap.kernel, y_start + tap.output);
                    });
                }
            }
        }
    }

    /// `kernel=3x3 stride=1 groups=2`.
    pub(crate) fn text(window: &Window, groups: usize) -> String {
        let groups = if groups == 1 {
            String::new()
        } else {
            format!(" groups={groups}")
        };
        window.attributes() + &groups
    }
}

impl Rule for Conv {
    const NAME: &'static str = "conv";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let (x, w, bias) = match inputs {
            [x, w] => (x, w, None),
            [x, w, bias] => (x, w, Some(bias)),
            _ => {
                return Err(ShapeError::InputCount {
                    expected: "2 or 3",
                    found: inputs.len(),
                });
            }
        };
        expect::all_floats(inputs)?;
        expect::fixed(inputs, &[1])?;
        let shape = self.shape(&x.shape, &w.shape)?;
        if let Some(bias) = bias {
            expect::fixed(inputs, &[2])?;
            expect::per_channel(&shape, &[bias])?;
        }
        Ok(x.with_shape(shape))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (x, w) = (host::floats(inputs[0]), host::floats(inputs[1]));
        let x_shape = host::sample_shape(inputs[0], self.window.axes() + 1);
        let mut sums = host::zeros(output, batch);
        self.for_each_product(output.samples(batch), &x_shape, inputs[1].shape(), |xi, wi, yi| {
            sums[yi] += host::product(x[xi], w[wi]);
        });
        if let Some(bias) = inputs.get(2) {
            let (bias, channels) = (host::floats(bias), super::channels::Channels::of(&output.shape));
            for (index, sum) in sums.iter_mut().enumerate() {
                *sum += f64::from(bias[channels.channel(index)]);
            }
        }
        host::from_sums(output, batch, &sums)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let &GradientSite {
            inputs,
            output,
            gradient,
            ..
        } = site;
        let (x, w) = (inputs[0], inputs[1]);
        let (window, groups) = (self.window.clone(), self.groups);
        let dx = site.when(0, || {
            let input = graph.ty(x).shape.clone();
            graph.derive(
                output,
                ConvGradInput {
                    window: window.clone(),
                    groups,
                    input,
                },
                &[gradient, w],
            )
        });
        let dw = site.when(1, || {
            let kernel = graph.ty(w).shape.clone();
            graph.derive(output, ConvGradWeight { window, groups, kernel }, &[x, gradient])
        });
        let mut gradients = vec![dx, dw];
        if inputs.len() == 3 {
            gradients.push(site.when(2, || graph.derive(output, ChannelSum {}, &[gradient])));
        }
        gradients
    }

    fn cost(&self, inputs: &[&Type], output: &Type) -> Cost {
        Cost::of_macs(self.macs(&output.shape, &inputs[1].shape))
    }

    fn attributes(&self) -> String {
        Self::text(&self.window, self.groups)
    }
}

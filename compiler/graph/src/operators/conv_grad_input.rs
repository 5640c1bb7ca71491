//! Gradient of a convolution with respect to its input; as a layer, the transposed convolution.

use super::conv::Conv;
use super::conv_grad_weight::ConvGradWeight;
use super::prelude::*;
use super::window::Window;

/// `dx[j] = Σ w[k] · dy[p]` over all products of the forward convolution in which `x[j]` is a factor.
///
/// - Shapes: `dy: f32[O, *S']`, `w: f32[O, C/groups, *kernel]` `→ dx: f32[C, *S]`; `w` is fixed.
/// - Gradient: [`Conv`] with respect to `dy`, [`ConvGradWeight`] with respect to `w`.
/// - Errors: those of [`Conv`], and [`ShapeError::Mismatch`] if `dy` is not what the convolution of `input` gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConvGradInput {
    /// The forward convolution's window.
    pub window: Window,
    /// The forward convolution's groups.
    pub groups: usize,
    /// Shape of the forward convolution's input, which stride and padding leave open.
    pub input: Shape,
}

impl ConvGradInput {
    /// The convolution whose gradient this is.
    #[must_use]
    pub fn forward(&self) -> Conv {
        Conv {
            window: self.window.clone(),
            groups: self.groups,
        }
    }
}

impl Rule for ConvGradInput {
    const NAME: &'static str = "conv_grad_input";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [dy, w] = expect::floats(inputs)?;
        expect::fixed(inputs, &[1])?;
        expect::same_shape(&dy.shape, &self.forward().shape(&self.input, &w.shape)?)?;
        Ok(dy.with_shape(self.input.clone()))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (dy, w) = (host::floats(inputs[0]), host::floats(inputs[1]));
        let mut sums = host::zeros(output, batch);
        self.forward()
            .for_each_product(output.samples(batch), &self.input, inputs[1].shape(), |xi, wi, yi| {
                sums[xi] += host::product(dy[yi], w[wi]);
            });
        host::from_sums(output, batch, &sums)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let &GradientSite {
            inputs,
            output,
            gradient,
            ..
        } = site;
        vec![
            site.when(0, || graph.derive(output, self.forward(), &[gradient, inputs[1]])),
            site.when(1, || {
                let rule = ConvGradWeight {
                    window: self.window.clone(),
                    groups: self.groups,
                    kernel: graph.ty(inputs[1]).shape.clone(),
                };
                graph.derive(output, rule, &[gradient, inputs[0]])
            }),
        ]
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_macs(self.forward().macs(&inputs[0].shape, &inputs[1].shape))
    }

    fn attributes(&self) -> String {
        format!("{} input={}", Conv::text(&self.window, self.groups), self.input)
    }
}

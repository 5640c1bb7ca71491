//! Fully connected layer.

use super::channel_sum::ChannelSum;
use super::dense_grad_input::DenseGradInput;
use super::dense_grad_weight::DenseGradWeight;
use super::prelude::*;

/// `y[o] = b[o] + Σᵢ w[o, i] · x[i]`.
///
/// - Shapes: `x: f32[I]`, `w: f32[O, I]`, optionally `b: f32[O]` `→ f32[O]`. `w` and `b` are fixed.
/// - Gradient: [`DenseGradInput`], [`DenseGradWeight`], and [`ChannelSum`] for the bias.
/// - Cost: `O · I` multiply-accumulates; the bias is not counted.
/// - Errors: [`ShapeError::Rank`] if `x` is no vector; [`ShapeError::Mismatch`] if `w` or `b` do not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dense {}

impl Dense {
    /// `[O]`, from `x: [I]` and `w: [O, I]`.
    pub(crate) fn shape(x: &Shape, w: &Shape) -> Result<Shape, ShapeError> {
        let &[inputs] = x.extents() else {
            return Err(ShapeError::Rank {
                expected: "a vector [N]",
                found: x.clone(),
            });
        };
        let outputs = expect::channels(w)?;
        expect::same_shape(w, &Shape::from([outputs, inputs]))?;
        Ok(Shape::from([outputs]))
    }

    /// Visits every product of `samples` layers with weight `w` as indices into x, w, and into y, where it is added.
    pub(crate) fn for_each_product(samples: usize, w: &Shape, mut visit: impl FnMut(usize, usize, usize)) {
        let (outputs, inputs) = (w[0], w[1]);
        for sample in 0..samples {
            for output in 0..outputs {
                for input in 0..inputs {
                    visit(
                        sample * inputs + input,
                        output * inputs + input,
                        sample * outputs + output,
                    );
                }
            }
        }
    }
}

impl Rule for Dense {
    const NAME: &'static str = "dense";

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
        let shape = Self::shape(&x.shape, &w.shape)?;
        if let Some(bias) = bias {
            expect::fixed(inputs, &[2])?;
            expect::same_shape(&bias.shape, &shape)?;
        }
        Ok(x.with_shape(shape))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (x, w) = (host::floats(inputs[0]), host::floats(inputs[1]));
        let mut sums = host::zeros(output, batch);
        Self::for_each_product(output.samples(batch), inputs[1].shape(), |xi, wi, yi| {
            sums[yi] += host::product(x[xi], w[wi]);
        });
        if let Some(bias) = inputs.get(2).map(|bias| host::floats(bias)) {
            for (index, sum) in sums.iter_mut().enumerate() {
                *sum += f64::from(bias[index % bias.len()]);
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
        let mut gradients = vec![
            site.when(0, || graph.derive(output, DenseGradInput {}, &[gradient, w])),
            site.when(1, || graph.derive(output, DenseGradWeight {}, &[x, gradient])),
        ];
        if inputs.len() == 3 {
            gradients.push(site.when(2, || graph.derive(output, ChannelSum {}, &[gradient])));
        }
        gradients
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_macs(inputs[1].shape.element_count() as u64)
    }
}

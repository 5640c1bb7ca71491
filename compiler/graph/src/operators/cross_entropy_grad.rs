//! Gradient of cross-entropy with respect to the logits.

use super::axis::Lanes;
use super::cross_entropy::CrossEntropy;
use super::prelude::*;

/// `dlogits[c, p] = d · (softmax(logits)[c, p] - t[c, p]) / counted`, and 0 where the label does not count; `t` and
/// `counted` as in [`CrossEntropy`].
///
/// - Shapes: `logits: f32[C, *S]`, `labels: i32[*S]`, `d: f32[]`, all batched `→ f32[C, *S]` batched.
/// - Errors: those of [`CrossEntropy`], and the same for `d`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrossEntropyGrad {
    /// Share of the label's probability that is spread evenly over all classes.
    pub label_smoothing: f32,
}

impl CrossEntropyGrad {
    /// The loss whose gradient this is.
    #[must_use]
    pub const fn forward(&self) -> CrossEntropy {
        CrossEntropy {
            label_smoothing: self.label_smoothing,
        }
    }
}

impl Rule for CrossEntropyGrad {
    const NAME: &'static str = "cross_entropy_grad";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        let [logits, _, d] = expect::count(inputs)?;
        self.forward().check(&inputs[..2])?;
        expect::dtype(d, DType::F32)?;
        expect::batched(inputs, &[2])?;
        expect::scalar(&d.shape)?;
        Ok(logits.clone())
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (logits, labels, d) = (
            host::floats(inputs[0]),
            host::integers(inputs[1]),
            host::floats(inputs[2]),
        );
        let positions = output.shape.element_count() / output.shape[0];
        let mut values = host::zeros(output, batch);
        for (lane, (index, &label)) in Lanes::new(&output.shape, 0, batch)
            .each()
            .zip(labels.iter().enumerate())
        {
            let Ok(label) = usize::try_from(label) else { continue };
            let pixel: Vec<f64> = lane.clone().map(|i| f64::from(logits[i])).collect();
            let sample = index / positions;
            let counted = CrossEntropy::counted(&labels[sample * positions..][..positions]);
            let (_, probabilities) = self.forward().position(&pixel, label);
            for (class, i) in lane.enumerate() {
                let error = probabilities[class] - self.forward().target(class, label, pixel.len());
                values[i] = f64::from(d[sample]) * error / counted as f64;
            }
        }
        host::from_sums(output, batch, &values)
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_operations(6 * inputs[0].shape.element_count() as u64)
    }

    fn attributes(&self) -> String {
        self.forward().attributes()
    }
}

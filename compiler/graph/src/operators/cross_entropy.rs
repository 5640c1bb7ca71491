//! Cross-entropy between softmax of logits and labels.

use super::axis::Lanes;
use super::cross_entropy_grad::CrossEntropyGrad;
use super::prelude::*;

/// `loss = mean over the sample's counted positions of -Σ_c t[c] · ln softmax(logits)[c]`, with
/// `t[c] = (1 - s)·[c = label] + s/C`.
///
/// - Shapes: `logits: f32[C, *S]`, `labels: i32[*S]`, both batched `→ f32[]` batched. `*S` is empty for one label per
///   sample.
/// - A label below 0 is not counted; a sample with no counted position has loss 0. A label of `C` or more is refused
///   before it gets here.
/// - Gradient: [`CrossEntropyGrad`] for the logits.
/// - Numerics: the largest logit is subtracted before `exp`.
/// - Errors: [`ShapeError::DType`]; [`ShapeError::Batch`]; [`ShapeError::Mismatch`]; [`ShapeError::Range`] unless
///   `0 ≤ label_smoothing < 1`.
/// - Source: Szegedy et al. (2016), §7, in PyTorch's form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrossEntropy {
    /// Share of the label's probability that is spread evenly over all classes.
    pub label_smoothing: f32,
}

impl CrossEntropy {
    /// What the operator asks of its attribute, logits and labels.
    pub(crate) fn check(&self, inputs: &[&Type]) -> Result<(), ShapeError> {
        expect::share("label_smoothing", self.label_smoothing)?;
        let [logits, labels] = expect::count(inputs)?;
        expect::dtype(logits, DType::F32)?;
        expect::dtype(labels, DType::I32)?;
        expect::batched(inputs, &[0, 1])?;
        expect::channels(&logits.shape)?;
        expect::same_shape(&labels.shape, &Shape::from(&logits.shape.extents()[1..]))
    }

    /// Positions of one sample whose label counts.
    pub(crate) fn counted(labels: &[i32]) -> usize {
        labels.iter().filter(|&&label| label >= 0).count()
    }

    /// Loss of one position and the probabilities of its classes.
    pub(crate) fn position(&self, logits: &[f64], label: usize) -> (f64, Vec<f64>) {
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
        let logs: Vec<f64> = logits.iter().map(|logit| (logit - largest) - sum.ln()).collect();
        let loss = -logs
            .iter()
            .enumerate()
            .map(|(class, log)| self.target(class, label, logs.len()) * log)
            .sum::<f64>();
        (loss, logs.into_iter().map(f64::exp).collect())
    }

    /// The probability that the label asks of a class, of `count`.
    pub(crate) fn target(&self, class: usize, label: usize, count: usize) -> f64 {
        let smoothing = f64::from(self.label_smoothing);
        smoothing / count as f64 + if class == label { 1.0 - smoothing } else { 0.0 }
    }
}

impl Rule for CrossEntropy {
    const NAME: &'static str = "cross_entropy";

    fn infer(&self, inputs: &[&Type]) -> Result<Type, ShapeError> {
        self.check(inputs)?;
        Ok(Type::batched(DType::F32, Shape::scalar()))
    }

    fn evaluate(&self, inputs: &[&Tensor], output: &Type, batch: usize) -> Tensor {
        let (logits, labels) = (host::floats(inputs[0]), host::integers(inputs[1]));
        let shape = Shape::from(&inputs[0].shape().extents()[1..]);
        let positions = shape.element_count() / shape[0];
        let mut losses = host::zeros(output, batch);
        for (lane, (index, &label)) in Lanes::new(&shape, 0, batch).each().zip(labels.iter().enumerate()) {
            if let Ok(label) = usize::try_from(label) {
                let pixel: Vec<f64> = lane.map(|i| f64::from(logits[i])).collect();
                let sample = index / positions;
                let counted = Self::counted(&labels[sample * positions..][..positions]);
                losses[sample] += self.position(&pixel, label).0 / counted as f64;
            }
        }
        host::from_sums(output, batch, &losses)
    }

    fn gradient(&self, graph: &mut Graph, site: &GradientSite<'_>) -> Vec<Option<NodeId>> {
        let rule = CrossEntropyGrad {
            label_smoothing: self.label_smoothing,
        };
        let inputs = [site.inputs[0], site.inputs[1], site.gradient];
        vec![site.when(0, || graph.derive(site.output, rule, &inputs)), None]
    }

    fn cost(&self, inputs: &[&Type], _: &Type) -> Cost {
        Cost::of_operations(6 * inputs[0].shape.element_count() as u64)
    }

    fn attributes(&self) -> String {
        if self.label_smoothing == 0.0 {
            String::new()
        } else {
            format!("label_smoothing={}", self.label_smoothing)
        }
    }
}

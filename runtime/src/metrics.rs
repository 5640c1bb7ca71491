//! How good predictions are: top-k accuracy, per sample or per pixel.
//!
//! Counts are integers, so they add up the same in any order. Losses are worked out by compiled code; [`Mean`] only
//! averages them.

/// How many labels were among the largest logits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// Labels looked at.
    pub count: u64,
    /// Those with the largest logit.
    pub top1: u64,
    /// Those among the five largest logits.
    pub top5: u64,
}

impl Accuracy {
    /// Counts one batch of logits `[N, classes]` with labels `[N]`, or `[N, classes, ..]` with labels `[N, ..]`.
    ///
    /// Of equal logits the one with the lower class is the larger. A NaN among a label's logits makes it wrong, and so
    /// does a label that is no class. Panics if the lengths do not fit each other.
    pub fn add(&mut self, logits: &[f32], classes: usize, labels: &[i32], samples: usize) {
        for rank in label_ranks(logits, classes, labels, samples) {
            self.count += 1;
            self.top1 += u64::from(rank.is_some_and(|rank| rank < 1));
            self.top5 += u64::from(rank.is_some_and(|rank| rank < 5));
        }
    }

    /// Adds the counts of another part.
    pub const fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.top1 += other.top1;
        self.top5 += other.top5;
    }

    /// Share of labels with the largest logit; 0 of nothing.
    #[must_use]
    pub fn top1_share(&self) -> f64 {
        share(self.top1, self.count)
    }

    /// Share of labels among the five largest logits; 0 of nothing.
    #[must_use]
    pub fn top5_share(&self) -> f64 {
        share(self.top5, self.count)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// How many labels are among their `k` largest logits; see [`Accuracy::add`] for shapes, ties and NaN.
#[must_use]
pub fn top_k_count(logits: &[f32], classes: usize, labels: &[i32], samples: usize, k: usize) -> usize {
    label_ranks(logits, classes, labels, samples)
        .filter(|rank| rank.is_some_and(|rank| rank < k))
        .count()
}

/// For each label, how many classes come before it; `None` where nothing sensible can be said.
fn label_ranks<'a>(
    logits: &'a [f32],
    classes: usize,
    labels: &'a [i32],
    samples: usize,
) -> impl Iterator<Item = Option<usize>> + 'a {
    assert_eq!(
        logits.len(),
        labels.len() * classes,
        "one logit for each label and class"
    );
    assert!(
        labels.is_empty() || (samples > 0 && labels.len().is_multiple_of(samples)),
        "as many labels for each sample"
    );
    let pixels = labels.len().checked_div(samples).unwrap_or(0);
    labels.iter().enumerate().map(move |(i, &label)| {
        // Logits of one label are `pixels` apart: 1 where there is one label per sample.
        let first = i / pixels * pixels * classes + i % pixels;
        let logit = |class: usize| logits[first + class * pixels];
        let label = usize::try_from(label).ok().filter(|&label| label < classes)?;
        let own = logit(label);
        let mut before = 0;
        for class in 0..classes {
            let other = logit(class);
            if other.is_nan() {
                return None;
            }
            before += usize::from(other > own || (other == own && class < label));
        }
        Some(before)
    })
}

/// The class with the largest logit and that logit, `k` times, best first; ties go to the lower class, NaN comes last.
#[must_use]
pub fn top_k(logits: &[f32], k: usize) -> Vec<(usize, f32)> {
    let mut sorted: Vec<(usize, f32)> = logits.iter().copied().enumerate().collect();
    let key = |value: f32| if value.is_nan() { f32::NEG_INFINITY } else { value };
    // The sort is stable, so equal logits stay in the order of their classes.
    sorted.sort_by(|(_, a), (_, b)| {
        a.is_nan()
            .cmp(&b.is_nan())
            .then(key(*b).partial_cmp(&key(*a)).expect("no NaN"))
    });
    sorted.truncate(k);
    sorted
}

/// A mean over samples of values that are themselves means over batches, summed in f64 in the order they come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    /// Adds the mean of a batch of `count` samples.
    pub fn add(&mut self, mean: f32, count: usize) {
        self.sum += f64::from(mean) * count as f64;
        self.count += count as u64;
    }

    /// The mean; NaN of nothing.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.sum / self.count as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn accuracy(logits: &[f32], classes: usize, labels: &[i32], samples: usize) -> (u64, u64, u64) {
        let mut accuracy = Accuracy::default();
        accuracy.add(logits, classes, labels, samples);
        (accuracy.count, accuracy.top1, accuracy.top5)
    }

    #[test]
    fn ties_go_to_the_lower_class_and_nan_is_wrong() {
        assert_eq!(accuracy(&[1.0, 3.0, 2.0], 3, &[1], 1), (1, 1, 1));
        assert_eq!(accuracy(&[1.0, 1.0], 2, &[0], 1), (1, 1, 1));
        assert_eq!(accuracy(&[1.0, 1.0], 2, &[1], 1), (1, 0, 1));
        assert_eq!(accuracy(&[f32::NAN, 5.0], 2, &[1], 1), (1, 0, 0));
        assert_eq!(accuracy(&[1.0, 5.0], 2, &[-1], 1), (1, 0, 0));
        assert_eq!(accuracy(&[1.0, 5.0], 2, &[2], 1), (1, 0, 0));
        assert_eq!(accuracy(&[6.0, 5.0, 4.0, 3.0, 2.0, 1.0], 6, &[4], 1), (1, 0, 1));
        assert_eq!(accuracy(&[6.0, 5.0, 4.0, 3.0, 2.0, 1.0], 6, &[5], 1), (1, 0, 0));
        assert_eq!(accuracy(&[], 3, &[], 0), (0, 0, 0));
    }

    #[test]
    fn pixels_have_their_logits_apart() {
        // Two samples of two classes and three pixels.
        let logits = [1., 0., 1., 0., 1., 0., 0., 0., 0., 1., 1., 1.];
        assert_eq!(accuracy(&logits, 2, &[0, 1, 0, 1, 1, 1], 2), (6, 6, 6));
        assert_eq!(accuracy(&logits, 2, &[1, 1, 0, 1, 0, 1], 2), (6, 4, 6));
    }

    #[test]
    fn shares_and_means() {
        let mut accuracy = Accuracy {
            count: 3,
            top1: 1,
            top5: 3,
        };
        accuracy.merge(&Accuracy {
            count: 1,
            top1: 1,
            top5: 1,
        });
        assert_eq!((accuracy.top1_share(), accuracy.top5_share()), (0.5, 1.0));
        assert_eq!(Accuracy::default().top1_share(), 0.0);
        let mut mean = Mean::default();
        assert!(mean.value().is_nan());
        mean.add(1.0, 3);
        mean.add(5.0, 1);
        assert_eq!(mean.value(), 2.0);
    }

    #[test]
    fn best_classes_in_order() {
        let best = top_k(&[0.5, f32::NAN, 2.0, 0.5, f32::NEG_INFINITY], 4);
        assert_eq!(best, [(2, 2.0), (0, 0.5), (3, 0.5), (4, f32::NEG_INFINITY)]);
        assert_eq!(top_k(&[1.0], 5).len(), 1);
    }

    proptest! {
        #[test]
        fn counting_ranks_equals_sorting(
            logits in proptest::collection::vec((-3i8..3).prop_map(f32::from), 1..8), pick in any::<usize>(), k in 0usize..9,
        ) {
            let label = pick % logits.len();
            let expected = top_k(&logits, k).iter().any(|&(class, _)| class == label);
            prop_assert_eq!(top_k_count(&logits, logits.len(), &[label as i32], 1, k), usize::from(expected));
        }
    }
}

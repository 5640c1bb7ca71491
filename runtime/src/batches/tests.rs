//! Orders, batches and the thread that makes them.

use std::path::Path;

use super::*;
use crate::data::Split;
use crate::recipe::Fit;
use proptest::prelude::*;

fn source() -> DataSource {
    DataSource::Idx {
        path: String::new(),
        fit: Fit::None,
        mean: vec![],
        std: vec![],
    }
}

fn dataset(count: usize) -> Arc<Dataset> {
    let pixels = (0..count * 16).map(|i| (i * 7 % 256) as u8).collect();
    let samples = Tensor::new([count, 1, 4, 4], Data::U8(pixels)).unwrap();
    let labels = Tensor::from_i32([count], (0..count as i32).collect()).unwrap();
    Arc::new(Dataset::new(samples, Targets::Classes(labels), Split::Train, Path::new("test")).unwrap())
}

fn maker(count: usize) -> Arc<BatchMaker> {
    let augment = [Augmentation::Shift { pixels: 1.0 }, Augmentation::Noise { std: 0.1 }];
    Arc::new(BatchMaker::new(dataset(count), &source(), &[1, 4, 4].into(), &augment, 5).unwrap())
}

#[test]
fn orders_change_with_seed_and_epoch_and_cover_everything() {
    let plan = EpochPlan::shuffled(10, 4, 1, 0);
    assert_eq!(plan.batches().map(<[u32]>::len).collect::<Vec<_>>(), [4, 4, 2]);
    assert_eq!(plan.len(), 3);
    assert_eq!(plan, EpochPlan::shuffled(10, 4, 1, 0));
    assert_ne!(plan, EpochPlan::shuffled(10, 4, 1, 1));
    assert_ne!(plan, EpochPlan::shuffled(10, 4, 2, 0));
    let mut all: Vec<u32> = plan.batches().flatten().copied().collect();
    all.sort_unstable();
    assert_eq!(
        all,
        EpochPlan::in_order(10, 3)
            .batches()
            .flatten()
            .copied()
            .collect::<Vec<_>>()
    );
    assert!(EpochPlan::in_order(0, 3).is_empty());
}

#[test]
fn prefetched_batches_equal_those_made_at_once() {
    let maker = maker(10);
    for ahead in [0, 1, 3, 100] {
        let plan = EpochPlan::shuffled(10, 4, 1, 2);
        let expected: Vec<Batch> = plan
            .batches()
            .map(|indices| maker.make(indices, Some(2), None, &mut Scratch::default()))
            .collect();
        let mut prefetch = maker.prefetch(plan, Some(2), ahead).unwrap();
        assert_eq!(prefetch.len(), 3);
        let mut found = Vec::new();
        while let Some(batch) = prefetch.next() {
            found.push(batch.clone());
            prefetch.recycle(batch);
        }
        assert_eq!(found, expected);
        assert_eq!(found[2].inputs.shape(), &[2, 1, 4, 4].into());
        assert_eq!(prefetch.next(), None);
    }
}

#[test]
fn targets_follow_their_samples() {
    let batch = maker(10).make(&[7, 3], None, None, &mut Scratch::default());
    assert_eq!(batch.targets, Tensor::from_i32([2], vec![7, 3]).unwrap());
    assert_eq!(batch.inputs.as_f32().unwrap()[0], (7.0 * 16.0 * 7.0 % 256.0) / 255.0);
}

#[test]
fn an_early_drop_ends_the_thread() {
    let maker = maker(1000);
    let mut prefetch = maker.prefetch(EpochPlan::in_order(1000, 1), None, 2).unwrap();
    prefetch.next().unwrap();
    drop(prefetch);
    // The thread held the only other reference, and `drop` waits for its end.
    assert_eq!(Arc::strong_count(&maker), 1);
}

#[test]
#[should_panic(expected = "out of range")]
fn a_panic_of_the_worker_is_passed_on() {
    // A plan for more samples than there are: our own mistake, which must not end as a short epoch.
    maker(2)
        .prefetch(EpochPlan::in_order(3, 1), None, 1)
        .unwrap()
        .for_each(drop);
}

#[test]
fn labels_per_pixel_stay_with_their_pixels() {
    let samples = Tensor::filled([2, 1, 4, 4], 1.0);
    let labels = Tensor::from_i32([2, 4, 4], (0..32).collect()).unwrap();
    let set = Arc::new(Dataset::new(samples, Targets::Pixels(labels), Split::Train, Path::new("test")).unwrap());
    let new = |augment: &[Augmentation]| BatchMaker::new(Arc::clone(&set), &source(), &[1, 4, 4].into(), augment, 1);
    assert_eq!(new(&[Augmentation::Flip]).unwrap_err(), BatchError::PixelLabels);
    let maker = new(&[Augmentation::Noise { std: 0.1 }]).unwrap();
    let batch = maker.make(&[1], Some(0), None, &mut Scratch::default());
    assert_eq!(batch.targets, Tensor::from_i32([1, 4, 4], (16..32).collect()).unwrap());
}

#[test]
fn regression_targets_are_gathered() {
    let samples = Tensor::filled([3, 2], 1.0);
    let values = Tensor::from_f32([3, 2], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
    let set = Arc::new(Dataset::new(samples, Targets::Values(values), Split::Train, Path::new("test")).unwrap());
    let maker = BatchMaker::new(set, &source(), &[2].into(), &[], 1).unwrap();
    let first = maker.make(&[2, 0], None, None, &mut Scratch::default());
    assert_eq!(
        first.targets,
        Tensor::from_f32([2, 2], vec![4.0, 5.0, 0.0, 1.0]).unwrap()
    );
    let second = maker.make(&[1], None, Some(first), &mut Scratch::default());
    assert_eq!(second.targets, Tensor::from_f32([1, 2], vec![2.0, 3.0]).unwrap());
}

proptest! {
    #[test]
    fn splitting_a_batch_changes_nothing(cut in 0usize..8, epoch in 0u32..3) {
        let maker = maker(8);
        let plan = EpochPlan::shuffled(8, 8, 1, epoch);
        let indices = plan.batches().next().unwrap();
        let make = |indices: &[u32]| {
            let batch = maker.make(indices, Some(epoch), None, &mut Scratch::default());
            batch.inputs.as_f32().unwrap().to_vec()
        };
        prop_assert_eq!([make(&indices[..cut]), make(&indices[cut..])].concat(), make(indices));
    }
}

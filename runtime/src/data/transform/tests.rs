//! Fitting, normalization and augmentation of small samples.

use super::*;
use proptest::prelude::*;

fn source(fit: Fit, mean: &[f32], std: &[f32]) -> DataSource {
    DataSource::Idx {
        path: String::new(),
        fit,
        mean: mean.to_vec(),
        std: std.to_vec(),
    }
}

fn transform(fit: Fit, stored: &[usize], input: &[usize]) -> Result<Transform, TransformError> {
    Transform::new(&source(fit, &[], &[]), &stored.into(), &input.into())
}

fn applied(transform: &Transform, sample: &[f32], place: Option<Place>) -> Vec<f32> {
    let mut out = vec![f32::NAN; transform.input_len()];
    transform.apply(Sample::Values(sample), place, &mut Scratch::default(), &mut out);
    out
}

fn fitted(fit: Fit, stored: &[usize], input: &[usize]) -> Vec<f32> {
    let sample: Vec<f32> = (1..=stored.iter().product()).map(|i: usize| i as f32).collect();
    applied(&transform(fit, stored, input).unwrap(), &sample, None)
}

fn at(epoch: u32, sample: u32) -> Option<Place> {
    Some(Place { epoch, sample })
}

#[test]
fn bytes_become_fractions_and_are_normalized() {
    let transform = Transform::new(
        &source(Fit::None, &[0.5], &[0.25]),
        &[1, 1, 3].into(),
        &[1, 1, 3].into(),
    )
    .unwrap();
    let mut out = [0.0; 3];
    transform.apply(Sample::Bytes(&[0, 51, 255]), None, &mut Scratch::default(), &mut out);
    assert_eq!(out, [-2.0, (51.0 / 255.0 - 0.5) / 0.25, 2.0]);
}

#[test]
fn normalization_is_per_channel_or_for_all() {
    let new = |mean: &[f32], std: &[f32]| Transform::new(&source(Fit::None, mean, std), &[2, 1].into(), &[2, 1].into());
    assert_eq!(
        applied(&new(&[1.0, 2.0], &[2.0]).unwrap(), &[3.0, 4.0], None),
        [1.0, 1.0]
    );
    assert_eq!(applied(&new(&[], &[2.0, 4.0]).unwrap(), &[3.0, 4.0], None), [1.5, 1.0]);
    let error = new(&[1.0, 2.0, 3.0], &[]).unwrap_err().to_string();
    assert_eq!(error, "`mean` has 3 values, expected 1 or 2 (one per channel)");
    assert_eq!(
        new(&[], &[0.0]).unwrap_err().to_string(),
        "`std` is 0, expected a number above 0"
    );
}

#[test]
fn modes_of_fitting() {
    assert_eq!(
        fitted(Fit::Pad, &[1, 1, 2], &[1, 2, 5]),
        [0., 1., 2., 0., 0., 0., 0., 0., 0., 0.]
    );
    assert_eq!(fitted(Fit::Crop, &[1, 3, 3], &[1, 1, 2]), [4.0, 5.0]);
    assert_eq!(
        fitted(Fit::Enlarge, &[1, 1, 2], &[1, 2, 4]),
        [1.0, 1.25, 1.75, 2.0, 1.0, 1.25, 1.75, 2.0]
    );
    // Factor one in both directions, since three columns allow no more.
    assert_eq!(fitted(Fit::Enlarge, &[1, 1, 2], &[1, 3, 3])[3..6], [1.0, 2.0, 0.0]);
    // A signal is enlarged along its one axis.
    assert_eq!(
        fitted(Fit::Enlarge, &[2, 2], &[2, 4]),
        [1.0, 1.25, 1.75, 2.0, 3.0, 3.25, 3.75, 4.0]
    );
}

#[test]
fn impossible_fits_name_sizes_and_modes() {
    let message = |fit, stored: &[usize], input: &[usize]| transform(fit, stored, input).unwrap_err().to_string();
    assert_eq!(
        message(Fit::None, &[1, 28, 28], &[1, 32, 32]),
        "samples are 1x28x28, the input is 1x32x32: choose how to fit them with `fit = pad`, `enlarge` or `crop`"
    );
    assert_eq!(
        message(Fit::Pad, &[1, 28, 28], &[1, 32, 20]),
        "samples are 1x28x28, the input is 1x32x20: `fit = pad` needs samples no larger than the input"
    );
    assert!(
        message(Fit::Crop, &[1, 8, 8], &[1, 9, 4]).ends_with("`fit = crop` needs samples no smaller than the input")
    );
    assert!(message(Fit::Pad, &[1, 8, 8], &[3, 8, 8]).contains("not the number of channels"));
    assert!(message(Fit::Pad, &[8, 8], &[1, 8, 8]).contains("not the number of channels"));
}

/// One bright pixel in the middle of five by five.
fn dot() -> Vec<f32> {
    (0..25).map(|i| f32::from(i == 12)).collect()
}

fn augmented(list: &[Augmentation], sample: &[f32], place: Option<Place>) -> Vec<f32> {
    let transform = transform(Fit::None, &[1, 5, 5], &[1, 5, 5])
        .unwrap()
        .with_augmentation(list, 7)
        .unwrap();
    applied(&transform, sample, place)
}

#[test]
fn shifts_move_within_their_bound_and_keep_the_brightness() {
    let mut moved = 0;
    for sample in 0..50 {
        let out = augmented(&[Augmentation::Shift { pixels: 1.0 }], &dot(), at(0, sample));
        assert!((out.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        let edge = |i: usize| [i / 5, i % 5].iter().any(|place| [0, 4].contains(place));
        assert!(
            out.iter().enumerate().all(|(i, &value)| !edge(i) || value == 0.0),
            "{out:?}"
        );
        moved += u32::from(out[12] < 0.9);
    }
    assert!(moved > 40, "{moved}");
}

#[test]
fn rotations_keep_the_middle_and_flips_mirror() {
    for sample in 0..20 {
        let out = augmented(&[Augmentation::Rotate { degrees: 180.0 }], &dot(), at(0, sample));
        assert!((out[12] - 1.0).abs() < 1e-5, "{out:?}");
    }
    let ramp: Vec<f32> = (0..25).map(|i| (i % 5) as f32).collect();
    let mirrored: Vec<f32> = (0..25).map(|i| 4.0 - (i % 5) as f32).collect();
    let flipped: Vec<bool> = (0..100)
        .map(|sample| {
            let out = augmented(&[Augmentation::Flip], &ramp, at(3, sample));
            assert!(out == ramp || out == mirrored, "{out:?}");
            out == mirrored
        })
        .collect();
    let count = flipped.iter().filter(|flipped| **flipped).count();
    assert!((30..70).contains(&count), "{count}");
}

#[test]
fn scalings_change_size_and_elastic_fields_distort() {
    let sizes: Vec<f32> = (0..20)
        .map(|sample| {
            augmented(&[Augmentation::Scale { fraction: 0.5 }], &[1.0; 25], at(0, sample))
                .iter()
                .sum()
        })
        .collect();
    assert!(sizes.iter().all(|size| (4.0..=25.01).contains(size)), "{sizes:?}");
    assert!(
        sizes.iter().any(|&size| size < 15.0) && sizes.iter().any(|&size| size > 24.9),
        "{sizes:?}"
    );
    let distorted = augmented(&[Augmentation::Elastic { alpha: 0.5, sigma: 1.0 }], &dot(), at(0, 1));
    assert!(
        distorted != dot() && distorted.iter().all(|value| (0.0..=1.0).contains(value)),
        "{distorted:?}"
    );
}

#[test]
fn signals_shift_in_time_and_scale_in_amplitude() {
    let list = [
        Augmentation::Shift { pixels: 2.0 },
        Augmentation::Scale { fraction: 0.5 },
    ];
    let transform = transform(Fit::None, &[2, 9], &[2, 9])
        .unwrap()
        .with_augmentation(&list, 1)
        .unwrap();
    let mut sample = vec![0.0; 18];
    (sample[4], sample[13]) = (1.0, 2.0);
    let sums: Vec<f32> = (0..20)
        .map(|index| {
            let out = applied(&transform, &sample, at(0, index));
            let (first, second) = (out[..9].iter().sum::<f32>(), out[9..].iter().sum::<f32>());
            assert!(
                (second - 2.0 * first).abs() < 1e-5 && (0.5..=1.5).contains(&first),
                "{first} {second}"
            );
            first
        })
        .collect();
    assert!(
        sums.iter().any(|&sum| sum < 0.8) && sums.iter().any(|&sum| sum > 1.2),
        "{sums:?}"
    );
    let flipped = transform.with_augmentation(&[Augmentation::Flip], 1).unwrap_err();
    assert!(matches!(
        flipped,
        TransformError::Augment(AugmentError::ImagesOnly("flip"))
    ));
}

#[test]
fn long_signals_are_moved_up_to_a_limit() {
    let shift = [Augmentation::Shift { pixels: 0.5 }];
    let long = transform(Fit::None, &[1, 100_000], &[1, 100_000])
        .unwrap()
        .with_augmentation(&shift, 1)
        .unwrap();
    assert!((applied(&long, &[1.0; 100_000], at(0, 0)).iter().sum::<f32>() - 1e5).abs() < 1.0);
    let longer = transform(Fit::None, &[1, 5_000_000], &[1, 5_000_000]).unwrap();
    assert!(matches!(
        longer.with_augmentation(&shift, 1),
        Err(TransformError::TooLarge { width: 5_000_000, .. })
    ));
}

#[test]
fn noise_has_its_strength_and_test_samples_are_left_alone() {
    let list = [Augmentation::Noise { std: 0.1 }];
    assert_eq!(augmented(&list, &dot(), None), dot());
    let squares: f32 = (0..400)
        .flat_map(|sample| augmented(&list, &[0.0; 25], at(1, sample)))
        .map(|value| value * value)
        .sum();
    // 10,000 values: the standard error of the variance is 0.01·√(2/10⁴).
    assert!((squares / 10_000.0 - 0.01).abs() < 5.0 * 1.42e-4, "{squares}");
}

#[test]
fn pixels_move_only_where_a_mode_or_an_augmentation_says_so() {
    let plain = transform(Fit::None, &[1, 5, 5], &[1, 5, 5]).unwrap();
    assert!(!plain.moves_pixels());
    assert!(
        !plain
            .clone()
            .with_augmentation(&[Augmentation::Noise { std: 1.0 }], 1)
            .unwrap()
            .moves_pixels()
    );
    assert!(
        plain
            .with_augmentation(&[Augmentation::Flip], 1)
            .unwrap()
            .moves_pixels()
    );
    assert!(transform(Fit::Pad, &[1, 5, 5], &[1, 6, 6]).unwrap().moves_pixels());
}

proptest! {
    #[test]
    fn results_depend_on_the_place_alone(epoch in 0u32..5, sample in 0u32..1000, other in 0u32..1000) {
        let list = [
            Augmentation::Shift { pixels: 1.0 },
            Augmentation::Rotate { degrees: 20.0 },
            Augmentation::Elastic { alpha: 0.5, sigma: 1.0 },
            Augmentation::Noise { std: 0.1 },
        ];
        let transform = transform(Fit::Pad, &[1, 5, 5], &[1, 8, 8]).unwrap().with_augmentation(&list, 3).unwrap();
        let alone = applied(&transform, &dot(), at(epoch, sample));
        // Scratch that another sample used changes nothing.
        let mut scratch = Scratch::default();
        let mut out = vec![0.0; 64];
        transform.apply(Sample::Values(&[9.0; 25]), at(epoch, other), &mut scratch, &mut out);
        transform.apply(Sample::Values(&dot()), at(epoch, sample), &mut scratch, &mut out);
        prop_assert_eq!(&out, &alone);
        prop_assert!(applied(&transform, &dot(), at(epoch + 1, sample)) != alone);
    }
}

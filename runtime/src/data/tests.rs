//! Data sets from folders: what is found, and what is refused.

use super::*;
use crate::array_file::{write_npy, write_npz};
use crate::recipe::Fit;

const GREY: [usize; 3] = [1, 2, 2];

fn source(npy: bool) -> DataSource {
    let (path, fit, mean, std) = (String::new(), Fit::None, vec![], vec![]);
    if npy {
        DataSource::Npy { path, fit, mean, std }
    } else {
        DataSource::Idx { path, fit, mean, std }
    }
}

fn bytes(shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    Tensor::new(shape, Data::U8((0..count).map(|i| i as u8).collect())).unwrap()
}

fn load_npz(x: &Tensor, y: &Tensor, input: &[usize]) -> Result<Dataset, DataError> {
    let folder = tempfile::tempdir().unwrap();
    write_npz(&folder.path().join("train.npz"), [("x", x), ("y", y)]).unwrap();
    Dataset::load(&source(true), folder.path(), Split::Train, &input.into())
}

#[test]
fn an_idx_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    file(
        "t10k-images-idx3-ubyte",
        &[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8],
    );
    file("t10k-labels-idx1-ubyte", &[0, 0, 8, 1, 0, 0, 0, 2, 3, 9]);
    file("classes.txt", b"zero\none\n");
    let set = Dataset::load(&source(false), folder.path(), Split::Test, &GREY.into()).unwrap();
    assert_eq!((set.len(), set.sample_shape(), set.class_count()), (2, GREY.into(), 10));
    assert_eq!(set.sample(1), Sample::Bytes(&[5, 6, 7, 8]));
    assert_eq!(
        set.targets(),
        &Targets::Classes(Tensor::from_i32([2], vec![3, 9]).unwrap())
    );
    assert_eq!(set.class_names(), ["zero", "one"]);
    assert!(matches!(
        Dataset::load(&source(false), folder.path(), Split::Train, &GREY.into()),
        Err(DataError::NotFound { .. })
    ));
    set.check_classes(10, Path::new("d")).unwrap();
    assert_eq!(
        set.check_classes(9, Path::new("d")).unwrap_err().to_string(),
        "d: label 1 is 9, expected 0 to 8, since the network has 9 classes"
    );
}

#[test]
fn npy_files_under_both_naming_schemes() {
    for (x, y) in [("x_test.npy", "y_test.npy"), ("val-images.npy", "val-labels.npy")] {
        let folder = tempfile::tempdir().unwrap();
        write_npy(&folder.path().join(x), &bytes(&[3, 1, 2, 2])).unwrap();
        write_npy(&folder.path().join(y), &Tensor::from_i32([3], vec![0, 1, 0]).unwrap()).unwrap();
        let set = Dataset::load(&source(true), folder.path(), Split::Test, &GREY.into()).unwrap();
        assert_eq!((set.len(), set.class_count()), (3, 2));
    }
}

#[test]
fn the_channel_axis_follows_the_network() {
    let y = Tensor::from_i32([2], vec![0, 1]).unwrap();
    let shape = |x: &[usize], input: &[usize]| load_npz(&bytes(x), &y, input).map(|set| set.sample_shape().to_string());
    assert_eq!(shape(&[2, 4, 6], &[1, 4, 6]).unwrap(), "1x4x6");
    assert_eq!(shape(&[2, 3, 4, 6], &[3, 4, 6]).unwrap(), "3x4x6");
    assert_eq!(shape(&[2, 4, 6], &[4, 6]).unwrap(), "4x6");
    assert_eq!(shape(&[2, 6], &[1, 6]).unwrap(), "1x6");
    assert_eq!(shape(&[2, 4, 6], &[24]).unwrap(), "24");
    let error = shape(&[2, 6], &[1, 4, 6]).unwrap_err().to_string();
    assert!(
        error.ends_with("samples are 2x6, which does not fit an input of 1x4x6: expected [N, H, W] or [N, C, H, W]")
    );
}

#[test]
fn kinds_of_targets() {
    let x = bytes(&[2, 1, 2, 2]);
    let targets = |y: &Tensor| load_npz(&x, y, &GREY).map(|set| set.targets().clone());
    assert!(matches!(targets(&bytes(&[2])).unwrap(), Targets::Classes(_)));
    assert!(matches!(targets(&bytes(&[2, 1])).unwrap(), Targets::Classes(_)));
    assert!(matches!(targets(&bytes(&[2, 2, 2])).unwrap(), Targets::Pixels(_)));
    assert!(matches!(
        targets(&Tensor::filled([2, 5], 0.5)).unwrap(),
        Targets::Values(_)
    ));
    let error = targets(&bytes(&[2, 3])).unwrap_err().to_string();
    assert!(
        error.ends_with("labels are 2x3, expected 2 (one per sample) or 2x2x2 (one per pixel)"),
        "{error}"
    );
}

#[test]
fn mismatches_are_named() {
    let message = |x: &[usize], y: &Tensor| load_npz(&bytes(x), y, &GREY).unwrap_err().to_string();
    assert!(message(&[2, 2, 2], &bytes(&[3])).ends_with("train.npz: 2 samples, but 3 labels"));
    assert!(message(&[0, 2, 2], &bytes(&[0])).ends_with("no samples (0x1x2x2)"));
    assert!(message(&[2, 0, 2], &bytes(&[2])).ends_with("no samples (2x1x0x2)"));
    let negative = Tensor::from_i32([2], vec![0, -1]).unwrap();
    assert!(message(&[2, 2, 2], &negative).ends_with("label 1 is -1, expected 0 or more"));
    assert!(message(&[2, 2, 2], &Tensor::scalar(1.0)).ends_with("2 samples, but 0 labels"));
}

#[test]
fn integers_become_values() {
    let x = Tensor::from_i32([1, 1, 2], vec![-3, 700]).unwrap();
    let set = load_npz(&x, &bytes(&[1]), &[1, 2]).unwrap();
    assert_eq!(set.sample(0), Sample::Values(&[-3.0, 700.0]));
}

#[test]
fn the_shipped_digits() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/data/digits");
    let input = [1, 8, 8].into();
    let [train, test] =
        [Split::Train, Split::Test].map(|split| Dataset::load(&source(false), &folder, split, &input).unwrap());
    assert_eq!(
        (train.len(), test.len(), train.class_count(), test.class_count()),
        (1500, 297, 10, 10)
    );
    let seven = crate::image_file::read_png(&folder.join("seven.png"), 1).unwrap();
    let Data::U8(pixels) = seven.data() else {
        panic!("bytes")
    };
    assert_eq!(test.sample(1), Sample::Bytes(pixels));
    assert_eq!(test.targets().tensor().as_i32().unwrap()[1], 7);
}

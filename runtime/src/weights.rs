//! Named tensors and their files in the safetensors format.
//!
//! [`Weights`] owns its tensors; [`MappedWeights`] maps a file and hands out views of it. Saving is atomic and gives
//! the same bytes for the same content. Files are untrusted: every size is checked against the file's before memory
//! is asked for. This file knows no layer and no shape rule; whoever binds weights says what shapes it expects.

mod header;
mod mapped;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use mapped::MappedWeights;

use crate::element::{IntegerTooLarge, write_floats, write_little_endian};
use crate::files;
use crate::tensor::{DType, Shape, Tensor};

/// Tensors by name, and notes about them.
///
/// Names are `<layer>.<parameter>` as in PyTorch's state dictionaries: `conv1.weight`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
    metadata: BTreeMap<String, String>,
}

/// What is wrong with a weight file, or with a tensor that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be read or written.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The bytes are no safetensors file.
    #[error("{path}: not a valid safetensors file: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Which check failed.
        reason: String,
    },
    /// There is no tensor of this name.
    #[error("{path}: no tensor `{key}`{}", nearest.as_ref().map_or(String::new(), |near| format!("; there is `{near}`")), path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        key: String,
        /// A name in the file with the same layer or the same parameter, if there is one.
        nearest: Option<String>,
    },
    /// The tensor's shape is not the one asked for.
    #[error("{path}: `{key}` is {found}, expected {expected}", path = path.display())]
    ShapeMismatch {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        key: String,
        /// Its shape in the file.
        found: Shape,
        /// The shape asked for.
        expected: Shape,
    },
    /// The tensor's elements cannot be used as asked for.
    #[error("{path}: `{key}` holds {found}, expected {expected}", path = path.display())]
    DTypeMismatch {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        key: String,
        /// Its type in the file, as the file names it.
        found: String,
        /// What can be used.
        expected: &'static str,
    },
    /// An integer tensor has a value beyond i32.
    #[error("{path}: `{key}`: {error}", path = path.display())]
    Integer {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        key: String,
        /// Where and what.
        error: IntegerTooLarge,
    },
}

impl Weights {
    /// No tensors.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a tensor under a name, in place of one that was there.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) -> Option<Tensor> {
        self.tensors.insert(name.into(), tensor)
    }

    /// The tensor of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// The tensor of this name, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Tensor> {
        self.tensors.get_mut(name)
    }

    /// Takes the tensor of this name out.
    pub fn remove(&mut self, name: &str) -> Option<Tensor> {
        self.tensors.remove(name)
    }

    /// Every tensor with its name, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Number of tensors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there is no tensor.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The f32 elements of a tensor that must have this shape. Errors name `origin` as the file.
    pub fn expect_f32(&self, name: &str, shape: &Shape, origin: &Path) -> Result<&[f32], WeightsError> {
        let path = || origin.to_path_buf();
        let key = || name.to_owned();
        let tensor = self.tensors.get(name).ok_or_else(|| WeightsError::Missing {
            path: path(),
            key: key(),
            nearest: nearest(name, self.tensors.keys()),
        })?;
        if tensor.shape() != shape {
            let (found, expected) = (tensor.shape().clone(), shape.clone());
            return Err(WeightsError::ShapeMismatch {
                path: path(),
                key: key(),
                found,
                expected,
            });
        }
        tensor.as_f32().ok_or_else(|| WeightsError::DTypeMismatch {
            path: path(),
            key: key(),
            found: tensor.dtype().name().to_owned(),
            expected: "f32",
        })
    }

    /// Notes that are stored with the tensors.
    #[must_use]
    pub const fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Notes that are stored with the tensors, to be changed.
    pub const fn metadata_mut(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.metadata
    }

    /// Reads a safetensors file. f16, bf16 and f64 become f32; wide integers become i32 and must fit.
    pub fn load(path: &Path) -> Result<Self, WeightsError> {
        MappedWeights::open(path)?.to_weights()
    }

    /// Writes a safetensors file; a file that was there is replaced only once the new one is on disk.
    pub fn save(&self, path: &Path) -> Result<(), WeightsError> {
        let tensors = self
            .tensors
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor))
            .collect();
        save_tensors(path, &tensors, &self.metadata)
    }
}

/// Writes tensors that lie elsewhere as [`Weights::save`] writes its own.
pub fn save_tensors(
    path: &Path,
    tensors: &BTreeMap<String, &Tensor>,
    metadata: &BTreeMap<String, String>,
) -> Result<(), WeightsError> {
    let kind = |(name, tensor): (&String, &&Tensor)| (name.clone(), tensor.dtype(), tensor.shape().clone());
    let kinds: Vec<_> = tensors.iter().map(kind).collect();
    write(path, &kinds, metadata, |out, name| {
        write_little_endian(out, tensors[name].data())
    })
}

/// The same for tensors of f32 that are made one by one, so that those before and after take no memory.
pub fn save_one_by_one<'a>(
    path: &Path,
    shapes: impl Iterator<Item = (String, Shape)>,
    elements: impl Fn(&str) -> Cow<'a, [f32]>,
) -> Result<(), WeightsError> {
    let kinds: Vec<_> = shapes.map(|(name, shape)| (name, DType::F32, shape)).collect();
    write(path, &kinds, &BTreeMap::new(), |out, name| {
        write_floats(out, &elements(name))
    })
}

/// A header for tensors of these types and shapes, then whatever `elements` writes for each.
fn write(
    path: &Path,
    kinds: &[(String, DType, Shape)],
    metadata: &BTreeMap<String, String>,
    elements: impl Fn(&mut dyn Write, &str) -> io::Result<()>,
) -> Result<(), WeightsError> {
    let kinds = kinds
        .iter()
        .map(|(name, dtype, shape)| (name.clone(), (*dtype, shape)))
        .collect();
    let header = header::encode(&kinds, metadata).map_err(|reason| WeightsError::Malformed {
        path: path.to_path_buf(),
        reason,
    })?;
    files::write_atomically(path, |out| {
        out.write_all(&header.bytes)?;
        header.order.iter().try_for_each(|name| elements(out, name))
    })
    .map_err(|error| WeightsError::Io {
        path: path.to_path_buf(),
        error,
    })
}

impl FromIterator<(String, Tensor)> for Weights {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(tensors: I) -> Self {
        Self {
            tensors: tensors.into_iter().collect(),
            metadata: BTreeMap::new(),
        }
    }
}

impl IntoIterator for Weights {
    type Item = (String, Tensor);
    type IntoIter = std::collections::btree_map::IntoIter<String, Tensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.tensors.into_iter()
    }
}

/// The first name with the same layer, or else with the same parameter.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a String> + Clone) -> Option<String> {
    let (layer, parameter) = name.rsplit_once('.')?;
    let split = names.filter_map(|other| other.rsplit_once('.').map(|parts| (other, parts)));
    let same_layer = split.clone().find(|(_, (other, _))| *other == layer);
    same_layer
        .or_else(|| split.clone().find(|(_, (_, other))| *other == parameter))
        .map(|(name, _)| name.clone())
}

/// What the format calls the type.
fn stored_dtype(dtype: DType) -> safetensors::Dtype {
    match dtype {
        DType::F32 => safetensors::Dtype::F32,
        DType::I32 => safetensors::Dtype::I32,
        DType::U8 => safetensors::Dtype::U8,
        DType::I8 => safetensors::Dtype::I8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Data;
    use proptest::prelude::*;

    pub(super) fn sample() -> Weights {
        let mut weights = Weights::new();
        weights.insert(
            "conv1.weight",
            Tensor::from_f32([2, 1, 2, 2], (0..8).map(|i| i as f32).collect()).unwrap(),
        );
        weights.insert("conv1.bias", Tensor::from_f32([2], vec![0.5, -0.5]).unwrap());
        weights.insert("count", Tensor::from_i32([], vec![7]).unwrap());
        weights.insert("mask", Tensor::new([3], Data::U8(vec![1, 0, 1])).unwrap());
        weights.insert("nothing", Tensor::from_f32([0, 4], vec![]).unwrap());
        weights.metadata_mut().insert("net".to_owned(), "lenet5".to_owned());
        weights
            .metadata_mut()
            .insert("accuracy".to_owned(), "\"0.99\"\n".to_owned());
        weights
    }

    fn saved(weights: &Weights) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        weights.save(&path).unwrap();
        assert_eq!(&Weights::load(&path).unwrap(), weights);
        std::fs::read(&path).unwrap()
    }

    #[test]
    fn one_by_one_is_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["whole", "parts"].map(|name| folder.path().join(name));
        let floats = sample().into_iter().filter(|(_, tensor)| tensor.as_f32().is_some());
        let weights: Weights = floats.collect();
        weights.save(&paths[0]).unwrap();
        let shapes = weights
            .tensors
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.shape().clone()));
        let elements = |name: &str| Cow::Borrowed(weights.tensors[name].as_f32().unwrap());
        save_one_by_one(&paths[1], shapes, elements).unwrap();
        let [whole, parts] = paths.map(|path| std::fs::read(path).unwrap());
        assert!(whole == parts);
    }

    #[test]
    fn round_trip_with_the_same_bytes_each_time() {
        assert_eq!(saved(&sample()), saved(&sample()));
        saved(&Weights::new());
    }

    #[test]
    fn others_read_what_we_write() {
        let bytes = saved(&sample());
        let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let weight = theirs.tensor("conv1.weight").unwrap();
        assert_eq!(weight.shape(), [2, 1, 2, 2]);
        assert_eq!(weight.data()[4..8], 1f32.to_le_bytes());
        assert_eq!(theirs.tensor("mask").unwrap().data(), [1, 0, 1]);
        assert_eq!(theirs.len(), 5);
        let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(metadata.metadata().as_ref().unwrap()["net"], "lenet5");
    }

    #[test]
    fn expectations_name_file_key_and_shapes() {
        let weights = sample();
        let origin = Path::new("w.safetensors");
        let error = |key, shape: &[usize]| weights.expect_f32(key, &shape.into(), origin).unwrap_err().to_string();
        assert_eq!(
            weights.expect_f32("conv1.bias", &[2].into(), origin).unwrap(),
            [0.5, -0.5]
        );
        assert_eq!(
            error("conv1.bias", &[3]),
            "w.safetensors: `conv1.bias` is 2, expected 3"
        );
        assert_eq!(error("count", &[]), "w.safetensors: `count` holds i32, expected f32");
        assert_eq!(
            error("conv2.bias", &[1]),
            "w.safetensors: no tensor `conv2.bias`; there is `conv1.bias`"
        );
        assert_eq!(error("dense", &[1]), "w.safetensors: no tensor `dense`");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Weights::load(Path::new("no/such.safetensors")).unwrap_err().to_string();
        assert!(error.starts_with("no/such.safetensors: "), "{error}");
    }

    proptest! {
        // Each case syncs files to disk.
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_weights_survive(values in proptest::collection::vec(any::<f32>(), 0..40), name in "\\PC{1,12}") {
            let mut weights = Weights::new();
            let bits: Vec<u32> = values.iter().map(|value| value.to_bits()).collect();
            weights.insert(name.clone(), Tensor::from_f32([values.len()], values).unwrap());
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("w");
            weights.save(&path).unwrap();
            let loaded = Weights::load(&path).unwrap();
            let found = loaded.get(&name).unwrap().as_f32().unwrap();
            prop_assert_eq!(found.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), bits);
        }

        #[test]
        fn mutated_files_never_panic(place in 0usize..600, value in any::<u8>(), cut in 0usize..600) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("w");
            sample().save(&path).unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            let place = place % bytes.len();
            bytes[place] = value;
            std::fs::write(&path, &bytes).unwrap();
            let _ = Weights::load(&path);
            bytes.truncate(cut);
            std::fs::write(&path, &bytes).unwrap();
            let _ = Weights::load(&path);
        }
    }
}

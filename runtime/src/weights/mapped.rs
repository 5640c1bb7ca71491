//! A safetensors file mapped into memory.
//!
//! Aligned f32 tensors are views of the file: opening costs the header, and pages are read when touched. f16, bf16,
//! f64 and unaligned f32 tensors are converted once, when the file is opened. Another process that shortens the file
//! in place while it is mapped makes reading fault, as with any mapped file; files that we write are replaced whole.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use safetensors::Dtype;

use super::header::{self, Header};
use super::{Weights, WeightsError, nearest};
use crate::bind::ParameterSource;
use crate::element::{ByteOrder, Element};
use crate::mapped_file::MappedFile;
use crate::tensor::{Data, Shape, Tensor};

/// The tensors of a mapped file.
#[derive(Debug)]
pub struct MappedWeights {
    path: PathBuf,
    map: MappedFile,
    entries: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Entry {
    shape: Shape,
    dtype: Dtype,
    /// Where in the file.
    bytes: Range<usize>,
    /// The values of a float tensor that cannot be viewed in place.
    converted: Option<Vec<f32>>,
}

impl MappedWeights {
    /// Maps a file and checks its header.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let io = |error| WeightsError::Io {
            path: path.to_path_buf(),
            error,
        };
        let map = MappedFile::open(path).map_err(io)?;
        let Header {
            data_start,
            tensors,
            metadata,
        } = header::parse(&map).map_err(|reason| WeightsError::Malformed {
            path: path.to_path_buf(),
            reason,
        })?;
        let entries = tensors.into_iter().map(|(name, info)| {
            let bytes = data_start + info.data_offsets.0..data_start + info.data_offsets.1;
            let converted = converted_values(&map[bytes.clone()], info.dtype);
            (
                name,
                Entry {
                    shape: Shape::new(info.shape),
                    dtype: info.dtype,
                    bytes,
                    converted,
                },
            )
        });
        let entries = entries.collect();
        Ok(Self {
            path: path.to_path_buf(),
            map,
            entries,
            metadata,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every tensor's name and shape, sorted by name.
    pub fn shapes(&self) -> impl ExactSizeIterator<Item = (&str, &Shape)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), &entry.shape))
    }

    /// Notes that are stored with the tensors.
    #[must_use]
    pub const fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Shape and values of a float tensor.
    pub fn f32(&self, name: &str) -> Result<(&Shape, &[f32]), WeightsError> {
        let entry = self.entries.get(name).ok_or_else(|| WeightsError::Missing {
            path: self.path.clone(),
            key: name.to_owned(),
            nearest: nearest(name, self.entries.keys()),
        })?;
        if let Some(values) = &entry.converted {
            return Ok((&entry.shape, values));
        }
        match entry.dtype {
            Dtype::F32 => Ok((&entry.shape, bytemuck::cast_slice(&self.map[entry.bytes.clone()]))),
            other => Err(self.dtype_error(name, other, "f32, or f16, bf16 or f64 to be converted")),
        }
    }

    /// The values of a float tensor that must have this shape.
    pub fn expect_f32(&self, name: &str, shape: &Shape) -> Result<&[f32], WeightsError> {
        let (found, values) = self.f32(name)?;
        if found == shape {
            return Ok(values);
        }
        Err(WeightsError::ShapeMismatch {
            path: self.path.clone(),
            key: name.to_owned(),
            found: found.clone(),
            expected: shape.clone(),
        })
    }

    /// A float tensor as a session binds it: left in the file if it is stored as f32, copied otherwise.
    pub fn parameter_source(&self, name: &str) -> Result<ParameterSource, WeightsError> {
        let (shape, values) = self.f32(name)?;
        let entry = &self.entries[name];
        if entry.dtype == Dtype::F32 && cfg!(target_endian = "little") {
            return Ok(ParameterSource::Mapped {
                map: self.map.clone(),
                offset: entry.bytes.start,
            });
        }
        let tensor = Tensor::from_f32(shape.clone(), values.to_vec()).expect("the header was checked against the data");
        Ok(ParameterSource::Owned(tensor))
    }

    /// Copies every tensor: floats as f32, wide integers as i32, bytes as u8.
    pub fn to_weights(&self) -> Result<Weights, WeightsError> {
        let mut weights = Weights {
            tensors: BTreeMap::new(),
            metadata: self.metadata.clone(),
        };
        for (name, entry) in &self.entries {
            let data = match &entry.converted {
                Some(values) => Data::F32(values.clone()),
                None => self.decoded(name, entry)?,
            };
            let tensor = Tensor::new(entry.shape.clone(), data).expect("the header was checked against the data");
            weights.tensors.insert(name.clone(), tensor);
        }
        Ok(weights)
    }

    fn decoded(&self, name: &str, entry: &Entry) -> Result<Data, WeightsError> {
        let element = element(entry.dtype).ok_or_else(|| {
            self.dtype_error(
                name,
                entry.dtype,
                "bool, u8, i8, u16, i16, u32, i32, u64, i64, f16, bf16, f32 or f64",
            )
        })?;
        element
            .decode(&self.map[entry.bytes.clone()], ByteOrder::Little)
            .map_err(|error| WeightsError::Integer {
                path: self.path.clone(),
                key: name.to_owned(),
                error,
            })
    }

    fn dtype_error(&self, name: &str, found: Dtype, expected: &'static str) -> WeightsError {
        let (path, key) = (self.path.clone(), name.to_owned());
        WeightsError::DTypeMismatch {
            path,
            key,
            found: found.to_string(),
            expected,
        }
    }
}

/// The values of floats that cannot be viewed where they are; `None` for those that can, and for other types.
fn converted_values(bytes: &[u8], dtype: Dtype) -> Option<Vec<f32>> {
    let viewable = cfg!(target_endian = "little") && bytemuck::try_cast_slice::<u8, f32>(bytes).is_ok();
    let element = match dtype {
        Dtype::F32 if viewable => return None,
        Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64 => element(dtype)?,
        _ => return None,
    };
    match element.decode(bytes, ByteOrder::Little) {
        Ok(Data::F32(values)) => Some(values),
        Ok(Data::I32(_) | Data::U8(_) | Data::I8(_)) | Err(_) => unreachable!("floats decode to f32"),
    }
}

/// Our name for a stored type; `None` for the small floats and complex numbers, which nothing here uses.
fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::BOOL => Element::Bool,
        Dtype::U8 => Element::U8,
        Dtype::I8 => Element::I8,
        Dtype::U16 => Element::U16,
        Dtype::I16 => Element::I16,
        Dtype::U32 => Element::U32,
        Dtype::I32 => Element::I32,
        Dtype::U64 => Element::U64,
        Dtype::I64 => Element::I64,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::BF16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &tempfile::TempDir, header: &str, data: &[u8]) -> PathBuf {
        let path = folder.path().join("w.safetensors");
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn aligned_floats_are_views_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w");
        super::super::tests::sample().save(&path).unwrap();
        let mapped = MappedWeights::open(&path).unwrap();
        let (shape, values) = mapped.f32("conv1.weight").unwrap();
        assert_eq!((shape, values[7]), (&Shape::from([2, 1, 2, 2]), 7.0));
        let file = mapped.map.as_ptr_range();
        assert!(file.contains(&values.as_ptr().cast()));
        assert_eq!(values.as_ptr().addr() % 4, 0);
        assert_eq!(mapped.expect_f32("conv1.bias", &[2].into()).unwrap(), [0.5, -0.5]);
        assert_eq!(mapped.metadata()["net"], "lenet5");
        assert_eq!(mapped.shapes().len(), 5);
        assert!(matches!(mapped.f32("count"), Err(WeightsError::DTypeMismatch { .. })));
        assert!(matches!(
            mapped.f32("conv9.bias"),
            Err(WeightsError::Missing { nearest: Some(_), .. })
        ));
        assert!(matches!(
            mapped.expect_f32("conv1.bias", &[3].into()),
            Err(WeightsError::ShapeMismatch { .. })
        ));
    }

    #[test]
    fn other_floats_and_unaligned_ones_are_converted() {
        let folder = tempfile::tempdir().unwrap();
        let header = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},
            "b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]},
            "c":{"dtype":"F16","shape":[2],"data_offsets":[5,9]},
            "d":{"dtype":"F64","shape":[],"data_offsets":[9,17]},
            "e":{"dtype":"I64","shape":[],"data_offsets":[17,25]},
            "f":{"dtype":"C64","shape":[1],"data_offsets":[25,33]}}"#;
        let mut data = vec![9];
        data.extend(1.5f32.to_le_bytes());
        data.extend([0x00, 0x3c, 0x00, 0xc0]);
        data.extend(0.25f64.to_le_bytes());
        data.extend(12i64.to_le_bytes());
        data.extend([0; 8]);
        let mapped = MappedWeights::open(&written(&folder, header, &data)).unwrap();
        assert_eq!(mapped.f32("b").unwrap().1, [1.5]);
        assert_eq!(mapped.f32("c").unwrap().1, [1.0, -2.0]);
        assert_eq!(mapped.f32("d").unwrap().1, [0.25]);
        let ParameterSource::Mapped { map, offset } = mapped.parameter_source("b").unwrap() else {
            panic!("a copy")
        };
        assert_eq!(map[offset..offset + 4], 1.5f32.to_le_bytes());
        let ParameterSource::Owned(copy) = mapped.parameter_source("c").unwrap() else {
            panic!("no copy")
        };
        assert_eq!(copy.as_f32().unwrap(), [1.0, -2.0]);
        let error = mapped.to_weights().unwrap_err().to_string();
        assert!(error.contains("`f` holds C64, expected bool, u8"), "{error}");
        let header = header.replace("C64", "I64");
        let mapped = MappedWeights::open(&written(&folder, &header, &data)).unwrap();
        assert_eq!(mapped.to_weights().unwrap().get("e").unwrap().as_i32(), Some(&[12][..]));
    }

    #[test]
    fn empty_files_and_folders_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            MappedWeights::open(folder.path()),
            Err(WeightsError::Io { .. })
        ));
        let path = folder.path().join("empty");
        std::fs::write(&path, "").unwrap();
        assert!(matches!(
            MappedWeights::open(&path),
            Err(WeightsError::Malformed { .. })
        ));
    }
}

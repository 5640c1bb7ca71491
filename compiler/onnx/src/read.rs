//! From a file to a decoded model, and from its tensors to constants.
//!
//! Files are mapped, not copied: only elements that become constants take memory, and never more than their bytes in the
//! file allow. Elements in other files are taken only from the model's own folder and below.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use netc_diagnostics::Diagnostic;
use netc_runtime::mapped_file::MappedFile;
use prost::Message;

use crate::constant::{Constant, Data, element_count};
use crate::error::{self, of_file, quoted};
use crate::proto::{GraphProto, ModelProto, TensorProto, data_type};
use crate::wire;

/// Oldest set of operators that is read: the one before 7 broadcasts differently only where it says so.
pub const OLDEST_OPSET: i64 = 6;
/// Newest set of operators that is read: that of the package `onnx` 1.22.
pub const NEWEST_OPSET: i64 = 27;
/// Most elements of one tensor: as many as a value of the graph may have.
const MOST_ELEMENTS: usize = 1 << 31;

/// A decoded file.
pub(crate) struct Model {
    pub(crate) path: PathBuf,
    pub(crate) opset: i64,
    pub(crate) graph: GraphProto,
    files: Files,
}

impl Model {
    /// Reads a file.
    pub(crate) fn open(path: &Path) -> Result<Self, Diagnostic> {
        let file = MappedFile::open(path).map_err(|problem| of_file(path, error::FILE, problem.to_string()))?;
        let bytes = Bytes::from_owner(file.clone());
        let no_model = |problem: String| {
            of_file(path, error::FILE, format!("not an ONNX model: {problem}"))
                .hint("ONNX models are files of protobuf messages, `.onnx`")
        };
        wire::check(&bytes).map_err(|found| no_model(format!("{}: {}", found.place, found.problem)))?;
        let model = ModelProto::decode(bytes).map_err(|problem| no_model(problem.to_string()))?;
        let mut model = Self::of(path, model)?;
        model.files.open.insert(path.to_path_buf(), file);
        Ok(model)
    }

    /// A model that was decoded already; `path` says what its external files are relative to.
    pub(crate) fn of(path: &Path, model: ModelProto) -> Result<Self, Diagnostic> {
        let opset = opset(&model).map_err(|problem| of_file(path, error::MODEL, problem))?;
        let graph = model
            .graph
            .ok_or_else(|| of_file(path, error::FILE, "not an ONNX model: it has no graph"))?;
        Ok(Self {
            path: path.to_path_buf(),
            opset,
            graph,
            files: Files::beside(path),
        })
    }

    /// A tensor of the model as a constant.
    pub(crate) fn constant(&mut self, tensor: &TensorProto) -> Result<Constant, String> {
        let shape = shape(tensor)?;
        let is_external = tensor.data_location != 0 || !tensor.external_data.is_empty();
        let raw = if is_external {
            self.files.bytes(tensor)?
        } else {
            tensor.raw_data.clone()
        };
        let data = elements(tensor, &shape, &raw)?;
        self.files.give_back(&raw);
        Ok(Constant::new(shape, data))
    }
}

/// The version of ONNX's own operators.
fn opset(model: &ModelProto) -> Result<i64, String> {
    let own = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let versions = model.opset_import.iter().filter(|set| own(&set.domain));
    let version = versions.map(|set| set.version).max();
    match version {
        None => Err("not an ONNX model: it names no set of operators".to_owned()),
        Some(version) if (OLDEST_OPSET..=NEWEST_OPSET).contains(&version) => Ok(version),
        Some(version) => Err(format!(
            "it uses operators of version {version}; known are {OLDEST_OPSET} to {NEWEST_OPSET}"
        )),
    }
}

fn shape(tensor: &TensorProto) -> Result<Vec<usize>, String> {
    let extents = tensor.dims.iter().map(|&extent| usize::try_from(extent));
    let shape: Vec<usize> = extents
        .collect::<Result<_, _>>()
        .map_err(|_| format!("the tensor {} has a negative extent", quoted(&tensor.name)))?;
    match element_count(&shape) {
        Some(count) if count <= MOST_ELEMENTS => Ok(shape),
        _ => Err(format!(
            "the tensor {} has more than {MOST_ELEMENTS} elements",
            quoted(&tensor.name)
        )),
    }
}

/// The elements, wherever they are; their number must be the shape's.
fn elements(tensor: &TensorProto, shape: &[usize], raw: &[u8]) -> Result<Data, String> {
    let count = element_count(shape).unwrap_or(usize::MAX);
    let is_raw = !raw.is_empty() || count == 0;
    let data = match tensor.data_type {
        data_type::FLOAT if is_raw => Data::F32(read(raw, f32::from_le_bytes)),
        data_type::FLOAT => Data::F32(tensor.float_data.clone()),
        data_type::DOUBLE if is_raw => Data::F32(read(raw, |bytes| f64::from_le_bytes(bytes) as f32)),
        data_type::DOUBLE => Data::F32(tensor.double_data.iter().map(|&value| value as f32).collect()),
        data_type::FLOAT16 if is_raw => Data::F32(read(raw, |bytes| from_half(u16::from_le_bytes(bytes)))),
        data_type::FLOAT16 => Data::F32(tensor.int32_data.iter().map(|&bits| from_half(bits as u16)).collect()),
        data_type::BFLOAT16 if is_raw => Data::F32(read(raw, |bytes| from_upper_half(u16::from_le_bytes(bytes)))),
        data_type::BFLOAT16 => Data::F32(
            tensor
                .int32_data
                .iter()
                .map(|&bits| from_upper_half(bits as u16))
                .collect(),
        ),
        data_type::INT64 if is_raw => Data::I64(read(raw, i64::from_le_bytes)),
        data_type::INT64 => Data::I64(tensor.int64_data.clone()),
        data_type::INT32 if is_raw => Data::I64(read(raw, |bytes| i32::from_le_bytes(bytes).into())),
        data_type::INT16 if is_raw => Data::I64(read(raw, |bytes| i16::from_le_bytes(bytes).into())),
        data_type::UINT16 if is_raw => Data::I64(read(raw, |bytes| u16::from_le_bytes(bytes).into())),
        data_type::INT32 | data_type::INT16 | data_type::UINT16 => {
            Data::I64(tensor.int32_data.iter().map(|&value| value.into()).collect())
        }
        data_type::UINT8 if is_raw => Data::U8(raw.to_vec()),
        data_type::UINT8 => Data::U8(tensor.int32_data.iter().map(|&value| value as u8).collect()),
        data_type::INT8 if is_raw => Data::I8(raw.iter().map(|&byte| byte as i8).collect()),
        data_type::INT8 => Data::I8(tensor.int32_data.iter().map(|&value| value as i8).collect()),
        data_type::BOOL if is_raw => Data::I64(raw.iter().map(|&byte| i64::from(byte != 0)).collect()),
        data_type::BOOL => Data::I64(tensor.int32_data.iter().map(|&value| i64::from(value != 0)).collect()),
        other => {
            return Err(format!(
                "the tensor {} holds {}, which netc does not have",
                quoted(&tensor.name),
                data_type::name(other)
            ));
        }
    };
    let size = bytes_of(tensor.data_type);
    let found = match &data {
        _ if is_raw && !raw.len().is_multiple_of(size) => None,
        Data::F32(values) => Some(values.len()),
        Data::I64(values) => Some(values.len()),
        Data::U8(values) => Some(values.len()),
        Data::I8(values) => Some(values.len()),
    };
    if found == Some(count) {
        return Ok(data);
    }
    let found = found.map_or_else(|| format!("{} bytes", raw.len()), |found| format!("{found} elements"));
    Err(format!(
        "the tensor {} holds {found}, and its shape {shape:?} takes {count} elements of {size} bytes",
        quoted(&tensor.name)
    ))
}

const fn bytes_of(data_type: i32) -> usize {
    match data_type {
        data_type::UINT8 | data_type::INT8 | data_type::BOOL => 1,
        data_type::FLOAT16 | data_type::BFLOAT16 | data_type::INT16 | data_type::UINT16 => 2,
        data_type::DOUBLE | data_type::INT64 => 8,
        _ => 4,
    }
}

fn read<const N: usize, T>(raw: &[u8], convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    raw.as_chunks().0.iter().map(|&bytes| convert(bytes)).collect()
}

fn from_upper_half(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Half precision, exactly: a number with 10 bits after the point times a power of two.
fn from_half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = ((bits >> 10) & 0x1f, f32::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2f32.powi(i32::from(exponent) - 25),
    };
    sign * magnitude
}

/// A model's file, and those beside it that hold its large tensors.
struct Files {
    folder: PathBuf,
    open: BTreeMap<PathBuf, MappedFile>,
}

impl Files {
    fn beside(model: &Path) -> Self {
        let folder = model.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self {
            folder: folder.unwrap_or(Path::new(".")).to_path_buf(),
            open: BTreeMap::new(),
        }
    }

    fn bytes(&mut self, tensor: &TensorProto) -> Result<Bytes, String> {
        let name = quoted(&tensor.name);
        let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key == key);
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(entry) => match entry.value.parse::<usize>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(format!("the {key} of the tensor {name} in another file is no number")),
            },
        };
        let location = entry("location").ok_or_else(|| format!("the tensor {name} is in a file that is not named"))?;
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let file = self.file(&location.value, &name)?;
        let end = match length {
            Some(length) => offset.checked_add(length),
            None => Some(file.len()),
        };
        match end {
            Some(end) if offset <= end && end <= file.len() => Ok(file.slice(offset..end)),
            _ => Err(format!(
                "the tensor {name} is beyond the end of {}, which has {} bytes",
                quoted(&location.value),
                file.len()
            )),
        }
    }

    fn file(&mut self, location: &str, name: &str) -> Result<Bytes, String> {
        let relative = Path::new(location);
        let is_below = relative
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !is_below || location.is_empty() {
            return Err(format!(
                "the tensor {name} is in {}, outside the model's folder",
                quoted(location)
            ));
        }
        let unreadable = |problem: std::io::Error| format!("the tensor {name} is in {}: {problem}", quoted(location));
        let path = self.folder.join(relative).canonicalize().map_err(unreadable)?;
        let folder = self.folder.canonicalize().map_err(unreadable)?;
        if !path.starts_with(&folder) {
            return Err(format!(
                "the tensor {name} is in {}, a link that leaves the model's folder",
                quoted(location)
            ));
        }
        let file = match self.open.entry(path) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => {
                let file = MappedFile::open(place.key()).map_err(unreadable)?;
                place.insert(file)
            }
        };
        Ok(Bytes::from_owner(file.clone()))
    }

    /// Bytes that were read need no memory any more: the file that they are of has them.
    fn give_back(&self, bytes: &[u8]) {
        for file in self.open.values() {
            let start = (bytes.as_ptr() as usize).wrapping_sub(file.as_ptr() as usize);
            if start < file.len() {
                file.give_back(start..start + bytes.len());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::StringStringEntryProto;

    #[test]
    fn half_precision_is_exact() {
        let values = [0x0000, 0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x3555].map(from_half);
        assert_eq!(
            values,
            [0.0, 1.0, -2.0, 65504.0, 2f32.powi(-14), 2f32.powi(-24), 0.333_251_95]
        );
        assert!(from_half(0x7c00).is_infinite() && from_half(0x7e00).is_nan());
    }

    #[test]
    fn elements_must_fill_the_shape() {
        let tensor = TensorProto {
            name: "w".to_owned(),
            dims: vec![2, 2],
            data_type: data_type::FLOAT,
            raw_data: Bytes::from_static(&[0; 12]),
            ..TensorProto::default()
        };
        let error = elements(&tensor, &[2, 2], &tensor.raw_data).unwrap_err();
        insta::assert_snapshot!(error, @"the tensor `w` holds 3 elements, and its shape [2, 2] takes 4 elements of 4 bytes");
    }

    #[test]
    fn other_files_stay_in_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("model");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("w.bin"), [1, 2, 3, 4]).unwrap();
        std::fs::write(root.path().join("secret"), [9; 64]).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(root.path().join("secret"), folder.join("link")).unwrap();
        let bytes = |location: &str, offset: &str, length: &str| {
            let entry = |key: &str, value: &str| StringStringEntryProto {
                key: key.to_owned(),
                value: value.to_owned(),
            };
            let tensor = TensorProto {
                name: "w".to_owned(),
                external_data: vec![
                    entry("location", location),
                    entry("offset", offset),
                    entry("length", length),
                ],
                ..TensorProto::default()
            };
            let found = Files::beside(&folder.join("m.onnx")).bytes(&tensor);
            found.map_or_else(|problem| problem, |bytes| format!("{bytes:?}"))
        };
        let found = [
            bytes("w.bin", "1", "2"),
            bytes("w.bin", "1", "4"),
            bytes("w.bin", "18446744073709551615", "4"),
            bytes("w.bin", "-1", "4"),
            bytes("../secret", "0", "4"),
            bytes("/etc/passwd", "0", "4"),
            bytes("link", "0", "4"),
        ];
        insta::assert_snapshot!(found.join("\n"), @r#"
        b"\x02\x03"
        the tensor `w` is beyond the end of `w.bin`, which has 4 bytes
        the tensor `w` is beyond the end of `w.bin`, which has 4 bytes
        the offset of the tensor `w` in another file is no number
        the tensor `w` is in `../secret`, outside the model's folder
        the tensor `w` is in `/etc/passwd`, outside the model's folder
        the tensor `w` is in `link`, a link that leaves the model's folder
        "#);
    }
}

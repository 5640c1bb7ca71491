//! The header of a safetensors file: eight bytes of length, then JSON.
//!
//! The `safetensors` crate parses and validates it. Written headers are our own, because the crate's order of
//! metadata changes from run to run, and because padding them keeps mapped tensors aligned.

use std::collections::BTreeMap;

use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::{Map, Value, json};

use super::stored_dtype;
use crate::tensor::{DType, Shape};

/// The longest header that is read: room for some 150,000 tensors.
const MAX_HEADER_BYTES: usize = 1 << 24;

/// Tensor bytes start at a multiple of this in files that we write: one cache line, and any vector.
const ALIGNMENT_BYTES: usize = 64;

const LENGTH_BYTES: usize = 8;

/// The key under which the format keeps notes; no tensor may have this name.
const METADATA_KEY: &str = "__metadata__";

/// What a file holds, and where its tensors' bytes begin.
pub(super) struct Header {
    pub(super) data_start: usize,
    pub(super) tensors: BTreeMap<String, TensorInfo>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// Reads and checks the header of a whole file. Errors are reasons, to follow the file's name.
pub(super) fn parse(file: &[u8]) -> Result<Header, String> {
    let Some(length) = file.first_chunk::<LENGTH_BYTES>() else {
        return Err(format!("{} bytes are too few for a header", file.len()));
    };
    let length = u64::from_le_bytes(*length);
    let length = usize::try_from(length)
        .ok()
        .filter(|&length| length <= MAX_HEADER_BYTES)
        .ok_or_else(|| format!("its header claims {length} bytes, more than {MAX_HEADER_BYTES}"))?;
    let data_start = LENGTH_BYTES + length;
    let Some(text) = file.get(LENGTH_BYTES..data_start) else {
        return Err(format!(
            "its header claims {length} bytes, but the file has {}",
            file.len()
        ));
    };
    // Validates that the tensors follow each other without a gap, each as long as its shape and type say.
    let metadata: Metadata = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    // `SafeTensors::deserialize` would add to this sum before comparing it, which can overflow.
    let available = file.len() - data_start;
    if metadata.data_len() != available {
        return Err(format!(
            "its header describes {} bytes of tensors, but {available} follow",
            metadata.data_len()
        ));
    }
    let tensors = metadata
        .tensors()
        .into_iter()
        .map(|(name, info)| (name, info.clone()))
        .collect();
    let metadata = metadata.metadata().clone().unwrap_or_default().into_iter().collect();
    Ok(Header {
        data_start,
        tensors,
        metadata,
    })
}

/// A header to be written, and the order in which the tensors' bytes follow it.
pub(super) struct EncodedHeader {
    pub(super) bytes: Vec<u8>,
    pub(super) order: Vec<String>,
}

/// Lays the tensors out, four-byte types first so that all are aligned, then by name.
pub(super) fn encode(
    tensors: &BTreeMap<String, (DType, &Shape)>,
    metadata: &BTreeMap<String, String>,
) -> Result<EncodedHeader, String> {
    if tensors.contains_key(METADATA_KEY) {
        return Err(format!("a tensor cannot be called `{METADATA_KEY}`"));
    }
    let mut sorted: Vec<(&String, &(DType, &Shape))> = tensors.iter().collect();
    sorted.sort_by_key(|(_, (dtype, _))| std::cmp::Reverse(dtype.size_bytes()));
    let mut entries = Map::new();
    if !metadata.is_empty() {
        entries.insert(METADATA_KEY.to_owned(), json!(metadata));
    }
    let mut end = 0;
    for (name, (dtype, shape)) in &sorted {
        let start = end;
        end += shape.element_count() * dtype.size_bytes();
        let info = json!({
            "dtype": stored_dtype(*dtype),
            "shape": shape.extents(),
            "data_offsets": [start, end],
        });
        entries.insert((*name).clone(), info);
    }
    let mut text = Value::Object(entries).to_string().into_bytes();
    let padded = (LENGTH_BYTES + text.len()).next_multiple_of(ALIGNMENT_BYTES) - LENGTH_BYTES;
    text.resize(padded, b' ');
    if text.len() > MAX_HEADER_BYTES {
        return Err(format!(
            "its header would take {} bytes, more than {MAX_HEADER_BYTES}",
            text.len()
        ));
    }
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text);
    Ok(EncodedHeader {
        bytes,
        order: sorted.into_iter().map(|(name, _)| name.clone()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data_bytes: usize) -> Vec<u8> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.resize(file.len() + data_bytes, 0);
        file
    }

    fn reason(file: &[u8]) -> String {
        parse(file).err().expect("a refused file")
    }

    #[test]
    fn lengths_are_checked() {
        assert_eq!(reason(&[1, 2, 3]), "3 bytes are too few for a header");
        assert_eq!(
            reason(&u64::MAX.to_le_bytes()),
            format!("its header claims {} bytes, more than 16777216", u64::MAX)
        );
        assert_eq!(
            reason(&100u64.to_le_bytes()),
            "its header claims 100 bytes, but the file has 8"
        );
        let one = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        assert!(parse(&file(one, 8)).is_ok());
        assert_eq!(
            reason(&file(one, 7)),
            "its header describes 8 bytes of tensors, but 7 follow"
        );
        assert_eq!(
            reason(&file(one, 9)),
            "its header describes 8 bytes of tensors, but 9 follow"
        );
    }

    #[test]
    fn hostile_headers_are_refused() {
        let huge = (1u64 << 61) - 1;
        let mut header = String::from("{");
        for i in 0..8u64 {
            let (start, end) = (i * huge, (i + 1) * huge);
            header += &format!(r#""{i}":{{"dtype":"U8","shape":[{huge}],"data_offsets":[{start},{end}]}},"#);
        }
        header.pop();
        header += "}";
        // Together they come within eight bytes of 2⁶⁴: a sum with the header's length would overflow.
        assert!(reason(&file(&header, 0)).starts_with("its header describes 18446744073709551608 bytes"));
        for header in [
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
            r#"{"a":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,8]}}"#,
            r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#,
            r#"{"a":{"dtype":"X32","shape":[2],"data_offsets":[0,8]}}"#,
            r#"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#,
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
            r#"{"__metadata__":{"a":1}}"#,
            r#"[]"#,
            r#"{"a":"#,
        ] {
            assert!(parse(&file(header, 8)).is_err(), "{header}");
        }
        let nested = "[".repeat(100_000);
        assert!(parse(&file(&nested, 0)).is_err());
    }

    #[test]
    fn data_starts_aligned() {
        let kind = (DType::F32, &Shape::scalar());
        for length in 1..40 {
            let tensors = [("n".repeat(length), kind)].into();
            let header = encode(&tensors, &BTreeMap::new()).unwrap();
            assert_eq!(header.bytes.len() % ALIGNMENT_BYTES, 0);
        }
        let reserved = [(METADATA_KEY.to_owned(), kind)].into();
        assert!(encode(&reserved, &BTreeMap::new()).is_err());
    }
}

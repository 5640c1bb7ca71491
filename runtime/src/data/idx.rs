//! IDX, the format of MNIST: two zero bytes, a type, a rank, that many big-endian u32 extents, then the values.
//!
//! Plain or gzip-compressed (told by the first bytes, not the name), any rank, all six types. What the header claims
//! is checked against the file's length, or against what its compressed bytes can hold, before memory is asked for.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::array_file::array_bytes;
use crate::element::{ByteOrder, Element};
use crate::files;
use crate::tensor::{Shape, Tensor};

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// What is wrong with an IDX file.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}", path = path.display())]
pub struct IdxError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: IdxProblem,
}

/// A reason why an IDX file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IdxProblem {
    /// The file cannot be read, or its compression is damaged.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It does not begin with two zero bytes.
    #[error("not an IDX file: it begins with {0:02x?}, expected [00, 00]")]
    Magic([u8; 2]),
    /// It ends inside the header.
    #[error("the file ends inside its header")]
    Header,
    /// The type byte has no meaning.
    #[error("element type 0x{0:02x} is unknown; known are 08 u8, 09 i8, 0b i16, 0c i32, 0d f32 and 0e f64")]
    ElementType(u8),
    /// More bytes than any array may take.
    #[error("{0} takes more than {limit} bytes", limit = files::MAX_ARRAY_BYTES / 4)]
    TooLarge(Shape),
    /// There are fewer or more bytes than the header says.
    #[error("{shape} of {element} takes {expected} bytes, but {found} follow the header")]
    Length {
        /// Extents in the header.
        shape: Shape,
        /// Element type in the header.
        element: &'static str,
        /// Bytes these take.
        expected: u64,
        /// Bytes there are; of a compressed file, what was read before giving up.
        found: u64,
    },
    /// A compressed file claims more than its bytes can hold.
    #[error("{shape} of {element} takes {expected} bytes, which {compressed} compressed bytes cannot hold")]
    Claim {
        /// Extents in the header.
        shape: Shape,
        /// Element type in the header.
        element: &'static str,
        /// Bytes these take.
        expected: u64,
        /// Bytes of the file.
        compressed: u64,
    },
}

/// Reads an IDX file. u8 stays, other integers become i32, floats f32.
pub fn read_idx(path: &Path) -> Result<Tensor, IdxError> {
    read(path).map_err(|problem| IdxError {
        path: path.to_path_buf(),
        problem,
    })
}

fn read(path: &Path) -> Result<Tensor, IdxProblem> {
    let (file, length) = files::open_regular(path)?;
    let mut file: BufReader<File> = BufReader::new(file);
    if file.fill_buf()?.starts_with(GZIP_MAGIC) {
        decode(&mut MultiGzDecoder::new(file), length, true)
    } else {
        decode(&mut file, length, false)
    }
}

/// Decodes `reader`, which holds a file of `length` bytes, perhaps compressed.
fn decode(reader: &mut dyn Read, length: u64, compressed: bool) -> Result<Tensor, IdxProblem> {
    let (element, shape) = header(reader)?;
    let expected = array_bytes(&shape, element).map_err(|_| IdxProblem::TooLarge(shape.clone()))?;
    let name = element.name();
    if compressed && expected > files::deflate_limit(length) {
        return Err(IdxProblem::Claim {
            shape,
            element: name,
            expected,
            compressed: length,
        });
    }
    let header_bytes = 4 + 4 * shape.rank() as u64;
    let there = if compressed {
        expected
    } else {
        length.saturating_sub(header_bytes)
    };
    if there != expected {
        return Err(IdxProblem::Length {
            shape,
            element: name,
            expected,
            found: there,
        });
    }
    // One byte more than expected, so that a file that holds more is seen to.
    let bytes = files::read_up_to(reader, expected + 1)?;
    if bytes.len() as u64 != expected {
        return Err(IdxProblem::Length {
            shape,
            element: name,
            expected,
            found: bytes.len() as u64,
        });
    }
    let data = element
        .decode(&bytes, ByteOrder::Big)
        .expect("no IDX integer is wider than an i32");
    Ok(Tensor::new(shape, data).expect("the length was checked against the shape"))
}

fn header(reader: &mut dyn Read) -> Result<(Element, Shape), IdxProblem> {
    let mut start = [0; 4];
    fill(reader, &mut start)?;
    let [first, second, code, rank] = start;
    if (first, second) != (0, 0) {
        return Err(IdxProblem::Magic([first, second]));
    }
    let element = match code {
        0x08 => Element::U8,
        0x09 => Element::I8,
        0x0b => Element::I16,
        0x0c => Element::I32,
        0x0d => Element::F32,
        0x0e => Element::F64,
        unknown => return Err(IdxProblem::ElementType(unknown)),
    };
    let mut extents = Vec::with_capacity(usize::from(rank));
    for _ in 0..rank {
        let mut extent = [0; 4];
        fill(reader, &mut extent)?;
        extents.push(u32::from_be_bytes(extent) as usize);
    }
    Ok((element, Shape::new(extents)))
}

fn fill(reader: &mut dyn Read, bytes: &mut [u8]) -> Result<(), IdxProblem> {
    reader.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => IdxProblem::Header,
        _ => IdxProblem::Io(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Data;
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    fn parse(bytes: &[u8]) -> Result<Tensor, IdxProblem> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        read(&path)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn file(code: u8, extents: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, code, extents.len() as u8];
        bytes.extend(extents.iter().flat_map(|extent| extent.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    #[test]
    fn every_type_plain_and_compressed() {
        let cases = [
            (file(0x08, &[3], &[0, 1, 255]), Data::U8(vec![0, 1, 255])),
            (file(0x09, &[2], &[0xff, 1]), Data::I8(vec![-1, 1])),
            (file(0x0b, &[1, 1], &[0xff, 0xfe]), Data::I32(vec![-2])),
            (file(0x0c, &[], &[0, 0, 1, 0]), Data::I32(vec![256])),
            (file(0x0d, &[1], &1.5f32.to_be_bytes()), Data::F32(vec![1.5])),
            (file(0x0e, &[1], &(-2f64).to_be_bytes()), Data::F32(vec![-2.0])),
            (file(0x08, &[0, 28, 28], &[]), Data::U8(vec![])),
        ];
        for (bytes, expected) in cases {
            assert_eq!(parse(&bytes).unwrap().data(), &expected);
            assert_eq!(parse(&gzip(&bytes)).unwrap().data(), &expected);
        }
        assert_eq!(
            parse(&file(0x08, &[2, 1, 3], &[0; 6])).unwrap().shape(),
            &[2, 1, 3].into()
        );
    }

    #[test]
    fn mistakes_are_named() {
        let message = |bytes: &[u8]| parse(bytes).unwrap_err().to_string();
        assert_eq!(
            message(b"PK\x03\x04"),
            "not an IDX file: it begins with [50, 4b], expected [00, 00]"
        );
        assert_eq!(message(&[0, 0, 8]), "the file ends inside its header");
        assert_eq!(message(&[0, 0, 8, 2, 0, 0, 0, 1]), "the file ends inside its header");
        assert!(message(&[0, 0, 7, 1]).starts_with("element type 0x07 is unknown"));
        let short = file(0x08, &[2, 2], &[1, 2, 3]);
        assert_eq!(message(&short), "2x2 of u8 takes 4 bytes, but 3 follow the header");
        assert_eq!(
            message(&gzip(&short)),
            "2x2 of u8 takes 4 bytes, but 3 follow the header"
        );
        let long = file(0x08, &[2, 2], &[1, 2, 3, 4, 5]);
        assert_eq!(
            message(&gzip(&long)),
            "2x2 of u8 takes 4 bytes, but 5 follow the header"
        );
        assert!(message(&file(0x0e, &[u32::MAX; 255], &[])).contains("takes more than"));
    }

    #[test]
    fn bombs_are_refused_before_they_unfold() {
        let bomb = gzip(&file(0x08, &[1 << 30], &[]));
        assert!(matches!(parse(&bomb), Err(IdxProblem::Claim { .. })));
        // More content than claimed is read only one byte too far.
        let bomb = gzip(&file(0x08, &[10], &vec![0; 1 << 24]));
        let Err(IdxProblem::Length { found: 11, .. }) = parse(&bomb) else {
            panic!("a refused file")
        };
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), known in any::<bool>()) {
            let mut bytes = bytes;
            if known && bytes.len() > 4 {
                bytes.splice(..4, [0, 0, 8 + bytes[2] % 7, bytes[3] % 5]);
            }
            let _ = parse(&bytes);
            let mut compressed = gzip(&bytes);
            let _ = parse(&compressed);
            let place = compressed.len() / 2;
            compressed[place] ^= 0x55;
            let _ = parse(&compressed);
        }
    }
}

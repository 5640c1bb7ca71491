//! NumPy's array files: `.npy` holds one array, `.npz` ([`ArrayArchive`]) is a zip of several.
//!
//! Versions 1, 2 and 3 in either byte order and either memory order are read. Floats become f32, u8 and bool bytes,
//! other integers i32 and must fit. Files are untrusted: the header is limited, and the length it implies must be the
//! file's. Structured, complex, text and pickled arrays are refused.

mod archive;
mod header;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use archive::{ArrayArchive, write_npz};

use crate::element::{Element, IntegerTooLarge, write_little_endian};
use crate::files;
use crate::tensor::{DType, Data, Shape, Tensor};
use header::Header;

/// What is wrong with an array file.
#[derive(Debug, thiserror::Error)]
#[error("{path}{}: {problem}", entry.as_ref().map_or(String::new(), |name| format!(" ({name})")), path = path.display())]
pub struct ArrayError {
    /// The file.
    pub path: PathBuf,
    /// The array inside a `.npz`.
    pub entry: Option<String>,
    /// What is wrong.
    pub problem: Box<ArrayProblem>,
}

/// A reason why an array cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArrayProblem {
    /// The file cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It does not begin as an array file does.
    #[error("not a NumPy array file")]
    NotNpy,
    /// A version of the format that does not exist.
    #[error("version {major}.{minor} of the format is unknown; 1.0, 2.0 and 3.0 are known")]
    Version {
        /// Before the dot.
        major: u8,
        /// After the dot.
        minor: u8,
    },
    /// The header is not the dictionary that the format describes.
    #[error("malformed header: {0}")]
    Header(&'static str),
    /// Elements of a type that nothing here uses.
    #[error("elements of type `{0}`; known are bool, signed and unsigned integers, and floats of 2, 4 or 8 bytes")]
    ElementType(String),
    /// There are fewer or more bytes than the header says.
    #[error("{shape} of {element} takes {expected} bytes, but {found} follow the header")]
    Length {
        /// Extents in the header.
        shape: Shape,
        /// Element type in the header.
        element: &'static str,
        /// Bytes these take.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// The header describes more than any array may take.
    #[error("{0} takes more than {limit} bytes", limit = files::MAX_ARRAY_BYTES)]
    TooLarge(Shape),
    /// An integer does not fit.
    #[error("{0}")]
    Integer(#[from] IntegerTooLarge),
    /// The zip archive is damaged or uses an unknown method.
    #[error("{0}")]
    Zip(#[from] zip::result::ZipError),
    /// The archive has no such array.
    #[error("no array of this name; there are: {}", .0.join(", "))]
    NoEntry(Vec<String>),
    /// An archive's entry claims to hold more than it can.
    #[error("claims to hold {claimed} bytes, more than its {compressed} compressed bytes or the limit allow")]
    Claim {
        /// Bytes it says it holds.
        claimed: u64,
        /// Bytes it takes in the archive.
        compressed: u64,
    },
}

impl ArrayProblem {
    fn at(self, path: &Path, entry: Option<&str>) -> ArrayError {
        ArrayError {
            path: path.to_path_buf(),
            entry: entry.map(str::to_owned),
            problem: Box::new(self),
        }
    }
}

/// Reads a `.npy` file.
pub fn read_npy(path: &Path) -> Result<Tensor, ArrayError> {
    let read = || {
        let (file, length) = files::open_regular(path)?;
        decode_npy(&files::read_up_to(file, length)?)
    };
    read().map_err(|problem: ArrayProblem| problem.at(path, None))
}

/// Writes a `.npy` file, atomically.
pub fn write_npy(path: &Path, tensor: &Tensor) -> Result<(), ArrayError> {
    files::write_atomically(path, |out| encode_npy(out, tensor)).map_err(|error| ArrayProblem::Io(error).at(path, None))
}

/// The array that the bytes of a `.npy` file hold.
pub fn decode_npy(bytes: &[u8]) -> Result<Tensor, ArrayProblem> {
    let Header {
        element,
        order,
        fortran_order,
        shape,
        data_start,
    } = header::parse(bytes)?;
    let data = &bytes[data_start..];
    let expected = array_bytes(&shape, element)?;
    if expected != data.len() as u64 {
        let (element, found) = (element.name(), data.len() as u64);
        return Err(ArrayProblem::Length {
            shape,
            element,
            expected,
            found,
        });
    }
    let mut data = element.decode(data, order)?;
    if fortran_order && shape.rank() > 1 {
        data = match data {
            Data::F32(values) => Data::F32(row_major(&values, shape.extents())),
            Data::I32(values) => Data::I32(row_major(&values, shape.extents())),
            Data::U8(values) => Data::U8(row_major(&values, shape.extents())),
            Data::I8(values) => Data::I8(row_major(&values, shape.extents())),
        };
    }
    Ok(Tensor::new(shape, data).expect("the length was checked against the shape"))
}

/// Bytes that an array takes in a file.
pub(crate) fn array_bytes(shape: &Shape, element: Element) -> Result<u64, ArrayProblem> {
    let bytes = shape
        .extents()
        .iter()
        .try_fold(element.size_bytes() as u64, |product, &extent| {
            product.checked_mul(extent as u64)
        });
    // Elements of two bytes become four in memory.
    bytes
        .filter(|&bytes| bytes <= files::MAX_ARRAY_BYTES / 4)
        .ok_or_else(|| ArrayProblem::TooLarge(shape.clone()))
}

/// Values whose first index runs fastest, in the order in which the last one does.
fn row_major<T: Copy>(values: &[T], extents: &[usize]) -> Vec<T> {
    let mut strides = Vec::with_capacity(extents.len());
    let mut stride = 1;
    for &extent in extents {
        strides.push(stride);
        stride *= extent;
    }
    let mut place = vec![0; extents.len()];
    let mut offset = 0;
    let mut out = Vec::with_capacity(values.len());
    while out.len() < values.len() {
        out.push(values[offset]);
        for axis in (0..extents.len()).rev() {
            place[axis] += 1;
            offset += strides[axis];
            if place[axis] < extents[axis] {
                break;
            }
            offset -= strides[axis] * extents[axis];
            place[axis] = 0;
        }
    }
    out
}

/// Writes version 1.0, little-endian, row-major.
fn encode_npy(out: &mut dyn Write, tensor: &Tensor) -> io::Result<()> {
    let descr = match tensor.dtype() {
        DType::F32 => "<f4",
        DType::I32 => "<i4",
        DType::U8 => "|u1",
        DType::I8 => "|i1",
    };
    out.write_all(&header::encode(descr, tensor.shape()))?;
    write_little_endian(out, tensor.data())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
    }

    fn problem(header: &str, data: &[u8]) -> String {
        decode_npy(&file(header, data)).unwrap_err().to_string()
    }

    fn encoded(tensor: &Tensor) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_npy(&mut bytes, tensor).unwrap();
        bytes
    }

    #[test]
    fn types_and_orders() {
        let header = |descr: &str| format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2,), }}\n");
        let decode = |descr: &str, data: &[u8]| decode_npy(&file(&header(descr), data)).unwrap().into_data();
        assert_eq!(
            decode(">f8", &[1.5f64.to_be_bytes(), 2f64.to_be_bytes()].concat()),
            Data::F32(vec![1.5, 2.0])
        );
        assert_eq!(
            decode("<i8", &[1i64.to_le_bytes(), (-2i64).to_le_bytes()].concat()),
            Data::I32(vec![1, -2])
        );
        assert_eq!(decode("|b1", &[0, 1]), Data::U8(vec![0, 1]));
        assert_eq!(decode("|u1", &[0, 255]), Data::U8(vec![0, 255]));
        assert_eq!(decode(">i4", &[0, 0, 0, 1, 255, 255, 255, 255]), Data::I32(vec![1, -1]));
        assert_eq!(decode("<f2", &[0, 0x3c, 0, 0]), Data::F32(vec![1.0, 0.0]));
    }

    #[test]
    fn column_major_arrays_are_turned() {
        let header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n";
        let tensor = decode_npy(&file(header, &[1, 4, 2, 5, 3, 6])).unwrap();
        assert_eq!(tensor.data(), &Data::U8(vec![1, 2, 3, 4, 5, 6]));
        let header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 2, 2), }\n";
        let tensor = decode_npy(&file(header, &[0, 4, 2, 6, 1, 5, 3, 7])).unwrap();
        assert_eq!(tensor.data(), &Data::U8((0..8).collect()));
    }

    #[test]
    fn mistakes_are_named() {
        let ok = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n";
        assert_eq!(problem(ok, &[0; 7]), "2 of f32 takes 8 bytes, but 7 follow the header");
        assert_eq!(
            problem(&ok.replace("<f4", "<c8"), &[]),
            problem(&ok.replace("<f4", "<c8"), &[1])
        );
        assert!(problem(&ok.replace("<f4", "|O"), &[]).starts_with("elements of type `|O`"));
        assert!(problem(&ok.replace("(2,)", "(99999999999,99999999999)"), &[]).contains("takes more than"));
        assert!(
            decode_npy(b"nonsense")
                .unwrap_err()
                .to_string()
                .contains("not a NumPy array file")
        );
        assert!(
            decode_npy(b"\x93NUMPY\x04\x01")
                .unwrap_err()
                .to_string()
                .contains("version 4.1")
        );
        let missing = read_npy(Path::new("no/such.npy")).unwrap_err().to_string();
        assert!(missing.starts_with("no/such.npy: "), "{missing}");
    }

    #[test]
    fn others_read_what_we_write() {
        let tensor = Tensor::from_f32([2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, -6.5]).unwrap();
        let bytes = encoded(&tensor);
        let theirs = npyz::NpyFile::new(&bytes[..]).unwrap();
        assert_eq!((theirs.shape(), theirs.order()), (&[2, 3][..], npyz::Order::C));
        assert_eq!(theirs.into_vec::<f32>().unwrap(), tensor.as_f32().unwrap());
        let ints = Tensor::from_i32([], vec![-3]).unwrap();
        assert_eq!(
            npyz::NpyFile::new(&encoded(&ints)[..])
                .unwrap()
                .into_vec::<i32>()
                .unwrap(),
            [-3]
        );
    }

    proptest! {
        #[test]
        fn round_trip(shape in proptest::collection::vec(0usize..4, 0..5), seed in any::<u64>()) {
            let count = shape.iter().product();
            let mut values = vec![0.0; count];
            crate::random::Stream::new(seed, "npy").fill_normal(1.0, &mut values);
            let tensor = Tensor::from_f32(shape, values).unwrap();
            let bytes = encoded(&tensor);
            prop_assert_eq!(bytes.len() % 4, 0);
            prop_assert_eq!(decode_npy(&bytes).unwrap(), tensor);
        }

        #[test]
        fn any_bytes_never_panic(place in 0usize..200, value in any::<u8>(), cut in 0usize..200) {
            let mut bytes = encoded(&Tensor::filled([3, 2], 1.0));
            let place = place % bytes.len();
            bytes[place] = value;
            let _ = decode_npy(&bytes);
            bytes.truncate(cut);
            let _ = decode_npy(&bytes);
        }
    }
}

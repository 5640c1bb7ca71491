//! `.npz`: a zip archive whose entries are `.npy` files.
//!
//! Entries are decompressed one at a time, each only after what it claims to hold was checked against what its
//! compressed bytes can hold. Stored and deflated entries are read; encrypted ones are refused. Writing deflates.

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::{ArrayError, ArrayProblem, decode_npy, encode_npy};
use crate::files;
use crate::tensor::Tensor;

/// An open `.npz` file.
pub struct ArrayArchive {
    path: PathBuf,
    zip: ZipArchive<BufReader<File>>,
    /// Array names in sorted order, each with its entry's number.
    entries: Vec<(String, usize)>,
}

impl ArrayArchive {
    /// Opens an archive and lists its arrays.
    pub fn open(path: &Path) -> Result<Self, ArrayError> {
        let open = || {
            let (file, _length) = files::open_regular(path)?;
            let mut zip = ZipArchive::new(BufReader::new(file))?;
            let mut entries = Vec::new();
            for number in 0..zip.len() {
                let name = zip.by_index_raw(number)?.name()?.into_owned();
                if let Some(array) = name.strip_suffix(".npy") {
                    entries.push((array.to_owned(), number));
                }
            }
            entries.sort();
            Ok((zip, entries))
        };
        let (zip, entries) = open().map_err(|problem: ArrayProblem| problem.at(path, None))?;
        Ok(Self {
            path: path.to_path_buf(),
            zip,
            entries,
        })
    }

    /// The arrays' names, sorted, without `.npy`.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// Reads one array.
    pub fn read(&mut self, name: &str) -> Result<Tensor, ArrayError> {
        self.read_entry(name)
            .map_err(|problem| problem.at(&self.path, Some(name)))
    }

    fn read_entry(&mut self, name: &str) -> Result<Tensor, ArrayProblem> {
        let Some(&(_, number)) = self.entries.iter().find(|(entry, _)| entry == name) else {
            return Err(ArrayProblem::NoEntry(self.names().map(str::to_owned).collect()));
        };
        let entry = self.zip.by_index(number)?;
        let (claimed, compressed) = (entry.size(), entry.compressed_size());
        let possible = match entry.compression() {
            CompressionMethod::Stored => compressed,
            _ => files::deflate_limit(compressed),
        };
        if claimed > possible.min(files::MAX_ARRAY_BYTES) {
            return Err(ArrayProblem::Claim { claimed, compressed });
        }
        // One byte more than claimed, so that an entry that holds more is seen to.
        let bytes = files::read_up_to(entry, claimed + 1)?;
        decode_npy(&bytes)
    }
}

/// Writes a `.npz` file, atomically; the same arrays give the same bytes.
pub fn write_npz<'a>(path: &Path, arrays: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<(), ArrayError> {
    let write = || {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .large_file(true);
        for (name, tensor) in arrays {
            zip.start_file(format!("{name}.npy"), options)?;
            encode_npy(&mut zip, tensor)?;
        }
        let bytes = zip.finish()?.into_inner();
        files::write_atomically(path, |out| out.write_all(&bytes))?;
        Ok(())
    };
    write().map_err(|problem: ArrayProblem| problem.at(path, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> [(&'static str, Tensor); 2] {
        [
            ("x", Tensor::filled([2, 3], 1.5)),
            ("labels", Tensor::from_i32([2], vec![4, -5]).unwrap()),
        ]
    }

    fn written(path: &Path) -> Vec<u8> {
        let arrays = sample();
        write_npz(path, arrays.iter().map(|(name, tensor)| (*name, tensor))).unwrap();
        std::fs::read(path).unwrap()
    }

    #[test]
    fn round_trip_with_the_same_bytes_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        assert_eq!(written(&path), written(&path));
        let mut archive = ArrayArchive::open(&path).unwrap();
        assert_eq!(archive.names().collect::<Vec<_>>(), ["labels", "x"]);
        for (name, tensor) in sample() {
            assert_eq!(archive.read(name).unwrap(), tensor);
        }
        let error = archive.read("y").unwrap_err().to_string();
        assert!(
            error.ends_with("a.npz (y): no array of this name; there are: labels, x"),
            "{error}"
        );
    }

    #[test]
    fn no_archive_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        std::fs::write(&path, "PK but no zip").unwrap();
        assert!(ArrayArchive::open(&path).is_err());
        assert!(ArrayArchive::open(folder.path()).is_err());
    }

    #[test]
    fn a_claim_beyond_what_deflate_can_hold_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let mut bytes = written(&path);
        // The uncompressed size in the central directory, 24 bytes into its record; all ones defer to zip64's field.
        let record = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
        bytes[record + 24..record + 28].copy_from_slice(&0x7fff_ffffu32.to_le_bytes());
        std::fs::write(&path, &bytes).unwrap();
        let error = ArrayArchive::open(&path)
            .and_then(|mut archive| archive.read("x"))
            .unwrap_err();
        assert!(
            matches!(*error.problem, ArrayProblem::Claim { .. } | ArrayProblem::Zip(_)),
            "{error}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn mutated_archives_never_panic(place in 0usize..1000, value in any::<u8>(), cut in 0usize..1000) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.npz");
            let mut bytes = written(&path);
            let place = place % bytes.len();
            bytes[place] = value;
            for length in [bytes.len(), cut % bytes.len()] {
                std::fs::write(&path, &bytes[..length]).unwrap();
                if let Ok(mut archive) = ArrayArchive::open(&path) {
                    for name in archive.names().map(str::to_owned).collect::<Vec<_>>() {
                        let _ = archive.read(&name);
                    }
                }
            }
        }
    }
}

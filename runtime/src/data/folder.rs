//! Which files of a folder hold which half of a data set.
//!
//! IDX: `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, with `t10k` or `test` for the other half, any rank, a
//! dot in place of the dash before `idx`, with or without `.gz`. NumPy: `train.npz` with arrays `x` and `y`, or
//! `x_train.npy` and `y_train.npy`, or `train-images.npy` and `train-labels.npy`. A plain file is preferred to a
//! compressed one. Nothing outside the folder is opened.

use std::path::{Path, PathBuf};

use super::idx::read_idx;
use super::{DataError, Split};
use crate::array_file::{ArrayArchive, read_npy};
use crate::files;
use crate::tensor::Tensor;

/// As many names as an error lists.
const LISTED_NAMES: usize = 20;

/// The longest `classes.txt` that is read.
const MAX_NAMES_BYTES: u64 = 1 << 20;

/// Samples, labels and the samples' file of an IDX folder.
pub fn read_idx_pair(folder: &Path, split: Split) -> Result<(Tensor, Tensor, PathBuf), DataError> {
    let names = file_names(folder)?;
    let find = |kind: &str| {
        let found = split
            .file_prefixes()
            .iter()
            .find_map(|prefix| names.iter().find(|name| is_idx_name(name, prefix, kind)))
            .map(|name| folder.join(name));
        found.ok_or_else(|| {
            let rank = if kind == "images" { 3 } else { 1 };
            let wanted = split
                .file_prefixes()
                .iter()
                .map(|prefix| format!("{prefix}-{kind}-idx{rank}-ubyte[.gz]"));
            not_found(folder, split, kind, wanted.collect(), &names)
        })
    };
    let (images, labels) = (find("images")?, find("labels")?);
    Ok((read_idx(&images)?, read_idx(&labels)?, images))
}

/// Samples, labels and the samples' file of a folder of NumPy arrays.
pub fn read_npy_pair(folder: &Path, split: Split) -> Result<(Tensor, Tensor, PathBuf), DataError> {
    let names = file_names(folder)?;
    let has = |name: &str| names.iter().any(|found| found == name).then(|| folder.join(name));
    for half in split_words(split) {
        if let Some(path) = has(&format!("{half}.npz")) {
            let mut archive = ArrayArchive::open(&path)?;
            return Ok((archive.read("x")?, archive.read("y")?, path));
        }
    }
    let mut wanted = Vec::new();
    for half in split_words(split) {
        wanted.push(format!("{half}.npz with arrays x and y"));
        let pairs = [("x_HALF.npy", "y_HALF.npy"), ("HALF-images.npy", "HALF-labels.npy")];
        for (samples, labels) in pairs.map(|(x, y)| (x.replace("HALF", half), y.replace("HALF", half))) {
            match (has(&samples), has(&labels)) {
                (Some(x), Some(y)) => return Ok((read_npy(&x)?, read_npy(&y)?, x)),
                _ => wanted.push(format!("{samples} and {labels}")),
            }
        }
    }
    Err(not_found(folder, split, "samples with labels", wanted, &names))
}

/// The lines of `classes.txt`; none where there is no such file.
pub(super) fn read_class_names(folder: &Path) -> Result<Vec<String>, DataError> {
    let path = folder.join("classes.txt");
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let read = || {
        let (file, length) = files::open_regular(&path)?;
        let bytes = files::read_up_to(file, length.min(MAX_NAMES_BYTES))?;
        String::from_utf8(bytes).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    };
    let text = read().map_err(|error| DataError::Io {
        path: path.clone(),
        error,
    })?;
    Ok(text
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect())
}

fn split_words(split: Split) -> &'static [&'static str] {
    match split {
        Split::Train => &["train"],
        Split::Test => &["test", "val"],
    }
}

/// Whether a file is `<prefix>-<kind>-idx<rank>-<type>`, `<prefix>-<kind>.idx<rank>-<type>`, or one of these with `.gz`.
fn is_idx_name(name: &str, prefix: &str, kind: &str) -> bool {
    let rest = name
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.strip_prefix(kind));
    let Some(rest) = rest.and_then(|rest| rest.strip_prefix(['-', '.'])) else {
        return false;
    };
    let rest = rest.strip_suffix(".gz").unwrap_or(rest);
    let Some((rank, kind)) = rest.strip_prefix("idx").and_then(|rest| rest.split_once('-')) else {
        return false;
    };
    rank.parse::<u8>().is_ok() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The names of the folder's files, sorted: a plain name comes before the same with `.gz`.
fn file_names(folder: &Path) -> Result<Vec<String>, DataError> {
    let names = || {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            // Names that are not Unicode are none that are looked for.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    };
    names().map_err(|error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => DataError::NoFolder {
            folder: folder.to_path_buf(),
        },
        _ => DataError::Io {
            path: folder.to_path_buf(),
            error,
        },
    })
}

fn not_found(folder: &Path, split: Split, what: &str, wanted: Vec<String>, names: &[String]) -> DataError {
    let half = match split {
        Split::Train => "training",
        Split::Test => "test",
    };
    let found = names.iter().take(LISTED_NAMES).cloned().collect();
    DataError::NotFound {
        folder: folder.to_path_buf(),
        what: format!("{half} {what}"),
        wanted,
        found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_idx_files() {
        for name in [
            "train-images-idx3-ubyte",
            "train-images-idx3-ubyte.gz",
            "train-images.idx4-ubyte",
            "train-images-idx2-float",
        ] {
            assert!(is_idx_name(name, "train", "images"), "{name}");
        }
        for name in [
            "train-labels-idx1-ubyte",
            "t10k-images-idx3-ubyte",
            "train-images",
            "train-images-idx3-ubyte.gz.part",
        ] {
            assert!(!is_idx_name(name, "train", "images"), "{name}");
        }
    }

    #[test]
    fn a_missing_folder_and_missing_files_say_what_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no");
        assert!(matches!(
            read_idx_pair(&missing, Split::Train),
            Err(DataError::NoFolder { .. })
        ));
        std::fs::write(folder.path().join("notes.txt"), "").unwrap();
        let message = read_idx_pair(folder.path(), Split::Test).unwrap_err().to_string();
        let expected = "found no test images: looked for t10k-images-idx3-ubyte[.gz], test-images-idx3-ubyte[.gz], \
                        found notes.txt";
        assert!(message.ends_with(expected), "{message}");
        let message = read_npy_pair(folder.path(), Split::Train).unwrap_err().to_string();
        let expected = "looked for train.npz with arrays x and y, x_train.npy and y_train.npy, \
                        train-images.npy and train-labels.npy, found notes.txt";
        assert!(message.ends_with(expected), "{message}");
    }

    #[test]
    fn class_names() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read_class_names(folder.path()).unwrap().is_empty());
        std::fs::write(folder.path().join("classes.txt"), "shirt\n ankle boot \n\n").unwrap();
        assert_eq!(read_class_names(folder.path()).unwrap(), ["shirt", "ankle boot"]);
    }
}

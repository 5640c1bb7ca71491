//! A file's bytes where the system has them, read when they are touched.
//!
//! Another process that shortens the file in place meanwhile makes reading fault, as with any mapped file; files that we
//! write are replaced whole.

use std::io;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use crate::files;

/// Pages are at least this large; of larger ones, the system takes those that lie in what it is offered.
#[cfg(unix)]
const PAGE_BYTES: usize = 4096;

/// A regular file, mapped to be read. Clones share the mapping.
#[derive(Clone, Debug)]
pub struct MappedFile(Arc<Mmap>);

impl MappedFile {
    /// Maps a file. Errors if it cannot be read or is no regular file.
    #[expect(unsafe_code, reason = "mapping a file")]
    pub fn open(path: &Path) -> io::Result<Self> {
        let (file, _length) = files::open_regular(path)?;
        // SAFETY: the map is read-only and private to this value and its clones, and views borrow from it. What stays out of
        // our hands is another process changing the file in place; see above.
        let map = unsafe { Mmap::map(&file) }?;
        Ok(Self(Arc::new(map)))
    }

    /// Lets the system take the memory that a part is in. Who reads it again reads the file again.
    #[cfg_attr(not(unix), expect(unused_variables, reason = "only here are there pages to give"))]
    pub fn give_back(&self, part: Range<usize>) {
        #[cfg(unix)]
        {
            // Whole pages, or a neighbor's would go too.
            let first = part.start.next_multiple_of(PAGE_BYTES);
            let last = part.end.min(self.len()) / PAGE_BYTES * PAGE_BYTES;
            if first < last {
                #[expect(unsafe_code, reason = "giving mapped pages back")]
                // SAFETY: only `open` makes mappings, of files and not to be written, so pages that are dropped come back
                // the same.
                let _ = unsafe {
                    self.0
                        .unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, first, last - first)
                };
            }
        }
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_still_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bytes");
        let bytes: Vec<u8> = (0..20_000u32).map(|index| index as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let file = MappedFile::open(&path).unwrap();
        assert_eq!(*file, *bytes);
        for part in [0..20_000, 5000..15_000, 100..200, 20_000..30_000] {
            file.give_back(part);
            assert_eq!(*file, *bytes);
        }
        assert!(MappedFile::open(folder.path()).is_err());
    }
}

//! Files written so that a crash leaves the old one or the new one, and read with their size known first.
//!
//! A write goes to a temporary file in the same folder, which is synced, renamed over the target, and made durable
//! by syncing the folder. Nothing here knows a format.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

/// No array of any format may take more bytes than this in memory.
pub const MAX_ARRAY_BYTES: u64 = 1 << 36;

/// Deflate cannot expand by more than this factor; a stream that claims more is refused before memory is asked for.
const MAX_DEFLATE_EXPANSION: u64 = 1032;

/// What a short deflate stream may expand to beyond the factor: its header and trailer count for nothing.
const DEFLATE_SLACK_BYTES: u64 = 4096;

/// Replaces the file at `path` by what `write` writes, or leaves it untouched and reports why.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let folder = folder_of(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".netc-").suffix(".partial");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The process's umask takes bits away, as for any other file that a program creates.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let file = builder.tempfile_in(folder)?;
    let mut buffered = BufWriter::with_capacity(1 << 20, file.as_file());
    write(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// The folder that holds `path`; the working folder where it names none.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    // Only unix lets a folder be opened and synced.
    Ok(())
}

/// Opens a regular file and says its length; a folder or a device is an error.
pub(crate) fn open_regular(path: &Path) -> io::Result<(File, u64)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok((file, metadata.len()))
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// The largest number of bytes that a deflate stream of `compressed` bytes can hold.
pub(crate) fn deflate_limit(compressed: u64) -> u64 {
    compressed
        .saturating_mul(MAX_DEFLATE_EXPANSION)
        .saturating_add(DEFLATE_SLACK_BYTES)
}

/// Exactly `length` bytes of `reader`, or fewer where it ends early. Memory grows with what arrives, not with `length`.
pub(crate) fn read_up_to(reader: impl Read, length: u64) -> io::Result<Vec<u8>> {
    const FIRST_BYTES: u64 = 1 << 20;
    let mut bytes = Vec::with_capacity(length.min(FIRST_BYTES) as usize);
    reader.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        write_atomically(&path, |out| out.write_all(b"old")).unwrap();
        let error = write_atomically(&path, |out| {
            out.write_all(b"half of the new")?;
            Err(io::Error::other("disk full"))
        });
        assert!(error.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        write_atomically(&path, |out| out.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write_atomically(&folder.path().join("no/such/file"), |_| Ok(())).is_err());
    }

    #[test]
    fn folders_are_not_regular_files() {
        assert!(open_regular(tempfile::tempdir().unwrap().path()).is_err());
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        assert_eq!(read_up_to(&b"abc"[..], u64::MAX).unwrap(), b"abc");
        assert_eq!(read_up_to(&b"abc"[..], 2).unwrap(), b"ab");
        assert_eq!(deflate_limit(u64::MAX), u64::MAX);
    }
}

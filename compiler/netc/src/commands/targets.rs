//! Files that a command is about to write.

use std::path::Path;

use anyhow::bail;

/// Finds out before the work that a file would be lost: `sources` are what it is made of.
pub(super) fn check(file: &Path, sources: &[&Path], force: bool) -> anyhow::Result<()> {
    let same = |other: &Path| {
        file.canonicalize()
            .ok()
            .is_some_and(|file| other.canonicalize().ok() == Some(file))
    };
    if sources.iter().any(|source| same(source)) {
        bail!(
            "{}: is what the new file is made of: choose another name with `-o`",
            file.display()
        );
    }
    if file.is_dir() {
        bail!("{}: is a folder, not a file", file.display());
    }
    if file.exists() && !force {
        bail!(
            "{}: is there already: choose another name with `-o`, or replace it with `--force`",
            file.display()
        );
    }
    Ok(())
}

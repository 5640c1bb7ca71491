//! `netc fmt`: the one canonical layout.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use netc::stages::diagnostics::{Diagnostics, Sources};
use netc::stages::runtime::files;
use netc::stages::syntax;

use crate::console;

/// Bring files into the canonical layout
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  netc fmt models/*.net --check")]
pub(super) struct Fmt {
    /// The files; each is replaced only if its layout changes
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Change nothing; print the names of the files that would change, and fail if there are any
    #[arg(long)]
    check: bool,
}

impl Fmt {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let (mut changed, mut failed) = (String::new(), false);
        for path in &self.files {
            match self.format(path) {
                Ok(false) => {}
                Ok(true) => changed += &format!("{}\n", path.display()),
                Err(error) => {
                    // The other files are looked at all the same.
                    failed = true;
                    let _ = console::fail(&error);
                }
            }
        }
        if self.check {
            console::print(&changed)?;
        }
        let found = self.check && !changed.is_empty();
        Ok(if failed || found {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }

    /// Whether the file's layout is another than the canonical one.
    fn format(&self, path: &Path) -> anyhow::Result<bool> {
        let shown = path.display().to_string();
        let size = std::fs::metadata(path).with_context(|| shown.clone())?.len();
        if size > syntax::MOST_BYTES as u64 {
            anyhow::bail!(
                "{shown}: {size} bytes are more than a network has ({} at most)",
                syntax::MOST_BYTES
            );
        }
        let text = std::fs::read_to_string(path).with_context(|| shown.clone())?;
        let formatted = syntax::format(&text).map_err(|found| {
            let mut sources = Sources::new();
            sources.add(shown.clone(), text.clone());
            netc::Error::Mistakes {
                found: Diagnostics::from(found),
                sources: Box::new(sources),
            }
        })?;
        let is_changed = formatted != text;
        if is_changed && !self.check {
            files::write_atomically(path, |out| out.write_all(formatted.as_bytes())).with_context(|| shown)?;
        }
        Ok(is_changed)
    }
}

//! A folder with the models in which the real program runs: what the tests of the command line share.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the repository is there")
}

/// A folder with the models and the digits.
pub(crate) struct Folder(pub(crate) tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for part in ["models", "models/data/digits"] {
            std::fs::create_dir_all(folder.path().join(part)).unwrap();
            for source in std::fs::read_dir(repository().join(part))
                .unwrap()
                .map(|entry| entry.unwrap().path())
            {
                if source.is_file() {
                    std::fs::copy(&source, folder.path().join(part).join(source.file_name().unwrap())).unwrap();
                }
            }
        }
        Self(folder)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    /// The program in the folder, where it finds no calibration but the folder's own.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netc"));
        command
            .args(line.split_whitespace())
            .current_dir(self.0.path())
            .env("NO_COLOR", "1")
            .env("XDG_CACHE_HOME", self.0.path().join("cache"));
        command
    }

    pub(crate) fn run(&self, line: &str) -> Output {
        self.command(line).output().expect("the program starts")
    }

    /// The whole answer to a command line, as text.
    pub(crate) fn answer(&self, line: &str) -> String {
        let output = self.run(line);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let code = output
            .status
            .code()
            .map_or("killed".to_owned(), |code| code.to_string());
        let answer = format!(
            "$ netc {line}\nexit code {code}\n-- stdout\n{}-- stderr\n{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        answer.replace(&*self.0.path().to_string_lossy(), "<folder>")
    }
}

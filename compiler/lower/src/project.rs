//! A root file and everything it uses, read and parsed.
//!
//! The project is the folder of the root file. `use` reaches files inside it and nothing else: absolute paths, `..`
//! beyond the folder and links that lead out are refused. Each file is read once. What is visible in which file is
//! decided later, in `items.rs`; nothing here looks inside a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use netc_diagnostics::{Diagnostic, Diagnostics, FileId, Sources, Span};
use netc_syntax::ast;

use crate::codes;

/// The largest file that is read, in bytes.
pub const FILE_BYTES_LIMIT: u64 = 1 << 20;
/// The most files in one project.
pub const FILE_COUNT_LIMIT: usize = 256;

/// Where the files of a project come from.
pub trait Loader {
    /// The bytes of a file; `path` is relative to the project's folder, with `/` and without `.` and `..`.
    ///
    /// # Errors
    /// If it is not there, too large, or not inside the project.
    fn read(&self, path: &str) -> Result<Vec<u8>, LoadError>;

    /// The name under which messages show the file.
    fn shown(&self, path: &str) -> String {
        path.to_owned()
    }
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no such file.
    #[error("there is no such file")]
    Missing,
    /// A link leads out of the project's folder.
    #[error("it is a link that leads out of the project's folder")]
    Outside,
    /// More than [`FILE_BYTES_LIMIT`].
    #[error("it has more than {FILE_BYTES_LIMIT} bytes")]
    TooLarge,
    /// Anything else the system says.
    #[error("{0}")]
    Unreadable(String),
}

/// Reads files from a folder, and only from there.
#[derive(Clone, Debug)]
pub struct FolderLoader {
    /// As the user wrote it, for messages.
    shown: PathBuf,
    folder: PathBuf,
}

impl FolderLoader {
    /// The loader for the project of a root file, and the root file's path inside it.
    ///
    /// # Errors
    /// If the path names no file, or its folder cannot be opened.
    pub fn for_file(file: &Path) -> Result<(Self, String), LoadError> {
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or(LoadError::Missing)?;
        let shown = file.parent().unwrap_or(Path::new("")).to_path_buf();
        let folder = if shown.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &shown
        };
        let folder = folder.canonicalize().map_err(|error| unreadable(&error))?;
        Ok((Self { shown, folder }, name.to_owned()))
    }
}

impl Loader for FolderLoader {
    fn read(&self, path: &str) -> Result<Vec<u8>, LoadError> {
        let real = self
            .folder
            .join(path)
            .canonicalize()
            .map_err(|error| unreadable(&error))?;
        if !real.starts_with(&self.folder) {
            return Err(LoadError::Outside);
        }
        if !real.is_file() {
            return Err(LoadError::Unreadable("it is not a file".to_owned()));
        }
        let mut bytes = Vec::new();
        let file = File::open(&real).map_err(|error| unreadable(&error))?;
        file.take(FILE_BYTES_LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| unreadable(&error))?;
        if bytes.len() as u64 > FILE_BYTES_LIMIT {
            Err(LoadError::TooLarge)
        } else {
            Ok(bytes)
        }
    }

    fn shown(&self, path: &str) -> String {
        self.shown.join(path).display().to_string()
    }
}

fn unreadable(error: &std::io::Error) -> LoadError {
    match error.kind() {
        std::io::ErrorKind::NotFound => LoadError::Missing,
        kind => LoadError::Unreadable(kind.to_string()),
    }
}

/// Files held in memory: for tests, and for networks that come from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct MemoryLoader {
    files: BTreeMap<String, Vec<u8>>,
}

impl MemoryLoader {
    /// No files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more file.
    #[must_use]
    pub fn with(mut self, path: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }
}

impl Loader for MemoryLoader {
    fn read(&self, path: &str) -> Result<Vec<u8>, LoadError> {
        let bytes = self.files.get(path).ok_or(LoadError::Missing)?;
        if bytes.len() as u64 > FILE_BYTES_LIMIT {
            Err(LoadError::TooLarge)
        } else {
            Ok(bytes.clone())
        }
    }
}

/// A root file and everything it uses, parsed.
#[derive(Clone, Debug)]
pub struct Project {
    /// The root first, the others in the order in which they were met.
    pub(crate) files: Vec<ProjectFile>,
}

/// One file of a project.
#[derive(Clone, Debug)]
pub(crate) struct ProjectFile {
    pub(crate) id: FileId,
    path: String,
    pub(crate) tree: ast::File,
    /// Indices of the files it uses, in order, each with the place that says so.
    pub(crate) uses: Vec<(usize, Span)>,
}

impl Project {
    /// Reads the root file and everything it uses, directly or not. Texts are added to `sources`.
    ///
    /// # Errors
    /// What cannot be read or parsed, and every senseless `use`.
    pub fn load(loader: &dyn Loader, root: &str, sources: &mut Sources) -> Result<Self, Diagnostics> {
        let mut loading = Loading {
            loader,
            sources,
            files: Vec::new(),
            known: BTreeMap::new(),
            found: Diagnostics::new(),
        };
        loading.file(root, None);
        let mut next = 0;
        while next < loading.files.len() {
            loading.uses(next);
            next += 1;
        }
        let Loading { files, mut found, .. } = loading;
        let project = Self { files };
        if !found.has_errors() {
            found.extend(project.cycle());
        }
        found.into_result(project)
    }

    /// Reads a project of one file.
    ///
    /// # Errors
    /// As for [`Project::load`].
    pub fn from_text(name: &str, text: &str, sources: &mut Sources) -> Result<Self, Diagnostics> {
        Self::load(&MemoryLoader::new().with(name, text), name, sources)
    }

    /// The root file.
    #[must_use]
    pub fn root(&self) -> FileId {
        self.files[0].id
    }

    /// The trees of all files, the root first.
    pub fn trees(&self) -> impl Iterator<Item = (FileId, &ast::File)> {
        self.files.iter().map(|file| (file.id, &file.tree))
    }

    /// Paths inside the project of all files, the root first.
    pub fn files(&self) -> impl Iterator<Item = (&str, FileId)> {
        self.files.iter().map(|file| (file.path.as_str(), file.id))
    }

    /// A message if files use each other in a circle.
    fn cycle(&self) -> Option<Diagnostic> {
        let mut state = vec![Visit::New; self.files.len()];
        let mut path = Vec::new();
        let (at, closing) = self.find_cycle(0, &mut state, &mut path)?;
        let start = path.iter().position(|&file| file == at).unwrap_or(0);
        let names: Vec<String> = path[start..]
            .iter()
            .chain([&at])
            .map(|&file| format!("`{}`", self.files[file].path))
            .collect();
        Some(
            Diagnostic::error(codes::USE_CYCLE, "files use each other in a circle")
                .at(closing, "this closes the circle")
                .note(names.join(" uses "))
                .hint("move what both need into a third file"),
        )
    }

    /// Depth is bounded by [`FILE_COUNT_LIMIT`].
    fn find_cycle(&self, file: usize, state: &mut [Visit], path: &mut Vec<usize>) -> Option<(usize, Span)> {
        state[file] = Visit::Open;
        path.push(file);
        for &(used, span) in &self.files[file].uses {
            match state[used] {
                Visit::Open => return Some((used, span)),
                Visit::Done => {}
                Visit::New => {
                    if let Some(found) = self.find_cycle(used, state, path) {
                        return Some(found);
                    }
                }
            }
        }
        path.pop();
        state[file] = Visit::Done;
        None
    }
}

#[derive(Clone, Copy)]
enum Visit {
    New,
    Open,
    Done,
}

struct Loading<'a> {
    loader: &'a dyn Loader,
    sources: &'a mut Sources,
    files: Vec<ProjectFile>,
    /// By path: the file's index, or `None` if it could not be read (and that was reported).
    known: BTreeMap<String, Option<usize>>,
    found: Diagnostics,
}

impl Loading<'_> {
    /// Reads a file unless it is known. `from` is the `use` that asks for it.
    fn file(&mut self, path: &str, from: Option<Span>) -> Option<usize> {
        if let Some(known) = self.known.get(path) {
            return *known;
        }
        let index = self.read(path, from);
        self.known.insert(path.to_owned(), index);
        index
    }

    fn read(&mut self, path: &str, from: Option<Span>) -> Option<usize> {
        if self.files.len() == FILE_COUNT_LIMIT {
            let message = format!("the project has more than {FILE_COUNT_LIMIT} files");
            self.found
                .push(Diagnostic::error(codes::FILE_LIMIT, message).at(from.unwrap_or_default(), "one too many"));
            return None;
        }
        let bytes = match self.loader.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let shown = self.loader.shown(path);
                self.found.push(refused(&error, &shown, from));
                return None;
            }
        };
        let shown = self.loader.shown(path);
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let offset = error.utf8_error().valid_up_to();
                let message = format!("`{shown}` is not UTF-8: byte {offset} begins no character");
                let place = from.unwrap_or_default();
                self.found.push(
                    Diagnostic::error(codes::NOT_TEXT, message)
                        .at(place, "used here")
                        .hint("save the file as UTF-8 text"),
                );
                return None;
            }
        };
        let id = self.sources.add(shown, text);
        match netc_syntax::parse(id, self.sources.text(id).unwrap_or_default()) {
            Ok(tree) => {
                self.files.push(ProjectFile {
                    id,
                    path: path.to_owned(),
                    tree,
                    uses: Vec::new(),
                });
                Some(self.files.len() - 1)
            }
            Err(found) => {
                self.found.extend(found);
                None
            }
        }
    }

    /// Reads what a file uses.
    fn uses(&mut self, user: usize) {
        let items: Vec<ast::Use> = self.files[user]
            .tree
            .items
            .iter()
            .filter_map(|item| match item {
                ast::Item::Use(it) => Some(it.clone()),
                _ => None,
            })
            .collect();
        for item in items {
            let path = match resolve(&self.files[user].path, &item.path) {
                Ok(path) => path,
                Err(why) => {
                    self.found.push(
                        Diagnostic::error(codes::OUTSIDE, format!("`{}` is not inside the project", item.path))
                            .at(item.path_span, why)
                            .hint("a project is the folder of its first file and what lies below: copy the file there"),
                    );
                    continue;
                }
            };
            let Some(used) = self.file(&path, Some(item.path_span)) else {
                continue;
            };
            match self.files[user].uses.iter().find(|(known, _)| *known == used) {
                Some((_, first)) => self.found.push(
                    Diagnostic::error(codes::REPEATED_USE, format!("`{}` is used twice", item.path))
                        .at(item.path_span, "again here")
                        .also(*first, "first here")
                        .hint("remove one of the two lines"),
                ),
                None => self.files[user].uses.push((used, item.path_span)),
            }
        }
    }
}

fn refused(error: &LoadError, shown: &str, from: Option<Span>) -> Diagnostic {
    let place = from.unwrap_or_default();
    match error {
        LoadError::Outside => Diagnostic::error(codes::OUTSIDE, format!("`{shown}` is not inside the project"))
            .at(place, "a link that leads out of the project's folder")
            .hint("a project is the folder of its first file and what lies below: copy the file there"),
        LoadError::TooLarge => {
            let message = format!("`{shown}` is larger than {FILE_BYTES_LIMIT} bytes");
            Diagnostic::error(codes::FILE_LIMIT, message)
                .at(place, "used here")
                .hint("a description of a network is small: is this the right file?")
        }
        LoadError::Missing | LoadError::Unreadable(_) => {
            let message = format!("cannot read `{shown}`: {error}");
            let diagnostic = Diagnostic::error(codes::UNREADABLE, message).at(place, "used here");
            match from {
                Some(_) => diagnostic.hint("paths are relative to the file that says `use`"),
                None => diagnostic,
            }
        }
    }
}

/// The path inside the project that `written` means in the file `from`, or why there is none.
fn resolve(from: &str, written: &str) -> Result<String, &'static str> {
    if written.is_empty() {
        return Err("an empty path");
    }
    if written.starts_with('/') || written.contains(':') {
        return Err("an absolute path");
    }
    if written.contains(['\\', '\0']) {
        return Err("folders are separated by `/`");
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in written.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or("`..` leads out of the project's folder")?;
            }
            name => parts.push(name),
        }
    }
    if parts.is_empty() {
        Err("a folder, not a file")
    } else {
        Ok(parts.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        assert_eq!(resolve("a.net", "b.net"), Ok("b.net".into()));
        assert_eq!(resolve("x/a.net", "./y//b.net"), Ok("x/y/b.net".into()));
        assert_eq!(resolve("x/a.net", "../b.net"), Ok("b.net".into()));
        for escape in [
            "../b.net",
            "x/../../b.net",
            "/etc/passwd",
            "C:/b.net",
            "\\\\host\\b",
            "",
            ".",
            "x\0y",
        ] {
            assert!(resolve("a.net", escape).is_err(), "{escape}");
        }
    }

    #[test]
    fn a_file_is_read_once_and_circles_are_found() {
        let loader = MemoryLoader::new()
            .with("a.net", "use \"b.net\"\nuse \"c.net\"\n")
            .with("b.net", "use \"c.net\"\n")
            .with("c.net", "const one = 1\n");
        let mut sources = Sources::new();
        let project = Project::load(&loader, "a.net", &mut sources).unwrap();
        assert_eq!(project.files.len(), 3);

        let loader = loader.with("c.net", "use \"a.net\"\n");
        let found = Project::load(&loader, "a.net", &mut Sources::new()).unwrap_err();
        assert_eq!(found.len(), 1);
        assert_eq!(
            found.iter().next().unwrap().notes,
            ["`a.net` uses `b.net` uses `c.net` uses `a.net`"]
        );
    }

    #[test]
    #[cfg(unix)]
    fn links_that_lead_out_are_refused() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("project");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(outer.path().join("secret.net"), "const secret = 1\n").unwrap();
        std::fs::write(inner.join("a.net"), "use \"link.net\"\nuse \"inside.net\"\n").unwrap();
        std::fs::write(inner.join("b.net"), "const fine = 1\n").unwrap();
        std::os::unix::fs::symlink(outer.path().join("secret.net"), inner.join("link.net")).unwrap();
        std::os::unix::fs::symlink(inner.join("b.net"), inner.join("inside.net")).unwrap();
        let (loader, root) = FolderLoader::for_file(&inner.join("a.net")).unwrap();
        let mut sources = Sources::new();
        let found = Project::load(&loader, &root, &mut sources).unwrap_err();
        assert_eq!(found.len(), 1);
        let first = found.iter().next().unwrap();
        assert_eq!(first.code, codes::OUTSIDE);
        assert_eq!(sources.slice(first.span()), Some("\"link.net\""));
    }

    #[test]
    fn large_files_are_refused() {
        let loader = MemoryLoader::new().with("a.net", vec![b' '; FILE_BYTES_LIMIT as usize + 1]);
        let found = Project::load(&loader, "a.net", &mut Sources::new()).unwrap_err();
        assert_eq!(found.iter().next().unwrap().code, codes::FILE_LIMIT);
    }
}

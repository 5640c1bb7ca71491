//! Descriptions of machines as files. A file is replaced in one move, so that no reader ever sees half of one.

use std::io::Write;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use netc_rewrite::Machine;
use netc_runtime::files::write_atomically;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::options::Cpu;
use crate::processor;

/// The format that this version writes. Constants change their meaning with the kernels they describe.
const FORMAT: u32 = 1;
/// A description is small; whatever is larger is none.
const LIMIT_BYTES: u64 = 64 * 1024;

/// A machine with what it was measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    format: u32,
    /// The processor, as it names itself.
    pub processor: String,
    /// The instruction level, as the command line names it.
    pub cpu: String,
    /// The machine.
    pub machine: Machine,
}

impl Description {
    /// A machine measured on this processor.
    #[must_use]
    pub fn new(cpu: Cpu, machine: Machine) -> Self {
        Self {
            format: FORMAT,
            processor: processor::name(),
            cpu: cpu.name().to_owned(),
            machine,
        }
    }
}

/// The calibration of this processor for an instruction level; nothing if it was never made.
///
/// # Errors
/// If there is a file but it is no description, of another format, or of another processor.
pub fn load(cpu: Cpu) -> Result<Option<Machine>, Error> {
    let Some(path) = cache_file(cpu) else {
        return Ok(None);
    };
    if !path.exists() {
        return Ok(None);
    }
    let description = read(&path)?;
    let expected = (processor::name(), cpu.name());
    if (&description.processor, description.cpu.as_str()) != (&expected.0, expected.1) {
        let Description { processor, cpu, .. } = description;
        let problem = format!(
            "it is of {processor} with {cpu}, not of {} with {}",
            expected.0, expected.1
        );
        return Err(Error::MachineFile { path, problem });
    }
    Ok(Some(description.machine))
}

/// Reads a description.
///
/// # Errors
/// If the file cannot be read or is no description that this version understands.
pub fn read(path: &Path) -> Result<Description, Error> {
    let io = |error| Error::Io {
        path: path.to_owned(),
        error,
    };
    let wrong = |problem: String| Error::MachineFile {
        path: path.to_owned(),
        problem,
    };
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > LIMIT_BYTES {
        return Err(wrong(format!(
            "it has {size} bytes; a description has at most {LIMIT_BYTES}"
        )));
    }
    let text = std::fs::read(path).map_err(io)?;
    // The format comes first: other fields of another format mean something else or are not there.
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    let format = value.get("format").and_then(serde_json::Value::as_u64);
    if format != Some(FORMAT.into()) {
        let found = format.map_or("no format".to_owned(), |format| format!("format {format}"));
        return Err(wrong(format!("it has {found}; this version reads format {FORMAT}")));
    }
    let description: Description = serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
    description.machine.check().map_err(|error| wrong(error.to_string()))?;
    Ok(description)
}

/// Writes a description to its place in the cache and says where that is.
///
/// # Errors
/// If there is no such place or it cannot be written.
pub fn store(cpu: Cpu, description: &Description) -> Result<PathBuf, Error> {
    let path = cache_file(cpu).ok_or(Error::NoCacheFolder)?;
    let folder = path.parent().expect("a file in a folder");
    std::fs::create_dir_all(folder).map_err(|error| Error::Io {
        path: folder.to_owned(),
        error,
    })?;
    write(&path, description)?;
    Ok(path)
}

/// Writes a description to a file, replacing it in one move.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, description: &Description) -> Result<(), Error> {
    let io = |error| Error::Io {
        path: path.to_owned(),
        error,
    };
    let text = serde_json::to_vec_pretty(description).expect("numbers and strings");
    let write = |file: &mut dyn Write| {
        file.write_all(&text)?;
        file.write_all(b"\n")
    };
    write_atomically(path, write).map_err(io)
}

/// Where the calibration for an instruction level is kept: `netc/machine-<processor>-<level>.json` in the user's cache
/// folder. Nothing if the user has no home.
#[must_use]
pub fn cache_file(cpu: Cpu) -> Option<PathBuf> {
    let folder = etcetera::choose_base_strategy().ok()?.cache_dir().join("netc");
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let name: String = processor::name().chars().map(plain).collect();
    let words: Vec<&str> = name.split('-').filter(|word| !word.is_empty()).collect();
    Some(folder.join(format!("machine-{}-{}.json", words.join("-"), cpu.name())))
}

//! A training run on disk: everything that continuing it needs, in one file.
//!
//! A checkpoint is a safetensors file written atomically. Tensor names begin with `parameter/`, `optimizer/` or
//! `state/`; progress and recipe are JSON in its metadata. Randomness needs no state, since it is addressed by epoch,
//! step and sample. A checkpoint continues a run only if network and recipe are the same; what differs is listed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::recipe::TrainRecipe;
use crate::tensor::{Shape, Tensor};
use crate::weights::{Weights, WeightsError, save_tensors};

/// The version of the format that this program writes, and the only one it reads.
pub const FORMAT_VERSION: &str = "1";

const FORMAT_NAME: &str = "netc-checkpoint";
const GROUPS: [&str; 3] = ["parameter/", "optimizer/", "state/"];

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Epochs that are complete.
    pub epoch: u32,
    /// Optimizer steps that are complete, over all epochs.
    pub step: u64,
}

/// Everything that continuing a run needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Trained tensors by name: `conv1.weight`.
    pub parameters: BTreeMap<String, Tensor>,
    /// What the optimizer remembers, by its own names: `conv1.weight.momentum`.
    pub optimizer: BTreeMap<String, Tensor>,
    /// Running statistics by name: `norm1.running_mean`.
    pub state: BTreeMap<String, Tensor>,
    /// How far the run has come.
    pub progress: Progress,
    /// The recipe it follows.
    pub recipe: TrainRecipe,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file cannot be read or written, or is no safetensors file.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The file is something else.
    #[error("{path}: not a checkpoint: {reason}", path = path.display())]
    NotACheckpoint {
        /// The file.
        path: PathBuf,
        /// What gives it away.
        reason: String,
    },
    /// The file is of another version.
    #[error("{path}: a checkpoint of format {found}; this program reads format {FORMAT_VERSION}", path = path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// Network or recipe are not those of the run.
    #[error("{path}: the checkpoint is of another run: {}", differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "), path = path.display())]
    Differs {
        /// The file.
        path: PathBuf,
        /// Everything that differs.
        differences: Vec<Difference>,
    },
}

/// One difference between a checkpoint and the run that wants to continue from it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Difference {
    /// The run has a tensor that the checkpoint lacks.
    #[error("`{0}` is missing")]
    Missing(String),
    /// The checkpoint has a tensor that the run lacks.
    #[error("`{0}` is not in the network")]
    Unknown(String),
    /// A tensor has another shape.
    #[error("`{name}` is {found}, the network's is {expected}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape in the checkpoint.
        found: Shape,
        /// Its shape in the network.
        expected: Shape,
    },
    /// The recipe has another value.
    #[error("recipe `{key}` was {found}, now {expected}")]
    Recipe {
        /// The key.
        key: String,
        /// The checkpoint's value, as JSON.
        found: String,
        /// The run's value, as JSON.
        expected: String,
    },
}

impl Checkpoint {
    /// Writes the checkpoint; one that was there is replaced only once the new one is on disk.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let groups = GROUPS.iter().zip([&self.parameters, &self.optimizer, &self.state]);
        let tensors = groups.flat_map(|(prefix, group)| {
            group
                .iter()
                .map(move |(name, tensor)| (format!("{prefix}{name}"), tensor))
        });
        let notes = [
            ("format", FORMAT_NAME.to_owned()),
            ("version", FORMAT_VERSION.to_owned()),
            ("progress", json(&self.progress)),
            ("recipe", json(&self.recipe)),
        ];
        let notes = notes.into_iter().map(|(key, note)| (key.to_owned(), note)).collect();
        Ok(save_tensors(path, &tensors.collect(), &notes)?)
    }

    /// Reads a checkpoint. Whether it belongs to a run is for [`Checkpoint::check`] to say.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let weights = Weights::load(path)?;
        let refuse = |reason: String| CheckpointError::NotACheckpoint {
            path: path.to_path_buf(),
            reason,
        };
        let note = |key: &str| {
            weights
                .metadata()
                .get(key)
                .ok_or_else(|| refuse(format!("its metadata have no `{key}`")))
        };
        if note("format")? != FORMAT_NAME {
            return Err(refuse(format!("its format is `{}`", note("format")?)));
        }
        if note("version")? != FORMAT_VERSION {
            let found = note("version")?.clone();
            return Err(CheckpointError::Version {
                path: path.to_path_buf(),
                found,
            });
        }
        let progress = serde_json::from_str(note("progress")?).map_err(|error| refuse(format!("progress: {error}")))?;
        let recipe: TrainRecipe =
            serde_json::from_str(note("recipe")?).map_err(|error| refuse(format!("recipe: {error}")))?;
        if let Some(problem) = recipe.problems().into_iter().next() {
            return Err(refuse(format!("recipe: {problem}")));
        }
        let mut groups: [BTreeMap<String, Tensor>; 3] = Default::default();
        for (name, tensor) in weights {
            let split = GROUPS
                .iter()
                .zip(&mut groups)
                .find_map(|(prefix, group)| Some((name.strip_prefix(prefix)?, group)));
            let Some((name, group)) = split else {
                return Err(refuse(format!("tensor `{name}` belongs to no group")));
            };
            group.insert(name.to_owned(), tensor);
        }
        let [parameters, optimizer, state] = groups;
        Ok(Self {
            parameters,
            optimizer,
            state,
            progress,
            recipe,
        })
    }

    /// Errors with everything that differs, unless tensors (by name and shape) and recipe are those of the run.
    ///
    /// Where the data lie (`data.path`) and what is reported (`metrics`) may differ: they change no result.
    pub fn check(&self, expected: &Expected<'_>, path: &Path) -> Result<(), CheckpointError> {
        let mut differences = Vec::new();
        let groups = [
            (&self.parameters, expected.parameters),
            (&self.optimizer, expected.optimizer),
            (&self.state, expected.state),
        ];
        for (found, expected) in groups {
            compare_tensors(found, expected, &mut differences);
        }
        compare_recipes(&self.recipe, expected.recipe, &mut differences);
        if differences.is_empty() {
            Ok(())
        } else {
            Err(CheckpointError::Differs {
                path: path.to_path_buf(),
                differences,
            })
        }
    }
}

/// What a run that wants to continue is made of.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Trained tensors by name.
    pub parameters: &'a BTreeMap<String, Shape>,
    /// What the optimizer remembers, by name.
    pub optimizer: &'a BTreeMap<String, Shape>,
    /// Running statistics by name.
    pub state: &'a BTreeMap<String, Shape>,
    /// The recipe.
    pub recipe: &'a TrainRecipe,
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data with string keys")
}

fn compare_tensors(found: &BTreeMap<String, Tensor>, expected: &BTreeMap<String, Shape>, out: &mut Vec<Difference>) {
    for (name, shape) in expected {
        match found.get(name) {
            None => out.push(Difference::Missing(name.clone())),
            Some(tensor) if tensor.shape() != shape => out.push(Difference::Shape {
                name: name.clone(),
                found: tensor.shape().clone(),
                expected: shape.clone(),
            }),
            Some(_) => {}
        }
    }
    out.extend(
        found
            .keys()
            .filter(|name| !expected.contains_key(*name))
            .cloned()
            .map(Difference::Unknown),
    );
}

fn compare_recipes(found: &TrainRecipe, expected: &TrainRecipe, out: &mut Vec<Difference>) {
    let comparable = |recipe: &TrainRecipe| {
        let mut recipe = recipe.clone();
        recipe.data.path_mut().clear();
        recipe.metrics.clear();
        // By way of text, so that an f32 is shown with as many digits as it has.
        serde_json::from_str::<Value>(&json(&recipe)).expect("JSON that was just written")
    };
    compare_values(&comparable(found), &comparable(expected), "", out);
}

/// Descends into objects with the same keys, so that `optimizer.sgd.lr` is named and not all of the optimizer.
fn compare_values(found: &Value, expected: &Value, key: &str, out: &mut Vec<Difference>) {
    if found == expected {
        return;
    }
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) if found.keys().eq(expected.keys()) => {
            for (name, value) in found {
                let key = if key.is_empty() {
                    name.clone()
                } else {
                    format!("{key}.{name}")
                };
                compare_values(value, &expected[name], &key, out);
            }
        }
        _ => out.push(Difference::Recipe {
            key: key.to_owned(),
            found: found.to_string(),
            expected: expected.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests;

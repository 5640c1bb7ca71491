//! Syntax tree to typed graph: names, layers, shapes, recipes.
//!
//! [`Project::load`] reads a file and what it uses, and [`lower`](fn@lower) makes of one of its nets a [`Lowered`]: a graph in which
//! every node has a shape and a dtype, its layers with their names, and the recipe to train it. Every mistake of the text
//! is a diagnostic with the place, the reason and a way out; as many as can be told apart are told at once.
//!
//! Nothing here depends on anything but the texts and the request: no clock, no order of a hash map. Any text ends in a
//! result or in diagnostics, quickly: the limits are in [`limits`].
//!
//! ```
//! use netc_diagnostics::Sources;
//! use netc_lower::{Project, Request, lower};
//!
//! let text = "net tiny {\n    input x: f32[1, 8, 8]\n    x |> conv(4, 3) |> flatten |> dense(2) |> output y\n}\n";
//! let mut sources = Sources::new();
//! let project = Project::from_text("tiny.net", text, &mut sources)?;
//! let lowered = lower(&project, &sources, &Request::default())?;
//! assert_eq!(lowered.layers[0].name, "conv1");
//! assert_eq!(lowered.parameter_count(), 4 * 9 + 4 + 2 * 144 + 2);
//! # Ok::<(), netc_diagnostics::Diagnostics>(())
//! ```

#![allow(
    clippy::result_large_err,
    reason = "a diagnostic is made once, on a path that ends the compilation"
)]

mod arithmetic;
mod body;
pub mod codes;
mod expect;
mod explain;
mod items;
mod layers;
mod lower;
mod net;
mod network;
pub mod project;
pub mod recipe;
pub mod reference;
mod scope;
mod signature;
mod site;
mod trace;
mod value;

use std::collections::BTreeMap;

use netc_diagnostics::{Diagnostics, Sources};
use netc_graph::Graph;

pub use network::LayerInfo;
pub use project::{FolderLoader, LoadError, Loader, MemoryLoader, Project};
pub use recipe::{Setting, Train};

/// The bounds on what a text can ask for.
pub mod limits {
    pub use crate::lower::{BLOCK_DEPTH_LIMIT, DEPTH_LIMIT, LAYER_LIMIT, REPEAT_LIMIT, WORK_LIMIT};
    pub use crate::project::{FILE_BYTES_LIMIT, FILE_COUNT_LIMIT};
}

/// What is asked of a project, beside its text.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Which net; without it, the root file's only one.
    pub net: Option<String>,
    /// Values for the net's arguments, in place of their defaults: `--arg length=3600`.
    pub arguments: BTreeMap<String, i64>,
    /// Changes to the net's recipe, applied in order: `--set optimizer.lr=0.1`. With `data` among them, a net without a
    /// recipe has this one.
    pub settings: Vec<Setting>,
}

/// A net, ready for every later stage.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The network in its inference form.
    pub graph: Graph,
    /// Its layers, in the order of the text.
    pub layers: Vec<LayerInfo>,
    /// How to train it, if the text or a setting says so.
    pub train: Option<Train>,
    /// What is odd but no mistake.
    pub warnings: Diagnostics,
}

impl Lowered {
    /// Learned numbers of all layers.
    #[must_use]
    pub fn parameter_count(&self) -> u64 {
        self.layers.iter().map(|layer| layer.parameter_count(&self.graph)).sum()
    }

    /// Multiply-accumulates of all layers for one sample.
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.layers
            .iter()
            .fold(0, |sum, layer| sum.saturating_add(layer.macs(&self.graph)))
    }
}

/// Makes the graph and the recipe of one net of a project. `sources` must hold the project's texts and the settings'.
///
/// # Errors
/// Every mistake that can be told apart, in the order of the text; warnings among them.
pub fn lower(project: &Project, sources: &Sources, request: &Request) -> Result<Lowered, Diagnostics> {
    let mut lower = lower::Lower::new(project, sources);
    let mut train = None;
    if let Some(selected) = lower.select(request.net.as_deref()) {
        train = lower.recipes(selected, &request.settings);
        lower.net(selected, request);
        if let Some(train) = &train {
            lower.check_recipe(train);
        }
    }
    let (network, found) = lower.into_found();
    if found.has_errors() {
        return Err(found);
    }
    let warnings = found;
    Ok(Lowered {
        graph: network.graph,
        layers: network.layers,
        train,
        warnings,
    })
}

//! Networks from ONNX models, and ONNX models from networks.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use netc_diagnostics::{Diagnostics, Sources};
use netc_lower::MemoryLoader;
use netc_onnx::{ImportOptions, Imported, Weight};
use netc_runtime::Tensor;
use netc_runtime::bind::{self, ParameterSource};
use netc_runtime::program::Program;
use netc_runtime::weights::{Weights, save_one_by_one};

use crate::error::Error;
use crate::network::{LoadOptions, Network};

/// Whether a file's name says that it is an ONNX model.
pub(crate) fn is_onnx(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"))
}

impl Network {
    /// Reads an ONNX model as text of the language, and the text as any other. The net is called `name`, or like the file.
    ///
    /// # Errors
    /// If the file cannot be read or is no model, extents lack numbers, or nodes cannot be said in the language: all of them.
    pub fn import(path: &Path, name: Option<&str>, options: &LoadOptions) -> Result<Self, Error> {
        let asked = ImportOptions {
            name: name.map(str::to_owned),
            extents: options.extents.clone(),
        };
        let imported = netc_onnx::import(path, &asked).map_err(of_models)?;
        let shown = path.display().to_string();
        let loader = MemoryLoader::new().with(shown.clone(), imported.text.as_str());
        let mut network = Self::read(&loader, &shown, options)?;
        network.model = Some(Arc::new(imported));
        Ok(network)
    }

    /// What an ONNX model was read as; nothing for networks that were text.
    #[must_use]
    pub fn imported(&self) -> Option<&Imported> {
        self.model.as_deref()
    }

    /// The weights that came with an ONNX model. They take memory with this call.
    #[must_use]
    pub fn imported_weights(&self) -> Option<Weights> {
        let model = self.model.as_ref()?;
        let tensors = model
            .weights
            .iter()
            .map(|weight| (weight.key().to_owned(), weight.tensor()));
        Some(tensors.collect())
    }

    /// Writes the weights that came with an ONNX model, one after the other, as [`Weights::save`] would.
    ///
    /// # Errors
    /// If there are none, or the file cannot be written.
    pub fn save_imported_weights(&self, path: &Path) -> Result<(), Error> {
        let weights = self
            .imported()
            .map(|model| &model.weights)
            .ok_or_else(|| self.no_weights())?;
        let by_key: BTreeMap<&str, &Weight> = weights.iter().map(|weight| (weight.key(), weight)).collect();
        let shapes = weights.iter().map(|weight| (weight.key().to_owned(), weight.shape()));
        Ok(save_one_by_one(path, shapes, |key| by_key[key].elements())?)
    }

    fn no_weights(&self) -> Error {
        Error::NoWeights {
            net: self.name().to_owned(),
        }
    }

    /// Where the parameters of a program of this network come from: the weights that came with an ONNX model.
    ///
    /// # Errors
    /// If there are none.
    pub(crate) fn imported_sources(&self, program: &Program) -> Result<Vec<ParameterSource>, Error> {
        let weights = self.imported_weights().ok_or_else(|| self.no_weights())?;
        Ok(bind::sources(program, weights.into_iter().collect())?)
    }

    /// The network with these weights as the bytes of an ONNX model.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape, or ONNX has no operator for a layer.
    pub fn to_onnx(&self, weights: &Weights, origin: &Path) -> Result<Vec<u8>, Error> {
        let graph = self.graph();
        let mut tensors: Vec<(&str, &Tensor)> = Vec::new();
        for id in graph.parameters() {
            let node = graph.node(id);
            weights.expect_f32(&node.name, &node.ty.shape, origin)?;
            tensors.extend(weights.get(&node.name).map(|tensor| (node.name.as_str(), tensor)));
        }
        netc_onnx::export(graph, &tensors).map_err(|found| Error::mistakes(found, self.sources()))
    }
}

/// Mistakes of a model, which have no text.
fn of_models(found: Diagnostics) -> Error {
    Error::mistakes(found, &Sources::new())
}

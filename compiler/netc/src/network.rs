//! A network read from text: checked, with every shape known, ready to be reported on, compiled or trained.

use std::path::Path;
use std::sync::Arc;

use netc_analyze::{Architecture, Figures};
use netc_diagnostics::{Diagnostics, Sources, Style};
use netc_graph::Graph;
use netc_lower::{FolderLoader, LayerInfo, LoadError, Loader, Lowered, MemoryLoader, Project, Request, Setting};
use netc_onnx::Imported;
use netc_runtime::recipe::{Loss, TrainRecipe};
use netc_runtime::weights::Weights;

use crate::error::Error;
use crate::import::is_onnx;
use crate::model::Compiled;
use crate::options::Options;
use crate::pipeline::{self, PhaseTimes, Purpose, Stage};
use crate::stacking;

/// What is asked of a file beside its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Which net, if the file has several.
    pub net: Option<String>,
    /// Values for the net's arguments, in place of their defaults.
    pub arguments: Vec<(String, i64)>,
    /// Changes to the recipe, `optimizer.lr=0.1`, in order. With `data=…` among them, they are one by themselves.
    pub settings: Vec<String>,
    /// Numbers for extents of an ONNX model that have names, `sequence=128`.
    pub extents: Vec<(String, usize)>,
}

/// A network read from text.
#[derive(Clone, Debug)]
pub struct Network {
    project: Project,
    sources: Sources,
    lowered: Lowered,
    times: PhaseTimes,
    /// What was asked, so that a changed text can be read the same way.
    options: LoadOptions,
    /// What an ONNX model brings beside the text.
    pub(crate) model: Option<Arc<Imported>>,
}

impl Network {
    /// Reads the only net of a file.
    ///
    /// ```
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models");
    /// let network = netc::Network::load(format!("{folder}/lenet5.net"))?;
    /// assert_eq!(network.report().parameters, 61_706);
    /// # Ok::<(), netc::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the file cannot be read, and every mistake in it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::load_with(path, &LoadOptions::default())
    }

    /// Reads one net of a file, with other arguments and recipe values than written there. An ONNX model, `.onnx`, is read
    /// as the text that `netc import` would write.
    ///
    /// # Errors
    /// If the file cannot be read, and every mistake in it or in the options.
    pub fn load_with(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self, Error> {
        let path = path.as_ref();
        if is_onnx(path) {
            return Self::import(path, None, options);
        }
        let (loader, root) = FolderLoader::for_file(path).map_err(|error| unreadable(path, &error))?;
        Self::read(&loader, &root, options)
    }

    /// Reads the only net of a text.
    ///
    /// ```
    /// let text = "net n { input x: f32[1, 8, 8]  x |> cnov(4, 3) |> output y }";
    /// let error = netc::Network::parse(text).unwrap_err();
    /// assert!(error.render(netc::Style::Plain).contains("did you mean `conv`?"));
    /// ```
    ///
    /// # Errors
    /// Every mistake in the text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_with(text, &LoadOptions::default())
    }

    /// Reads one net of a text, with other arguments and recipe values than written there.
    ///
    /// # Errors
    /// Every mistake in the text or in the options.
    pub fn parse_with(text: &str, options: &LoadOptions) -> Result<Self, Error> {
        const NAME: &str = "text";
        Self::read(&MemoryLoader::new().with(NAME, text), NAME, options)
    }

    pub(crate) fn read(loader: &dyn Loader, root: &str, options: &LoadOptions) -> Result<Self, Error> {
        let mut sources = Sources::new();
        let mut times = PhaseTimes::default();
        let project = pipeline::timed(&mut times.parse_ms, || Project::load(loader, root, &mut sources))
            .map_err(|found| Error::mistakes(found, &sources))?;
        let request = request(options, &mut sources)?;
        let lowered = pipeline::timed(&mut times.lower_ms, || netc_lower::lower(&project, &sources, &request))
            .map_err(|found| Error::mistakes(found, &sources))?;
        pipeline::check(&lowered.graph, "lower");
        Ok(Self {
            project,
            sources,
            lowered,
            times,
            options: options.clone(),
            model: None,
        })
    }

    /// The same project with another text for its root file, read as this one was.
    pub(crate) fn with_root(&self, text: &str) -> Result<Self, Error> {
        let mut loader = MemoryLoader::new();
        let mut root = "";
        for (path, file) in self.project.files() {
            if file == self.project.root() {
                root = path;
                loader = loader.with(path, text);
            } else {
                loader = loader.with(path, self.sources.text(file).unwrap_or_default());
            }
        }
        Self::read(&loader, root, &self.options)
    }

    pub(crate) const fn project(&self) -> &Project {
        &self.project
    }

    /// Its layers, in the order of the text.
    #[must_use]
    pub fn layers(&self) -> &[LayerInfo] {
        &self.lowered.layers
    }

    /// What its shape costs, and what other shapes would: times are predicted for the machine of `options`. With
    /// `weights`, of the file `path`, also how well stacks of 3x3 can stand for its wide convolutions.
    ///
    /// # Errors
    /// If a tensor of the network is missing or has another shape.
    pub fn architecture(&self, weights: Option<(&Weights, &Path)>, options: &Options) -> Result<Architecture, Error> {
        let tensors = weights
            .map(|(weights, path)| stacking::tensors(self, weights, path))
            .transpose()?;
        let predict = |graph: &Graph| predicted_picoseconds(graph, options);
        Ok(netc_analyze::architecture(
            self.graph(),
            tensors.as_ref(),
            &options.cost.name,
            &predict,
        ))
    }

    /// What it holds and costs, with times predicted for the machine of `options`.
    #[must_use]
    pub fn figures(&self, options: &Options) -> Figures {
        netc_analyze::architecture::figures(self.graph(), &|graph| predicted_picoseconds(graph, options))
    }

    /// The net's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.lowered.graph.name()
    }

    /// The file it was read from; `text` if it came from none.
    #[must_use]
    pub fn file(&self) -> &str {
        self.sources.name(self.project.root()).unwrap_or_default()
    }

    /// The network as a graph, in its inference form.
    #[must_use]
    pub const fn graph(&self) -> &Graph {
        &self.lowered.graph
    }

    /// How to train it, if the text or a setting says so.
    #[must_use]
    pub fn recipe(&self) -> Option<&TrainRecipe> {
        self.lowered.train.as_ref().map(|train| &train.recipe)
    }

    /// The recipe.
    ///
    /// # Errors
    /// If there is none.
    pub fn expect_recipe(&self) -> Result<&TrainRecipe, Error> {
        self.recipe().ok_or_else(|| Error::NoRecipe {
            net: self.name().to_owned(),
        })
    }

    /// The recipe's loss; cross-entropy where there is no recipe.
    #[must_use]
    pub fn loss(&self) -> Loss {
        self.recipe()
            .map_or(Loss::CrossEntropy { label_smoothing: 0.0 }, |recipe| recipe.loss)
    }

    /// The folder that the path of the data is relative to: that of the file it is written in, and the current one for
    /// what a setting says.
    #[must_use]
    pub fn recipe_folder(&self) -> &Path {
        // Settings are texts without a folder.
        let name = self
            .lowered
            .train
            .as_ref()
            .and_then(|train| self.sources.name(train.data_origin()));
        name.and_then(|name| Path::new(name).parent()).unwrap_or(Path::new(""))
    }

    /// What is odd but no mistake.
    #[must_use]
    pub const fn warnings(&self) -> &Diagnostics {
        &self.lowered.warnings
    }

    /// The warnings as text, with their source lines.
    #[must_use]
    pub fn render_warnings(&self, style: Style) -> String {
        self.lowered.warnings.render(&self.sources, style)
    }

    /// The texts that warnings point into.
    #[must_use]
    pub const fn sources(&self) -> &Sources {
        &self.sources
    }

    /// What each layer makes, holds, costs and sees.
    #[must_use]
    pub fn report(&self) -> netc_analyze::Report {
        netc_analyze::report(self.graph())
    }

    /// Compiles it to be run.
    ///
    /// # Errors
    /// If this machine is not supported.
    pub fn compile(&self, options: &Options) -> Result<Compiled, Error> {
        self.compile_for(&Purpose::Inference, options)
    }

    /// Compiles it for any purpose.
    ///
    /// # Errors
    /// If it cannot be trained as asked, or this machine is not supported.
    pub fn compile_for(&self, purpose: &Purpose, options: &Options) -> Result<Compiled, Error> {
        let mut stages = pipeline::compile(self.graph(), purpose, options)?;
        let PhaseTimes { parse_ms, lower_ms, .. } = self.times;
        stages.times = PhaseTimes {
            parse_ms,
            lower_ms,
            ..stages.times
        };
        Ok(Compiled::new(stages, options.clone()))
    }

    /// One stage of its compilation as text. [`Stage::Gradient`] shows the training step of the recipe, or the gradients
    /// of a cross-entropy where there is no recipe; the stages after it are those of the network to be run.
    ///
    /// ```
    /// use netc::{Network, Options, Stage};
    /// let network = Network::parse("net n { input x: f32[4]  x |> dense(2) |> relu |> output y }")?;
    /// assert!(network.emit(Stage::Graph, &Options::default())?.contains("relu"));
    /// # Ok::<(), netc::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Network::compile_for`].
    pub fn emit(&self, stage: Stage, options: &Options) -> Result<String, Error> {
        Ok(match stage {
            Stage::Ast => self
                .project
                .trees()
                .map(|(_, tree)| tree.to_string())
                .collect::<Vec<_>>()
                .join("\n"),
            Stage::Graph => netc_graph::to_text(self.graph()),
            Stage::Gradient => netc_graph::to_text(&match self.recipe() {
                Some(recipe) => netc_autodiff::training_graph(self.graph(), recipe)?,
                None => netc_autodiff::gradient_graph(self.graph(), &self.loss())?,
            }),
            Stage::Optimized => netc_graph::to_text(&self.compile(options)?.stages().optimized),
            Stage::Plan => netc_schedule::to_text(&self.compile(options)?.stages().plan),
            Stage::Kernels => netc_codegen::emit(&self.compile(options)?.stages().plan, &options.machine)?,
        })
    }
}

/// One sample, as it would be run: after rewriting.
fn predicted_picoseconds(graph: &Graph, options: &Options) -> u64 {
    let rewriting = pipeline::rewriting(&Purpose::Inference, options);
    netc_rewrite::optimize(graph, &rewriting).report.after.picoseconds
}

fn request(options: &LoadOptions, sources: &mut Sources) -> Result<Request, Error> {
    let mut settings = Vec::new();
    let mut found = Diagnostics::new();
    for text in &options.settings {
        match Setting::parse(text, sources) {
            Ok(setting) => settings.push(setting),
            Err(mistakes) => found.extend(mistakes),
        }
    }
    if found.has_errors() {
        return Err(Error::mistakes(found, sources));
    }
    Ok(Request {
        net: options.net.clone(),
        arguments: options.arguments.iter().cloned().collect(),
        settings,
    })
}

fn unreadable(path: &Path, error: &LoadError) -> Error {
    let kind = match error {
        LoadError::Missing => std::io::ErrorKind::NotFound,
        LoadError::Outside | LoadError::TooLarge | LoadError::Unreadable(_) => std::io::ErrorKind::Other,
    };
    Error::Io {
        path: path.to_path_buf(),
        error: std::io::Error::new(kind, error.to_string()),
    }
}

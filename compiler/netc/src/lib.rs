//! netc compiles a convolutional network, written in a small readable language, into native code; it trains it through
//! the same compiler, and runs it. No Python, no run-time to install.
//!
//! ```
//! use netc::{Network, Options};
//!
//! let network = Network::parse(
//!     "net tiny {
//!          input image: f32[1, 8, 8]
//!          image |> conv(4, 3) |> relu |> flatten |> dense(2) |> output logits
//!      }",
//! )?;
//! let mut model = network.compile(&Options::default())?.with_init(1)?;
//! // Two samples in, two logits for each out.
//! let logits = model.run(&[0.5; 2 * 8 * 8])?;
//! assert_eq!(logits.len(), 2 * 2);
//! # Ok::<(), netc::Error>(())
//! ```
//!
//! | to | use |
//! |---|---|
//! | read a network and say what it holds and costs | [`Network::load`], [`Network::report`] |
//! | compile it | [`Network::compile`], [`Compiled`] |
//! | run it | [`Compiled::with_weights`], [`Model::run`], [`Model::run_tensors`] |
//! | train it | [`Network::train`], [`Training`] |
//! | read an ONNX model, or write one | [`Network::import`], [`Network::to_onnx`] |
//! | see what rewriting did to it, and why | [`Network::explain`], [`Explanation`] |
//! | see what its shape costs, and what others would | [`Network::architecture`], [`Network::stack_3x3`] |
//! | see every stage of a compilation as text | [`Network::emit`], [`Stage`] |
//!
//! Every mistake is an [`Error`], which renders as text with the source line it is about ([`Error::render`]).
//! Results do not depend on the number of threads, nor on time.

pub mod calibration;
pub mod error;
pub mod explanation;
mod import;
mod model;
mod network;
mod options;
pub mod pipeline;
mod processor;
pub mod stacking;
mod training;

pub use error::Error;
pub use explanation::{ExplainOptions, Explanation};
pub use model::{Compiled, LayerCost, Model};
pub use netc_analyze::{Architecture, LayerReport, PortReport, Report};
pub use netc_diagnostics::{Diagnostics, Sources, Style};
pub use netc_rewrite::Class;
pub use netc_runtime::data::{Dataset, Split};
pub use netc_runtime::recipe::TrainRecipe;
pub use netc_runtime::train::{EpochReport, Evaluation, StepReport};
pub use netc_runtime::weights::Weights;
pub use netc_runtime::{DType, Data, Shape, Tensor};
pub use network::{LoadOptions, Network};
pub use options::{Cpu, Options};
pub use pipeline::{PhaseTimes, Purpose, Stage, Stages};
pub use training::{Training, data_folder, input_shape, load_halves, measure};

/// The stages' own crates, for whoever wants to look closer.
pub mod stages {
    pub use netc_analyze as analyze;
    pub use netc_autodiff as autodiff;
    pub use netc_codegen as codegen;
    pub use netc_diagnostics as diagnostics;
    pub use netc_graph as graph;
    pub use netc_lower as lower;
    pub use netc_onnx as onnx;
    pub use netc_rewrite as rewrite;
    pub use netc_runtime as runtime;
    pub use netc_schedule as schedule;
    pub use netc_syntax as syntax;
}

//! The same network with stacks of 3x3 for its wide convolutions, as text: a new network, to be trained.
//!
//! [`Network::stack_3x3`] edits the text that the network was read from. Comments, names, blocks and recipes stay, and the
//! result is canonical. `conv(16, 5) |> relu` becomes `conv(16, 3) as conv1a |> relu |> conv(16, 3) as conv1b |> relu`.
//! Layers that are not replaced keep their names, so that their weights can be found again. What cannot be replaced is
//! left as it is and told, with its place and the reason. The result is lowered before anybody sees it: it has the inputs
//! and outputs of the old network, or there is no result.
//!
//! Which stack stands for which convolution is said in [`netc_analyze::stack`].

mod apply;
mod follow;
mod site;
mod text;
mod weights;

pub(crate) use weights::tensors;
pub use weights::{InitialWeights, LayerStart};

use netc_analyze::stack::Width;
use netc_diagnostics::{Diagnostics, Span};
use serde::Serialize;

use crate::network::Network;

/// A network whose wide convolutions are stacks.
#[derive(Clone, Debug)]
pub struct Stacked {
    /// Its text, canonical.
    pub text: String,
    /// It, lowered.
    pub network: Network,
    /// Convolutions that were replaced, in the order of the text; one that is written once and used often is there often.
    pub replaced: Vec<Replaced>,
    /// Layers that could not keep their names.
    pub renamed: Vec<Renamed>,
    /// Wide convolutions that were left as they are, and other things to know: with their places.
    pub notes: Diagnostics,
    /// Channels between the layers of stacks.
    pub(crate) width: Width,
    /// Where replaced calls are in the old text.
    pub(crate) spans: Vec<Span>,
}

/// One convolution that was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replaced {
    /// Its name in the old network.
    pub layer: String,
    /// The convolutions of its stack in the new network.
    pub layers: Vec<String>,
    /// Channels between them.
    pub channels_between: usize,
    /// The non-linearity between them.
    pub activation: String,
    /// Whether that is the one that followed the wide convolution; otherwise nothing did, and relu was chosen.
    pub activation_follows: bool,
}

/// A layer with weights that has another name in the new network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Renamed {
    /// Its name in the old network.
    pub before: String,
    /// Its name in the new network.
    pub after: String,
}

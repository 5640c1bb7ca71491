//! Commands that later versions will have. They are listed so that whoever looks for them is told.

use std::ffi::OsString;

use clap::Args;

/// Not available in this version: a network from ONNX
#[derive(Debug, Args)]
#[command(
    after_help = "Example of what is available: netc run models/lenet5.net --weights lenet5.safetensors --input x.npy"
)]
pub(super) struct Import {
    /// Ignored
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<OsString>,
}

/// Not available in this version: a network as ONNX, or as an object file with a C header
#[derive(Debug, Args)]
#[command(after_help = "Example of what is available: netc compile models/lenet5.net --emit kernels")]
pub(super) struct Export {
    /// Ignored
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<OsString>,
}

/// Why such a command fails.
pub(super) fn error(command: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "`netc {command}` is not available in this version ({})",
        env!("CARGO_PKG_VERSION")
    )
}

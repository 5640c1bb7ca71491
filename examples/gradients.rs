//! Computes the gradient of the mean cross-entropy for every parameter of a network, for `tests/pytorch/compare.py`.
//!
//!     gradients FILE.net --weights W.safetensors --input X.npy --labels L.npy --output G.safetensors
//!
//! The network is in the form in which it is used: no dropout, running statistics. Every mistake of the arguments is an
//! error that names them.

#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::collections::BTreeMap;
use std::path::Path;

use netc::stages::autodiff::{LABELS, gradient_output};
use netc::stages::runtime::array_file::read_npy;
use netc::{Network, Options, Purpose, Weights};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("which network?")?;
    let mut given = BTreeMap::new();
    while let Some(key) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("`{key}` has no value"))?;
        given.insert(key, value);
    }
    let path = |key: &str| {
        given
            .get(key)
            .map(Path::new)
            .ok_or_else(|| format!("`{key}` is missing"))
    };

    let network = Network::load(file)?;
    let compiled = network.compile_for(&Purpose::Gradients(network_loss()), &Options::default())?;
    let mut model = compiled.with_weights(path("--weights")?)?;
    let (samples, labels) = (read_npy(path("--input")?)?, read_npy(path("--labels")?)?);
    let input = network.report().inputs[0].name.clone();
    let outputs = model.run_tensors(&[(input.as_str(), &samples), (LABELS, &labels)])?;

    let prefix = gradient_output("");
    let gradients = outputs
        .into_iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?.to_owned(), value)));
    let gradients: Weights = gradients.collect();
    println!("{} gradients", gradients.len());
    Ok(gradients.save(path("--output")?)?)
}

/// What PyTorch's `cross_entropy` computes by default, whatever the recipe smooths.
fn network_loss() -> netc::stages::runtime::recipe::Loss {
    netc::stages::runtime::recipe::Loss::CrossEntropy { label_smoothing: 0.0 }
}

//! Trains a network written in this file on data made here, and uses what it has learned.
//!
//!     cargo run --release --example train
//!
//! The task: is a signal's bump in its left or in its right half? The training step (forward, backward, update) is
//! compiled like any other network. Results are the same for any number of threads.

#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use netc::stages::runtime::data::Targets;
use netc::stages::runtime::random::Stream;
use netc::stages::runtime::train::Halves;
use netc::{Dataset, Network, Options, Split, Tensor};

const NETWORK: &str = r#"
net bump {
    input signal: f32[1, 32]
    signal
        |> conv(4, 5, pad = same) |> relu |> max_pool(4)
        |> flatten |> dense(2)
        |> output logits
}

train bump {
    data      = npy("made-below")
    optimizer = adam(lr = 0.01)
    epochs    = 5
    batch     = 16
    seed      = 7
}
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let network = Network::parse(NETWORK)?;
    let halves = Halves {
        train: Arc::new(bumps(512, Split::Train)?),
        test: Some(Arc::new(bumps(128, Split::Test)?)),
    };
    let mut training = network.train_on(&halves, &Options::default())?;
    while let Some(epoch) = training.epoch(|_step| ControlFlow::Continue(()))? {
        let accuracy = epoch
            .test
            .and_then(|test| test.accuracy)
            .map_or(0.0, |accuracy| accuracy.top1_share());
        println!(
            "epoch {}: loss {:.4}, {:.1} % right",
            epoch.epoch,
            epoch.train_loss,
            100.0 * accuracy
        );
    }

    // The trained weights go into the network as it will be used.
    let mut model = network.compile(&Options::default())?.with_tensors(training.weights())?;
    let mut signal = [0.0; 32];
    signal[5..8].fill(1.0);
    let logits = model.run(&signal)?;
    println!(
        "a bump at 6 is in the {} half",
        if logits[0] > logits[1] { "left" } else { "right" }
    );
    Ok(())
}

/// Noise with a bump of three samples somewhere; the label says in which half.
fn bumps(count: usize, split: Split) -> Result<Dataset, Box<dyn std::error::Error>> {
    let stream = Stream::new(1, &format!("bumps/{split:?}"));
    let (mut samples, mut labels) = (vec![0.0; count * 32], vec![0; count]);
    stream.substream(0).fill_normal(0.2, &mut samples);
    for (index, label) in labels.iter_mut().enumerate() {
        let place = stream.u32_at(index as u64) as usize % 28;
        samples[index * 32 + place..][..3].fill(1.0);
        *label = i32::from(place >= 14);
    }
    let samples = Tensor::from_f32([count, 1, 32], samples)?;
    let targets = Targets::Classes(Tensor::from_i32([count], labels)?);
    Ok(Dataset::new(samples, targets, split, Path::new("bumps"))?)
}

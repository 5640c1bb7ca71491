//! Compiles a network from its file, binds weights, and runs it on a batch.
//!
//!     cargo run --release --example compile_and_run -- models/lenet5.net [WEIGHTS.safetensors]
//!
//! Without a weight file the weights are random; the same seed always gives the same ones.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that shows something"
)]

use netc::{Error, Network, Options};

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| "models/lenet5.net".to_owned());
    let weights = arguments.next();

    // Every mistake in the file is an error that renders with its source line.
    let network = Network::load(&file).inspect_err(|error| eprint!("{}", error.render(netc::Style::Plain)))?;
    let report = network.report();
    println!(
        "{}: {} parameters, {} MACs for each sample",
        report.model, report.parameters, report.macs
    );

    // Machine code for this processor. The batch is not part of it: any number of samples runs through the same code.
    let compiled = network.compile(&Options::default().with_threads(2))?;
    println!(
        "compiled in {:.1} ms to {} bytes of code",
        compiled.times().total_ms(),
        compiled.program().code_bytes
    );

    let mut model = match weights {
        Some(path) => compiled.with_weights(path)?,
        None => compiled.with_init(1)?,
    };
    let sample_len = report.inputs[0].shape.element_count();
    let samples = vec![0.5; 3 * sample_len];
    let outputs = model.run(&samples)?;
    for (index, output) in outputs.chunks(outputs.len() / 3).enumerate() {
        println!("sample {index}: {:.4?}", &output[..output.len().min(10)]);
    }
    Ok(())
}

//! Shows what the compiler makes of a network, stage by stage, as text.
//!
//!     cargo run --release --example read_the_stages [-- models/lenet5.net]
//!
//! The same text is what `netc compile --emit` prints and what the snapshots in `tests/` hold.

#![allow(clippy::print_stdout, reason = "a program that shows something")]

use netc::{Error, ExplainOptions, Network, Options, Purpose, Stage};

const NETWORK: &str = "
net small {
    input image: f32[1, 8, 8]
    image |> conv(4, 3) |> batch_norm |> relu |> max_pool(2) |> flatten |> dense(2) |> output logits
}
";

fn main() -> Result<(), Error> {
    let network = match std::env::args().nth(1) {
        Some(file) => Network::load(file)?,
        None => Network::parse(NETWORK)?,
    };
    let options = Options::default();
    let stages = [
        ("the syntax tree: names and places, nothing is known yet", Stage::Ast),
        ("the graph: every node has a shape and a type", Stage::Graph),
        (
            "the graph with its gradients: ordinary operators, compiled like any other",
            Stage::Gradient,
        ),
        (
            "the optimized graph: the cheapest that rewriting has found",
            Stage::Optimized,
        ),
        (
            "the plan: which kernels run in which order on which memory",
            Stage::Plan,
        ),
    ];
    for (title, stage) in stages {
        println!("=== {title}\n\n{}", network.emit(stage, &options)?);
    }

    println!("=== the rewrites: what became of which layers, and by which rules\n");
    let explanation = network.explain(&Purpose::Inference, &options, &ExplainOptions::default())?;
    for row in explanation.rows {
        // The rest is done on weights, once.
        let runs = row.run.iter().filter(|run| !run.at_binding);
        let run: Vec<&str> = runs.map(|run| run.operator).collect();
        let reason = match row.rules.as_slice() {
            [] => "as written".to_owned(),
            rules => rules.join(", "),
        };
        println!("{}: {} ({reason})", row.layers.join(" + "), run.join(", "));
    }

    // The last stage is long: here is only how long it is.
    let kernels = network.emit(Stage::Kernels, &options)?;
    println!(
        "=== the kernels: {} lines of the kernel IR; `netc compile --emit kernels` prints them",
        kernels.lines().count()
    );
    Ok(())
}

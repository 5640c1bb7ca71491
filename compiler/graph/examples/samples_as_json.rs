//! Prints samples of every operator with what the reference interpreter makes of them, one JSON object a line, for
//! comparison with another implementation: `against_pytorch.py` beside the tests reads it.
//!
//! The argument is the number of samples for each operator (default 20).

use std::io::{self, Write};

use netc_graph::Operator;
use netc_graph::samples::Sample;
use netc_runtime::{Data, Tensor};
use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let count: u64 = std::env::args()
        .nth(1)
        .and_then(|count| count.parse().ok())
        .unwrap_or(20);
    let mut out = io::BufWriter::new(io::stdout().lock());
    for name in Operator::NAMES {
        for sample in (0..count).filter_map(|seed| Sample::draw(name, seed)) {
            let batch = 2;
            let inputs = sample.tensors(batch);
            let y = sample
                .operator
                .evaluate(&inputs.iter().collect::<Vec<_>>(), &sample.output(), batch);
            let inputs: Vec<Value> = inputs.iter().map(tensor).collect();
            let line = json!({ "name": name, "operator": sample.operator, "inputs": inputs, "y": tensor(&y) });
            writeln!(out, "{line}")?;
        }
    }
    out.flush()
}

fn tensor(tensor: &Tensor) -> Value {
    let values = match tensor.data() {
        Data::F32(values) => json!(values),
        Data::I32(values) => json!(values),
        Data::U8(values) => json!(values),
        Data::I8(values) => json!(values),
    };
    json!({ "shape": tensor.shape(), "dtype": tensor.dtype(), "values": values })
}

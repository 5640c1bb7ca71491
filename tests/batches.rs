//! A batch gives the bits that its samples give alone, also where it is so large that it runs in parts.

use std::sync::Arc;

use netc::stages::runtime::execute::{self, Session};
use netc::stages::runtime::random::Stream;
use netc::stages::schedule::Caches;
use netc::{DType, Network, Options, Purpose, Tensor};

/// Some megabytes for a sample between its layers; pooling, a layer that reads the image alone, and one that reads both.
const LARGE: &str = "
net large {
    input image: f32[8, 96, 96]
    input gain: f32[16]
    let seen = image
        |> conv(24, 3, pad = same) |> relu |> conv(16, 3, pad = same)
        |> max_pool(2) |> conv(16, 3, pad = same) |> relu
        |> conv(4, 1) |> flatten |> dense(16)
    add(seen, gain) |> output y
}
";

const BATCH: usize = 7;

#[test]
fn a_batch_in_parts_has_the_bits_of_its_samples() {
    let network = Network::parse(LARGE).unwrap_or_else(|error| panic!("{}", error.render(netc::Style::Plain)));
    // Two or three samples fit these caches, whatever the processor has.
    let mut options = Options::default();
    options.machine = options.machine.with_caches(Caches::TYPICAL);
    let compiled = network.compile_for(&Purpose::Inference, &options).expect("it compiles");
    let program = Arc::clone(compiled.program());
    let at_once = program.samples_at_once(BATCH);
    assert!(
        (1..BATCH).contains(&at_once),
        "the batch runs in parts: {at_once} samples"
    );
    let tensor = |name: &str, shape: &[usize]| {
        let mut tensor = Tensor::zeros(DType::F32, shape.to_vec());
        Stream::new(1, name).fill_uniform(-1.0, 1.0, tensor.as_f32_mut().expect("made as f32"));
        tensor
    };
    let (image, gain) = (tensor("image", &[BATCH, 8, 96, 96]), tensor("gain", &[BATCH, 16]));
    let sample = |tensor: &Tensor, index: usize| {
        let size = tensor.shape().element_count() / BATCH;
        let values = tensor.as_f32().expect("f32")[index * size..][..size].to_vec();
        let extents = [&[1], &tensor.shape().extents()[1..]].concat();
        Tensor::from_f32(extents, values).expect("a sample's size")
    };
    for threads in [1, 2] {
        let options = execute::Options {
            threads,
            ..execute::Options::default()
        };
        let mut session = Session::with_init(Arc::clone(&program), options, 3).expect("it fits");
        let mut run = |image: &Tensor, gain: &Tensor| -> Vec<u32> {
            let outputs = session
                .run_tensors(&[("image", image), ("gain", gain)])
                .expect("it fits");
            outputs[0]
                .1
                .as_f32()
                .expect("f32")
                .iter()
                .map(|value| value.to_bits())
                .collect()
        };
        let together = run(&image, &gain);
        let alone = (0..BATCH).flat_map(|index| run(&sample(&image, index), &sample(&gain, index)));
        assert_eq!(together, alone.collect::<Vec<_>>(), "{threads} threads");
        let others = program.bound_bytes() + threads * program.scratch_bytes.next_multiple_of(4096);
        let arena = session.memory_bytes() - others;
        assert_eq!(arena, at_once * program.batched_bytes, "parts share the memory of one");
    }
}

//! The exact stack of a wide convolution, where its channels suffice.
//!
//! If every layer but the last only moves channels, the last can read taps that lie far apart: with windows of 3, copies
//! moved by 0, 3, 6, … cover any width. That takes `⌈k/3⌉` copies of each input along each axis. Where the stack is
//! wide enough for them, its linear composition is the wide convolution itself; and as a moved copy of what is not
//! negative passes a relu unchanged, the stack then computes the same with relu between its layers, but for borders.
//! (After Chen, Goodfellow, Shlens, "Net2Net", 2016, which widens and deepens networks without changing what they do.)

use netc_runtime::random::Stream;

use super::kernel::Kernel;

/// The exact stack, the earliest factor first; `shapes` are the taps of its layers. `None` if `between` channels are too
/// few. Channels that it does not need begin at random and are not read, so that training can use them.
pub(crate) fn exact(target: &Kernel, shapes: &[[usize; 2]], between: usize) -> Option<Vec<Kernel>> {
    let (&last, before) = shapes.split_last()?;
    let offsets = [0, 1].map(|axis| offsets(target.taps[axis], last[axis]));
    let copies = offsets[0].len() * offsets[1].len();
    if before.is_empty() || target.inputs * copies > between {
        return None;
    }
    let mut factors = moves(target, before, between, &offsets);
    let mut reader = Kernel::zeros(target.outputs, between, last);
    for output in 0..target.outputs {
        for input in 0..target.inputs {
            for row in 0..target.taps[0] {
                for column in 0..target.taps[1] {
                    let copy = [row, column];
                    let which = [0, 1].map(|axis| (copy[axis] / last[axis]).min(offsets[axis].len() - 1));
                    let channel = (input * offsets[0].len() + which[0]) * offsets[1].len() + which[1];
                    let tap = [0, 1].map(|axis| copy[axis] - offsets[axis][which[axis]]);
                    let to = reader.at(output, channel, tap[0], tap[1]);
                    reader.values[to] = target.values[target.at(output, input, row, column)];
                }
            }
        }
    }
    factors.push(reader);
    Some(factors)
}

/// Where the last layer's windows must begin so that they cover `taps` taps.
fn offsets(taps: usize, window: usize) -> Vec<usize> {
    let last = taps.saturating_sub(window);
    (0..taps.div_ceil(window))
        .map(|copy| (copy * window).min(last))
        .collect()
}

/// Layers that move each input's copies to their offsets, as far as each window reaches.
fn moves(target: &Kernel, shapes: &[[usize; 2]], between: usize, offsets: &[Vec<usize>; 2]) -> Vec<Kernel> {
    let used = target.inputs * offsets[0].len() * offsets[1].len();
    let mut done = [0; 2];
    let layer = |(index, &taps): (usize, &[usize; 2])| {
        let inputs = if index == 0 { target.inputs } else { between };
        let mut kernel = spare(between, inputs, taps, index, used);
        for channel in 0..used {
            let copy = channel % (offsets[0].len() * offsets[1].len());
            let copy = [copy / offsets[1].len(), copy % offsets[1].len()];
            let tap = [0, 1].map(|axis| offsets[axis][copy[axis]].saturating_sub(done[axis]).min(taps[axis] - 1));
            let input = if index == 0 {
                channel / (offsets[0].len() * offsets[1].len())
            } else {
                channel
            };
            let to = kernel.at(channel, input, tap[0], tap[1]);
            kernel.values[to] = 1.0;
        }
        done = [0, 1].map(|axis| done[axis] + taps[axis] - 1);
        kernel
    };
    shapes.iter().enumerate().map(layer).collect()
}

/// A kernel whose first `used` outputs are zero and the others random, of the size that keeps values as large as they are.
fn spare(outputs: usize, inputs: usize, taps: [usize; 2], index: usize, used: usize) -> Kernel {
    let mut kernel = Kernel::zeros(outputs, inputs, taps);
    let weights = inputs * kernel.tap_count();
    let bound = 1.0 / (weights as f32).sqrt();
    let stream = Stream::new(0, &format!("spare/{index}"));
    let free = &mut kernel.values[used.min(outputs) * weights..];
    let mut values = vec![0.0; free.len()];
    stream.fill_uniform(-bound, bound, &mut values);
    free.iter_mut()
        .zip(values)
        .for_each(|(weight, value)| *weight = f64::from(value));
    kernel
}

#[cfg(test)]
mod tests {
    use super::super::kernel::compose_all;
    use super::super::kernel::tests::random;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_wide_convolution(layers in 2usize..5, even: bool, inputs in 1usize..3, outputs in 1usize..4, spare in 0usize..3, seed: u64) {
            let mut shapes = vec![[3, 3]; layers];
            if even {
                shapes[0] = [2, 1];
            }
            let taps = [0, 1].map(|axis| shapes.iter().map(|shape| shape[axis] - 1).sum::<usize>() + 1);
            let target = random(outputs, inputs, taps, seed);
            let between = inputs * (0..2).map(|axis| taps[axis].div_ceil(3)).product::<usize>();
            let stack = exact(&target, &shapes, between + spare).unwrap();
            prop_assert_eq!(compose_all(&stack).unwrap(), target.clone());
            prop_assert!(exact(&target, &shapes, between - 1).is_none());
        }
    }
}

//! The order of a window's sum: runs of steps that lie evenly in memory, and loops over runs that lie evenly.

use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::Int;

/// Steps that are written out one by one: a whole sum, or one run of it.
const UNROLLED_SUM: usize = 12;
const UNROLLED_RUN: usize = 12;

/// A level of evenly spaced positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    /// How many.
    pub(crate) count: usize,
    /// From one to the next.
    pub(crate) stride: isize,
}

/// Up to two loops, outermost first, that yield these numbers after adding the first of them; `None` if they are not
/// that even. No loop for a single number.
pub(crate) fn levels(numbers: &[isize]) -> Option<Vec<Level>> {
    let count = numbers.len();
    if count == 1 {
        return Some(Vec::new());
    }
    for inner in (1..=count).rev().filter(|inner| count.is_multiple_of(*inner)) {
        let stride = if inner > 1 { numbers[1] - numbers[0] } else { 0 };
        let outer = if inner < count { numbers[inner] - numbers[0] } else { 0 };
        let even = |(index, number): (usize, &isize)| {
            *number == numbers[0] + (index / inner) as isize * outer + (index % inner) as isize * stride
        };
        if numbers.iter().enumerate().all(even) {
            let all = [
                Level {
                    count: count / inner,
                    stride: outer,
                },
                Level { count: inner, stride },
            ];
            return Some(all.into_iter().filter(|level| level.count > 1).collect());
        }
    }
    None
}

/// A sum over taps and depth as runs of evenly spaced source elements. Weights always lie in the order of the sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Runs {
    /// Where each run starts, in elements from the window's origin.
    starts: Vec<isize>,
    /// Steps of each run.
    length: usize,
    /// Elements between steps.
    stride: usize,
}

/// Some steps of a sum, to be written one after the other.
pub(crate) struct Steps {
    /// Address of the first step's source element.
    pub(crate) source: Int,
    /// Address of the first step's weights.
    pub(crate) weights: Int,
    /// For each step: bytes from `source`.
    pub(crate) offsets: Vec<usize>,
}

impl Runs {
    /// The runs of taps at these offsets, each `depth` steps of `stride` elements; taps that follow on each other are
    /// one run.
    pub(crate) fn new(tap_offsets: &[isize], depth: usize, stride: usize) -> Self {
        let tap_length = (depth * stride) as isize;
        let follows = |pair: &[isize]| pair[1] - pair[0] == tap_length;
        // All runs have the length of the first, or taps stay apart.
        let first = 1 + tap_offsets.windows(2).take_while(|pair| follows(pair)).count();
        let equal = tap_offsets.len().is_multiple_of(first)
            && tap_offsets.chunks(first).all(|chunk| chunk.windows(2).all(follows));
        let taps = if equal { first } else { 1 };
        Self {
            starts: tap_offsets.iter().step_by(taps).copied().collect(),
            length: taps * depth,
            stride,
        }
    }

    /// Writes the sum: `body` takes some steps, with the sums so far in variables if `in_loop`.
    ///
    /// `source` is the window's origin; a step's weights take `step_bytes`; loops take `unroll` steps at a time.
    pub(crate) fn write(
        &self,
        b: &mut Builder,
        source: Int,
        weights: Int,
        (step_bytes, unroll): (usize, usize),
        body: &mut dyn FnMut(&mut Builder, &Steps),
    ) {
        let run_bytes = self.length * step_bytes;
        if self.starts.len() * self.length <= UNROLLED_SUM {
            let least = self.starts.iter().copied().min().unwrap_or(0);
            let offset = |start: &isize, step: usize| (start - least) as usize + step * self.stride;
            let steps = self
                .starts
                .iter()
                .flat_map(|start| (0..self.length).map(move |step| offset(start, step)));
            let offsets = steps.map(|elements| elements * ELEMENT_BYTES).collect();
            let source = b.add(source, bytes(least));
            return body(
                b,
                &Steps {
                    source,
                    weights,
                    offsets,
                },
            );
        }
        let Some(levels) = levels(&self.starts) else {
            for (index, start) in self.starts.iter().enumerate() {
                let source = b.add(source, bytes(*start));
                let weights = b.add(weights, index * run_bytes);
                self.run(b, source, weights, (step_bytes, unroll), body);
            }
            return;
        };
        let source = b.add(source, bytes(self.starts[0]));
        self.nested(b, &levels, (source, weights), (step_bytes, unroll), body);
    }

    fn nested(
        &self,
        b: &mut Builder,
        levels: &[Level],
        (source, weights): (Int, Int),
        (step_bytes, unroll): (usize, usize),
        body: &mut dyn FnMut(&mut Builder, &Steps),
    ) {
        let [level, inner @ ..] = levels else {
            return self.run(b, source, weights, (step_bytes, unroll), body);
        };
        let inside = inner.iter().map(|level| level.count).product::<usize>();
        let weight_bytes = inside * self.length * step_bytes;
        b.for_range(0usize, level.count, 1, |b, index| {
            let distance = b.multiply(index, bytes(level.stride));
            let source = b.add(source, distance);
            let distance = b.multiply(index, weight_bytes);
            let weights = b.add(weights, distance);
            self.nested(b, inner, (source, weights), (step_bytes, unroll), body);
        });
    }

    /// One run, by loop unless it is short.
    fn run(
        &self,
        b: &mut Builder,
        source: Int,
        weights: Int,
        (step_bytes, unroll): (usize, usize),
        body: &mut dyn FnMut(&mut Builder, &Steps),
    ) {
        let offsets = |count: usize| {
            (0..count)
                .map(|step| step * self.stride * ELEMENT_BYTES)
                .collect::<Vec<_>>()
        };
        if self.length <= UNROLLED_RUN {
            return body(
                b,
                &Steps {
                    source,
                    weights,
                    offsets: offsets(self.length),
                },
            );
        }
        let whole = self.length / unroll * unroll;
        let end = b.add(weights, whole * step_bytes);
        let moving = b.int_variable(source);
        b.for_range(weights, end, unroll * step_bytes, |b, weights| {
            body(
                b,
                &Steps {
                    source: moving,
                    weights,
                    offsets: offsets(unroll),
                },
            );
            b.increase(moving, unroll * self.stride * ELEMENT_BYTES);
        });
        if whole < self.length {
            body(
                b,
                &Steps {
                    source: moving,
                    weights: end,
                    offsets: offsets(self.length - whole),
                },
            );
        }
    }
}

const fn bytes(elements: isize) -> i64 {
    elements as i64 * ELEMENT_BYTES as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_numbers_are_loops() {
        assert_eq!(levels(&[5]), Some(vec![]));
        assert_eq!(levels(&[5, 7, 9]), Some(vec![Level { count: 3, stride: 2 }]));
        let two = vec![Level { count: 2, stride: 10 }, Level { count: 3, stride: 1 }];
        assert_eq!(levels(&[0, 1, 2, 10, 11, 12]), Some(two));
        assert_eq!(levels(&[0, 1, 3]), None);
        assert_eq!(levels(&[4, 3, 2]), Some(vec![Level { count: 3, stride: -1 }]));
    }

    #[test]
    fn neighboring_taps_are_one_run() {
        let runs = Runs::new(&[0, 4, 8, 40, 44, 48], 4, 1);
        assert_eq!(
            runs,
            Runs {
                starts: vec![0, 40],
                length: 12,
                stride: 1
            }
        );
        let apart = Runs::new(&[0, 8, 16], 4, 1);
        assert_eq!(
            apart,
            Runs {
                starts: vec![0, 8, 16],
                length: 4,
                stride: 1
            }
        );
        let uneven = Runs::new(&[0, 4, 40], 4, 1);
        assert_eq!(
            uneven,
            Runs {
                starts: vec![0, 4, 40],
                length: 4,
                stride: 1
            }
        );
    }
}

//! Loops over one sample's elements for several operands at once, and the split of that work into tasks.
//!
//! Axes are ordered by the write's strides, outermost first, and neighbors that are one run in every operand become
//! one loop. So a dense tensor is a flat loop, whatever its layout, without any special case.

use netc_runtime::program::Tasks;
use netc_schedule::Axes;

use crate::builder::Builder;
use crate::ir::Int;

/// Elements that make a task worth its overhead and short enough to balance threads: 5 to 20 µs of work.
pub(crate) const ELEMENTS_PER_TASK: usize = 16 * 1024;

/// What is done with an innermost run: each operand's address at its start, and its first and last index.
pub(crate) type RunBody<'a> = dyn FnMut(&mut Builder, &[Int], (Int, Int)) + 'a;
/// What is done in a task: the sample, and the first and last pass of the outermost loop.
pub(crate) type TaskBody<'a> = dyn FnMut(&mut Builder, Int, (Int, Int)) + 'a;

/// One loop of a [`Nest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    /// Passes.
    pub(crate) extent: usize,
    /// Elements between passes, for each operand.
    pub(crate) strides: Vec<usize>,
}

/// Loops over the elements of a sample, outermost first; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nest {
    /// The loops.
    pub(crate) axes: Vec<Axis>,
}

impl Nest {
    /// The loops over `extents` for operands with these strides; the last operand's strides decide their order.
    pub(crate) fn new(extents: Axes, strides: &[Axes]) -> Self {
        let axis = |extent: usize, of: fn(&Axes) -> usize| Axis {
            extent,
            strides: strides.iter().map(of).collect(),
        };
        let all = [
            axis(extents.channel, |axes| axes.channel),
            axis(extents.row, |axes| axes.row),
            axis(extents.column, |axes| axes.column),
        ];
        Self::of(all.into_iter().collect())
    }

    /// The loops over any axes, sorted and merged.
    pub(crate) fn of(mut all: Vec<Axis>) -> Self {
        let operands = all.first().map_or(0, |axis| axis.strides.len());
        all.retain(|axis| axis.extent != 1);
        all.sort_by(|a, b| b.strides.last().cmp(&a.strides.last()));
        let mut axes: Vec<Axis> = Vec::new();
        for inner in all {
            match axes.last_mut() {
                Some(outer) if outer.is_run_of(&inner) => {
                    *outer = Axis {
                        extent: outer.extent * inner.extent,
                        strides: inner.strides,
                    };
                }
                _ => axes.push(inner),
            }
        }
        if axes.is_empty() {
            axes.push(Axis {
                extent: 1,
                strides: vec![1; operands],
            });
        }
        Self { axes }
    }

    /// The innermost loop.
    pub(crate) fn innermost(&self) -> &Axis {
        self.axes.last().expect("a nest has at least one loop")
    }

    /// Passes of all loops together.
    pub(crate) fn count(&self) -> usize {
        self.axes.iter().map(|axis| axis.extent).product()
    }

    /// Writes all loops but the innermost, the outermost from `first` to `last`. `body` gets each operand's address at
    /// the start of an innermost run and the first and last index of that run.
    pub(crate) fn walk(&self, b: &mut Builder, bases: &[Int], (first, last): (Int, Int), body: &mut RunBody<'_>) {
        walk(&self.axes, b, bases, (first, last), body);
    }
}

impl Axis {
    /// Whether one pass of this loop ends where the next begins, with `inner` inside.
    fn is_run_of(&self, inner: &Self) -> bool {
        self.strides
            .iter()
            .zip(&inner.strides)
            .all(|(outer, stride)| *outer == stride * inner.extent)
    }
}

fn walk(axes: &[Axis], b: &mut Builder, bases: &[Int], (first, last): (Int, Int), body: &mut RunBody<'_>) {
    let [axis, inner @ ..] = axes else {
        unreachable!("a nest has at least one loop")
    };
    let Some(next) = inner.first() else {
        return body(b, bases, (first, last));
    };
    b.for_range(first, last, 1, |b, index| {
        let bases: Vec<Int> = bases
            .iter()
            .zip(&axis.strides)
            .map(|(base, stride)| b.step(*base, index, *stride))
            .collect();
        walk(inner, b, &bases, (Int::Constant(0), Int::from(next.extent)), body);
    });
}

/// How a nest's work is cut: groups of whole samples if they are small, parts of the outermost loop if they are large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// Whether there is work for each sample.
    pub(crate) batched: bool,
    /// Samples in a task.
    pub(crate) group: usize,
    /// Passes of the outermost loop in a task.
    pub(crate) chunk: usize,
    /// Tasks for each group.
    pub(crate) parts: usize,
    /// Passes of the outermost loop.
    pub(crate) extent: usize,
}

impl Split {
    /// Cuts a nest into tasks of about [`ELEMENTS_PER_TASK`] elements, whole vectors each.
    pub(crate) fn of(nest: &Nest, batched: bool, lanes: usize) -> Self {
        let extent = nest.axes[0].extent;
        let inner = (nest.count() / extent.max(1)).max(1);
        let mut chunk = (ELEMENTS_PER_TASK / inner).max(1);
        if nest.axes.len() == 1 {
            chunk = chunk.next_multiple_of(lanes);
        }
        let parts = extent.div_ceil(chunk).max(1);
        let group = if parts == 1 {
            (ELEMENTS_PER_TASK / nest.count().max(1)).clamp(1, 64)
        } else {
            1
        };
        Self {
            batched,
            group,
            chunk: chunk.min(extent.max(1)),
            parts,
            extent,
        }
    }

    /// Cuts an outermost loop of `extent` passes, `elements` in all, into tasks of about [`ELEMENTS_PER_TASK`] elements.
    pub(crate) fn of_loop(extent: usize, elements: usize, batched: bool) -> Self {
        let elements = elements.max(1);
        let chunk = (ELEMENTS_PER_TASK * extent / elements).clamp(1, extent.max(1));
        let parts = extent.div_ceil(chunk).max(1);
        let group = if parts == 1 {
            (ELEMENTS_PER_TASK / elements).clamp(1, 64)
        } else {
            1
        };
        Self {
            batched,
            group,
            chunk,
            parts,
            extent,
        }
    }

    /// Whether a group's samples are one run in every operand, given each one's distance between samples.
    pub(crate) fn is_run(&self, nest: &Nest, samples: &[usize]) -> bool {
        let [axis] = nest.axes.as_slice() else { return false };
        let is_run = |(stride, sample): (&usize, &usize)| *sample == stride * axis.extent;
        self.batched && self.parts == 1 && axis.strides.iter().zip(samples).all(is_run)
    }

    /// The number of tasks.
    pub(crate) const fn tasks(&self) -> Tasks {
        if self.batched {
            Tasks {
                per_group: self.parts as u64,
                group: self.group as u64,
                fixed: 0,
            }
        } else {
            Tasks::fixed(self.parts as u64)
        }
    }

    /// Writes the loops over tasks and samples. `body` gets the sample's index and the first and last pass of the
    /// outermost loop that it is to do.
    pub(crate) fn each(&self, b: &mut Builder, body: &mut TaskBody<'_>) {
        self.each_run(b, false, body);
    }

    /// As [`Split::each`]; but if samples are one run, `body` gets the first of a group and goes through all of them.
    pub(crate) fn each_run(&self, b: &mut Builder, is_run: bool, body: &mut TaskBody<'_>) {
        let batch = if self.batched { b.batch() } else { Int::Constant(1) };
        b.tasks(|b, task| {
            let (group, part) = if self.batched {
                (b.divide(task, self.parts), b.remainder(task, self.parts))
            } else {
                (Int::Constant(0), task)
            };
            let range = if self.parts == 1 {
                (Int::Constant(0), Int::from(self.extent))
            } else {
                let first = b.multiply(part, self.chunk);
                let end = b.add(first, self.chunk);
                (first, b.smaller(end, self.extent))
            };
            if !self.batched {
                return body(b, Int::Constant(0), range);
            }
            let first = b.multiply(group, self.group);
            if self.group == 1 {
                return body(b, first, range);
            }
            let end = b.add(first, self.group);
            let end = b.smaller(end, batch);
            if is_run {
                let count = b.subtract(end, first);
                let last = b.multiply(count, self.extent);
                return body(b, first, (Int::Constant(0), last));
            }
            b.for_range(first, end, 1, |b, sample| body(b, sample, range));
        });
    }
}

/// `main` for whole vectors from `first` on, `tail` for the rest, both with the index of their first element.
pub(crate) fn vectors(
    b: &mut Builder,
    (first, last): (Int, Int),
    lanes: usize,
    body: &mut dyn FnMut(&mut Builder, Int, usize),
) {
    let count = b.subtract(last, first);
    let rest = b.remainder(count, lanes);
    let whole = b.subtract(last, rest);
    b.for_range(first, whole, lanes, |b, index| body(b, index, lanes));
    if rest != Int::Constant(0) {
        b.for_range(whole, last, 1, |b, index| body(b, index, 1));
    }
}

/// As [`vectors`]; but what remains goes in narrower vectors before it goes one by one.
pub(crate) fn narrowing_vectors(
    b: &mut Builder,
    (first, last): (Int, Int),
    lanes: usize,
    body: &mut dyn FnMut(&mut Builder, Int, usize),
) {
    /// No register is narrower but those of one lane.
    const NARROWEST: usize = 4;
    if lanes <= NARROWEST {
        return vectors(b, (first, last), lanes, body);
    }
    let count = b.subtract(last, first);
    let rest = b.remainder(count, lanes);
    let whole = b.subtract(last, rest);
    b.for_range(first, whole, lanes, |b, index| body(b, index, lanes));
    if rest != Int::Constant(0) {
        narrowing_vectors(b, (whole, last), lanes / 2, body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_tensors_are_one_loop() {
        let extents = Axes {
            channel: 3,
            row: 4,
            column: 5,
        };
        let last = Axes {
            channel: 1,
            row: 15,
            column: 3,
        };
        let nest = Nest::new(extents, &[last, last]);
        assert_eq!(
            nest.axes,
            [Axis {
                extent: 60,
                strides: vec![1, 1]
            }]
        );
        let first = Axes {
            channel: 20,
            row: 5,
            column: 1,
        };
        let nest = Nest::new(extents, &[first, last]);
        assert_eq!(
            nest.axes,
            [
                Axis {
                    extent: 20,
                    strides: vec![1, 3]
                },
                Axis {
                    extent: 3,
                    strides: vec![20, 1]
                }
            ]
        );
    }
}

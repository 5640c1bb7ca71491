//! Operators that only put elements elsewhere, and sums along any axes: loops with a stride on each side.
//!
//! A kernel knows three axes. Whatever has more, once neighbors that are one run on both sides are one loop, goes in
//! several steps, one for each pass of its shortest loops.

use netc_graph::operators::expand::Expand;
use netc_graph::operators::reduce::{Reduce as ReduceRule, ReduceKind};
use netc_graph::operators::transpose::Transpose;
use netc_graph::{NodeId, Type};
use netc_runtime::{DType, Shape};

use crate::expression::Expression;
use crate::geometry::{Axis, axis_of};
use crate::kernel::{Kernel, Over, Reduce, Scaling, Spread};
use crate::planner::Planner;
use crate::view::{Axes, View};

/// One loop over elements of a source and of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loop {
    pub(crate) extent: usize,
    /// Elements between neighbors in the source.
    pub(crate) from: usize,
    /// Elements between neighbors in the destination.
    pub(crate) to: usize,
}

/// Passes, a step each, that are worth a better inner loop.
const MOST_PASSES: usize = 128;

/// The loops that do more than one pass, outermost in the destination first; neighbors that are one run are one.
fn merged(mut loops: Vec<Loop>) -> Vec<Loop> {
    loops.retain(|each| each.extent > 1);
    loops.sort_by_key(|each| std::cmp::Reverse((each.to, each.from)));
    let mut merged: Vec<Loop> = Vec::new();
    for inner in loops {
        match merged.last_mut() {
            Some(outer) if outer.from == inner.from * inner.extent && outer.to == inner.to * inner.extent => {
                *outer = Loop {
                    extent: outer.extent * inner.extent,
                    ..inner
                };
            }
            _ => merged.push(inner),
        }
    }
    merged
}

/// Strides of a dense tensor, row-major.
fn dense(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// For each axis of a shape, the distance between neighbors in a view of a value of that shape.
fn strides_of(view: &View, shape: &Shape) -> Vec<usize> {
    let Axes { channel, row, column } = view.strides;
    match shape.rank() {
        0 => Vec::new(),
        1 => vec![channel],
        2 => vec![channel, column],
        3 => vec![channel, row, column],
        // A value of more axes is a flat vector.
        _ => dense(shape.extents())
            .into_iter()
            .map(|stride| stride * channel)
            .collect(),
    }
}

/// A view of up to three loops: `stride` says on which side.
fn along(view: &View, loops: &[Loop], stride: impl Fn(&Loop) -> usize) -> View {
    let still = Axes {
        channel: 1,
        row: 1,
        column: 1,
    };
    let (mut extents, mut strides) = (still, still);
    for (each, axis) in loops.iter().rev().zip([Axis::Column, Axis::Row, Axis::Channel]) {
        *extents.on(axis) = each.extent;
        *strides.on(axis) = stride(each);
    }
    View {
        extents,
        strides,
        ..view.clone()
    }
}

/// A view of a value seen along one axis, and the name of that axis.
pub(crate) fn by_axis(view: View, shape: &Shape, axis: usize) -> (View, Axis) {
    if shape.rank() <= 3 {
        return (view, axis_of(shape, axis));
    }
    // A value of more axes is a flat vector: what is before the axis, the axis, and what is behind it.
    let extents = shape.extents();
    let (row, column) = (extents[axis], extents[axis + 1..].iter().product::<usize>());
    let step = view.strides.channel;
    let seen = View {
        extents: Axes {
            channel: extents[..axis].iter().product(),
            row,
            column,
        },
        strides: Axes {
            channel: row * column * step,
            row: column * step,
            column: step,
        },
        ..view
    };
    (seen, Axis::Row)
}

/// A value seen under a shape in which it is repeated: nothing is moved.
pub(crate) fn repeated(view: &View, from: &Shape, rule: &Expand) -> View {
    let strides = repeated_strides(view, from, rule);
    let loops: Vec<Loop> = rule
        .shape
        .extents()
        .iter()
        .zip(strides)
        .map(|(&extent, from)| Loop { extent, from, to: 0 })
        .collect();
    let seen = |axes: [Loop; 3]| {
        let [channel, row, column] = axes;
        View {
            extents: Axes {
                channel: channel.extent,
                row: row.extent,
                column: column.extent,
            },
            strides: Axes {
                channel: channel.from,
                row: row.from,
                column: column.from,
            },
            ..view.clone()
        }
    };
    let one = Loop {
        extent: 1,
        from: 0,
        to: 0,
    };
    match *loops {
        [] => seen([one, one, one]),
        [channel] => seen([channel, one, one]),
        [channel, column] => seen([channel, one, column]),
        [channel, row, column] => seen([channel, row, column]),
        _ => unreachable!("values of more axes are copied"),
    }
}

fn repeated_strides(view: &View, from: &Shape, rule: &Expand) -> Vec<usize> {
    let new = rule.shape.rank() - from.rank();
    let mut strides = vec![0; rule.shape.rank()];
    for (axis, stride) in strides_of(view, from).into_iter().enumerate() {
        if from[axis] > 1 {
            strides[new + axis] = stride;
        }
    }
    strides
}

impl Planner<'_> {
    pub(crate) fn emit_transpose(&mut self, position: usize, id: NodeId, rule: &Transpose) {
        let input = self.graph.inputs(id)[0];
        let source = self.view(input);
        let from = strides_of(&source, &self.graph.ty(input).shape);
        let from = rule.axes.iter().map(|&axis| from[axis]).collect();
        self.emit_moved(position, id, &source, from);
    }

    pub(crate) fn emit_expand(&mut self, position: usize, id: NodeId, rule: &Expand) {
        let input = self.graph.inputs(id)[0];
        let source = self.view(input);
        let from = repeated_strides(&source, &self.graph.ty(input).shape, rule);
        self.emit_moved(position, id, &source, from);
    }

    /// A node whose element at each place is the source's there: `from` has its stride for each axis of the node.
    fn emit_moved(&mut self, position: usize, id: NodeId, source: &View, from: Vec<usize>) {
        let shape = self.graph.ty(id).shape.clone();
        let whole = self.destination(position, id);
        let to = strides_of(&whole, &shape);
        let sides = from.into_iter().zip(to);
        let loops = shape.extents().iter().zip(sides);
        let loops = loops.map(|(&extent, (from, to))| Loop { extent, from, to }).collect();
        self.copies(id, source, &whole, loops);
    }

    /// Copies of a source to a destination: one, if three loops will do.
    pub(crate) fn copies(&mut self, id: NodeId, source: &View, write: &View, loops: Vec<Loop>) {
        let mut inner = merged(loops);
        let mut offsets = vec![(0, 0)];
        while inner.len() > 3 {
            // Loops over neighbors of either side stay together where that takes few passes: squares of them are turned
            // over in registers.
            let few = |index: &usize| {
                let each = &inner[*index];
                each.from != 1 && each.to != 1 && each.extent <= MOST_PASSES
            };
            let extent = |index: &usize| inner[*index].extent;
            let shortest = (0..inner.len()).filter(few).min_by_key(extent);
            let shortest = shortest.or_else(|| (0..inner.len()).min_by_key(extent));
            let outer = inner.remove(shortest.expect("there are more than three"));
            let passes = |(from, to): (usize, usize)| {
                (0..outer.extent).map(move |index| (from + index * outer.from, to + index * outer.to))
            };
            offsets = offsets.into_iter().flat_map(passes).collect();
        }
        for (from, to) in offsets {
            let mut read = along(source, &inner, |each| each.from);
            let mut part = along(write, &inner, |each| each.to);
            read.offset += from;
            part.offset += to;
            self.step(id, Kernel::Copy, vec![read], part);
        }
    }

    /// A sum, mean or maximum along axes: over rows and columns, once what is summed lies in two loops and what is left in
    /// one; else it is brought to lie so first.
    pub(crate) fn emit_axes(&mut self, position: usize, id: NodeId, rule: &ReduceRule) {
        let input = self.graph.inputs(id)[0];
        let (mut source, whole) = (self.view(input), self.destination(position, id));
        let ty = self.graph.ty(input).clone();
        let extents = ty.shape.extents();
        let (from, to) = (
            strides_of(&source, &ty.shape),
            strides_of(&whole, &self.graph.ty(id).shape),
        );
        let one = |axis: usize, from: usize, to: usize| Loop {
            extent: extents[axis],
            from,
            to,
        };
        let kept = rule.kept(extents.len());
        let mut left = merged(kept.iter().map(|&axis| one(axis, from[axis], to[axis])).collect());
        let mut terms = merged(rule.axes.iter().map(|&axis| one(axis, from[axis], 0)).collect());
        let early = self.is_known_early(id);
        let vector = |count: usize| Type {
            dtype: DType::F32,
            shape: [count].into(),
            batched: ty.batched,
        };
        if left.len() > 1 || terms.len() > 2 {
            // Terms of one result side by side, results in the order of their axes.
            let order = [kept.clone(), rule.axes.clone()].concat();
            let ordered: Vec<usize> = order.iter().map(|&axis| extents[axis]).collect();
            let strides = dense(&ordered);
            let loops = order.iter().zip(&strides);
            let loops = loops.map(|(&axis, &to)| one(axis, from[axis], to)).collect();
            let copy = self.temporary(&vector(ty.shape.element_count()), early);
            self.copies(id, &source, &copy, loops);
            source = copy;
            let moved = |(place, &axis): (usize, &usize)| one(axis, strides[place], to[axis]);
            left = merged(kept.iter().enumerate().map(moved).collect());
            let count = rule.axes.iter().map(|&axis| extents[axis]).product();
            terms = merged(vec![Loop {
                extent: count,
                from: 1,
                to: 0,
            }]);
        }
        let count: usize = left.iter().map(|each| each.extent).product();
        let read = |from: usize| {
            let channel = Loop {
                extent: count,
                from,
                to: 0,
            };
            let mut loops = vec![channel];
            loops.resize(
                3 - terms.len(),
                Loop {
                    extent: 1,
                    from: 1,
                    to: 0,
                },
            );
            loops.extend(&terms);
            along(&source, &loops, |each| each.from)
        };
        let kernel = reduction(rule.kind);
        if let [] | [_] = *left {
            let (from, to) = left.first().map_or((1, 1), |each| (each.from, each.to));
            let write = line(&whole, count, to);
            return self.step(id, kernel, vec![read(from)], write);
        }
        // Results are neighbors in the copy, but not where they go.
        let innermost = left.iter().map(|each| each.from).min().unwrap_or(1);
        let results = self.temporary(&vector(count), early);
        self.step(id, kernel, vec![read(innermost)], line(&results, count, 1));
        let loops = left.into_iter().map(|each| Loop {
            from: each.from / innermost,
            ..each
        });
        let loops = loops.collect();
        self.copies(id, &results, &whole, loops);
    }
}

/// A vector of so many channels, this far apart.
fn line(view: &View, count: usize, stride: usize) -> View {
    let channel = Loop {
        extent: count,
        from: 0,
        to: stride,
    };
    let one = Loop {
        extent: 1,
        from: 0,
        to: 1,
    };
    along(view, &[channel, one, one], |each| each.to)
}

fn reduction(kind: ReduceKind) -> Kernel {
    let sum = |scaling| {
        Kernel::Reduce(Reduce {
            spreads: vec![Spread::Full],
            body: Expression::identity(),
            over: Over::Space,
            scaling,
        })
    };
    match kind {
        ReduceKind::Sum => sum(Scaling::Sum),
        ReduceKind::Mean => sum(Scaling::Mean),
        ReduceKind::Maximum => Kernel::GlobalMaximum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_one_run_on_both_sides_is_one_loop() {
        let each = |extent, from, to| Loop { extent, from, to };
        // [2, 3, 4] with the first two axes exchanged.
        let loops = merged(vec![each(3, 4, 8), each(2, 12, 4), each(4, 1, 1)]);
        assert_eq!(loops, [each(3, 4, 8), each(2, 12, 4), each(4, 1, 1)]);
        // Only the last two keep their order.
        let loops = merged(vec![each(4, 1, 6), each(2, 12, 3), each(3, 4, 1)]);
        assert_eq!(loops, [each(4, 1, 6), each(6, 4, 1)]);
        assert_eq!(merged(vec![each(1, 5, 7)]), []);
    }
}

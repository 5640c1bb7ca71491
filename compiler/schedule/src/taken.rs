//! Chosen positions of an axis: evenly spaced ones, once or again and again, are loops with a stride on each side, a few
//! runs are a copy each, and any others are rows that a list names.

use netc_graph::NodeId;
use netc_graph::operators::take::Take;
use netc_graph::operators::take_grad::TakeGrad;
use netc_runtime::Tensor;

use crate::geometry::Axis;
use crate::kernel::Kernel;
use crate::operators::exchanged;
use crate::planner::Planner;
use crate::strided::{Loop, by_axis};
use crate::view::View;

/// Runs of positions beyond which a list is read instead of one copy being made of each.
const MOST_RUNS: usize = 8;

/// Evenly spaced positions that are taken one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// Where the first goes.
    to: usize,
    /// Where the first comes from.
    from: usize,
    /// From one to the next.
    step: usize,
    count: usize,
}

/// The fewest runs, from the first position on. A run never goes backwards, since no stride is negative.
fn runs(indices: &[usize]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (to, &index) in indices.iter().enumerate() {
        if let Some(run) = runs.last_mut() {
            let last = run.from + (run.count - 1) * run.step;
            let step = index.checked_sub(last);
            if step.is_some_and(|step| run.count == 1 || step == run.step) {
                (run.step, run.count) = (index - last, run.count + 1);
                continue;
            }
        }
        runs.push(Run {
            to,
            from: index,
            step: 1,
            count: 1,
        });
    }
    runs
}

/// Runs as two loops, if they are alike and their starts evenly spaced, as channels are that groups exchange: how many
/// there are, and how far apart they start.
fn repeated(runs: &[Run]) -> Option<(usize, usize)> {
    let [first, second, ..] = *runs else {
        return Some((runs.len(), 1));
    };
    let apart = second.from.checked_sub(first.from)?;
    let even = runs.windows(2).all(|pair| {
        (pair[0].step, pair[0].count) == (pair[1].step, pair[1].count)
            && pair[1].from.checked_sub(pair[0].from) == Some(apart)
    });
    even.then_some((runs.len(), apart))
}

impl Planner<'_> {
    pub(crate) fn emit_take(&mut self, position: usize, id: NodeId, rule: &Take) {
        let input = self.graph.inputs(id)[0];
        let (source, axis) = self.seen(input, rule.axis);
        let write = self.destination(position, id);
        let (write, _) = by_axis(write, &self.graph.ty(id).shape, rule.axis);
        let runs = runs(&rule.indices);
        if let (Some((count, apart)), Some(first)) = (repeated(&runs), runs.first()) {
            return self.copy_runs(id, (&source, &write), axis, *first, (count, apart));
        }
        if runs.len() <= MOST_RUNS {
            for run in runs {
                self.copy_runs(id, (&source, &write), axis, run, (1, 1));
            }
            return;
        }
        let indices = self.listed(&rule.indices);
        let [source, write] = [source, write].map(|view| exchanged(view, Axis::Row, axis));
        self.step(id, Kernel::Take, vec![source, indices], write);
    }

    /// Copies a run, and as many others as far apart in the source and side by side in the destination.
    fn copy_runs(
        &mut self,
        id: NodeId,
        (source, write): (&View, &View),
        axis: Axis,
        run: Run,
        (count, apart): (usize, usize),
    ) {
        let (mut source, mut write) = (source.clone(), write.clone());
        let (from, to) = (*source.strides.on(axis), *write.strides.on(axis));
        source.offset += run.from * from;
        write.offset += run.to * to;
        let mut loops = vec![
            Loop {
                extent: count,
                from: apart * from,
                to: run.count * to,
            },
            Loop {
                extent: run.count,
                from: run.step * from,
                to,
            },
        ];
        for other in [Axis::Channel, Axis::Row, Axis::Column] {
            if other != axis {
                loops.push(Loop {
                    extent: *write.extents.on(other),
                    from: *source.strides.on(other),
                    to: *write.strides.on(other),
                });
            }
        }
        self.copies(id, &source, &write, loops);
    }

    pub(crate) fn emit_take_gradient(&mut self, position: usize, id: NodeId, rule: &TakeGrad) {
        let input = self.graph.inputs(id)[0];
        let (source, axis) = self.seen(input, rule.axis);
        let write = self.destination(position, id);
        let (write, _) = by_axis(write, &self.graph.ty(id).shape, rule.axis);
        let indices = self.listed(&rule.indices);
        let [source, write] = [source, write].map(|view| exchanged(view, Axis::Row, axis));
        self.step(id, Kernel::TakeGradient, vec![source, indices], write);
    }

    /// A list as a constant of the plan.
    fn listed(&mut self, indices: &[usize]) -> View {
        let number = |&index: &usize| i32::try_from(index).expect("the shape rule limits positions");
        let numbers = indices.iter().map(number).collect();
        let list = Tensor::from_i32([indices.len()], numbers).expect("one for each");
        self.constant_vector(list)
    }
}

#[cfg(test)]
mod tests {
    use super::{Run, repeated, runs};

    #[test]
    fn positions_are_runs() {
        let run = |to, from, step, count| Run { to, from, step, count };
        assert_eq!(runs(&[3, 5, 7]), [run(0, 3, 2, 3)]);
        // A reflection at a border.
        assert_eq!(
            runs(&[2, 1, 0, 1, 2, 3]),
            [run(0, 2, 1, 1), run(1, 1, 1, 1), run(2, 0, 1, 4)]
        );
        assert_eq!(repeated(&runs(&[2, 1, 0])), None);
        // Two groups of three exchange their channels, and positions are repeated.
        assert_eq!(repeated(&runs(&[0, 3, 1, 4, 2, 5])), Some((3, 1)));
        assert_eq!(repeated(&runs(&[0, 0, 1, 1, 2, 2])), Some((3, 1)));
        assert_eq!(repeated(&runs(&[4])), Some((1, 1)));
    }
}

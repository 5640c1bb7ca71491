//! Chosen positions of an axis: evenly spaced ones are another view of the source, any others are rows that a list names.

use netc_graph::NodeId;
use netc_graph::operators::take::Take;
use netc_graph::operators::take_grad::TakeGrad;
use netc_runtime::Tensor;

use crate::geometry::Axis;
use crate::kernel::Kernel;
use crate::operators::exchanged;
use crate::planner::Planner;
use crate::strided::by_axis;
use crate::view::View;

impl Planner<'_> {
    pub(crate) fn emit_take(&mut self, position: usize, id: NodeId, rule: &Take) {
        let input = self.graph.inputs(id)[0];
        let (mut source, axis) = self.seen(input, rule.axis);
        let write = self.destination(position, id);
        let (write, _) = by_axis(write, &self.graph.ty(id).shape, rule.axis);
        if let Some(step) = even_step(&rule.indices) {
            let stride = *source.strides.on(axis);
            source.offset += rule.indices[0] * stride;
            *source.strides.on(axis) = stride * step;
            *source.extents.on(axis) = rule.indices.len();
            return self.step(id, Kernel::Copy, vec![source], write);
        }
        let indices = self.listed(&rule.indices);
        let [source, write] = [source, write].map(|view| exchanged(view, Axis::Row, axis));
        self.step(id, Kernel::Take, vec![source, indices], write);
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

/// The distance between indices, if it is the same everywhere and none is before another.
fn even_step(indices: &[usize]) -> Option<usize> {
    let [first, second, ..] = *indices else {
        return Some(1);
    };
    let step = second.checked_sub(first)?;
    let even = indices
        .windows(2)
        .all(|pair| pair[1].checked_sub(pair[0]) == Some(step));
    even.then_some(step)
}

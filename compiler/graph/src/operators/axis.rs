//! Lanes along one axis: a row-major tensor seen as `[outer, extent, inner]`.

use netc_runtime::Shape;

/// A tensor seen as `outer` blocks, each of `extent` rows of `inner` neighboring elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lanes {
    /// Product of the extents before the axis, the batch included.
    pub(crate) outer: usize,
    /// Extent of the axis.
    pub(crate) extent: usize,
    /// Product of the extents after the axis: the distance between neighbors along it.
    pub(crate) inner: usize,
}

impl Lanes {
    /// `samples` tensors of this shape, seen along `axis`, which the shape has.
    pub(crate) fn new(shape: &Shape, axis: usize, samples: usize) -> Self {
        let extents = shape.extents();
        Self {
            outer: samples * extents[..axis].iter().product::<usize>(),
            extent: extents[axis],
            inner: extents[axis + 1..].iter().product(),
        }
    }

    /// For every lane, the indices of its elements in order.
    pub(crate) fn each(self) -> impl Iterator<Item = impl Iterator<Item = usize> + Clone> {
        let Self { outer, extent, inner } = self;
        (0..outer).flat_map(move |block| {
            (0..inner).map(move |offset| (0..extent).map(move |row| (block * extent + row) * inner + offset))
        })
    }

    /// Elements of one block: `extent · inner`.
    pub(crate) const fn block(self) -> usize {
        self.extent * self.inner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_of_the_middle_axis() {
        let lanes = Lanes::new(&Shape::from([2, 3, 2]), 1, 1);
        let found: Vec<Vec<usize>> = lanes.each().map(Iterator::collect).collect();
        assert_eq!(found, [[0, 2, 4], [1, 3, 5], [6, 8, 10], [7, 9, 11]]);
    }
}

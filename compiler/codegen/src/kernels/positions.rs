//! Loops over the positions (rows and columns) of a sample, for kernels that work on all channels of each position.
//!
//! Positions that follow each other evenly in every operand become one run. Where neighbors lie side by side, a vector
//! may hold several positions.

use netc_schedule::View;

use super::BuiltKernel;
use super::nest::{ELEMENTS_PER_TASK, Split, vectors};
use crate::builder::Builder;
use crate::ir::{Float, Int};

/// The positions of several views of the same rows and columns.
#[derive(Clone, Debug)]
pub(crate) struct Positions {
    rows: usize,
    columns: usize,
    /// Distance between rows and between columns, for each view.
    strides: Vec<(usize, usize)>,
    /// Positions in a vector.
    lanes: usize,
}

impl Positions {
    /// The positions of these views, one at a time.
    pub(crate) fn one_by_one(views: &[&View]) -> Self {
        Self::in_vectors(views, 1)
    }

    /// The positions of these views, `lanes` at a time where they lie side by side in all of them.
    pub(crate) fn in_vectors(views: &[&View], lanes: usize) -> Self {
        let (rows, columns) = (views[0].extents.row, views[0].extents.column);
        let strides: Vec<(usize, usize)> = views
            .iter()
            .map(|view| (view.strides.row, view.strides.column))
            .collect();
        let (rows, columns, strides) = if rows == 1 || strides.iter().all(|&(row, column)| row == columns * column) {
            (1, rows * columns, strides)
        } else if columns == 1 {
            (1, rows, strides.into_iter().map(|(row, _)| (0, row)).collect())
        } else {
            (rows, columns, strides)
        };
        let adjacent = strides.iter().all(|&(_, column)| column == 1);
        Self {
            rows,
            columns,
            strides,
            lanes: if adjacent { lanes } else { 1 },
        }
    }

    /// Tasks of some rows (or columns, if there is only one row) each, or of some samples; `work` counts element-wise
    /// operations at one position.
    pub(crate) fn split(&self, batched: bool, work: usize) -> Split {
        if self.rows > 1 {
            passes(self.rows, self.columns * work, batched, 1)
        } else {
            passes(self.columns, work, batched, 16)
        }
    }

    /// All positions, as the range that [`Positions::each`] takes.
    pub(crate) fn all(&self) -> (Int, Int) {
        (
            Int::Constant(0),
            Int::from(if self.rows > 1 { self.rows } else { self.columns }),
        )
    }

    /// Writes `body` for the positions of a range of [`Positions::split`], with each view's address and the number of
    /// positions side by side. `bases` are the views' first positions.
    pub(crate) fn each(
        &self,
        b: &mut Builder,
        bases: &[Int],
        range: (Int, Int),
        body: &mut dyn FnMut(&mut Builder, &[Int], usize),
    ) {
        if self.rows == 1 {
            return self.row(b, bases, range, body);
        }
        b.for_range(range.0, range.1, 1, |b, row| {
            let bases: Vec<Int> = bases
                .iter()
                .zip(&self.strides)
                .map(|(base, stride)| b.step(*base, row, stride.0))
                .collect();
            self.row(b, &bases, (Int::Constant(0), Int::from(self.columns)), body);
        });
    }

    fn row(
        &self,
        b: &mut Builder,
        bases: &[Int],
        range: (Int, Int),
        body: &mut dyn FnMut(&mut Builder, &[Int], usize),
    ) {
        vectors(b, range, self.lanes, &mut |b, column, lanes| {
            let places: Vec<Int> = bases
                .iter()
                .zip(&self.strides)
                .map(|(base, stride)| b.step(*base, column, stride.1))
                .collect();
            body(b, &places, lanes);
        });
    }
}

/// A kernel that does the same at every position: with lanes across the channels of one, or with several positions side
/// by side where they lie so. `body` gets the lanes that it has there; the last view is written; `work` counts
/// element-wise operations at one position.
pub(crate) fn each_position<const N: usize>(
    views: &[&View; N],
    (across, lanes): (bool, usize),
    work: usize,
    body: &mut dyn FnMut(&mut Builder, usize, [Pixel; N]),
) -> BuiltKernel {
    let positions = if across {
        Positions::one_by_one(views)
    } else {
        Positions::in_vectors(views, lanes)
    };
    let split = positions.split(views[N - 1].is_batched(), work);

    let mut b = Builder::new();
    let bases: Vec<Int> = (0..N).map(|index| b.argument(index)).collect();
    split.each(&mut b, &mut |b, sample, range| {
        let bases: Vec<Int> = bases
            .iter()
            .zip(views)
            .map(|(base, view)| b.step(*base, sample, view.sample_stride))
            .collect();
        positions.each(b, &bases, range, &mut |b, places, width| {
            let pixel = |index: usize| Pixel {
                place: places[index],
                stride: views[index].strides.channel,
            };
            body(b, if across { lanes } else { width }, std::array::from_fn(pixel));
        });
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: split.tasks(),
    }
}

/// The channels of one operand at one position, or at several side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pixel {
    /// Address of channel 0.
    pub(crate) place: Int,
    /// Distance between channels.
    pub(crate) stride: usize,
}

impl Pixel {
    /// Elements from channel `c` on.
    pub(crate) fn load(self, b: &mut Builder, c: Int, lanes: usize) -> Float {
        let from = b.step(self.place, c, self.stride);
        b.load(from, 0, lanes)
    }

    /// Sets elements from channel `c` on.
    pub(crate) fn store(self, b: &mut Builder, c: Int, value: Float) {
        let to = b.step(self.place, c, self.stride);
        b.store(value, to, 0);
    }
}

/// Cuts `extent` passes of `work` element-wise operations each: blocks of a multiple of `block` passes, or groups of
/// samples if a sample is too little for a task.
pub(crate) fn passes(extent: usize, work: usize, batched: bool, block: usize) -> Split {
    let work = work.max(1);
    let chunk = (ELEMENTS_PER_TASK / work)
        .max(1)
        .next_multiple_of(block)
        .min(extent.max(1));
    let parts = extent.div_ceil(chunk).max(1);
    let group = if parts == 1 {
        (ELEMENTS_PER_TASK / (work * extent.max(1))).clamp(1, 64)
    } else {
        1
    };
    Split {
        batched,
        group,
        chunk,
        parts,
        extent,
    }
}

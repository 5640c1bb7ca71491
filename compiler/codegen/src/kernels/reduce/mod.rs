//! Sums and means over some axes, each result by one task in one order.
//!
//! Vectors run along results where these lie side by side (`channels last`, sums over the batch), else along the
//! innermost axis that is summed over; then a result is a sum of partial sums, one a lane. Sums are nested: a run's sum
//! is added to its row's, that to its sample's, and runs are short, so that rounding errors grow with the depth of the
//! nest and not with the number of terms.

use netc_schedule::kernel::{Over, Reduce, Scaling};
use netc_schedule::{Axes, Step};

use super::BuiltKernel;
use super::contract::{load_lanes, store_lanes};
use super::nest::{Axis, Nest, Split};
use super::pointwise::Operand;
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::expression::{self, Reads};
use crate::ir::{Float, Int};

/// Terms that are added one after the other.
const RUN: usize = 1024;
/// Vectors under way at once.
const VECTORS: usize = 4;
/// Samples that tasks over the whole batch are sized for.
const TYPICAL_BATCH: usize = 64;

/// Builds the kernel of a reduction.
pub(crate) fn build(step: &Step, reduce: &Reduce, lanes: usize) -> BuiltKernel {
    let plan = Reduction::new(step, reduce, lanes);
    let split = plan.split();

    let mut b = Builder::new();
    let bases: Vec<Int> = (0..=step.reads.len()).map(|index| b.argument(index)).collect();
    b.hoist_constants(|b| {
        let batch = b.batch();
        let factor = plan.divisor(b, batch);
        split.each(b, &mut |b, sample, range| {
            let bases: Vec<Int> = bases
                .iter()
                .zip(&plan.samples)
                .map(|(base, stride)| b.step(*base, sample, *stride))
                .collect();
            plan.results(b, &bases, range, (batch, factor));
        });
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: split.tasks(),
    }
}

/// A reduction as loops: over results, then over terms.
struct Reduction<'a> {
    reduce: &'a Reduce,
    lanes: usize,
    /// Axes that remain, with strides of the reads, then of the write. Only the last is cut into blocks.
    kept: Vec<Axis>,
    /// Axes of a sample that are summed over, outermost first.
    terms: Vec<Axis>,
    /// Elements between samples for each operand while results are counted; 0 when samples are terms.
    samples: Vec<usize>,
    /// Elements between samples for each read, if samples are terms.
    batch_terms: Option<Vec<usize>>,
    /// Whether vectors run along results.
    along_results: bool,
    batched: bool,
}

/// Neighboring results under way: how far each is from the first, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    first: usize,
    lanes: usize,
}

impl<'a> Reduction<'a> {
    fn new(step: &Step, reduce: &'a Reduce, lanes: usize) -> Self {
        let (x, y) = (&step.reads[0], &step.write);
        let operands: Vec<Operand> = step
            .reads
            .iter()
            .zip(&reduce.spreads)
            .map(|(view, spread)| Operand::read(view, *spread))
            .collect();
        let axis = |extent: usize, of: fn(&Axes) -> usize| {
            let mut strides: Vec<usize> = operands.iter().map(|operand| of(&operand.strides)).collect();
            strides.push(of(&y.strides));
            Axis { extent, strides }
        };
        let channel = axis(x.extents.channel, |axes| axes.channel);
        let row = axis(x.extents.row, |axes| axes.row);
        let column = axis(x.extents.column, |axes| axes.column);
        let (kept, terms, batch_is_term) = match reduce.over {
            Over::BatchAndSpace => (vec![channel], vec![row, column], x.is_batched()),
            Over::Batch => (vec![channel, row, column], vec![], x.is_batched()),
            Over::Space => (vec![channel], vec![row, column], false),
            Over::Sample | Over::All => (vec![], vec![channel, row, column], false),
        };
        let reads = operands.len();
        let kept = if kept.is_empty() {
            vec![Axis {
                extent: 1,
                strides: vec![0; reads + 1],
            }]
        } else {
            kept
        };
        let kept = Nest::of(order_by_first(kept)).axes;
        let terms = merge_terms(terms, reads);
        let innermost = kept.last().expect("a nest has a loop");
        let along_results = innermost.strides[0] == 1 && innermost.extent > 1;
        let strides: Vec<usize> = operands.iter().map(|operand| operand.sample).collect();
        let samples = if batch_is_term {
            vec![0; reads + 1]
        } else {
            [strides.as_slice(), &[y.sample_stride]].concat()
        };
        Self {
            reduce,
            lanes,
            kept,
            terms,
            samples,
            batch_terms: batch_is_term.then_some(strides),
            along_results,
            batched: y.is_batched(),
        }
    }

    /// Results of a block.
    const fn block(&self) -> usize {
        if self.along_results { VECTORS * self.lanes } else { 1 }
    }

    fn term_count(&self) -> usize {
        self.terms.iter().map(|axis| axis.extent).product()
    }

    /// Passes of the outermost kept loop; of blocks, if there is only one loop.
    fn outermost(&self) -> usize {
        if self.kept.len() > 1 {
            self.kept[0].extent
        } else {
            self.kept[0].extent.div_ceil(self.block())
        }
    }

    fn split(&self) -> Split {
        let results: usize = self.kept.iter().map(|axis| axis.extent).product();
        let typical = if self.batch_terms.is_some() { TYPICAL_BATCH } else { 1 };
        Split::of_loop(self.outermost(), results * self.term_count() * typical, self.batched)
    }

    /// What sums are divided by, if by anything: one lane and all.
    fn divisor(&self, b: &mut Builder, batch: Int) -> Option<[Float; 2]> {
        let less = match self.reduce.scaling {
            Scaling::Sum => return None,
            Scaling::Mean => 0,
            Scaling::Unbiased => 1,
        };
        let samples = if self.batch_terms.is_some() {
            batch
        } else {
            Int::Constant(1)
        };
        let count = b.multiply(samples, self.term_count());
        let count = b.subtract(count, less as usize);
        let count = b.larger(count, 1usize);
        let word = b.int_to_word(count);
        let one = b.word_to_float(word);
        Some([one, b.splat(one, self.lanes)])
    }

    /// All results of a range of the outermost loop.
    fn results(&self, b: &mut Builder, bases: &[Int], range: (Int, Int), end: (Int, Option<[Float; 2]>)) {
        self.kept_loop(b, &self.kept, bases, range, end);
    }

    fn kept_loop(
        &self,
        b: &mut Builder,
        axes: &[Axis],
        bases: &[Int],
        (first, last): (Int, Int),
        end: (Int, Option<[Float; 2]>),
    ) {
        let [axis, inner @ ..] = axes else {
            unreachable!("a nest has a loop")
        };
        let moved = |b: &mut Builder, index: Int, scale: usize| -> Vec<Int> {
            bases
                .iter()
                .zip(&axis.strides)
                .map(|(base, stride)| b.step(*base, index, stride * scale))
                .collect()
        };
        let block = self.block();
        let inner_extent = match inner {
            [] => None,
            [only] => Some(only.extent.div_ceil(block)),
            [next, ..] => Some(next.extent),
        };
        if let Some(extent) = inner_extent {
            b.for_range(first, last, 1, |b, index| {
                let bases = moved(b, index, 1);
                self.kept_loop(b, inner, &bases, (Int::Constant(0), Int::from(extent)), end);
            });
            return;
        }
        let (whole, rest) = (axis.extent / block, axis.extent % block);
        let stop = b.smaller(last, whole);
        b.for_range(first, stop, 1, |b, index| {
            let bases = moved(b, index, block);
            self.one_block(b, &bases, &self.pieces(block), end);
        });
        if rest > 0 {
            let start = b.larger(first, whole);
            b.for_range(start, last, 1, |b, index| {
                let bases = moved(b, index, block);
                self.one_block(b, &bases, &self.pieces(rest), end);
            });
        }
    }

    /// So many results as vectors and single lanes.
    fn pieces(&self, count: usize) -> Vec<Piece> {
        let whole = if self.along_results {
            count / self.lanes * self.lanes
        } else {
            0
        };
        let vectors = (0..whole).step_by(self.lanes).map(|first| Piece {
            first,
            lanes: self.lanes,
        });
        vectors
            .chain((whole..count).map(|first| Piece { first, lanes: 1 }))
            .collect()
    }

    fn one_block(&self, b: &mut Builder, bases: &[Int], pieces: &[Piece], (batch, divisor): (Int, Option<[Float; 2]>)) {
        let reads = self.reduce.spreads.len();
        let sums = match &self.batch_terms {
            None => self.sum(b, &self.terms, &bases[..reads], pieces),
            Some(strides) => {
                let totals = zeros(b, pieces);
                b.for_range(0usize, batch, 1, |b, sample| {
                    let bases: Vec<Int> = bases
                        .iter()
                        .zip(strides)
                        .map(|(base, stride)| b.step(*base, sample, *stride))
                        .collect();
                    let sums = self.sum(b, &self.terms, &bases, pieces);
                    accumulate(b, &totals, &sums);
                });
                totals
            }
        };
        let write_stride = self.kept.last().expect("a nest has a loop").strides[reads] * ELEMENT_BYTES;
        for (piece, sum) in pieces.iter().zip(sums) {
            let value = match divisor {
                Some(divisor) => b.fdiv(sum, divisor[usize::from(piece.lanes == self.lanes && self.lanes > 1)]),
                None => sum,
            };
            store_lanes(
                b,
                value,
                bases[reads],
                piece.first * write_stride,
                write_stride,
                piece.lanes,
            );
        }
    }

    /// The sums of all pieces over these axes.
    fn sum(&self, b: &mut Builder, axes: &[Axis], bases: &[Int], pieces: &[Piece]) -> Vec<Float> {
        let [axis, inner @ ..] = axes else {
            return self.terms_at(b, bases, pieces);
        };
        if axis.extent > RUN && (inner.is_empty()) {
            return self.long_run(b, axis, bases, pieces);
        }
        if inner.is_empty() && !self.along_results {
            return vec![self.run_along_terms(b, axis, bases)];
        }
        let totals = zeros(b, pieces);
        b.for_range(0usize, axis.extent, 1, |b, index| {
            let bases = advance(b, axis, bases, index, 1);
            let sums = self.sum(b, inner, &bases, pieces);
            accumulate(b, &totals, &sums);
        });
        totals
    }

    /// A run cut into shorter ones.
    fn long_run(&self, b: &mut Builder, axis: &Axis, bases: &[Int], pieces: &[Piece]) -> Vec<Float> {
        let part = |extent: usize, scale: usize| Axis {
            extent,
            strides: axis.strides.iter().map(|stride| stride * scale).collect(),
        };
        let (whole, rest) = (axis.extent / RUN, axis.extent % RUN);
        let totals = zeros(b, pieces);
        let sums = self.sum_of_runs(b, &part(whole, RUN), &part(RUN, 1), bases, pieces);
        accumulate(b, &totals, &sums);
        if rest > 0 {
            let bases = advance(b, axis, bases, Int::from(whole * RUN), 1);
            let sums = self.sum(b, &[part(rest, 1)], &bases, pieces);
            accumulate(b, &totals, &sums);
        }
        totals
    }

    /// `outer` runs, themselves in groups if there are many.
    fn sum_of_runs(&self, b: &mut Builder, outer: &Axis, run: &Axis, bases: &[Int], pieces: &[Piece]) -> Vec<Float> {
        let totals = zeros(b, pieces);
        let group = RUN.min(outer.extent);
        let mut start = 0;
        // At most two rounds of code: all whole groups, then the rest.
        for (groups, size) in [(outer.extent / group, group), (1, outer.extent % group)] {
            if size == 0 {
                continue;
            }
            b.for_range(0usize, groups, 1, |b, index| {
                let bases = advance(b, outer, bases, Int::from(start), 1);
                let bases = advance(b, outer, &bases, index, size);
                let subtotals = zeros(b, pieces);
                b.for_range(0usize, size, 1, |b, index| {
                    let bases = advance(b, outer, &bases, index, 1);
                    let sums = self.sum(b, std::slice::from_ref(run), &bases, pieces);
                    accumulate(b, &subtotals, &sums);
                });
                accumulate(b, &totals, &subtotals);
            });
            start += groups * size;
        }
        totals
    }

    /// Vectors along an axis that is summed over, some at once; one lane remains.
    fn run_along_terms(&self, b: &mut Builder, axis: &Axis, bases: &[Int]) -> Float {
        let wide = VECTORS * self.lanes;
        let (blocks, vectors) = (axis.extent / wide * wide, axis.extent / self.lanes * self.lanes);
        let whole = Piece {
            first: 0,
            lanes: self.lanes,
        };
        let partial = zeros(b, &[whole; VECTORS]);
        b.for_range(0usize, blocks, wide, |b, index| {
            for (vector, sum) in partial.iter().enumerate() {
                let at = b.add(index, vector * self.lanes);
                let bases = advance(b, axis, bases, at, 1);
                let term = self.term(b, &bases, &axis.strides, 0, self.lanes);
                accumulate(b, &[*sum], &[term]);
            }
        });
        b.for_range(blocks, vectors, self.lanes, |b, index| {
            let bases = advance(b, axis, bases, index, 1);
            let term = self.term(b, &bases, &axis.strides, 0, self.lanes);
            accumulate(b, &partial[..1], &[term]);
        });
        let last = zeros(b, &[Piece { first: 0, lanes: 1 }]);
        b.for_range(vectors, axis.extent, 1, |b, index| {
            let bases = advance(b, axis, bases, index, 1);
            let term = self.term(b, &bases, &axis.strides, 0, 1);
            accumulate(b, &last, &[term]);
        });
        let even = b.fadd(partial[0], partial[2]);
        let odd = b.fadd(partial[1], partial[3]);
        let sum = b.fadd(even, odd);
        let sum = b.horizontal_sum(sum);
        b.fadd(sum, last[0])
    }

    /// The terms of all pieces at one place.
    fn terms_at(&self, b: &mut Builder, bases: &[Int], pieces: &[Piece]) -> Vec<Float> {
        let strides = self.kept.last().expect("a nest has a loop").strides.clone();
        pieces
            .iter()
            .map(|piece| self.term(b, bases, &strides, piece.first, piece.lanes))
            .collect()
    }

    /// The expression at `lanes` neighbors, `first` from the bases on.
    fn term(&self, b: &mut Builder, bases: &[Int], strides: &[usize], first: usize, lanes: usize) -> Float {
        let mut reads = Reads::new(lanes);
        for (base, stride) in bases.iter().zip(strides) {
            let bytes = stride * ELEMENT_BYTES;
            reads.push(load_lanes(b, *base, first * bytes, bytes, lanes, lanes));
        }
        expression::evaluate(b, &self.reduce.body, &reads)
    }
}

/// Sorted by the first operand's strides: [`Nest::of`] sorts by the last's, and keeps the order of equals.
fn order_by_first(mut axes: Vec<Axis>) -> Vec<Axis> {
    axes.sort_by(|a, b| b.strides.first().cmp(&a.strides.first()));
    axes
}

/// Axes that are summed over, outermost first by the first read, merged where they are one run in every read.
fn merge_terms(axes: Vec<Axis>, reads: usize) -> Vec<Axis> {
    // The write does not move along these; the nest is ordered by the first read instead.
    let turned = axes.into_iter().map(|mut axis| {
        axis.strides.truncate(reads);
        axis.strides.rotate_left(1);
        axis
    });
    let mut merged = Nest::of(turned.collect()).axes;
    merged.retain(|axis| axis.extent != 1);
    for axis in &mut merged {
        axis.strides.rotate_right(1);
    }
    merged
}

fn advance(b: &mut Builder, axis: &Axis, bases: &[Int], index: Int, scale: usize) -> Vec<Int> {
    bases
        .iter()
        .zip(&axis.strides)
        .map(|(base, stride)| b.step(*base, index, stride * scale))
        .collect()
}

fn zeros(b: &mut Builder, pieces: &[Piece]) -> Vec<Float> {
    let zero = |piece: &Piece| {
        let zero = b.constant(0.0, piece.lanes);
        b.float_variable(zero)
    };
    pieces.iter().map(zero).collect()
}

fn accumulate(b: &mut Builder, totals: &[Float], sums: &[Float]) {
    for (total, sum) in totals.iter().zip(sums) {
        let value = b.fadd(*total, *sum);
        b.set_float(*total, value);
    }
}

#[cfg(test)]
mod tests;

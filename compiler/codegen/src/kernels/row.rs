//! Neighboring columns as vectors: how a row of known length is cut, and loads of every second element.

use netc_schedule::Machine;

use super::nest::narrowing_vectors;
use crate::builder::{Builder, ELEMENT_BYTES};
use crate::ir::{Float, Int};

/// Lanes of the narrowest vectors.
const NARROWEST: usize = 4;

/// Vectors of one width over columns of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vectors {
    /// First column.
    pub(crate) first: usize,
    /// Columns in a vector.
    pub(crate) lanes: usize,
    /// Whole vectors, one after the other.
    pub(crate) whole: usize,
    /// The vector for what is left over.
    pub(crate) last: Option<Piece>,
}

/// One vector's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// First column.
    pub(crate) column: usize,
    /// How many columns there are; lanes beyond them touch no memory.
    pub(crate) valid: usize,
}

impl Vectors {
    /// All vectors.
    pub(crate) fn count(&self) -> usize {
        self.whole + usize::from(self.last.is_some())
    }

    /// The vectors of a range.
    pub(crate) fn pieces(&self, range: std::ops::Range<usize>) -> Vec<Piece> {
        let whole = |index: usize| Piece {
            column: self.first + index * self.lanes,
            valid: self.lanes,
        };
        let piece = |index: usize| {
            if index < self.whole {
                Some(whole(index))
            } else {
                self.last
            }
        };
        range.filter_map(piece).collect()
    }
}

/// Vectors that cover `columns` columns exactly, as few as possible.
///
/// With lane masks, a last vector is filled in part. Without, it is whole and covers some columns again where work may
/// be done twice (`repeatable`: nothing is read that was written); else what is left goes in narrower vectors.
pub(crate) fn cut(columns: usize, machine: &Machine, repeatable: bool) -> Vec<Vectors> {
    cut_narrow(columns, machine.lanes, machine.masks_lanes(), repeatable)
}

/// The same with vectors of at most `widest` lanes, and lane masks or not.
pub(crate) fn cut_narrow(columns: usize, widest: usize, masks: bool, repeatable: bool) -> Vec<Vectors> {
    let widths = std::iter::successors(Some(widest), |lanes| Some(lanes / 2)).take_while(|lanes| *lanes >= NARROWEST);
    if masks && columns > 1 {
        let lanes = widths.filter(|lanes| *lanes >= columns.min(widest)).last();
        let lanes = lanes.expect("the widest vector is wide enough");
        let rest = columns % lanes;
        let last = (rest > 0).then_some(Piece {
            column: columns - rest,
            valid: rest,
        });
        return vec![Vectors {
            first: 0,
            lanes,
            whole: columns / lanes,
            last,
        }];
    }
    let (mut cuts, mut first) = (Vec::new(), 0);
    for lanes in widths.chain([1]) {
        let (whole, rest) = ((columns - first) / lanes, (columns - first) % lanes);
        if whole == 0 {
            continue;
        }
        let repeats = rest > 0 && repeatable;
        let last = repeats.then_some(Piece {
            column: columns - lanes,
            valid: lanes,
        });
        cuts.push(Vectors {
            first,
            lanes,
            whole,
            last,
        });
        first = if repeats { columns } else { columns - rest };
    }
    cuts
}

/// What is done with a vector: the index of its first element, its lanes, and how many of them count.
pub(crate) type VectorBody<'a> = dyn FnMut(&mut Builder, Int, (usize, usize)) + 'a;

/// Writes `body` for neighbors from `first` to `last`.
///
/// A run of known length is [`cut`]; any other goes in whole vectors, then in narrower ones.
pub(crate) fn each_vector(
    b: &mut Builder,
    (first, last): (Int, Int),
    machine: &Machine,
    repeatable: bool,
    body: &mut VectorBody<'_>,
) {
    let (Int::Constant(start), Int::Constant(end)) = (first, last) else {
        return narrowing_vectors(b, (first, last), machine.lanes, &mut |b, index, lanes| {
            body(b, index, (lanes, lanes))
        });
    };
    let count = usize::try_from(end - start).unwrap_or(0);
    for cut in cut(count, machine, repeatable) {
        let at = |column: usize| start + column as i64;
        let whole = (at(cut.first), at(cut.first + cut.whole * cut.lanes));
        b.for_range(whole.0, whole.1, cut.lanes, |b, index| {
            body(b, index, (cut.lanes, cut.lanes))
        });
        if let Some(piece) = cut.last {
            body(b, Int::Constant(at(piece.column)), (cut.lanes, piece.valid));
        }
    }
}

/// `valid` floats, each the second after the one before, from `base + offset` bytes on. Reads nothing beyond the last.
pub(crate) fn every_other(b: &mut Builder, base: Int, offset: usize, valid: usize, lanes: usize) -> Float {
    if lanes == 1 {
        return b.load(base, offset, 1);
    }
    // The second load starts at the last lane of the first, so that it ends with the last element.
    let count = 2 * valid - 1;
    let low = b.load_first(base, offset, count.min(lanes), lanes);
    if count <= lanes {
        return b.permute(low, low, |lane| 2 * lane % lanes);
    }
    let next = offset + (lanes - 1) * ELEMENT_BYTES;
    let high = b.load_first(base, next, count + 1 - lanes, lanes);
    b.permute(low, high, |lane| if 2 * lane < lanes { 2 * lane } else { 2 * lane + 1 })
}

/// `valid` pairs of floats from `base + offset` bytes on: the first of each, and the second of each.
pub(crate) fn pairs(b: &mut Builder, base: Int, offset: usize, valid: usize, lanes: usize) -> [Float; 2] {
    if lanes == 1 {
        return [offset, offset + ELEMENT_BYTES].map(|offset| b.load(base, offset, 1));
    }
    let loaded = load_pairs(b, base, offset, valid, lanes);
    [0, 1].map(|second| parted(b, loaded, second))
}

/// The second of each of `valid` pairs of floats from `base + offset` bytes on.
pub(crate) fn seconds(b: &mut Builder, base: Int, offset: usize, valid: usize, lanes: usize) -> Float {
    if lanes == 1 {
        return b.load(base, offset + ELEMENT_BYTES, 1);
    }
    let loaded = load_pairs(b, base, offset, valid, lanes);
    parted(b, loaded, 1)
}

/// The elements of odd or even index.
fn parted(b: &mut Builder, [low, high]: [Float; 2], second: usize) -> Float {
    b.permute(low, high, |lane| 2 * lane + second)
}

/// `valid` pairs of neighbors.
fn load_pairs(b: &mut Builder, base: Int, offset: usize, valid: usize, lanes: usize) -> [Float; 2] {
    let count = 2 * valid;
    let low = b.load_first(base, offset, count.min(lanes), lanes);
    let high = if count > lanes {
        b.load_first(base, offset + lanes * ELEMENT_BYTES, count - lanes, lanes)
    } else {
        low
    };
    [low, high]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(cuts: &[Vectors]) -> Vec<usize> {
        let pieces = cuts.iter().flat_map(|cut| cut.pieces(0..cut.count()));
        pieces
            .flat_map(|piece| piece.column..piece.column + piece.valid)
            .collect()
    }

    #[test]
    fn every_column_is_covered() {
        for machine in [Machine::portable(), Machine::avx2(), Machine::avx512()] {
            for columns in 1..70 {
                let once = covered(&cut(columns, &machine, false));
                assert_eq!(once, (0..columns).collect::<Vec<_>>(), "{machine:?}");
                let mut again = covered(&cut(columns, &machine, true));
                again.sort_unstable();
                again.dedup();
                assert_eq!(again, once, "{machine:?}");
            }
        }
    }

    #[test]
    fn rows_of_classic_networks() {
        let count = |columns: usize, machine: &Machine| {
            let cuts = cut(columns, machine, true);
            cuts.iter().map(|cut| (cut.lanes, cut.count())).collect::<Vec<_>>()
        };
        assert_eq!(count(28, &Machine::avx512()), [(16, 2)]);
        assert_eq!(count(28, &Machine::avx2()), [(8, 4)]);
        assert_eq!(count(28, &Machine::portable()), [(4, 7)]);
        assert_eq!(count(10, &Machine::avx512()), [(16, 1)]);
        assert_eq!(count(10, &Machine::avx2()), [(8, 2)]);
        assert_eq!(count(3, &Machine::avx2()), [(1, 3)]);
    }
}

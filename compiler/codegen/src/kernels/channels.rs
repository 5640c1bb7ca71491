//! Loops and sums over all channels of a position, for softmax and cross-entropy.
//!
//! If channels lie side by side, vectors run over channels and a sum ends with a horizontal one; if not, each lane is a
//! position of its own. The order of a sum depends on the layout and on nothing else.

use netc_schedule::View;

use crate::builder::Builder;
use crate::ir::{Float, Int};

use super::nest::narrowing_vectors;

/// The channels of one position, or of several positions side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channels {
    count: usize,
    /// Whether lanes are channels rather than positions.
    across: bool,
    lanes: usize,
}

/// A value that is the same for every channel: in every lane, and in one lane for what remains after whole vectors;
/// for narrower vectors it is spread where it is needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    wide: Float,
    one: Float,
}

impl Spread {
    /// The value to be used with registers of this many lanes.
    pub(crate) fn at(self, b: &mut Builder, lanes: usize) -> Float {
        if b.lanes(self.wide) == lanes {
            self.wide
        } else if b.lanes(self.one) == lanes {
            self.one
        } else {
            b.splat(self.one, lanes)
        }
    }

    /// The value itself: one number for a position, or one for each of the positions side by side.
    pub(crate) const fn value(self) -> Float {
        self.one
    }
}

impl Channels {
    /// Whether vectors should run over the channels of these views.
    pub(crate) fn side_by_side(views: &[&View]) -> bool {
        views[0].extents.channel > 1 && views.iter().all(|view| view.strides.channel == 1)
    }

    /// `count` channels, `lanes` of them in a vector.
    pub(crate) const fn across(count: usize, lanes: usize) -> Self {
        Self {
            count,
            across: true,
            lanes,
        }
    }

    /// `count` channels of `lanes` positions in a vector.
    pub(crate) const fn along(count: usize, lanes: usize) -> Self {
        Self {
            count,
            across: false,
            lanes,
        }
    }

    /// Writes `body` for every channel, with its index and the lanes that a load at it should have.
    pub(crate) fn each(self, b: &mut Builder, body: &mut dyn FnMut(&mut Builder, Int, usize)) {
        let all = (Int::Constant(0), Int::from(self.count));
        if self.across {
            narrowing_vectors(b, all, self.lanes, body);
        } else {
            b.for_range(all.0, all.1, 1, |b, c| body(b, c, self.lanes));
        }
    }

    /// The value in every lane.
    pub(crate) fn spread(self, b: &mut Builder, value: Float) -> Spread {
        let wide = if self.across { b.splat(value, self.lanes) } else { value };
        Spread { wide, one: value }
    }

    /// Sum of a term of every channel.
    pub(crate) fn sum(self, b: &mut Builder, term: &mut dyn FnMut(&mut Builder, Int, usize) -> Float) -> Spread {
        self.fold(b, 0.0, Builder::fadd, Builder::horizontal_sum, term)
    }

    /// Largest value of all channels. A NaN may be passed over.
    pub(crate) fn largest(self, b: &mut Builder, value: &mut dyn FnMut(&mut Builder, Int, usize) -> Float) -> Spread {
        let horizontal = |b: &mut Builder, vector: Float| {
            let lanes = b.lanes(vector);
            let parts: Vec<Float> = (0..lanes).map(|lane| b.extract(vector, lane)).collect();
            parts
                .into_iter()
                .reduce(|best, part| b.fmax(best, part))
                .expect("a vector has lanes")
        };
        self.fold(b, f32::NEG_INFINITY, Builder::fmax, horizontal, value)
    }

    fn fold(
        self,
        b: &mut Builder,
        start: f32,
        combine: fn(&mut Builder, Float, Float) -> Float,
        horizontal: impl FnOnce(&mut Builder, Float) -> Float,
        term: &mut dyn FnMut(&mut Builder, Int, usize) -> Float,
    ) -> Spread {
        let mut run = |b: &mut Builder, start: Float, (first, last): (usize, usize), step: usize| {
            let total = b.float_variable(start);
            let lanes = b.lanes(start);
            b.for_range(first, last, step, |b, c| {
                let value = term(b, c, lanes);
                let next = combine(b, total, value);
                b.set_float(total, next);
            });
            total
        };
        let whole = if self.across {
            self.count / self.lanes * self.lanes
        } else {
            0
        };
        let value = if !self.across {
            let start = b.constant(start, self.lanes);
            run(b, start, (0, self.count), 1)
        } else if whole == 0 {
            let start = b.constant(start, 1);
            run(b, start, (0, self.count), 1)
        } else {
            let start = b.constant(start, self.lanes);
            let vector = run(b, start, (0, whole), self.lanes);
            let part = horizontal(b, vector);
            run(b, part, (whole, self.count), 1)
        };
        self.spread(b, value)
    }
}

//! The forward pass in whole vectors of channels, those at the borders too.
//!
//! A lane whose window is cut off takes zeros for the channels that do not exist, which change no sum; so the bits are
//! those of single channels. The last vector may do some channels again.

use super::{Run, UNROLLED_SIZE, power};
use crate::builder::Builder;
use crate::ir::{Float, Int};
use crate::kernels::positions::Pixel;

impl Run {
    /// Whether all channels can be done in whole vectors.
    pub(super) fn fills_vectors(&self) -> bool {
        self.across
            && self.count >= self.lanes
            && self.norm.size <= UNROLLED_SIZE
            && self.before.max(self.after) <= self.lanes
    }

    /// `y` of every channel.
    pub(super) fn in_vectors(&self, b: &mut Builder, x: Pixel, y: Pixel) {
        let (count, lanes) = (self.count, self.lanes);
        let whole = count / lanes;
        let inside = |index: &usize| {
            let first = index * lanes;
            first >= self.before && first + lanes + self.after <= count
        };
        let first = (0..whole).find(inside).unwrap_or(whole);
        let last = first + (first..whole).take_while(inside).count();
        for index in 0..first {
            self.cut_vector(b, x, y, index * lanes);
        }
        b.for_range(first * lanes, last * lanes, lanes, |b, c| {
            let around = b.subtract(c, self.before);
            let loads = (0..=self.before + self.after).map(|distance| {
                let channel = b.add(around, distance);
                x.load(b, channel, lanes)
            });
            let values = loads.collect();
            self.vector(b, x, y, c, values);
        });
        for index in last..whole {
            self.cut_vector(b, x, y, index * lanes);
        }
        if !count.is_multiple_of(lanes) {
            self.cut_vector(b, x, y, count - lanes);
        }
    }

    /// The vector from a known channel on, whose windows may be cut off.
    fn cut_vector(&self, b: &mut Builder, x: Pixel, y: Pixel, c: usize) {
        let (count, lanes) = (self.count, self.lanes);
        let zero = b.constant(0.0, lanes);
        let values = (0..=self.before + self.after).map(|distance| {
            // Channels that do not exist, before the first and after the last; never both.
            let missing = self.before.saturating_sub(c + distance);
            let beyond = (c + distance + lanes).saturating_sub(count + self.before);
            let first = (c + distance).saturating_sub(self.before).min(count - lanes);
            let value = x.load(b, Int::from(first), lanes);
            match (missing, beyond) {
                (0, 0) => value,
                (_, 0) => b.permute(
                    zero,
                    value,
                    |lane| {
                        if lane < missing { lane } else { lanes + lane - missing }
                    },
                ),
                _ => b.permute(value, zero, |lane| (lane + beyond).min(lanes)),
            }
        });
        let values = values.collect();
        self.vector(b, x, y, Int::from(c), values);
    }

    /// The results of a vector of channels, given those around it in order.
    fn vector(&self, b: &mut Builder, x: Pixel, y: Pixel, c: Int, values: Vec<Float>) {
        let zero = b.constant(0.0, self.lanes);
        let sum = values.into_iter().fold(zero, |sum, value| b.fma(value, value, sum));
        let base = self.scaled(b, sum);
        let power = power(b, base, self.norm.beta);
        let value = x.load(b, c, self.lanes);
        let result = b.fdiv(value, power);
        y.store(b, c, result);
    }
}

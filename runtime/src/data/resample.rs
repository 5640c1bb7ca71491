//! Bilinear reading of planes: whole-factor enlargement, and one affine map per image.
//!
//! Outside a plane everything is zero. An affine map reads from a plane with a border of zeros, so that its inner loop
//! has no test for the edge: a coordinate that is too far out is clamped into the border.

/// Zeros before the first row and column of a bordered plane.
const BEFORE: usize = 1;
/// Zeros after the last: one for the clamped coordinate itself, one for its right neighbor.
const AFTER: usize = 2;

/// The longest side of a plane that is resampled, for [`split`]'s sake.
pub(super) const MAX_SIDE: usize = 1 << 22;

/// The largest plane that is resampled, borders included: its elements are counted in 32 bits.
pub(super) const MAX_PLANE: usize = u32::MAX as usize;

/// Planes of the same size, each within a border of zeros.
#[derive(Clone, Debug, Default)]
pub(super) struct Bordered {
    height: usize,
    width: usize,
    values: Vec<f32>,
}

impl Bordered {
    /// Makes room for `count` planes and clears their borders only if the size changes; what is inside is left.
    pub(super) fn resize(&mut self, count: usize, height: usize, width: usize) {
        let length = count * Self::plane_len(height, width);
        if (self.height, self.width, self.values.len()) != (height, width, length) {
            self.values.clear();
            self.values.resize(length, 0.0);
            (self.height, self.width) = (height, width);
        }
    }

    /// Elements of a plane with its border.
    pub(super) const fn plane_len(height: usize, width: usize) -> usize {
        (height + BEFORE + AFTER).saturating_mul(width + BEFORE + AFTER)
    }

    const fn stride(&self) -> usize {
        self.width + BEFORE + AFTER
    }

    /// The row `y` of the plane `channel`, without its border.
    pub(super) fn row_mut(&mut self, channel: usize, y: usize) -> &mut [f32] {
        let start = channel * Self::plane_len(self.height, self.width) + (y + BEFORE) * self.stride() + BEFORE;
        &mut self.values[start..start + self.width]
    }

    /// Writes each plane as seen through `map`, displaced by `field` where there is one. `out` holds the planes
    /// without borders.
    pub(super) fn resample(&self, map: &Affine, field: Option<&Displacement>, reads: &mut Vec<Read>, out: &mut [f32]) {
        let (stride, width) = (self.stride(), self.width);
        reads.clear();
        reads.resize(width, Read::default());
        for y in 0..self.height {
            let moved = field.map(|field| [&field.y, &field.x].map(|values| &values[y * width..][..width]));
            self.place(map, moved, y, reads);
            let planes = self.values.chunks_exact(Self::plane_len(self.height, width));
            for (plane, out) in planes.zip(out.chunks_exact_mut(self.height * width)) {
                for (value, read) in out[y * width..][..width].iter_mut().zip(&*reads) {
                    let taps = &plane[read.first as usize..][..stride + 2];
                    let upper = taps[0] + (taps[1] - taps[0]) * read.right;
                    let lower = taps[stride] + (taps[stride + 1] - taps[stride]) * read.right;
                    *value = upper + (lower - upper) * read.down;
                }
            }
        }
    }

    /// Where each pixel of an output row reads. Apart from reading, so that the compiler can work on several at once.
    fn place(&self, map: &Affine, moved: Option<[&[f32]; 2]>, y: usize, reads: &mut [Read]) {
        let stride = self.stride() as u32;
        let (middle_y, middle_x) = ((self.height as f32 - 1.0) / 2.0, (self.width as f32 - 1.0) / 2.0);
        let (limit_y, limit_x) = ((self.height + BEFORE) as f32, (self.width + BEFORE) as f32);
        let from_middle = y as f32 - middle_y;
        let start_y = map.yy * from_middle + map.y + middle_y + BEFORE as f32;
        let start_x = map.xy * from_middle + map.x + middle_x + BEFORE as f32;
        let read = |x: i32, moved_y: f32, moved_x: f32| {
            let along = x as f32 - middle_x;
            // `max` takes NaN, which an absurd recipe can make of infinities, to 0; `clamp` would keep it.
            let source_y = (start_y + map.yx * along + moved_y).max(0.0).min(limit_y);
            let source_x = (start_x + map.xx * along + moved_x).max(0.0).min(limit_x);
            let ((top, down), (left, right)) = (split(source_y), split(source_x));
            Read {
                first: top * stride + left,
                down,
                right,
            }
        };
        match moved {
            None => reads
                .iter_mut()
                .zip(0..)
                .for_each(|(slot, x)| *slot = read(x, 0.0, 0.0)),
            Some([moved_y, moved_x]) => {
                for ((slot, x), (&moved_y, &moved_x)) in reads.iter_mut().zip(0..).zip(moved_y.iter().zip(moved_x)) {
                    *slot = read(x, moved_y, moved_x);
                }
            }
        }
    }
}

/// A whole part and the share beyond it, in `0..=1`, of a number from 0 to 2²². A whole number may come as the one before
/// it and a share of 1, which reads the same value.
///
/// Adding 2²³ leaves an f32 no bits for fractions, so it rounds, and the lowest bits hold the integer: work for four
/// numbers at once, where a cast, which must saturate, is done one by one and takes half of the time of augmentation.
fn split(number: f32) -> (u32, f32) {
    const ROUNDING: f32 = 8_388_608.0;
    let rounded = (number - 0.5).max(0.0) + ROUNDING;
    (rounded.to_bits() - ROUNDING.to_bits(), number - (rounded - ROUNDING))
}

/// Where one output pixel reads: the first of four elements, and the shares of the lower and the right ones.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Read {
    first: u32,
    down: f32,
    right: f32,
}

/// A map from output to source coordinates, both counted from the middle of the image:
/// `source_y = yy·y + yx·x + y₀`, `source_x = xy·y + xx·x + x₀`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Affine {
    pub(super) yy: f32,
    pub(super) yx: f32,
    pub(super) xy: f32,
    pub(super) xx: f32,
    pub(super) y: f32,
    pub(super) x: f32,
}

impl Affine {
    pub(super) const IDENTITY: Self = Self {
        yy: 1.0,
        yx: 0.0,
        xy: 0.0,
        xx: 1.0,
        y: 0.0,
        x: 0.0,
    };

    /// First `self` moves the content, then `next`, which is given as its own output-to-source map.
    pub(super) fn then(&self, next: &Self) -> Self {
        Self {
            yy: self.yy * next.yy + self.yx * next.xy,
            yx: self.yy * next.yx + self.yx * next.xx,
            xy: self.xy * next.yy + self.xx * next.xy,
            xx: self.xy * next.yx + self.xx * next.xx,
            y: self.yy * next.y + self.yx * next.x + self.y,
            x: self.xy * next.y + self.xx * next.x + self.x,
        }
    }
}

/// How far each pixel of an image reads from where it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Displacement {
    pub(super) y: Vec<f32>,
    pub(super) x: Vec<f32>,
}

/// Where one output row or column reads: two neighbors and the share of the second, or nowhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tap {
    pub(super) first: usize,
    pub(super) second: usize,
    pub(super) share: f32,
}

/// The taps along one axis of `stored` elements that are enlarged by `factor` and centered in `wanted`.
///
/// Enlarging aligns the outer edges, not the middles of the outer pixels, and repeats the outermost pixel half a
/// pixel beyond its middle. Where `stored·factor` is larger than `wanted`, the middle is cut out.
pub(super) fn taps(stored: usize, factor: usize, wanted: usize) -> Vec<Option<Tap>> {
    let enlarged = stored * factor;
    let tap = |place: usize| {
        // Padding before is rounded down, and so is what a crop leaves out before.
        let place = (place + enlarged.saturating_sub(wanted) / 2).checked_sub(wanted.saturating_sub(enlarged) / 2)?;
        if place >= enlarged {
            return None;
        }
        let source = ((place as f32 + 0.5) / factor as f32 - 0.5).clamp(0.0, stored as f32 - 1.0);
        let first = source as usize;
        Some(Tap {
            first,
            second: (first + 1).min(stored - 1),
            share: source - first as f32,
        })
    };
    (0..wanted).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bordered(height: usize, width: usize, value: impl Fn(usize, usize) -> f32) -> Bordered {
        let mut planes = Bordered::default();
        planes.resize(1, height, width);
        for y in 0..height {
            for (x, slot) in planes.row_mut(0, y).iter_mut().enumerate() {
                *slot = value(y, x);
            }
        }
        planes
    }

    fn resampled(planes: &Bordered, map: &Affine) -> Vec<f32> {
        let mut out = vec![f32::NAN; planes.height * planes.width];
        planes.resample(map, None, &mut Vec::new(), &mut out);
        out
    }

    #[test]
    fn whole_moves_and_quarter_turns_are_exact() {
        let planes = bordered(3, 3, |y, x| (y * 3 + x + 1) as f32);
        assert_eq!(
            resampled(&planes, &Affine::IDENTITY),
            (1..10).map(|i| i as f32).collect::<Vec<_>>()
        );
        let right = Affine {
            x: -1.0,
            ..Affine::IDENTITY
        };
        assert_eq!(
            resampled(&planes, &right),
            [0.0, 1.0, 2.0, 0.0, 4.0, 5.0, 0.0, 7.0, 8.0]
        );
        let quarter = Affine {
            yy: 0.0,
            yx: -1.0,
            xy: 1.0,
            xx: 0.0,
            y: 0.0,
            x: 0.0,
        };
        assert_eq!(
            resampled(&planes, &quarter),
            [7.0, 4.0, 1.0, 8.0, 5.0, 2.0, 9.0, 6.0, 3.0]
        );
        let half = Affine {
            x: -0.5,
            ..Affine::IDENTITY
        };
        assert_eq!(resampled(&planes, &half)[..3], [0.5, 1.5, 2.5]);
        let away = Affine {
            y: 1e30,
            x: f32::NEG_INFINITY,
            ..Affine::IDENTITY
        };
        assert_eq!(resampled(&planes, &away), [0.0; 9]);
    }

    #[test]
    fn numbers_are_split_into_neighbors() {
        for i in 0..4000 {
            let number = i as f32 / 16.0;
            let (whole, share) = split(number);
            assert_eq!(whole as f32 + share, number);
            assert!((0.0..=1.0).contains(&share), "{number}: {whole} {share}");
        }
        assert_eq!(split(4_194_304.0), (4_194_304, 0.0));
    }

    #[test]
    fn absurd_maps_read_zeros() {
        let planes = bordered(3, 3, |_, _| 1.0);
        let infinite = Affine {
            y: f32::INFINITY,
            yx: f32::NEG_INFINITY,
            x: f32::NAN,
            ..Affine::IDENTITY
        };
        assert_eq!(resampled(&planes, &infinite), [0.0; 9]);
    }

    #[test]
    fn maps_compose_in_order() {
        let right = Affine {
            x: -1.0,
            ..Affine::IDENTITY
        };
        let quarter = Affine {
            yy: 0.0,
            yx: -1.0,
            xy: 1.0,
            xx: 0.0,
            y: 0.0,
            x: 0.0,
        };
        let planes = bordered(3, 3, |y, x| (y * 3 + x + 1) as f32);
        let moved = resampled(&planes, &right);
        let twice = resampled(&bordered(3, 3, |y, x| moved[y * 3 + x]), &quarter);
        assert_eq!(resampled(&planes, &right.then(&quarter)), twice);
    }

    #[test]
    fn taps_of_every_mode() {
        let whole = |first| {
            Some(Tap {
                first,
                second: first + 1,
                share: 0.0,
            })
        };
        assert_eq!(taps(3, 1, 3)[..2], [whole(0), whole(1)]);
        let places = |taps: Vec<Option<Tap>>| taps.iter().map(|tap| tap.map(|tap| tap.first)).collect::<Vec<_>>();
        assert_eq!(places(taps(2, 1, 5)), [None, Some(0), Some(1), None, None]);
        assert_eq!(places(taps(5, 1, 2)), [Some(1), Some(2)]);
        let enlarged = taps(2, 2, 4);
        let value = |tap: Option<Tap>| {
            tap.map(|tap| [10.0, 20.0][tap.first] * (1.0 - tap.share) + [10.0, 20.0][tap.second] * tap.share)
        };
        assert_eq!(
            enlarged.into_iter().map(value).collect::<Vec<_>>(),
            [10.0, 12.5, 17.5, 20.0].map(Some)
        );
    }

    proptest! {
        #[test]
        fn equal_to_bilinear_reading_written_out(
            height in 1usize..6, width in 1usize..6, seed in any::<u64>(),
            map in proptest::array::uniform6(-3.0f32..3.0),
        ) {
            let mut values = vec![0.0; height * width];
            crate::random::Stream::new(seed, "planes").fill_normal(1.0, &mut values);
            let planes = bordered(height, width, |y, x| values[y * width + x]);
            let [yy, yx, xy, xx, y0, x0] = map;
            let found = resampled(&planes, &Affine { yy, yx, xy, xx, y: y0, x: x0 });
            let at = |y: i64, x: i64| {
                let inside = (0..height as i64).contains(&y) && (0..width as i64).contains(&x);
                if inside { f64::from(values[y as usize * width + x as usize]) } else { 0.0 }
            };
            for (i, &found) in found.iter().enumerate() {
                let (my, mx) = ((height as f32 - 1.0) / 2.0, (width as f32 - 1.0) / 2.0);
                let (y, x) = ((i / width) as f32 - my, (i % width) as f32 - mx);
                let (sy, sx) = (f64::from(yy * y + yx * x + y0 + my), f64::from(xy * y + xx * x + x0 + mx));
                let (fy, fx) = (sy.floor(), sx.floor());
                let (dy, dx) = (sy - fy, sx - fx);
                let (iy, ix) = (fy as i64, fx as i64);
                let expected = (at(iy, ix) * (1.0 - dx) + at(iy, ix + 1) * dx) * (1.0 - dy)
                    + (at(iy + 1, ix) * (1.0 - dx) + at(iy + 1, ix + 1) * dx) * dy;
                // A coordinate of size 40 is rounded by 2e-6 in f32, and values differ by less than 10 per pixel.
                prop_assert!((f64::from(found) - expected).abs() < 1e-4, "{i}: {found} {expected}");
            }
        }
    }
}

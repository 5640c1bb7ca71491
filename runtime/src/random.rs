//! Random numbers addressed by what they are for, not by when they are asked for.
//!
//! A number is a pure function of (seed, purpose, place): reading in another order, from other threads, or from the
//! middle gives the same values. The generator is Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers:
//! As Easy as 1, 2, 3", SC 2011). Dropout, which runs in compiled code, has its own small generator of 32-bit
//! operations: [`dropout_bits`]. Nothing here is fit for secrets.
//!
//! Integers and uniform values are the same on every machine. Normal values use the platform's `ln` and `cos`, whose
//! last bit may differ between platforms.

use std::f64::consts::TAU;

const MULTIPLIER: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];

/// Philox4x32-10: a bijection of the 128-bit counter for each key.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        let first = u64::from(MULTIPLIER[0]) * u64::from(counter[0]);
        let second = u64::from(MULTIPLIER[1]) * u64::from(counter[2]);
        counter = [
            (second >> 32) as u32 ^ counter[1] ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ counter[3] ^ key[1],
            first as u32,
        ];
    }
    counter
}

/// FNV-1a, 64 bits: spreads purposes over the counter space.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// An endless sequence of random numbers with access to any place of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
    /// Upper half of the counter; the lower half counts blocks of four numbers.
    domain: u64,
}

/// Blocks with this bit in their number make substreams, so they never overlap with a stream's own numbers.
const SUBSTREAM_BIT: u64 = 1 << 63;

impl Stream {
    /// The stream of a run's seed for one purpose, such as `order` or a parameter's name.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self {
            key: [seed as u32, (seed >> 32) as u32],
            domain: fnv1a(purpose),
        }
    }

    /// The stream of one epoch, sample or other part, numbered below 2⁶³; parts of parts may be taken.
    #[must_use]
    pub fn substream(&self, number: u64) -> Self {
        debug_assert!(number < SUBSTREAM_BIT, "substream {number} is beyond 2^63");
        let [a, b, c, d] = self.block(number | SUBSTREAM_BIT);
        Self {
            key: [a, b],
            domain: u64::from(c) << 32 | u64::from(d),
        }
    }

    fn block(&self, number: u64) -> [u32; 4] {
        let counter = [
            number as u32,
            (number >> 32) as u32,
            self.domain as u32,
            (self.domain >> 32) as u32,
        ];
        philox(counter, self.key)
    }

    /// 32 uniform bits.
    #[must_use]
    pub fn u32_at(&self, index: u64) -> u32 {
        self.block(index / 4)[(index % 4) as usize]
    }

    /// 64 uniform bits, made of the u32 at `2·index` (low) and `2·index + 1` (high).
    #[must_use]
    pub fn u64_at(&self, index: u64) -> u64 {
        let block = self.block(index / 2);
        let low = (index % 2 * 2) as usize;
        u64::from(block[low]) | u64::from(block[low + 1]) << 32
    }

    /// Uniform in `[0, 1)`, a multiple of 2⁻²⁴, from the u32 at the same index.
    #[must_use]
    pub fn uniform_at(&self, index: u64) -> f32 {
        unit(self.u32_at(index))
    }

    /// Standard normal (Box & Muller, 1958): the pair at `2k` and `2k + 1` comes from the u32 at these two indices.
    #[must_use]
    pub fn normal_at(&self, index: u64) -> f32 {
        let block = self.block(index / 4);
        let pair = (index % 4 / 2 * 2) as usize;
        let (even, odd) = normal_pair(block[pair], block[pair + 1]);
        if index.is_multiple_of(2) { even } else { odd }
    }

    /// Writes the uniform values from index 0 on, each turned into `low + value·(high - low)`.
    pub fn fill_uniform(&self, low: f32, high: f32, out: &mut [f32]) {
        let width = high - low;
        for (block, chunk) in out.chunks_mut(4).enumerate() {
            for (value, bits) in chunk.iter_mut().zip(self.block(block as u64)) {
                *value = low + unit(bits) * width;
            }
        }
    }

    /// Writes the normal values from index 0 on, each multiplied by `std`.
    pub fn fill_normal(&self, std: f32, out: &mut [f32]) {
        for (block, chunk) in out.chunks_mut(4).enumerate() {
            let [a, b, c, d] = self.block(block as u64);
            let (first, second) = (normal_pair(a, b), normal_pair(c, d));
            for (value, normal) in chunk.iter_mut().zip([first.0, first.1, second.0, second.1]) {
                *value = normal * std;
            }
        }
    }

    /// A uniform permutation of `0..count`: Fisher–Yates, each choice unbiased by rejection (Lemire, 2019).
    ///
    /// Panics if `count` is beyond `u32::MAX`; datasets are checked against that when they are loaded.
    #[must_use]
    pub fn permutation(&self, count: usize) -> Vec<u32> {
        let count = u32::try_from(count).expect("a permutation of at most 2^32 - 1 items");
        let mut order: Vec<u32> = (0..count).collect();
        let mut index = 0;
        for last in (1..count).rev() {
            let chosen = self.below(last + 1, &mut index);
            order.swap(last as usize, chosen as usize);
        }
        order
    }

    /// Uniform in `0..bound` from the u32 at `*index` on, which moves past those used.
    fn below(&self, bound: u32, index: &mut u64) -> u32 {
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u64::from(self.u32_at(*index)) * u64::from(bound);
            *index += 1;
            if product as u32 >= threshold {
                return (product >> 32) as u32;
            }
        }
    }
}

/// The upper 24 bits as a multiple of 2⁻²⁴.
fn unit(bits: u32) -> f32 {
    (bits >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// Two independent standard normal values from two times 32 uniform bits; none is beyond 6.67.
fn normal_pair(first: u32, second: u32) -> (f32, f32) {
    // (first + 1)·2⁻³² is in (0, 1], so the logarithm is finite.
    let radius = (-2.0 * ((f64::from(first) + 1.0) / 4_294_967_296.0).ln()).sqrt();
    let (sin, cos) = (TAU * (f64::from(second) / 4_294_967_296.0)).sin_cos();
    ((radius * cos) as f32, (radius * sin) as f32)
}

/// The random bits of one element under dropout: 32-bit multiply, add, xor and logical shift right only, so that
/// compiled code computes four or more at once.
///
/// `mix` is `lowbias32` (Wellons, *Prospecting for Hash Functions*, 2018), a bijection:
/// `x ^= x >> 16; x *= 0x7feb352d; x ^= x >> 15; x *= 0x846ca68b; x ^= x >> 16`.
/// The result is `mix(mix(index ^ key) + key)`. One round would only permute one fixed sequence, since keys that
/// differ by an xor would see each other's masks at xor-ed indices; adding the key between two rounds breaks that.
///
/// An element is dropped where the bits, unsigned, are below [`dropout_threshold`].
#[must_use]
pub const fn dropout_bits(key: u32, index: u32) -> u32 {
    mix(mix(index ^ key).wrapping_add(key))
}

const fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ x >> 16
}

/// The key of one dropout layer in one training step.
#[must_use]
pub fn dropout_key(seed: u64, layer_name: &str, step: u64) -> u32 {
    Stream::new(seed, "dropout")
        .substream(fnv1a(layer_name) >> 1)
        .u32_at(step)
}

/// The bound below which [`dropout_bits`] drop an element at this rate: `rate·2³²`, rounded; rates are clamped to
/// `[0, 1)`, NaN counts as 0.
#[must_use]
pub fn dropout_threshold(rate: f32) -> u32 {
    // A float-to-integer cast saturates, and takes NaN to 0.
    (f64::from(rate) * 4_294_967_296.0).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_known_answers() {
        // From the authors' Random123 distribution, tests/kat_vectors, philox 4x32 10.
        assert_eq!(
            philox([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        let counter = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let expected = [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1];
        assert_eq!(philox(counter, [0xa409_3822, 0x299f_31d0]), expected);
    }

    #[test]
    fn fnv_known_answers() {
        assert_eq!(fnv1a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn filling_equals_reading_one_by_one() {
        let stream = Stream::new(7, "conv1.weight");
        for length in [0, 1, 2, 3, 5, 8, 13] {
            let mut values = vec![0.0; length];
            stream.fill_uniform(0.0, 1.0, &mut values);
            assert_eq!(
                values,
                (0..length as u64).map(|i| stream.uniform_at(i)).collect::<Vec<_>>()
            );
            stream.fill_normal(1.0, &mut values);
            assert_eq!(
                values,
                (0..length as u64).map(|i| stream.normal_at(i)).collect::<Vec<_>>()
            );
        }
        assert_eq!(
            stream.u64_at(3),
            u64::from(stream.u32_at(6)) | u64::from(stream.u32_at(7)) << 32
        );
    }

    #[test]
    fn seeds_purposes_and_substreams_differ() {
        let base = Stream::new(1, "order");
        let others = [
            Stream::new(2, "order"),
            Stream::new(1 << 32 | 1, "order"),
            Stream::new(1, "augment"),
            base.substream(0),
            base.substream(1),
            base.substream(0).substream(0),
        ];
        for (i, other) in others.iter().enumerate() {
            let same = (0..64)
                .filter(|&index| other.u32_at(index) == base.u32_at(index))
                .count();
            assert_eq!(same, 0, "stream {i}");
            assert!(others[..i].iter().all(|earlier| earlier != other));
        }
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        const COUNT: usize = 200_000;
        let mut values = vec![0.0; COUNT];
        Stream::new(3, "uniform").fill_uniform(-1.0, 1.0, &mut values);
        assert!(values.iter().all(|value| (-1.0..1.0).contains(value)));
        let (mean, variance) = moments(&values);
        // Five standard errors: σ/√n for the mean, and √((κ-1)/n)·σ² for the variance.
        assert!(mean.abs() < 5.0 * (1.0f64 / 3.0 / COUNT as f64).sqrt(), "{mean}");
        assert!(
            (variance - 1.0 / 3.0).abs() < 5.0 * (0.8 / COUNT as f64).sqrt() / 3.0,
            "{variance}"
        );
        Stream::new(3, "normal").fill_normal(2.0, &mut values);
        let (mean, variance) = moments(&values);
        assert!(mean.abs() < 5.0 * 2.0 / (COUNT as f64).sqrt(), "{mean}");
        assert!(
            (variance - 4.0).abs() < 5.0 * 4.0 * (2.0 / COUNT as f64).sqrt(),
            "{variance}"
        );
        let beyond_two_sigma = values.iter().filter(|value| value.abs() > 4.0).count() as f64 / COUNT as f64;
        assert!((beyond_two_sigma - 0.0455).abs() < 0.0025, "{beyond_two_sigma}");
    }

    fn moments(values: &[f32]) -> (f64, f64) {
        let count = values.len() as f64;
        let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
        let variance = values
            .iter()
            .map(|&value| (f64::from(value) - mean).powi(2))
            .sum::<f64>()
            / count;
        (mean, variance)
    }

    #[test]
    fn permutations_are_permutations_and_uniform() {
        for count in [0, 1, 2, 3, 100] {
            let mut order = Stream::new(5, "order").permutation(count);
            order.sort_unstable();
            assert_eq!(order, (0..count as u32).collect::<Vec<_>>());
        }
        // All 24 permutations of four items about equally often: χ² with 23 degrees of freedom, 99.99 % below 56.
        let mut counts = std::collections::BTreeMap::new();
        for epoch in 0..24_000 {
            *counts
                .entry(Stream::new(9, "order").substream(epoch).permutation(4))
                .or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 24);
        let chi: f64 = counts
            .values()
            .map(|&count| (f64::from(count) - 1000.0).powi(2) / 1000.0)
            .sum();
        assert!(chi < 56.0, "{chi}");
    }

    #[test]
    fn rejection_moves_on() {
        // With a bound just above 2³¹ nearly half of the draws are rejected; all results stay in range.
        let stream = Stream::new(1, "below");
        let (bound, mut index) = ((1u32 << 31) + 1, 0);
        for _ in 0..1000 {
            assert!(stream.below(bound, &mut index) < bound);
        }
        assert!((1800..2200).contains(&index), "{index}");
    }

    #[test]
    fn mix_known_answers() {
        assert_eq!(mix(0), 0);
        assert_eq!([mix(1), mix(2)], [mix_by_hand(1), mix_by_hand(2)]);
    }

    /// The same in 64-bit arithmetic with explicit masks.
    fn mix_by_hand(x: u64) -> u32 {
        let x = x ^ (x >> 16);
        let x = (x * 0x7feb_352d) & 0xffff_ffff;
        let x = x ^ (x >> 15);
        let x = (x * 0x846c_a68b) & 0xffff_ffff;
        (x ^ (x >> 16)) as u32
    }

    #[test]
    fn dropout_bits_are_uniform_and_unlinked() {
        const COUNT: u32 = 1 << 17;
        let expected = f64::from(COUNT) / 2.0;
        let five_sigma = 5.0 * (f64::from(COUNT) / 4.0).sqrt();
        for step in 0..4 {
            let (key, next) = (dropout_key(1, "drop1", step), dropout_key(1, "drop1", step + 1));
            for bit in 0..32 {
                let ones = (0..COUNT).filter(|&i| dropout_bits(key, i) >> bit & 1 == 1).count();
                assert!((ones as f64 - expected).abs() < five_sigma, "bit {bit}: {ones}");
                // Neither the neighbor nor the same element in the next step tells anything.
                let links: [fn(u32, u32, u32) -> u32; 3] = [
                    |key, _, i| dropout_bits(key, i) ^ dropout_bits(key, i + 1),
                    |key, next, i| dropout_bits(key, i) ^ dropout_bits(next, i),
                    |key, next, i| dropout_bits(key, i) ^ dropout_bits(next, i ^ key ^ next),
                ];
                for (kind, link) in links.iter().enumerate() {
                    let equal = (0..COUNT).filter(|&i| link(key, next, i) >> bit & 1 == 0).count();
                    assert!(
                        (equal as f64 - expected).abs() < five_sigma,
                        "link {kind}, bit {bit}: {equal}"
                    );
                }
            }
        }
    }

    #[test]
    fn dropout_drops_at_its_rate() {
        let key = dropout_key(42, "drop2", 7);
        for rate in [0.1f32, 0.5, 0.9] {
            let threshold = dropout_threshold(rate);
            let dropped = (0..100_000).filter(|&i| dropout_bits(key, i) < threshold).count() as f32 / 1e5;
            assert!((dropped - rate).abs() < 0.008, "{rate}: {dropped}");
        }
        assert_eq!([0.0, -1.0, f32::NAN].map(dropout_threshold), [0; 3]);
        assert_eq!(dropout_threshold(0.5), 1 << 31);
        assert_eq!(dropout_threshold(1.0), u32::MAX);
        assert_ne!(dropout_key(42, "drop2", 7), dropout_key(42, "drop2", 8));
        assert_ne!(dropout_key(42, "drop2", 7), dropout_key(42, "drop1", 7));
    }
}

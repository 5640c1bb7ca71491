//! Sums per channel: a batch of `[C, *S]` seen as elements that each belong to one channel.

use netc_runtime::{Shape, Tensor};

/// Which channel each element of a batch of tensors of one shape belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channels {
    channels: usize,
    plane: usize,
}

impl Channels {
    /// Tensors of this shape, channels first.
    pub(crate) fn of(shape: &Shape) -> Self {
        Self {
            channels: shape[0],
            plane: shape.extents()[1..].iter().product(),
        }
    }

    /// The same, of a batched host tensor.
    pub(crate) fn of_host(tensor: &Tensor) -> Self {
        Self::of(&Shape::from(&tensor.shape().extents()[1..]))
    }

    /// Elements that a batch has in one channel.
    pub(crate) const fn count(self, samples: usize) -> usize {
        samples * self.plane
    }

    /// Elements that one sample has in one channel.
    pub(crate) const fn plane(self) -> usize {
        self.plane
    }

    /// The channel of an element, given its index in the whole batch.
    pub(crate) const fn channel(self, index: usize) -> usize {
        index / self.plane % self.channels
    }

    /// For each channel, the sum of `term(index, channel)` over its elements in `samples` tensors.
    pub(crate) fn sums(self, samples: usize, mut term: impl FnMut(usize, usize) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.channels];
        for index in 0..samples * self.channels * self.plane {
            let channel = self.channel(index);
            sums[channel] += term(index, channel);
        }
        sums
    }
}

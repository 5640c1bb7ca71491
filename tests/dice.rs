//! Random choices for tests that change texts and bytes.

use netc::stages::runtime::random::Stream;

/// Random choices that a failure can be repeated from: the message of a failing test names seed and case.
pub(crate) struct Dice {
    stream: Stream,
    next: u64,
}

impl Dice {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, next: 0 }
    }

    /// A number below `bound`, or below 1.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.next += 1;
        (self.stream.u64_at(self.next) % bound.max(1) as u64) as usize
    }
}

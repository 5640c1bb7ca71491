//! Where each temporary lies in the arena: two that are never needed at the same time may share bytes.
//!
//! Buffers are placed largest first, each at the lowest offset that is free for its whole life (greedy by size;
//! Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020). The batched and the fixed
//! part of the arena are laid out apart, since only one of them grows with the batch.

use crate::plan::{Buffer, Place, Step};
#[cfg(test)]
use crate::view::BufferId;

/// Bytes that every buffer starts at a multiple of: a cache line, and the widest vector.
pub(crate) const ALIGNMENT_BYTES: usize = 64;

/// First and last step that touch a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life {
    first: usize,
    last: usize,
}

/// Gives every `Batched` and `Fixed` buffer its offset. Returns the bytes of the two parts.
pub(crate) fn assign(buffers: &mut [Buffer], steps: &[Step]) -> (usize, usize) {
    let lives = lives(buffers.len(), steps);
    let batched = place(buffers, &lives, |place| matches!(place, Place::Batched { .. }), |offset_bytes| Place::Batched { offset_bytes });
    let fixed = place(buffers, &lives, |place| matches!(place, Place::Fixed { .. }), |offset_bytes| Place::Fixed { offset_bytes });
    (batched, fixed)
}

fn lives(count: usize, steps: &[Step]) -> Vec<Option<Life>> {
    let mut lives: Vec<Option<Life>> = vec![None; count];
    for (index, step) in steps.iter().enumerate() {
        for view in step.reads.iter().chain([&step.write]) {
            let life = lives[view.buffer.index()].get_or_insert(Life { first: index, last: index });
            life.last = index;
        }
    }
    lives
}

fn place(buffers: &mut [Buffer], lives: &[Option<Life>], kind: impl Fn(&Place) -> bool, make: impl Fn(usize) -> Place) -> usize {
    let mut order: Vec<usize> = (0..buffers.len()).filter(|&index| kind(&buffers[index].place)).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(buffers[index].size_bytes), index));
    let mut placed: Vec<(Life, usize, usize)> = Vec::new();
    let mut total = 0;
    for index in order {
        let size = round_up(buffers[index].size_bytes);
        // A buffer that no step touches takes no memory.
        let Some(life) = lives[index] else { continue };
        let offset = lowest_free(&placed, life, size);
        placed.push((life, offset, offset + size));
        total = total.max(offset + size);
        buffers[index].place = make(offset);
    }
    total
}

/// The lowest offset where `size` bytes are free of every buffer alive at the same time.
fn lowest_free(placed: &[(Life, usize, usize)], life: Life, size: usize) -> usize {
    let mut taken: Vec<(usize, usize)> = placed
        .iter()
        .filter(|(other, ..)| other.first <= life.last && life.first <= other.last)
        .map(|&(_, start, end)| (start, end))
        .collect();
    taken.sort_unstable();
    let mut offset = 0;
    for (start, end) in taken {
        if offset + size <= start {
            break;
        }
        offset = offset.max(end);
    }
    offset
}

/// The next multiple of [`ALIGNMENT_BYTES`].
pub(crate) const fn round_up(bytes: usize) -> usize {
    bytes.div_ceil(ALIGNMENT_BYTES) * ALIGNMENT_BYTES
}

/// The distinct arena buffers alive at one step, for the verifier.
#[cfg(test)]
pub(crate) fn overlapping(buffers: &[Buffer], steps: &[Step]) -> Vec<(BufferId, BufferId)> {
    let lives = lives(buffers.len(), steps);
    let range = |index: usize| match buffers[index].place {
        Place::Batched { offset_bytes } => Some((true, offset_bytes, offset_bytes + buffers[index].size_bytes)),
        Place::Fixed { offset_bytes } => Some((false, offset_bytes, offset_bytes + buffers[index].size_bytes)),
        _ => None,
    };
    let mut found = Vec::new();
    for a in 0..buffers.len() {
        for b in a + 1..buffers.len() {
            let (Some(x), Some(y)) = (range(a), range(b)) else { continue };
            let (Some(p), Some(q)) = (lives[a], lives[b]) else { continue };
            let same_time = p.first <= q.last && q.first <= p.last;
            if x.0 == y.0 && same_time && x.1 < y.2 && y.1 < x.2 {
                found.push((id(a), id(b)));
            }
        }
    }
    found
}

#[cfg(test)]
fn id(index: usize) -> BufferId {
    BufferId(u32::try_from(index).expect("few buffers"))
}

//! Where each temporary lies in the arena: two that are never needed at the same time may share bytes.
//!
//! Buffers are placed largest first, each at the lowest offset that is free for its whole life (greedy by size;
//! Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020). The batched and the fixed
//! part of the arena are laid out apart, since only one of them grows with the batch.

use crate::plan::{Buffer, Place, Step};

/// Bytes that every buffer starts at a multiple of: a cache line, and the widest vector.
pub(crate) const ALIGNMENT_BYTES: usize = 64;

/// First and last step that touch a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life {
    first: usize,
    last: usize,
}

/// Gives every `Batched` and `Fixed` buffer its offset. Returns the bytes of the two parts.
///
/// The prologue comes before every run, so what only passes through it may lie where runs compute.
pub(crate) fn assign(buffers: &mut [Buffer], prologue: &[Step], steps: &[Step]) -> (usize, usize) {
    let lives = lives(buffers.len(), prologue.iter().chain(steps));
    let batched = place(
        buffers,
        &lives,
        |place| matches!(place, Place::Batched { .. }),
        |offset_bytes| Place::Batched { offset_bytes },
    );
    let fixed = place(
        buffers,
        &lives,
        |place| matches!(place, Place::Fixed { .. }),
        |offset_bytes| Place::Fixed { offset_bytes },
    );
    (batched, fixed)
}

fn lives<'a>(count: usize, steps: impl Iterator<Item = &'a Step>) -> Vec<Option<Life>> {
    let mut lives: Vec<Option<Life>> = vec![None; count];
    for (index, step) in steps.enumerate() {
        for view in step.reads.iter().chain([&step.write]) {
            let life = lives[view.buffer.index()].get_or_insert(Life {
                first: index,
                last: index,
            });
            life.last = index;
        }
    }
    lives
}

fn place(
    buffers: &mut [Buffer],
    lives: &[Option<Life>],
    kind: impl Fn(&Place) -> bool,
    make: impl Fn(usize) -> Place,
) -> usize {
    let mut order: Vec<usize> = (0..buffers.len())
        .filter(|&index| kind(&buffers[index].place))
        .collect();
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

#[cfg(test)]
mod tests {
    use netc_runtime::DType;
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::Kernel;
    use crate::view::{Axes, BufferId, View};

    fn view(buffer: usize) -> View {
        let one = Axes {
            channel: 1,
            row: 1,
            column: 1,
        };
        let buffer = BufferId(u32::try_from(buffer).expect("few buffers"));
        View {
            buffer,
            dtype: DType::F32,
            offset: 0,
            extents: one,
            strides: one,
            sample_stride: 1,
        }
    }

    /// Buffers of these sizes, every other one batched, and a step for each pair (read, written).
    fn assigned(sizes: &[usize], steps: &[(usize, usize)]) -> (Vec<Buffer>, Vec<Step>, (usize, usize)) {
        let place = |index: usize| {
            if index.is_multiple_of(2) {
                Place::Batched { offset_bytes: 0 }
            } else {
                Place::Fixed { offset_bytes: 0 }
            }
        };
        let mut buffers: Vec<Buffer> = sizes
            .iter()
            .enumerate()
            .map(|(index, &size_bytes)| Buffer {
                size_bytes,
                place: place(index),
            })
            .collect();
        let step = |&(read, write): &(usize, usize)| Step {
            name: String::new(),
            kernel: Kernel::Copy,
            reads: vec![view(read % sizes.len())],
            write: view(write % sizes.len()),
            macs: 0,
        };
        let steps: Vec<Step> = steps.iter().map(step).collect();
        let (prologue, runs) = steps.split_at(steps.len() / 2);
        let totals = assign(&mut buffers, prologue, runs);
        (buffers, steps, totals)
    }

    fn range(buffer: &Buffer) -> (bool, usize, usize) {
        match buffer.place {
            Place::Batched { offset_bytes } => (true, offset_bytes, offset_bytes + buffer.size_bytes),
            Place::Fixed { offset_bytes } => (false, offset_bytes, offset_bytes + buffer.size_bytes),
            _ => unreachable!("the test makes arena buffers only"),
        }
    }

    proptest! {
        #[test]
        fn buffers_needed_at_the_same_time_share_no_byte(
            sizes in prop::collection::vec(1usize..5000, 1..20),
            steps in prop::collection::vec((0usize..20, 0usize..20), 0..40),
        ) {
            let (buffers, steps, (batched, fixed)) = assigned(&sizes, &steps);
            let lives = lives(buffers.len(), steps.iter());
            for a in 0..buffers.len() {
                let Some(p) = lives[a] else { continue };
                let (is_batched, start, end) = range(&buffers[a]);
                let total = if is_batched { batched } else { fixed };
                prop_assert!(end <= total);
                prop_assert_eq!(start % ALIGNMENT_BYTES, 0);
                for b in a + 1..buffers.len() {
                    let Some(q) = lives[b] else { continue };
                    let other = range(&buffers[b]);
                    let same_time = p.first <= q.last && q.first <= p.last;
                    let overlap = is_batched == other.0 && start < other.2 && other.1 < end;
                    prop_assert!(!(same_time && overlap), "buffers {a} and {b} overlap");
                }
            }
        }
    }

    #[test]
    fn a_chain_needs_two_buffers_however_long_it_is() {
        let steps: Vec<(usize, usize)> = (0..9).map(|i| (2 * i, 2 * i + 2)).collect();
        let (.., (batched, _)) = assigned(&[64; 20], &steps);
        assert_eq!(batched, 128);
    }
}

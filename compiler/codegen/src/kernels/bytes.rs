//! Stored integers: between them and real numbers, and what moves or compares bytes.
//!
//! One element at a time, on every kind of vectors: these kernels are right, not fast. A byte is read as a word and
//! computed with as a float, which holds it exactly; it is written from the low bits of a float near 1.5 · 2²³, where
//! neighboring floats are 1 apart, so that adding that number rounds halves to even.

use netc_runtime::DType;
use netc_schedule::kernel::PoolWindow;
use netc_schedule::{Step, View};

use super::BuiltKernel;
use super::nest::{Axis, Nest, Split};
use super::positions::passes;
use crate::builder::Builder;
use crate::ir::{Comparison, Float, Int, Word};

/// 1.5 · 2²³: added to a number of magnitude below 2²², it leaves the nearest integer in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// Whether a view's elements are bytes.
pub(crate) const fn is_byte(view: &View) -> bool {
    matches!(view.dtype, DType::I8 | DType::U8)
}

/// `y = saturate(round(x / scale) + zero_point)`.
///
/// - Reads `x`, `scale`, `zero_point`, writes `y`. Tasks: as a copy's.
pub(crate) fn quantize(step: &Step) -> BuiltKernel {
    let (low, high) = limits(step.write.dtype);
    elements(&views(step), &mut |b, places| {
        let &[x, scale, zero_point, to] = places else {
            unreachable!("three reads and a write")
        };
        let (x, scale, zero_point) = (b.load(x, 0, 1), b.load(scale, 0, 1), b.load(zero_point, 0, 1));
        let steps = b.fdiv(x, scale);
        let (low, high) = (b.constant(low, 1), b.constant(high, 1));
        let (low, high) = (b.fsub(low, zero_point), b.fsub(high, zero_point));
        // In this order a NaN becomes the lower bound.
        let steps = b.fmax(steps, low);
        let steps = b.fmin(steps, high);
        let rounder = b.constant(ROUNDER, 1);
        let rounded = b.fadd(steps, rounder);
        let rounded = b.fsub(rounded, rounder);
        let shifted = b.fadd(rounded, zero_point);
        store_rounded(b, shifted, to);
    })
}

/// `y = (q - zero_point) · scale`.
///
/// - Reads `q` (i8, u8 or i32), `scale`, `zero_point`, writes `y`. Tasks: as a copy's.
pub(crate) fn dequantize(step: &Step) -> BuiltKernel {
    let dtype = step.reads[0].dtype;
    elements(&views(step), &mut |b, places| {
        let &[q, scale, zero_point, to] = places else {
            unreachable!("three reads and a write")
        };
        let (scale, zero_point) = (b.load(scale, 0, 1), b.load(zero_point, 0, 1));
        let stored = load_integer(b, dtype, q);
        let stored = b.word_to_float(stored);
        let steps = b.fsub(stored, zero_point);
        let y = b.fmul(steps, scale);
        b.store(y, to, 0);
    })
}

/// `dx = dq / scale` within half a step of `low..=high`, else 0.
///
/// - Reads `x`, `dq`, `scale`, `zero_point`, writes `dx`. Tasks: as a copy's.
pub(crate) fn quantize_gradient(step: &Step, (low, high): (i32, i32)) -> BuiltKernel {
    elements(&views(step), &mut |b, places| {
        let &[x, dq, scale, zero_point, to] = places else {
            unreachable!("four reads and a write")
        };
        let [x, dq, scale, zero_point] = [x, dq, scale, zero_point].map(|place| b.load(place, 0, 1));
        let steps = b.fdiv(x, scale);
        let (low, high, half) = (
            b.constant(low as f32, 1),
            b.constant(high as f32, 1),
            b.constant(0.5, 1),
        );
        let (low, high) = (b.fsub(low, zero_point), b.fsub(high, zero_point));
        let (low, high) = (b.fsub(low, half), b.fadd(high, half));
        let (dx, zero) = (b.fdiv(dq, scale), b.constant(0.0, 1));
        let above = b.compare(low, Comparison::LessOrEqual, steps);
        let dx = b.select(above, dx, zero);
        let below = b.compare(steps, Comparison::LessOrEqual, high);
        let dx = b.select(below, dx, zero);
        b.store(dx, to, 0);
    })
}

/// `y = min(max(q, low), high)`.
///
/// - Reads `q`, writes `y`, both of bytes. Tasks: as a copy's.
pub(crate) fn clip(step: &Step, (low, high): (i32, i32)) -> BuiltKernel {
    let dtype = step.write.dtype;
    elements(&views(step), &mut |b, places| {
        let q = load_integer(b, dtype, places[0]);
        let q = b.word_to_float(q);
        let (low, high) = (b.constant(low as f32, 1), b.constant(high as f32, 1));
        let q = b.fmax(q, low);
        let q = b.fmin(q, high);
        store_rounded(b, q, places[1]);
    })
}

/// `y = x`, byte by byte.
pub(crate) fn copy(x: &View, y: &View) -> BuiltKernel {
    elements(&[x, y], &mut |b, places| move_element(b, y.dtype, places[0], places[1]))
}

/// One element of any type from one place to another.
pub(crate) fn move_element(b: &mut Builder, dtype: DType, from: Int, to: Int) {
    match dtype {
        DType::F32 | DType::I32 => {
            let value = b.load(from, 0, 1);
            b.store(value, to, 0);
        }
        DType::I8 | DType::U8 => {
            let value = b.load_byte(from, false);
            b.store_byte(value, to);
        }
    }
}

/// `y[c, i, j]`: the largest byte of a window of `x`; padding is never the largest.
///
/// - Reads `x`, writes `y`. Tasks: some output rows of a sample, or some small samples.
pub(crate) fn max_pool(step: &Step, pool: PoolWindow) -> BuiltKernel {
    let (x, y) = (&step.reads[0], &step.write);
    let work = y.extents.channel * y.extents.column * pool.kernel[0] * pool.kernel[1];
    let split = passes(y.extents.row, work, y.is_batched(), 1);
    let mut b = Builder::new();
    let (from, to) = (b.argument(0), b.argument(1));
    split.each(&mut b, &mut |b, sample, (first, last)| {
        let from = b.step_of(from, sample, x.sample_stride, 1);
        let to = b.step_of(to, sample, y.sample_stride, 1);
        b.for_range(first, last, 1, |b, i| {
            b.for_range(0usize, y.extents.column, 1, |b, j| {
                b.for_range(0usize, y.extents.channel, 1, |b, c| {
                    let from = b.step_of(from, c, x.strides.channel, 1);
                    let largest = window_maximum(b, x, &pool, from, (i, j));
                    let to = b.step_of(to, c, y.strides.channel, 1);
                    let to = b.step_of(to, i, y.strides.row, 1);
                    let to = b.step_of(to, j, y.strides.column, 1);
                    store_rounded(b, largest, to);
                });
            });
        });
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: split.tasks(),
    }
}

/// The largest byte of one channel under the window of output position `(i, j)`.
fn window_maximum(b: &mut Builder, x: &View, pool: &PoolWindow, channel: Int, (i, j): (Int, Int)) -> Float {
    let least = b.constant(limits(x.dtype).0, 1);
    let largest = b.float_variable(least);
    let position = |b: &mut Builder, axis: usize, output: Int, tap: Int| {
        let start = b.multiply(output, pool.stride[axis]);
        let tap = b.multiply(tap, pool.dilation[axis]);
        let place = b.add(start, tap);
        b.subtract(place, pool.pad_before[axis])
    };
    b.for_range(0usize, pool.kernel[0], 1, |b, tap_row| {
        let row = position(b, 0, i, tap_row);
        inside(b, row, x.extents.row, &mut |b| {
            let line = b.step_of(channel, row, x.strides.row, 1);
            b.for_range(0usize, pool.kernel[1], 1, |b, tap_column| {
                let column = position(b, 1, j, tap_column);
                inside(b, column, x.extents.column, &mut |b| {
                    let place = b.step_of(line, column, x.strides.column, 1);
                    let value = load_integer(b, x.dtype, place);
                    let value = b.word_to_float(value);
                    let larger = b.fmax(value, largest);
                    b.set_float(largest, larger);
                });
            });
        });
    });
    largest
}

/// `body` if `0 ≤ index < extent`.
fn inside(b: &mut Builder, index: Int, extent: usize, body: &mut dyn FnMut(&mut Builder)) {
    b.when(0usize, Comparison::LessOrEqual, index, |b| {
        b.when(index, Comparison::Less, extent, |b| body(b));
    });
}

/// All operands of a step, the write last.
fn views(step: &Step) -> Vec<&View> {
    step.reads.iter().chain([&step.write]).collect()
}

/// The least and greatest byte, as floats.
const fn limits(dtype: DType) -> (f32, f32) {
    match dtype {
        DType::I8 => (-128.0, 127.0),
        _ => (0.0, 255.0),
    }
}

/// An integer of any width as a word.
fn load_integer(b: &mut Builder, dtype: DType, place: Int) -> Word {
    match dtype {
        DType::I8 => b.load_byte(place, true),
        DType::U8 => b.load_byte(place, false),
        DType::I32 | DType::F32 => b.load_words(place, 0, 1),
    }
}

/// Stores the integer that a float is as a byte.
fn store_rounded(b: &mut Builder, value: Float, place: Int) {
    let rounder = b.constant(ROUNDER, 1);
    let shifted = b.fadd(value, rounder);
    let bits = b.float_bits(shifted);
    b.store_byte(bits, place);
}

/// Writes `body` for every element of views of the same extents, given its address in each. Elements of the views may
/// have different sizes; the last view decides the order.
fn elements(views: &[&View], body: &mut dyn FnMut(&mut Builder, &[Int])) -> BuiltKernel {
    let write = views.last().expect("a kernel writes something");
    let strides: Vec<_> = views.iter().map(|view| view.strides).collect();
    let nest = Nest::new(write.extents, &strides);
    let split = Split::of(&nest, write.is_batched(), 1);
    let sizes: Vec<usize> = views.iter().map(|view| view.dtype.size_bytes()).collect();
    let mut b = Builder::new();
    let arguments: Vec<Int> = (0..views.len()).map(|index| b.argument(index)).collect();
    split.each(&mut b, &mut |b, sample, range| {
        let bases: Vec<Int> = (0..views.len())
            .map(|index| b.step_of(arguments[index], sample, views[index].sample_stride, sizes[index]))
            .collect();
        walk(b, &nest.axes, &sizes, &bases, range, body);
    });
    BuiltKernel {
        ir: b.finish(),
        tasks: split.tasks(),
    }
}

fn walk(
    b: &mut Builder,
    axes: &[Axis],
    sizes: &[usize],
    bases: &[Int],
    (first, last): (Int, Int),
    body: &mut dyn FnMut(&mut Builder, &[Int]),
) {
    let [axis, inner @ ..] = axes else {
        return body(b, bases);
    };
    b.for_range(first, last, 1, |b, index| {
        let places: Vec<Int> = (0..bases.len())
            .map(|operand| b.step_of(bases[operand], index, axis.strides[operand], sizes[operand]))
            .collect();
        let range = inner.first().map_or(0, |next| next.extent);
        walk(b, inner, sizes, &places, (Int::Constant(0), Int::from(range)), body);
    });
}

#[cfg(test)]
mod tests {
    use netc_schedule::{Axes, BufferId, Kernel, Machine};
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Edge, Guarded, Order, any_order, compile, element, machines};

    /// Rows and columns around every view that no kernel may touch.
    const HALO: usize = 1;
    const BATCH: usize = 3;

    fn view(buffer: u32, dtype: DType, (channel, row, column): (usize, usize, usize), order: Order) -> View {
        let (height, width) = (row + 2 * HALO, column + 2 * HALO);
        let strides = order.strides(channel, height, width);
        View {
            buffer: BufferId(buffer),
            dtype,
            offset: HALO * (strides.row + strides.column),
            extents: Axes { channel, row, column },
            strides,
            sample_stride: channel * height * width,
        }
    }

    /// Bytes that differ from their neighbors, as many as the buffer of a view has.
    fn memory(view: &View) -> Vec<u8> {
        let count = BATCH * view.sample_stride * view.dtype.size_bytes();
        (0..count).map(|index| (index * 37 + index / 7 * 11) as u8).collect()
    }

    /// What a step leaves in its write's buffer on each machine, its tasks done one by one from the last, for either
    /// edge; every byte outside the view must survive.
    fn run(step: &Step) -> Vec<Vec<u8>> {
        let machine = |(machine, edge): (Machine, Edge)| {
            let compiled = compile(step, &machine);
            let views = views(step);
            let mut memories: Vec<Guarded> = views.iter().map(|view| Guarded::new(&memory(view), edge)).collect();
            let arguments: Vec<*mut u8> = memories
                .iter_mut()
                .zip(&views)
                .map(|(memory, view)| memory.start().wrapping_add(view.offset * view.dtype.size_bytes()))
                .collect();
            for task in (0..compiled.tasks.count(BATCH as u64)).rev() {
                // SAFETY: arguments are the operands' addresses in the kernel's order, in buffers as large as the views say;
                // these kernels use no scratch.
                unsafe { (compiled.function)(arguments.as_ptr(), BATCH as u64, task, task + 1, std::ptr::null_mut()) };
            }
            memories.pop().expect("the write").contents()
        };
        let edges = |machine: Machine| [(machine.clone(), Edge::Start), (machine, Edge::End)];
        machines().into_iter().flat_map(edges).map(machine).collect()
    }

    /// Compares with a reference that gives each byte of the write from `(n, c, h, w)`.
    fn check(kernel: Kernel, x: &View, y: &View, reference: impl Fn(usize, usize, usize, usize) -> u8) {
        let step = Step {
            name: "test".to_owned(),
            kernel,
            reads: vec![x.clone()],
            write: y.clone(),
            macs: 0,
        };
        let mut expected = memory(y);
        for n in 0..BATCH {
            for c in 0..y.extents.channel {
                for h in 0..y.extents.row {
                    for w in 0..y.extents.column {
                        expected[element(y, n, c, h as isize, w as isize)] = reference(n, c, h, w);
                    }
                }
            }
        }
        for found in run(&step) {
            assert_eq!(found, expected, "{step:#?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn copies_move_only_what_the_view_sees(
            extents in (1usize..9, 1usize..5, 1usize..6),
            orders in (any_order(), any_order()),
        ) {
            let (x, y) = (view(0, DType::U8, extents, orders.0), view(1, DType::U8, extents, orders.1));
            let from = memory(&x);
            check(Kernel::Copy, &x, &y, |n, c, h, w| from[element(&x, n, c, h as isize, w as isize)]);
        }

        #[test]
        fn maxima_are_of_bytes_inside_the_view(
            (channels, rows, columns) in (1usize..5, 3usize..7, 3usize..7),
            (kernel, stride, pad) in ([1usize..4, 1usize..4], [1usize..3, 1usize..3], [0usize..2, 0usize..2]),
            orders in (any_order(), any_order()),
            signed in any::<bool>(),
        ) {
            let pad = [pad[0].min(kernel[0] - 1), pad[1].min(kernel[1] - 1)];
            let window = PoolWindow { kernel, stride, dilation: [1, 1], pad_before: pad, pad_after: pad };
            let out = |extent: usize, axis: usize| (extent + 2 * pad[axis] - kernel[axis]) / stride[axis] + 1;
            let dtype = if signed { DType::I8 } else { DType::U8 };
            let x = view(0, dtype, (channels, rows, columns), orders.0);
            let y = view(1, dtype, (channels, out(rows, 0), out(columns, 1)), orders.1);
            let from = memory(&x);
            let kernel_of = Kernel::Pool(netc_schedule::kernel::PoolKind::Maximum, window);
            check(kernel_of, &x, &y, |n, c, h, w| {
                let taps = (0..kernel[0]).flat_map(|i| (0..kernel[1]).map(move |j| (i, j)));
                let inside = taps.filter_map(|(i, j)| {
                    let (i, j) = ((h * stride[0] + i).checked_sub(pad[0])?, (w * stride[1] + j).checked_sub(pad[1])?);
                    (i < rows && j < columns).then(|| from[element(&x, n, c, i as isize, j as isize)])
                });
                let key = |byte: &u8| if signed { i32::from(byte.cast_signed()) } else { i32::from(*byte) };
                inside.max_by_key(key).expect("padding is narrower than the window")
            });
        }
    }
}

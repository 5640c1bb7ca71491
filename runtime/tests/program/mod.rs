//! A program made by hand: its kernels are Rust functions with the signature of compiled ones.
//!
//! `y = x · 2·gain + (1, 2, 3)` for each sample, `total = Σ y` over the batch, and a counter that goes up at each run.
//! `gain` reaches the kernels doubled, through prepared memory, as packed weights do.

use std::slice;
use std::sync::Arc;

use netc_runtime::program::{Call, KernelFunction, Location, ParameterSlot, Port, Program, Tasks};
use netc_runtime::{DType, Init, Shape, Tensor};

/// Elements of a sample.
pub(crate) const WIDTH: usize = 3;

const SAMPLE_BYTES: usize = WIDTH * 4;

/// Operand `index` from element `first` on.
unsafe fn operand<'a>(arguments: *const *mut u8, index: usize, first: usize, count: usize) -> &'a mut [f32] {
    // SAFETY: the callers below name operands that their calls have, and elements that those hold.
    unsafe { slice::from_raw_parts_mut((*arguments.add(index)).cast::<f32>().add(first), count) }
}

unsafe extern "C" fn double(arguments: *const *mut u8, _batch: u64, first: u64, last: u64, _scratch: *mut u8) {
    assert_eq!((first, last), (0, 1));
    // SAFETY: reads and writes one element each. Mapped parameters may lie anywhere, and compiled kernels do not mind.
    unsafe { operand(arguments, 1, 0, 1)[0] = 2.0 * (*arguments).cast::<f32>().read_unaligned() };
}

/// Works in its scratch before it writes anything.
unsafe extern "C" fn multiply(arguments: *const *mut u8, batch: u64, first: u64, last: u64, scratch: *mut u8) {
    assert!(first <= last && last <= batch);
    // SAFETY: the program says that it needs room for one sample.
    let products = unsafe { slice::from_raw_parts_mut(scratch.cast::<f32>(), WIDTH) };
    for sample in first as usize..last as usize {
        // SAFETY: one sample of the input and of the buffer, and the one prepared factor.
        unsafe {
            let (x, factor) = (
                operand(arguments, 0, sample * WIDTH, WIDTH),
                operand(arguments, 1, 0, 1)[0],
            );
            let y = operand(arguments, 2, sample * WIDTH, WIDTH);
            products
                .iter_mut()
                .zip(x)
                .for_each(|(product, x)| *product = *x * factor);
            y.copy_from_slice(products);
        }
    }
}

unsafe extern "C" fn add(arguments: *const *mut u8, batch: u64, first: u64, last: u64, _scratch: *mut u8) {
    assert!(last <= batch * WIDTH as u64);
    for element in first as usize..last as usize {
        // SAFETY: one element of the batch, and one of the constant.
        unsafe {
            let constant = operand(arguments, 1, element % WIDTH, 1)[0];
            operand(arguments, 2, element, 1)[0] = operand(arguments, 0, element, 1)[0] + constant;
        }
    }
}

unsafe extern "C" fn sum(arguments: *const *mut u8, batch: u64, _first: u64, _last: u64, _scratch: *mut u8) {
    // SAFETY: all elements of the batch, and the one result.
    unsafe {
        let total: f32 = operand(arguments, 0, 0, batch as usize * WIDTH).iter().sum();
        operand(arguments, 1, 0, 1)[0] = total;
    }
}

unsafe extern "C" fn copy_one(arguments: *const *mut u8, _batch: u64, _first: u64, _last: u64, _scratch: *mut u8) {
    // SAFETY: one element each.
    unsafe { operand(arguments, 1, 0, 1)[0] = operand(arguments, 0, 0, 1)[0] };
}

unsafe extern "C" fn count_up(arguments: *const *mut u8, _batch: u64, _first: u64, _last: u64, _scratch: *mut u8) {
    // SAFETY: the one element of the counter.
    unsafe { operand(arguments, 0, 0, 1)[0] += 1.0 };
}

/// How much work a call claims to be: enough to be worth several threads.
const MUCH: u64 = 1 << 20;

fn call(name: &str, function: KernelFunction, tasks: Tasks, arguments: &[Location]) -> Call {
    let (macs, batched_bytes, fixed_bytes) = (MUCH, 0, 0);
    let (name, kernel, arguments) = (name.to_owned(), "test".to_owned(), arguments.to_vec());
    let batched = tasks.per_group > 0;
    Call {
        name,
        kernel,
        function,
        tasks,
        arguments,
        macs,
        batched_bytes,
        fixed_bytes,
        batched,
    }
}

fn port(name: &str, shape: Shape, batched: bool) -> Port {
    Port {
        name: name.to_owned(),
        dtype: DType::F32,
        shape,
        batched,
    }
}

fn slot(name: &str, in_model: bool, updated: bool, init: Init) -> ParameterSlot {
    ParameterSlot {
        name: name.to_owned(),
        shape: Shape::new([1]),
        init,
        in_model,
        updated,
    }
}

/// The program described above.
pub(crate) fn affine() -> Program {
    let (products, sums) = (0, SAMPLE_BYTES);
    let batched = |per_sample| Location::Batched { per_sample, offset: 0 };
    let parameter = |index| Location::Parameter { index, offset: 0 };
    let output = |index| Location::Output { index, offset: 0 };
    let input = Location::Input { index: 0, offset: 0 };
    let constant = Location::Constant { index: 0, offset: 4 };
    let (prepared, total) = (Location::Prepared { offset: 64 }, Location::Fixed { offset: 8 });
    let each = Tasks::per_sample(1);
    let elements = Tasks::per_sample(WIDTH as u64);
    Program {
        name: "affine".to_owned(),
        inputs: vec![port("x", Shape::new([WIDTH]), true)],
        outputs: vec![
            port("y", Shape::new([WIDTH]), true),
            port("total", Shape::scalar(), false),
        ],
        parameters: vec![
            slot("gain", true, false, Init::Constant(0.5)),
            slot("counter", false, true, Init::Constant(0.0)),
        ],
        // The first element is not used: the location has an offset.
        constants: vec![Tensor::from_f32([4], vec![9.0, 1.0, 2.0, 3.0]).unwrap()],
        prologue: vec![call("gain", double, Tasks::fixed(1), &[parameter(0), prepared])],
        calls: vec![
            call("multiply", multiply, each, &[input, prepared, batched(products)]),
            call("add", add, elements, &[batched(products), constant, batched(sums)]),
            call("y", add, elements, &[batched(products), constant, output(0)]),
            call("sum", sum, Tasks::fixed(1), &[batched(sums), total]),
            call("total", copy_one, Tasks::fixed(1), &[total, output(1)]),
            call("count", count_up, Tasks::fixed(1), &[parameter(1)]),
        ],
        whole: None,
        prepared_bytes: 128,
        batched_bytes: 2 * SAMPLE_BYTES,
        scratch_bytes: SAMPLE_BYTES,
        fixed_bytes: 64,
        cached_bytes: 1 << 20,
        code_bytes: 0,
        code: Arc::new(()),
    }
}

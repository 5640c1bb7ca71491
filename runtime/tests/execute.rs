//! Sessions on a hand-made program: locations, batches, threads, binding and every error.

mod program;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use netc_runtime::bind::{BindError, ParameterSource};
use netc_runtime::execute::{InputRef, Options, OutputMut, RunError, Session};
use netc_runtime::mapped_file::MappedFile;
use netc_runtime::memory::MemoryError;
use netc_runtime::{DType, Shape, Tensor};
use program::{WIDTH, affine};

fn options(threads: usize) -> Options {
    Options {
        threads,
        ..Options::default()
    }
}

fn gain(value: f32) -> BTreeMap<String, Tensor> {
    BTreeMap::from([("gain".to_owned(), Tensor::from_f32([1], vec![value]).unwrap())])
}

fn session(threads: usize) -> Session {
    Session::with_tensors(Arc::new(affine()), options(threads), gain(1.5)).unwrap()
}

fn samples(batch: usize) -> Vec<f32> {
    (0..batch * WIDTH).map(|index| index as f32 * 0.37 - 5.0).collect()
}

/// `y`, `total` of one run.
fn run(session: &mut Session, batch: usize) -> (Vec<f32>, f32) {
    let (x, mut y, mut total) = (samples(batch), vec![f32::NAN; batch * WIDTH], [f32::NAN]);
    let mut outputs = [OutputMut::F32(&mut y), OutputMut::F32(&mut total)];
    session.run(batch, &[InputRef::F32(&x)], &mut outputs).unwrap();
    (y, total[0])
}

fn expected(batch: usize, gain: f32) -> (Vec<f32>, f32) {
    let y: Vec<f32> = samples(batch)
        .iter()
        .enumerate()
        .map(|(index, x)| x * (2.0 * gain) + (index % WIDTH + 1) as f32)
        .collect();
    let total = y.iter().sum();
    (y, total)
}

#[test]
fn batches_grow_and_shrink_and_threads_change_nothing() {
    for threads in [1, 2, 3] {
        let mut session = session(threads);
        assert_eq!(session.threads(), threads);
        for batch in [2, 0, 1, 64, 5, 1000, 1] {
            assert_eq!(
                run(&mut session, batch),
                expected(batch, 1.5),
                "batch {batch}, {threads} threads"
            );
        }
        assert_eq!(session.parameter("counter").unwrap().as_f32().unwrap(), [7.0]);
        // Two parameters of 4 bytes, 128 prepared, 64 fixed, 24 for each of 1000 samples, a page of scratch for a thread.
        assert_eq!(session.memory_bytes(), 8 + 128 + 64 + 24_000 + 4096 * threads);
    }
}

#[test]
fn parameters_can_be_replaced_and_read() {
    let mut session = session(1);
    session
        .set_parameter("gain", &Tensor::from_f32([1], vec![-2.0]).unwrap())
        .unwrap();
    assert_eq!(run(&mut session, 3), expected(3, -2.0));
    let read: Vec<(String, f32)> = session
        .parameters()
        .map(|(slot, value)| (slot.name.clone(), value.as_f32().unwrap()[0]))
        .collect();
    assert_eq!(read, [("gain".to_owned(), -2.0), ("counter".to_owned(), 1.0)]);
    assert_eq!(session.parameter("gian"), None);
    let error = session.set_parameter("gian", &Tensor::scalar(0.0)).unwrap_err();
    assert_eq!(error.to_string(), "the network has no parameter `gian`");
    let error = session.set_parameter("gain", &Tensor::scalar(0.0)).unwrap_err();
    assert_eq!(error.to_string(), "parameter `gain` is 1, the value given is scalar");
    let error = session
        .set_parameter("gain", &Tensor::from_i32([1], vec![1]).unwrap())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "parameter `gain` holds f32, the value given holds i32"
    );
}

#[test]
fn a_prologue_that_reads_updated_parameters_runs_again() {
    let mut program = affine();
    // The gain is now the counter, which a run changes at its end: the next run must see its new value.
    program.prologue[0].arguments[0] = netc_runtime::program::Location::Parameter { index: 1, offset: 0 };
    let mut session = Session::with_init(Arc::new(program), options(1), 1).unwrap();
    for round in 0..3 {
        assert_eq!(run(&mut session, 2), expected(2, round as f32));
    }
}

#[test]
fn initial_values_come_from_the_slots() {
    let mut session = Session::with_init(Arc::new(affine()), options(1), 1).unwrap();
    assert_eq!(run(&mut session, 2), expected(2, 0.5));
}

#[test]
fn parameters_may_stay_in_a_mapped_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    // At an odd offset, as safetensors allows.
    file.write_all(&[&[0; 7][..], &1.5_f32.to_le_bytes(), &4.0_f32.to_le_bytes()].concat())
        .unwrap();
    let map = MappedFile::open(file.path()).unwrap();
    let bind = |offset: [usize; 2]| {
        let mut offsets = offset.into_iter();
        Session::new(Arc::new(affine()), options(1), |_| {
            Ok(ParameterSource::Mapped {
                map: map.clone(),
                offset: offsets.next().unwrap(),
            })
        })
    };
    let mut session = bind([7, 11]).unwrap();
    assert_eq!(run(&mut session, 2), expected(2, 1.5));
    assert_eq!(session.parameter("gain").unwrap().as_f32().unwrap(), [1.5]);
    // The counter is updated, so it was copied.
    assert_eq!(session.parameter("counter").unwrap().as_f32().unwrap(), [5.0]);
    assert_eq!(map[11..], 4.0_f32.to_le_bytes());
    session
        .set_parameter("gain", &Tensor::from_f32([1], vec![3.0]).unwrap())
        .unwrap();
    assert_eq!(run(&mut session, 2), expected(2, 3.0));
    assert_eq!(map[7..11], 1.5_f32.to_le_bytes());
    for bad in [12, usize::MAX] {
        assert!(matches!(bind([7, bad]), Err(BindError::FileTooShort { offset, .. }) if offset == bad));
    }
}

#[test]
fn tensors_by_name() {
    let mut session = session(1);
    let x = Tensor::from_f32([2, WIDTH], samples(2)).unwrap();
    let results = session.run_tensors(&[("x", &x)]).unwrap();
    let (y, total) = expected(2, 1.5);
    assert_eq!(results[0], ("y".to_owned(), Tensor::from_f32([2, WIDTH], y).unwrap()));
    assert_eq!(results[1], ("total".to_owned(), Tensor::scalar(total)));
    let message =
        |inputs: &[(&str, &Tensor)], session: &mut Session| session.run_tensors(inputs).unwrap_err().to_string();
    assert_eq!(message(&[], &mut session), "no value for input `x`");
    assert_eq!(
        message(&[("x", &x), ("z", &x)], &mut session),
        "the network has no input `z`"
    );
    let flat = Tensor::zeros(DType::F32, [WIDTH]);
    assert_eq!(
        message(&[("x", &flat)], &mut session),
        "input `x` is N samples of 3, found 3"
    );
    assert_eq!(
        message(&[("x", &Tensor::scalar(1.0))], &mut session),
        "input `x` is N samples of 3, found scalar"
    );
    let bytes = Tensor::zeros(DType::U8, [1, WIDTH]);
    assert_eq!(message(&[("x", &bytes)], &mut session), "`x` holds f32, found u8");
    let none = Tensor::zeros(DType::F32, [0, WIDTH]);
    let results = session.run_tensors(&[("x", &none)]).unwrap();
    assert_eq!(results[0].1.shape(), &Shape::new([0, WIDTH]));
    assert_eq!(results[1].1, Tensor::scalar(0.0));
}

#[test]
fn slices_that_do_not_fit_are_errors_and_change_nothing() {
    let mut session = session(1);
    let (x, mut y, mut total) = (samples(2), [0.0; 2 * WIDTH], [0.0]);
    let mut outputs = [OutputMut::F32(&mut y), OutputMut::F32(&mut total)];
    let mut message =
        |batch, inputs: &[InputRef<'_>]| session.run(batch, inputs, &mut outputs).unwrap_err().to_string();
    assert_eq!(message(2, &[]), "the network takes 1 inputs, 0 were given");
    assert_eq!(
        message(3, &[InputRef::F32(&x)]),
        "`x` (3) has 9 elements for a batch of 3, found 6"
    );
    assert_eq!(message(2, &[InputRef::I32(&[1; 6])]), "`x` holds f32, found i32");
    let huge = format!(
        "`x` (3) has {} elements for a batch of {}, found 6",
        usize::MAX,
        usize::MAX
    );
    assert_eq!(message(usize::MAX, &[InputRef::F32(&x)]), huge);
    assert_eq!(
        message(1, &[InputRef::F32(&x[..WIDTH])]),
        "`y` (3) has 3 elements for a batch of 1, found 6"
    );
    let error = session.run(2, &[InputRef::F32(&x)], &mut []).unwrap_err();
    assert_eq!(error, RunError::OutputCount { expected: 2, found: 0 });
    assert_eq!(session.parameter("counter").unwrap().as_f32().unwrap(), [0.0]);
}

#[test]
fn names_must_match_and_state_may_be_missing() {
    let program = Arc::new(affine());
    let bind = |values| Session::with_tensors(Arc::clone(&program), options(1), values);
    assert_eq!(
        bind(BTreeMap::new()).unwrap_err().to_string(),
        "no value for parameter `gain` (1)"
    );
    let mut values = gain(1.0);
    values.insert("gian".to_owned(), Tensor::scalar(1.0));
    assert_eq!(
        bind(values).unwrap_err().to_string(),
        "the network has no parameter `gian`"
    );
    assert_eq!(
        bind(gain(1.0)).unwrap().parameter("counter").unwrap().as_f32().unwrap(),
        [0.0]
    );
}

#[test]
fn the_memory_limit_holds_and_a_smaller_batch_still_runs() {
    let limited = |bytes| Options {
        threads: 1,
        memory_limit_bytes: bytes,
    };
    let error = Session::with_tensors(Arc::new(affine()), limited(199), gain(1.0)).unwrap_err();
    let over = MemoryError::OverLimit {
        requested: 200,
        used: 0,
        limit: 199,
    };
    assert!(matches!(error, BindError::Memory(found) if found == over));
    let mut session = Session::with_tensors(Arc::new(affine()), limited(200 + 4096 + 24 * 10), gain(1.5)).unwrap();
    assert_eq!(run(&mut session, 10), expected(10, 1.5));
    let (x, mut y, mut total) = (samples(11), [0.0; 11 * WIDTH], [0.0]);
    let mut outputs = [OutputMut::F32(&mut y), OutputMut::F32(&mut total)];
    let error = session
        .run(11, &[InputRef::F32(&x)], &mut outputs)
        .unwrap_err()
        .to_string();
    let reason = "264 bytes more than the 4296 already in use would pass the limit of 4536 bytes";
    assert_eq!(error, format!("no memory for a batch of 11: {reason}"));
    assert_eq!(run(&mut session, 10), expected(10, 1.5));
}

#[test]
fn profiling_times_each_call() {
    let mut session = session(1);
    run(&mut session, 1);
    assert!(session.call_ns().is_empty());
    session.profile(true);
    run(&mut session, 20_000);
    assert_eq!(session.call_ns().len(), 6);
    assert!(session.call_ns()[0] > 0 && session.call_ns()[1] > 0);
    session.profile(false);
    assert!(session.call_ns().is_empty());
}

#[test]
#[should_panic(expected = "call `add` reaches outside of its memory: Constant { index: 1, offset: 0 }")]
fn an_inconsistent_program_is_our_bug() {
    let mut program = affine();
    program.calls[1].arguments[1] = netc_runtime::program::Location::Constant { index: 1, offset: 0 };
    let _ = Session::with_tensors(Arc::new(program), options(1), gain(1.0));
}

#[test]
#[should_panic(expected = "call `multiply` must not write Input")]
fn a_program_that_writes_its_input_is_our_bug() {
    let mut program = affine();
    let input = program.calls[0].arguments[0];
    program.calls[0].arguments.push(input);
    let _ = Session::with_tensors(Arc::new(program), options(1), gain(1.0));
}

//! A session with the memory of its calls, and how they are timed.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use netc::stages::runtime::execute::{InputRef, OutputMut, Session};
use netc::stages::runtime::program::{Port, Program};
use netc::stages::runtime::random::Stream;
use netc::{DType, Data, Tensor};

/// Warm up for at least so long and so many calls.
const WARM_UP: (Duration, usize) = (Duration::from_millis(200), 3);
/// Measure at least and at most so many calls.
const CALLS: RangeInclusive<usize> = 10..=20_000;
/// A warm-up of one slow call is enough.
const SLOW_CALL: Duration = Duration::from_secs(1);

/// A session with the memory of its calls.
pub(super) struct Calls<'a> {
    session: &'a mut Session,
    batch: usize,
    inputs: Vec<Data>,
    outputs: Vec<Data>,
}

impl<'a> Calls<'a> {
    /// With these samples, or filled with numbers where there are none.
    pub(super) fn new(session: &'a mut Session, batch: usize, samples: Vec<(String, Tensor)>) -> anyhow::Result<Self> {
        let program = Arc::clone(session.program());
        let room = |ports: &[Port]| ports.iter().map(|port| filled(&program, port, batch)).collect();
        let mut inputs: Vec<Data> = room(&program.inputs);
        for (name, tensor) in samples {
            if tensor.shape()[0] != batch {
                bail!(
                    "`--input {name}=` has {} samples, another has {batch}",
                    tensor.shape()[0]
                );
            }
            let port = program.inputs.iter().position(|port| port.name == name);
            inputs[port.expect("read for an input of this program")] = tensor.into_data();
        }
        Ok(Self {
            inputs,
            outputs: room(&program.outputs),
            session,
            batch,
        })
    }

    fn call(&mut self) -> anyhow::Result<Duration> {
        let inputs: Vec<InputRef<'_>> = self.inputs.iter().map(InputRef::of).collect();
        let mut outputs: Vec<OutputMut<'_>> = self.outputs.iter_mut().map(OutputMut::of).collect();
        let start = Instant::now();
        self.session
            .run(self.batch, &inputs, &mut outputs)
            .map_err(netc::Error::from)?;
        Ok(start.elapsed())
    }

    pub(super) fn warm_up(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        let mut calls = 0;
        while calls < WARM_UP.1 || start.elapsed() < WARM_UP.0 {
            calls += 1;
            if self.call()? > SLOW_CALL {
                break;
            }
        }
        Ok(())
    }

    /// Microseconds of each measured call.
    pub(super) fn measure(&mut self, duration: Duration) -> anyhow::Result<Vec<f64>> {
        let start = Instant::now();
        let mut times = Vec::new();
        while times.len() < *CALLS.start() || (start.elapsed() < duration && times.len() < *CALLS.end()) {
            times.push(self.call()?.as_secs_f64() * 1e6);
        }
        Ok(times)
    }

    /// Microseconds of each of the program's kernel calls: the medians over measured calls.
    pub(super) fn measure_steps(&mut self, duration: Duration) -> anyhow::Result<Vec<f64>> {
        self.session.profile(true);
        let mut times: Vec<Vec<f64>> = vec![Vec::new(); self.session.program().calls.len()];
        let start = Instant::now();
        while times[0].len() < *CALLS.start() || (start.elapsed() < duration && times[0].len() < *CALLS.end()) {
            self.call()?;
            for (times, &ns) in times.iter_mut().zip(self.session.call_ns()) {
                times.push(ns as f64 / 1e3);
            }
        }
        self.session.profile(false);
        Ok(times.iter().map(|times| median(times)).collect())
    }
}

/// Memory of a port. Inputs and outputs alike are filled with numbers between 0 and 1, integers with 0: a label that
/// every network has. Learning rates and the like are small.
fn filled(program: &Program, port: &Port, batch: usize) -> Data {
    let count = port.shape.element_count() * if port.batched { batch } else { 1 };
    match port.dtype {
        DType::F32 => {
            let mut values = vec![0.0; count];
            let high = if port.batched { 1.0 } else { 1e-6 };
            Stream::new(1, &format!("{}/{}", program.name, port.name)).fill_uniform(0.0, high, &mut values);
            Data::F32(values)
        }
        DType::I32 => Data::I32(vec![0; count]),
        DType::U8 => Data::U8(vec![0; count]),
        DType::I8 => Data::I8(vec![0; count]),
    }
}

pub(super) fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

//! What the caller hands over at each run, and whether it fits the program's ports.
//!
//! Kernels trust every address they are given, so each slice is checked here, by type and length, before a run begins.
//! Nothing here runs code.

use crate::memory::MemoryError;
use crate::program::{Port, Program};
use crate::tensor::{DType, Data, Shape, Tensor};

/// The elements of one input: row-major, channels first, the batch outermost.
#[derive(Clone, Copy, Debug)]
pub enum InputRef<'a> {
    /// For a port of f32.
    F32(&'a [f32]),
    /// For a port of i32.
    I32(&'a [i32]),
    /// For a port of u8.
    U8(&'a [u8]),
    /// For a port of i8.
    I8(&'a [i8]),
}

/// Room for the elements of one output: row-major, channels first, the batch outermost.
#[derive(Debug)]
pub enum OutputMut<'a> {
    /// For a port of f32.
    F32(&'a mut [f32]),
    /// For a port of i32.
    I32(&'a mut [i32]),
    /// For a port of u8.
    U8(&'a mut [u8]),
    /// For a port of i8.
    I8(&'a mut [i8]),
}

/// What the caller gave does not fit the program, or there is no memory for the batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Too few or too many inputs.
    #[error("the network takes {expected} inputs, {found} were given")]
    InputCount {
        /// Inputs of the program.
        expected: usize,
        /// Inputs given.
        found: usize,
    },
    /// Too few or too many outputs.
    #[error("the network gives {expected} outputs, room for {found} was given")]
    OutputCount {
        /// Outputs of the program.
        expected: usize,
        /// Outputs given.
        found: usize,
    },
    /// A slice has another element type than its port.
    #[error("`{name}` holds {expected}, found {found}")]
    DType {
        /// The port.
        name: String,
        /// Its type.
        expected: DType,
        /// The slice's type.
        found: DType,
    },
    /// A slice has another length than its port.
    #[error("`{name}` ({shape}) has {expected} elements for a batch of {batch}, found {found}")]
    Length {
        /// The port.
        name: String,
        /// Its shape, of one sample.
        shape: Shape,
        /// The batch of this run.
        batch: usize,
        /// Elements that it needs; `usize::MAX` if no slice is that long.
        expected: usize,
        /// Elements given.
        found: usize,
    },
    /// A tensor has another shape than its input.
    #[error("input `{name}` is {}{expected}, found {found}", if *.batched { "N samples of " } else { "" })]
    Shape {
        /// The input.
        name: String,
        /// Its shape, of one sample.
        expected: Shape,
        /// Whether a batch goes in front.
        batched: bool,
        /// The tensor's shape.
        found: Shape,
    },
    /// Two inputs have different batches.
    #[error("input `{name}` has {found} samples, another input has {expected}")]
    Batch {
        /// The input.
        name: String,
        /// Samples of the inputs before it.
        expected: usize,
        /// Its samples.
        found: usize,
    },
    /// No tensor was given for an input.
    #[error("no value for input `{name}`")]
    MissingInput {
        /// The input.
        name: String,
    },
    /// A tensor was given that is no input.
    #[error("the network has no input `{name}`")]
    UnknownInput {
        /// The name given.
        name: String,
    },
    /// There is not enough memory.
    #[error("no memory for a batch of {batch}: {source}")]
    Memory {
        /// The batch of this run.
        batch: usize,
        /// What was asked for.
        source: MemoryError,
    },
}

impl<'a> InputRef<'a> {
    /// The elements of a tensor.
    #[must_use]
    pub fn of(data: &'a Data) -> Self {
        match data {
            Data::F32(values) => Self::F32(values),
            Data::I32(values) => Self::I32(values),
            Data::U8(values) => Self::U8(values),
            Data::I8(values) => Self::I8(values),
        }
    }

    pub(crate) const fn extent(&self) -> (DType, usize) {
        match self {
            Self::F32(values) => (DType::F32, values.len()),
            Self::I32(values) => (DType::I32, values.len()),
            Self::U8(values) => (DType::U8, values.len()),
            Self::I8(values) => (DType::I8, values.len()),
        }
    }

    pub(crate) const fn address(&self) -> *mut u8 {
        match self {
            Self::F32(values) => values.as_ptr().cast::<u8>().cast_mut(),
            Self::I32(values) => values.as_ptr().cast::<u8>().cast_mut(),
            Self::U8(values) => values.as_ptr().cast_mut(),
            Self::I8(values) => values.as_ptr().cast::<u8>().cast_mut(),
        }
    }
}

impl<'a> OutputMut<'a> {
    pub(crate) const fn extent(&self) -> (DType, usize) {
        match self {
            Self::F32(values) => (DType::F32, values.len()),
            Self::I32(values) => (DType::I32, values.len()),
            Self::U8(values) => (DType::U8, values.len()),
            Self::I8(values) => (DType::I8, values.len()),
        }
    }

    pub(crate) const fn address(&mut self) -> *mut u8 {
        match self {
            Self::F32(values) => values.as_mut_ptr().cast(),
            Self::I32(values) => values.as_mut_ptr().cast(),
            Self::U8(values) => values.as_mut_ptr(),
            Self::I8(values) => values.as_mut_ptr().cast(),
        }
    }

    /// The elements of a tensor.
    #[must_use]
    pub fn of(data: &'a mut Data) -> Self {
        match data {
            Data::F32(values) => Self::F32(values),
            Data::I32(values) => Self::I32(values),
            Data::U8(values) => Self::U8(values),
            Data::I8(values) => Self::I8(values),
        }
    }
}

/// Whether the slices are what the program's ports need for this batch.
pub(crate) fn check(
    program: &Program,
    batch: usize,
    inputs: &[InputRef<'_>],
    outputs: &[OutputMut<'_>],
) -> Result<(), RunError> {
    let (expected, found) = (program.inputs.len(), inputs.len());
    if expected != found {
        return Err(RunError::InputCount { expected, found });
    }
    let (expected, found) = (program.outputs.len(), outputs.len());
    if expected != found {
        return Err(RunError::OutputCount { expected, found });
    }
    let inputs = program.inputs.iter().zip(inputs.iter().map(InputRef::extent));
    let outputs = program.outputs.iter().zip(outputs.iter().map(OutputMut::extent));
    inputs
        .chain(outputs)
        .try_for_each(|(port, (dtype, count))| check_port(port, batch, dtype, count))
}

fn check_port(port: &Port, batch: usize, found_dtype: DType, found: usize) -> Result<(), RunError> {
    if port.dtype != found_dtype {
        return Err(RunError::DType {
            name: port.name.clone(),
            expected: port.dtype,
            found: found_dtype,
        });
    }
    let samples = if port.batched { batch } else { 1 };
    let expected = port.shape.element_count().saturating_mul(samples);
    if expected != found {
        let (name, shape) = (port.name.clone(), port.shape.clone());
        return Err(RunError::Length {
            name,
            shape,
            batch,
            expected,
            found,
        });
    }
    Ok(())
}

/// The batch, and the elements for each input in the ports' order.
pub(crate) fn match_inputs<'a>(
    ports: &[Port],
    given: &[(&str, &'a Tensor)],
) -> Result<(usize, Vec<InputRef<'a>>), RunError> {
    if let Some((name, _)) = given
        .iter()
        .find(|(name, _)| ports.iter().all(|port| port.name != *name))
    {
        return Err(RunError::UnknownInput {
            name: (*name).to_owned(),
        });
    }
    let mut batch = None;
    let mut references = Vec::with_capacity(ports.len());
    for port in ports {
        let name = || port.name.clone();
        let found = given.iter().find(|(name, _)| port.name == *name);
        let &(_, tensor) = found.ok_or_else(|| RunError::MissingInput { name: name() })?;
        if let Some(found) = samples_of(port, tensor)? {
            let expected = *batch.get_or_insert(found);
            if found != expected {
                return Err(RunError::Batch {
                    name: name(),
                    expected,
                    found,
                });
            }
        }
        references.push(InputRef::of(tensor.data()));
    }
    Ok((batch.unwrap_or(1), references))
}

/// Samples in a tensor given for an input; nothing if the input is not batched. Errors if the shape does not fit.
fn samples_of(port: &Port, tensor: &Tensor) -> Result<Option<usize>, RunError> {
    let extents = tensor.shape().extents();
    let (samples, sample) = match extents.split_first() {
        Some((&samples, sample)) if port.batched => (Some(samples), Some(sample)),
        None if port.batched => (None, None),
        _ => (None, Some(extents)),
    };
    if sample == Some(port.shape.extents()) {
        return Ok(samples);
    }
    let (expected, found) = (port.shape.clone(), tensor.shape().clone());
    Err(RunError::Shape {
        name: port.name.clone(),
        expected,
        batched: port.batched,
        found,
    })
}

/// Zeros for an output, or the error that there is no memory for them.
pub(crate) fn room(dtype: DType, shape: &Shape) -> Result<Data, MemoryError> {
    fn zeros<T: Clone + Default>(count: usize) -> Result<Vec<T>, MemoryError> {
        let mut values = Vec::new();
        let refused = MemoryError::Refused {
            requested: count.saturating_mul(size_of::<T>()),
        };
        values.try_reserve_exact(count).map_err(|_| refused)?;
        values.resize(count, T::default());
        Ok(values)
    }
    let count = shape.element_count();
    Ok(match dtype {
        DType::F32 => Data::F32(zeros(count)?),
        DType::I32 => Data::I32(zeros(count)?),
        DType::U8 => Data::U8(zeros(count)?),
        DType::I8 => Data::I8(zeros(count)?),
    })
}

//! Where a session's parameters come from and how they are held.
//!
//! A parameter that the program changes, or that came as a tensor, is held in memory of the session's own. One that is
//! only read may stay where it is in a memory-mapped file, so that large weights load on demand and are shared between
//! sessions and processes. This file checks names, types, shapes and sizes; it does not read weight files.

use std::collections::BTreeMap;
use std::io;

use crate::mapped_file::MappedFile;
use crate::memory::{Budget, MemoryError, Region};
use crate::program::{ParameterSlot, Program};
use crate::tensor::{DType, Shape, Tensor};

/// The first values of one parameter.
#[derive(Clone, Debug)]
pub enum ParameterSource {
    /// A tensor; its elements are copied.
    Owned(Tensor),
    /// Little-endian f32 values in a memory-mapped file, in the slot's shape. They stay there if the program only reads
    /// the parameter, and are copied otherwise.
    Mapped {
        /// The file.
        map: MappedFile,
        /// Where the first value is, in bytes; any alignment.
        offset: usize,
    },
}

/// Parameters do not fit a program, or there is no memory for them.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The program has a parameter for which no value was given.
    #[error("no value for parameter `{name}` ({shape})")]
    Missing {
        /// The parameter's key.
        name: String,
        /// The shape that it should have.
        shape: Shape,
    },
    /// A value was given that the program has no parameter for.
    #[error("the network has no parameter `{name}`")]
    Unknown {
        /// The key given.
        name: String,
    },
    /// A value has another shape than the parameter.
    #[error("parameter `{name}` is {expected}, the value given is {found}")]
    Shape {
        /// The parameter's key.
        name: String,
        /// The parameter's shape.
        expected: Shape,
        /// The value's shape.
        found: Shape,
    },
    /// A value is not of f32.
    #[error("parameter `{name}` holds f32, the value given holds {found}")]
    DType {
        /// The parameter's key.
        name: String,
        /// The value's type.
        found: DType,
    },
    /// A mapped file ends before the parameter does.
    #[error("parameter `{name}` needs {needed} bytes from offset {offset} on, the file has {size} bytes")]
    FileTooShort {
        /// The parameter's key.
        name: String,
        /// Bytes that it takes.
        needed: usize,
        /// Where it should start.
        offset: usize,
        /// Bytes in the file.
        size: usize,
    },
    /// There is not enough memory.
    #[error("no memory for the parameters")]
    Memory(#[from] MemoryError),
    /// The threads could not be started.
    #[error("threads could not be started")]
    Threads(#[from] io::Error),
}

/// Values under their keys as a session takes them. Errors if a key fits no parameter or a parameter of the model has no
/// value; the optimizer's parameters may be missing and then start from their [`crate::Init`].
pub fn sources(program: &Program, mut values: BTreeMap<String, Tensor>) -> Result<Vec<ParameterSource>, BindError> {
    let known: std::collections::BTreeSet<&str> = program.parameters.iter().map(|slot| slot.name.as_str()).collect();
    if let Some(name) = values.keys().find(|name| !known.contains(name.as_str())) {
        return Err(BindError::Unknown { name: name.clone() });
    }
    let source = |slot: &ParameterSlot| match values.remove(&slot.name) {
        Some(tensor) => Ok(ParameterSource::Owned(tensor)),
        None if slot.in_model => Err(BindError::Missing {
            name: slot.name.clone(),
            shape: slot.shape.clone(),
        }),
        // Optimizer state starts from a constant, which no seed changes.
        None => Ok(ParameterSource::Owned(slot.init.materialize(
            0,
            &slot.name,
            &slot.shape,
        ))),
    };
    program.parameters.iter().map(source).collect()
}

/// A parameter as a session holds it.
#[derive(Debug)]
pub(crate) enum BoundParameter {
    /// In memory of its own.
    Owned(Region),
    /// In a mapped file, to be read only.
    Mapped { map: MappedFile, offset: usize },
}

impl BoundParameter {
    /// Checks a value against its slot and takes it.
    pub(crate) fn new(slot: &ParameterSlot, source: ParameterSource, budget: &mut Budget) -> Result<Self, BindError> {
        match source {
            ParameterSource::Owned(tensor) => {
                let values = checked(slot, &tensor)?;
                let mut region = budget.take(size_of_val(values))?;
                store(values.iter().copied(), &mut region);
                Ok(Self::Owned(region))
            }
            ParameterSource::Mapped { map, offset } => Self::mapped(slot, map, offset, budget),
        }
    }

    fn mapped(slot: &ParameterSlot, map: MappedFile, offset: usize, budget: &mut Budget) -> Result<Self, BindError> {
        let needed = slot.shape.element_count().saturating_mul(size_of::<f32>());
        let bytes = offset
            .checked_add(needed)
            .and_then(|end| map.get(offset..end))
            .ok_or_else(|| BindError::FileTooShort {
                name: slot.name.clone(),
                needed,
                offset,
                size: map.len(),
            })?;
        // Kernels read native floats, so a big-endian machine needs a copy.
        if slot.updated || cfg!(target_endian = "big") {
            let mut region = budget.take(needed)?;
            let (floats, _) = bytes.as_chunks::<4>();
            store(floats.iter().map(|&float| f32::from_le_bytes(float)), &mut region);
            return Ok(Self::Owned(region));
        }
        Ok(Self::Mapped { map, offset })
    }

    /// Replaces the value.
    pub(crate) fn set(&mut self, slot: &ParameterSlot, tensor: &Tensor, budget: &mut Budget) -> Result<(), BindError> {
        let values = checked(slot, tensor)?;
        if let Self::Mapped { .. } = self {
            *self = Self::Owned(budget.take(size_of_val(values))?);
        }
        if let Self::Owned(region) = self {
            store(values.iter().copied(), region);
        }
        Ok(())
    }

    /// The value, copied.
    pub(crate) fn read(&self, slot: &ParameterSlot) -> Tensor {
        let count = slot.shape.element_count();
        let bytes = match self {
            Self::Owned(region) => region.bytes(),
            Self::Mapped { map, offset } => &map[*offset..*offset + count * size_of::<f32>()],
        };
        let (floats, _) = bytes.as_chunks::<4>();
        let values = floats.iter().map(|&float| f32::from_ne_bytes(float)).collect();
        Tensor::from_f32(slot.shape.clone(), values).expect("a bound parameter has its slot's size")
    }

    /// Lets the system take the memory that a mapped file's pages are in. Who reads them again reads the file again.
    pub(crate) fn give_pages_back(&self, slot: &ParameterSlot) {
        if let Self::Mapped { map, offset } = self {
            map.give_back(*offset..*offset + slot.shape.element_count() * size_of::<f32>());
        }
    }

    /// Address of the first element. A mapped parameter must not be written through it.
    pub(crate) fn address(&self) -> *mut u8 {
        match self {
            Self::Owned(region) => region.address(),
            Self::Mapped { map, offset } => map.as_ptr().wrapping_add(*offset).cast_mut(),
        }
    }
}

/// The elements of a value that fits its slot.
fn checked<'a>(slot: &ParameterSlot, tensor: &'a Tensor) -> Result<&'a [f32], BindError> {
    if tensor.shape() != &slot.shape {
        let (expected, found) = (slot.shape.clone(), tensor.shape().clone());
        return Err(BindError::Shape {
            name: slot.name.clone(),
            expected,
            found,
        });
    }
    tensor.as_f32().ok_or_else(|| BindError::DType {
        name: slot.name.clone(),
        found: tensor.dtype(),
    })
}

fn store(values: impl Iterator<Item = f32>, region: &mut Region) {
    let (floats, _) = region.bytes_mut().as_chunks_mut::<4>();
    for (float, value) in floats.iter_mut().zip(values) {
        *float = value.to_ne_bytes();
    }
}

//! Runs and trains compiled networks.
//!
//! This crate knows no graph and no compiler: a compiled [`program::Program`] runs with no pass present.

pub mod array_file;
pub mod batches;
pub mod bind;
pub mod checkpoint;
pub mod data;
pub mod element;
pub mod execute;
pub mod files;
pub mod image_file;
pub mod init;
pub mod mapped_file;
pub mod memory;
pub mod metrics;
pub mod pool;
mod ports;
pub mod program;
pub mod random;
pub mod recipe;
pub mod tensor;
pub mod train;
pub mod weights;
pub mod whole;

pub use init::Init;
pub use tensor::{DType, Data, Shape, Tensor};

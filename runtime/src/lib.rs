//! Runs and trains compiled networks.
//!
//! This crate knows no graph and no compiler: a compiled [`program::Program`] runs with no pass present.

pub mod init;
pub mod recipe;
pub mod tensor;

pub use init::Init;
pub use tensor::{DType, Data, Shape, Tensor};

//! Graph to plan: kernels, layouts, buffers in one arena, ordered steps.
//!
//! The plan is all that code generation and the runtime see.

mod cluster;
mod contractions;
mod element_wise;
pub mod expression;
mod functions;
mod geometry;
pub mod kernel;
pub mod machine;
mod memory;
mod operators;
mod order;
mod parts;
pub mod plan;
mod planner;
mod readers;
mod strided;
mod taken;
mod text;
pub mod view;
mod winograd;

pub use cluster::{Layer, layers};
pub use expression::{Expression, Instruction};
pub use kernel::Kernel;
pub use machine::{Caches, Machine};
pub use plan::{Buffer, ParameterSlot, Place, Plan, Port, Step};
pub use planner::plan;
pub use text::to_text;
pub use view::{Axes, BufferId, View};

//! Graph to plan: kernels, layouts, buffers in one arena, ordered steps.
//!
//! The plan is all that code generation and the runtime see.

pub mod expression;
pub mod kernel;
pub mod machine;
pub mod plan;
pub mod view;

pub use expression::{Expression, Instruction};
pub use kernel::Kernel;
pub use machine::Machine;
pub use plan::{Buffer, ParameterSlot, Place, Plan, Port, Step};
pub use view::{Axes, BufferId, View};

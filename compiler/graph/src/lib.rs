//! The typed graph of operators: shapes, reference semantics, gradients, costs, text.
//!
//! After `lower`, every node has a shape and a dtype; no later stage infers or guesses.

pub mod dot;
pub mod error;
pub mod graph;
pub mod interpret;
pub mod layout;
pub mod operator;
pub mod operators;
pub mod samples;
pub mod text;
pub mod types;
pub mod verify;

pub use error::ShapeError;
pub use graph::{Graph, Node, NodeId, Update};
pub use interpret::{BindingError, Bindings, Interpretation, interpret, interpret_keeping};
pub use layout::Layout;
pub use operator::{Cost, GradientSite, Operator, Rule};
pub use text::to_text;
pub use types::Type;
pub use verify::{Violation, assert_valid, verify};

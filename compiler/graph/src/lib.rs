//! The typed graph of operators: shapes, reference semantics, gradients, costs, text.
//!
//! After `lower`, every node has a shape and a dtype; no later stage infers or guesses.

pub mod error;
pub mod graph;
pub mod operator;
pub mod operators;
pub mod types;

pub use error::ShapeError;
pub use graph::{Graph, Node, NodeId, Update};
pub use operator::{Cost, GradientSite, Operator, Rule};
pub use types::Type;

//! Forward graph to training graph: loss, reverse-mode gradients, optimizer updates.
//!
//! Everything here is a function from graph to graph, and everything it adds is an ordinary operator: the result is
//! optimized, scheduled and compiled like any other network, and the reference interpreter can train with it. The
//! derivatives themselves are in `netc-graph`, one beside each operator.

mod gradients;
mod optimizer;
mod training;

pub use gradients::{GradientError, add_gradients};
pub use training::{
    ADAM_CORRECTION1, ADAM_CORRECTION2, DROPOUT_KEY, LABELS, LEARNING_RATE, LOSS, TARGET, TrainingGraphError,
    dropout_salt, evaluation_graph, gradient_graph, gradient_output, training_graph,
};

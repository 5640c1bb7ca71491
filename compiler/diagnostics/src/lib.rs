//! Source positions, diagnostics, "did you mean", and their rendering as text.
//!
//! The user's mistake is a [`Diagnostic`]: where, what was found, what was expected and why, and a way out.
//! Every stage that can meet a mistake builds diagnostics and hands back a [`Diagnostics`] list;
//! only the command line prints them.
//!
//! Codes are stable: a published code keeps its meaning, and a retired one is not used again. Each stage owns a range:
//!
//! | range | stage |
//! |---|---|
//! | `E01xx` | `syntax`: what is written is not netc |
//! | `E02xx` | `lower`: names, arguments, constants |
//! | `E03xx` | `lower` and `graph`: shapes and dtypes |
//! | `E04xx` | `lower`: recipes |
//! | `E05xx` | files and `use` |
//! | `E06xx` | `netc`: changes of a network's text |
//!
//! This crate does not know the language, reads no files, and prints nothing.

mod diagnostic;
mod excerpt;
mod render;
mod source;
mod suggest;

pub use diagnostic::{Diagnostic, Diagnostics, Label, Severity};
pub use render::{LabelRecord, Record, Style};
pub use source::{FileId, Position, Sources, Span};
pub use suggest::{did_you_mean, shorten, suggest};

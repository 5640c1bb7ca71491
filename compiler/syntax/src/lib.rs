//! The netc language: text to syntax tree, and back to canonical text.

pub mod ast;
mod spans;

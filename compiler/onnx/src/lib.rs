//! ONNX models to networks of the language, and networks to ONNX models.
//!
//! An [`import`] gives text and weights: what is run is what can be written down, and goes through `syntax` and `lower` as any
//! other text. Whatever cannot be said is named, all of it at once. Models are untrusted: bytes are checked before
//! memory is taken for them, and files beside a model are read only from its folder.
//!
//! This crate knows how layers are called and what they take; it does not lower them. Shapes are worked out here once more,
//! as ONNX counts them, since ONNX says little about them in its files.

mod constant;
mod error;
mod export;
mod import;
mod names;
mod operators;
pub mod proto;
mod read;
mod site;
mod sketch;
mod text;
mod window;
mod wire;

pub use export::{EXPORTED_OPSET, export};
pub use import::{ImportOptions, Imported, Weight, import, import_proto};
pub use read::{NEWEST_OPSET, OLDEST_OPSET};

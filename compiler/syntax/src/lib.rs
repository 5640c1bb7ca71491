//! The netc language: text to syntax tree, and back to canonical text.
//!
//! [`parse`] gives an [`ast::File`] or every mistake it can find. Any text ends in one of the two, quickly: file size, nesting and
//! the number of messages are bounded. [`format`](fn@format) gives the one canonical layout; it keeps comments and never changes the
//! tree. `compiler/LANGUAGE.md` is the reference for users.
//!
//! This crate knows no layer, no shape and no recipe field: names are looked up by `lower`. It reads no files: `use` is an item
//! like any other here.
//!
//! # Codes
//!
//! | code | mistake |
//! |---|---|
//! | `E0101` | something else was expected here |
//! | `E0102` | a character that is not in the language |
//! | `E0103` | a sign from another language: `->`, `**`, `.` |
//! | `E0104` | a bracket without its partner |
//! | `E0105` | a string without end, or with an unknown escape |
//! | `E0106` | not a number, or too large |
//! | `E0107` | a comment of another language |
//! | `E0108` | `;` or `,` where nothing is separated |
//! | `E0109` | a keyword as a name |
//! | `E0110` | `|>` is missing |
//! | `E0111` | `output` or the result is missing, or at the wrong place |
//! | `E0112` | a statement or item at the wrong place |
//! | `E0113` | an empty body or shape |
//! | `E0114` | an argument without a name after one with a name |
//! | `E0115` | a limit: file size, nesting, length of a name |
//! | `E0116` | `:` for `=`, or `=` for `:` |
//! | `E0117` | quotation marks of another kind |

pub mod ast;
mod build;
mod check;
mod dump;
mod explain;
mod format;
mod lexer;
mod parse;
mod recover;
mod repair;
mod report;
mod slips;
mod spans;
mod token;

pub use build::escape as quoted;
pub use format::{format, print};
pub use parse::{MOST_BYTES, parse};

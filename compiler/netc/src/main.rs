//! The command line. Everything it can do, the library can do too; this crate's binary only reads arguments and prints.
//!
//! Exit codes: 0 for success, 1 for a mistake in a file or in data and for what could not be done, 2 for a command line
//! that makes no sense. A panic is a bug of ours; it ends with 1 and a request to report it.

mod commands;
mod console;

use std::process::ExitCode;

fn main() -> ExitCode {
    console::install_panic_message();
    commands::main()
}

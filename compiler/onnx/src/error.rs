//! What is wrong with a model, or with a network that cannot be one: diagnostics with a code of this crate.
//!
//! | code | mistake |
//! |---|---|
//! | `E0701` | a file cannot be read, or its bytes are no model |
//! | `E0702` | the model says nothing that makes sense: a missing value, an unknown version, a tensor of another size |
//! | `E0703` | extents that have names and no numbers |
//! | `E0704` | nodes that cannot be said in the language, all of them |
//! | `E0705` | a network that cannot be said in ONNX |

use std::path::Path;

use netc_diagnostics::{Diagnostic, Diagnostics, shorten};

pub(crate) const FILE: &str = "E0701";
pub(crate) const MODEL: &str = "E0702";
pub(crate) const EXTENTS: &str = "E0703";
pub(crate) const NODES: &str = "E0704";
pub(crate) const EXPORT: &str = "E0705";

/// Most nodes that one message lists.
const MOST_LISTED: usize = 50;

/// Longest name that is shown of a model.
const LONGEST_NAME: usize = 80;

/// A node that cannot be imported, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The operator, with its domain if it is not ONNX's own.
    pub(crate) operator: String,
    /// The node's name, or the value it makes.
    pub(crate) node: String,
    pub(crate) why: String,
}

/// A name from a file, short enough to be shown, in quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", shorten(name, LONGEST_NAME))
}

/// A message about the whole file.
pub(crate) fn of_file(path: &Path, code: &'static str, problem: impl AsRef<str>) -> Diagnostic {
    Diagnostic::error(code, format!("{}: {}", path.display(), problem.as_ref()))
}

/// One message for all nodes.
pub(crate) fn of_nodes(path: &Path, opset: i64, problems: &[Problem]) -> Diagnostics {
    let count = problems.len();
    let nodes = if count == 1 {
        "1 node"
    } else {
        &format!("{count} nodes")
    };
    let message = format!("{nodes} cannot be imported (opset {opset})");
    let mut diagnostic = of_file(path, NODES, message);
    for problem in problems.iter().take(MOST_LISTED) {
        let operator = shorten(&problem.operator, LONGEST_NAME);
        diagnostic = diagnostic.note(format!("{operator} {}: {}", quoted(&problem.node), problem.why));
    }
    if count > MOST_LISTED {
        diagnostic = diagnostic.note(format!("… and {} more", count - MOST_LISTED));
    }
    let hint = "the language must be able to say every node; change the model where it is made, and export it again";
    Diagnostics::from(diagnostic.hint(hint))
}

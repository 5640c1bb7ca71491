//! Which rules took a part of the given graph to the part that replaces it, from egg's own explanations.

use std::collections::BTreeSet;
use std::rc::Rc;

use egg::{Id, TreeTerm};

use crate::convert::Imported;
use crate::emit::Group;
use crate::extract::{Choice, Space};
use crate::language::ENode;

/// Given nodes beyond which nothing is proven in retrospect: a proof is as deep as the graph, and needs a stack as deep and time that
/// grows with the square.
const NODE_LIMIT: usize = 5_000;
/// Stack for each given node; egg's proofs recurse once or a few times for each level of a term.
const STACK_BYTES_PER_NODE: usize = 16 << 10;

/// Runs `work`, which may ask for proofs, where there is stack enough for them; `None` if the graph is too large.
pub(crate) fn with_deep_stack<T: Send>(given: usize, work: impl FnOnce() -> T + Send) -> Option<T> {
    if given > NODE_LIMIT {
        return None;
    }
    let stack = (1 << 20) + given * STACK_BYTES_PER_NODE;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(stack)
            .spawn_scoped(scope, work)
            .ok()?;
        Some(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Names of the rules between a group's given nodes and its new ones, in the order of the proof, each once.
pub(crate) fn rules(imported: &mut Imported, space: &Space, choice: &Choice, group: &Group) -> Vec<String> {
    let origin = *group.given.last().expect("a group stands for given nodes");
    let right = instance(imported, space, choice, group, group.class);
    between(imported, imported.ids[origin], right)
}

/// Names of the rules between two terms of one class.
pub(crate) fn between(imported: &mut Imported, left: Id, right: Id) -> Vec<String> {
    if left == right {
        return Vec::new();
    }
    let explanation = imported.classes.explain_id_equivalence(left, right);
    let mut walk = Walk::default();
    explanation.explanation_trees.iter().for_each(|term| walk.visit(term));
    walk.rules
}

/// The new term of a class, over the very nodes that the given graph read.
fn instance(imported: &mut Imported, space: &Space, choice: &Choice, group: &Group, class: usize) -> Id {
    let candidate = space.chosen(choice, class);
    let node = candidate.node().expect("a group is computed").clone();
    let inputs: Vec<Id> = node
        .inputs
        .iter()
        .zip(&candidate.operands)
        .map(|(&input, &operand)| {
            let number = space.computed(choice, operand);
            if let Some(&position) = group.reads.get(&number) {
                imported.ids[position]
            } else if group.new.contains(&number) {
                instance(imported, space, choice, group, number)
            } else {
                input
            }
        })
        .collect();
    imported.classes.add_uncanonical(ENode {
        inputs: inputs.into(),
        ..node
    })
}

/// Collects rule names from a proof, whose shared parts are visited once.
#[derive(Default)]
struct Walk {
    seen: BTreeSet<*const TreeTerm<ENode>>,
    rules: Vec<String>,
}

impl Walk {
    fn visit(&mut self, term: &Rc<TreeTerm<ENode>>) {
        if !self.seen.insert(Rc::as_ptr(term)) {
            return;
        }
        for rule in [term.backward_rule, term.forward_rule].into_iter().flatten() {
            let name = rule.as_str().to_owned();
            if !self.rules.contains(&name) {
                self.rules.push(name);
            }
        }
        term.child_proofs.iter().flatten().for_each(|child| self.visit(child));
    }
}

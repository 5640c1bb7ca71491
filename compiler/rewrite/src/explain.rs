//! Which rules took a part of the given graph to the part that replaces it, from egg's own explanations.

use std::collections::BTreeSet;
use std::rc::Rc;

use egg::{Id, TreeTerm};

use crate::convert::Imported;
use crate::emit::Group;
use crate::extract::{Choice, Space};
use crate::language::ENode;

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
    let node = space.chosen(choice, class).node.clone();
    let inputs: Vec<Id> = node
        .inputs
        .iter()
        .map(|&input| {
            let number = space
                .number(imported.classes.find(input))
                .expect("an input of a needed class is in the space");
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

//! What is known about every e-class, and the check that only equals are merged.
//!
//! Facts hold for the value, so each member of a class may add to what the others tell: merging intersects ranges and
//! keeps what either side knows. Types must agree; when they do not, a rule is wrong, and that is our bug.

use std::sync::Arc;

use egg::{Analysis, DidMerge, EGraph, Id};
use netc_graph::{Operator, Type};
use netc_runtime::Tensor;

use crate::language::{ENode, Table};
use crate::range::Range;

/// The e-graph of a network.
pub(crate) type Classes = EGraph<ENode, Meaning>;

/// Facts about one e-class.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// Shape, element type, and whether there is one per sample.
    pub(crate) ty: Type,
    /// Made from constants and parameters that no update changes: computed once, when weights are bound.
    pub(crate) bound: bool,
    /// The value, if it is a constant.
    pub(crate) constant: Option<Arc<Tensor>>,
    /// The number that every element of a constant equals, bit by bit.
    pub(crate) uniform: Option<f32>,
    /// Where the elements lie.
    pub(crate) range: Range,
    /// Positions, in the given graph's topological order, of the nodes whose value this is.
    pub(crate) origins: Vec<usize>,
}

/// The analysis: the operators' table, and what conversion needs to know while it adds nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meaning {
    pub(crate) table: Table,
    /// Names of the parameters that the graph updates: their values change between runs.
    pub(crate) updated: std::collections::BTreeSet<String>,
}

impl Meaning {
    /// Facts of an operator over inputs of which these facts are known; `None` if it does not take them.
    fn facts(&self, node: &ENode, inputs: &[&Facts]) -> Option<Facts> {
        let interned = self.table.get(node.operator);
        let types: Vec<&Type> = inputs.iter().map(|facts| &facts.ty).collect();
        let ty = interned.operator.infer(&types).ok()?;
        let constant = match &interned.operator {
            Operator::Constant(rule) => Some(Arc::new(rule.value.clone())),
            _ => None,
        };
        let bound = match &interned.operator {
            Operator::Input(_) => false,
            Operator::Parameter(_) => !self.updated.contains(&interned.name),
            Operator::Constant(_) => true,
            _ => !inputs.is_empty() && inputs.iter().all(|facts| facts.bound),
        };
        let ranges: Vec<Range> = inputs.iter().map(|facts| facts.range).collect();
        Some(Facts {
            range: Range::of(&interned.operator, &ranges),
            uniform: constant.as_deref().and_then(uniform),
            ty,
            bound,
            constant,
            origins: Vec::new(),
        })
    }
}

impl Analysis<ENode> for Meaning {
    type Data = Facts;

    fn make(classes: &mut Classes, node: &ENode, _: Id) -> Facts {
        let inputs: Vec<&Facts> = node.inputs.iter().map(|&input| &classes[input].data).collect();
        classes
            .analysis
            .facts(node, &inputs)
            .unwrap_or_else(|| panic!("a rule built a `{node}` that does not take its inputs"))
    }

    fn merge(&mut self, facts: &mut Facts, other: Facts) -> DidMerge {
        assert_eq!(facts.ty, other.ty, "a rule merged values of different types");
        let before = facts.clone();
        facts.bound |= other.bound;
        facts.constant = facts.constant.take().or_else(|| other.constant.clone());
        facts.uniform = facts.uniform.or(other.uniform);
        facts.range = facts.range.intersection(other.range);
        facts.origins.extend(other.origins.iter().copied());
        facts.origins.sort_unstable();
        facts.origins.dedup();
        // Origins say nothing about users, so a change of them alone need not spread.
        let known = |facts: &Facts| {
            (
                facts.bound,
                facts.constant.is_some(),
                facts.uniform.map(f32::to_bits),
                facts.range,
            )
        };
        DidMerge(known(facts) != known(&before), known(facts) != known(&other))
    }
}

fn uniform(tensor: &Tensor) -> Option<f32> {
    let (first, rest) = tensor.as_f32()?.split_first()?;
    rest.iter()
        .all(|value| value.to_bits() == first.to_bits())
        .then_some(*first)
}

//! What is known about every e-class, and the check that only equals are merged.
//!
//! Facts hold for the value, so each member of a class may add to what the others tell: merging intersects ranges and
//! keeps what either side knows. Types must agree, and what stored integers stand for; when they do not, a rule is wrong,
//! and that is our bug.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use egg::{Analysis, DidMerge, EGraph, Id};
use netc_graph::operators::quantization::Quantization;
use netc_graph::{Operator, Type};
use netc_runtime::{DType, Tensor};

use crate::language::{ENode, Table};
use crate::parameter_facts::ParameterFacts;
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
    /// At least this share of the elements is 0, of either sign, if nothing is infinite or NaN.
    pub(crate) zero_fraction: f64,
    /// For each index of the first axis of a constant or a known parameter, its least and greatest element.
    pub(crate) outputs: Option<Arc<[(f32, f32)]>>,
    /// What the integers of a batched value stand for, if one quantization made them: in canonical form. A value that
    /// exists once has none: as constants, equal integers of different meaning are one value.
    pub(crate) quantization: Option<Arc<Quantization>>,
    /// Positions, in the given graph's topological order, of the nodes whose value this is.
    pub(crate) origins: Vec<usize>,
}

/// The analysis: the operators' table, and what conversion needs to know while it adds nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meaning {
    pub(crate) table: Table,
    /// Names of the parameters that the graph updates: their values change between runs.
    pub(crate) updated: BTreeSet<String>,
    /// What is known about the values of parameters.
    pub(crate) parameters: Arc<BTreeMap<String, ParameterFacts>>,
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
            // What is one for every sample is made by a run, which knows how many there are.
            _ => !ty.batched && !inputs.is_empty() && inputs.iter().all(|facts| facts.bound),
        };
        let ranges: Vec<Range> = inputs.iter().map(|facts| facts.range).collect();
        let known = match &interned.operator {
            Operator::Constant(rule) => Some(Cow::Owned(ParameterFacts::of(&rule.value))),
            Operator::Parameter(_) if bound => self.parameters.get(&interned.name).map(Cow::Borrowed),
            _ => None,
        };
        Some(Facts {
            range: match &known {
                Some(facts) if ty.dtype == DType::F32 => Range::known(facts),
                _ => Range::of(&interned.operator, &ranges),
            },
            zero_fraction: known.as_ref().map_or_else(
                || zero_fraction(&interned.operator, inputs, &ty),
                |facts| facts.zero_fraction,
            ),
            outputs: known
                .as_ref()
                .filter(|facts| !facts.outputs.is_empty())
                .map(|facts| facts.outputs.as_slice().into()),
            quantization: ty.batched.then(|| stored_as(&interned.operator, inputs)).flatten(),
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
        facts.zero_fraction = facts.zero_fraction.max(other.zero_fraction);
        facts.outputs = facts.outputs.take().or_else(|| other.outputs.clone());
        if let (Some(one), Some(two)) = (&facts.quantization, &other.quantization) {
            assert_eq!(
                one, two,
                "a rule merged stored integers that stand for different numbers"
            );
        }
        facts.quantization = facts.quantization.take().or_else(|| other.quantization.clone());
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
                facts.zero_fraction.to_bits(),
                facts.outputs.is_some(),
                facts.quantization.is_some(),
            )
        };
        DidMerge(known(facts) != known(&before), known(facts) != known(&other))
    }
}

/// At least how many of a result's elements are 0, as a share, given what is known of its inputs.
fn zero_fraction(operator: &Operator, inputs: &[&Facts], ty: &Type) -> f64 {
    let of = |input: usize| inputs.get(input).map_or(0.0, |facts| facts.zero_fraction);
    let all = |holds: bool| if holds { 1.0 } else { 0.0 };
    match operator {
        Operator::Reshape(_)
        | Operator::Transpose(_)
        | Operator::Dropout(_)
        | Operator::Relu(_)
        | Operator::LeakyRelu(_)
        | Operator::Tanh(_) => of(0),
        Operator::Scale(rule) if rule.factor == 0.0 => 1.0,
        Operator::Scale(_) => of(0),
        Operator::Multiply(_) => of(0).max(of(1)),
        Operator::ChannelScale(_) => of(0).max(all(of(1) == 1.0)),
        Operator::Add(_) | Operator::Subtract(_) => all(of(0) == 1.0 && of(1) == 1.0),
        Operator::MaxPool(_)
        | Operator::AveragePool(_)
        | Operator::GlobalMaxPool(_)
        | Operator::GlobalAveragePool(_)
        | Operator::Upsample(_)
        | Operator::Slice(_)
        | Operator::Take(_)
        | Operator::Expand(_)
        | Operator::Reduce(_)
        | Operator::SpreadSum(_) => all(of(0) == 1.0),
        Operator::Pad(_) => {
            let count = |ty: &Type| ty.shape.element_count() as f64;
            let kept = inputs.first().map_or(0.0, |facts| count(&facts.ty));
            1.0 - (1.0 - of(0)) * kept / count(ty)
        }
        Operator::Concat(_) => {
            let count = |facts: &Facts| facts.ty.shape.element_count() as f64;
            let zeros: f64 = inputs.iter().map(|facts| facts.zero_fraction * count(facts)).sum();
            zeros / inputs.iter().map(|facts| count(facts)).sum::<f64>()
        }
        Operator::Conv(_) | Operator::WinogradConv(_) | Operator::Dense(_) => {
            let summed = of(0) == 1.0 || of(1) == 1.0;
            all(summed && inputs.get(2).is_none_or(|bias| bias.zero_fraction == 1.0))
        }
        _ => 0.0,
    }
}

/// What a result's integers stand for, if its operator makes them or hands them on.
fn stored_as(operator: &Operator, inputs: &[&Facts]) -> Option<Arc<Quantization>> {
    let first = || inputs.first().and_then(|facts| facts.quantization.clone());
    let uniform = || first().filter(|quantization| quantization.is_per_tensor());
    match operator {
        Operator::Quantize(rule) => Some(Arc::new(rule.quantization.canonical())),
        Operator::MaxPool(_) | Operator::Clip(_) => first(),
        Operator::Reshape(_) => uniform(),
        Operator::Slice(rule) if rule.axis > 0 => first(),
        Operator::Slice(_) => uniform(),
        Operator::Concat(rule) => {
            let shared = if rule.axis > 0 { first() } else { uniform() };
            shared.filter(|_| inputs.iter().all(|facts| facts.quantization == inputs[0].quantization))
        }
        _ => None,
    }
}

fn uniform(tensor: &Tensor) -> Option<f32> {
    let (first, rest) = tensor.as_f32()?.split_first()?;
    rest.iter()
        .all(|value| value.to_bits() == first.to_bits())
        .then_some(*first)
}

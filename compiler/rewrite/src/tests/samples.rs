//! Every rule on at least 200 random samples: both sides interpreted and compared as the rule's class demands.

use std::collections::BTreeMap;

use netc_graph::{Graph, NodeId};
use netc_runtime::Tensor;

use super::oracle::{assert_close, assert_same_bits, bindings, rounding_bound, run};
use crate::convert::{Imported, import};
use crate::matching::{Match, Term};
use crate::parameter_facts::ParameterFacts;
use crate::rule::{Class, Rule};
use crate::rules;
use crate::sample::Sampler;
use crate::saturate::search;

/// Matches compared for each rule.
const MATCHES: usize = 200;
/// Samples made for each rule; conditions may rule out some of them, but not most.
const SAMPLES: u64 = 400;

/// The graph of a sample, with the sample as its output, and the values that some of its parameters have.
pub(super) fn sample(rule: &Rule, seed: u64) -> (Graph, BTreeMap<String, Tensor>) {
    let mut sampler = Sampler::new(seed);
    let root = (rule.sample)(&mut sampler);
    sampler.graph.add_output("left", root);
    (sampler.graph, sampler.values)
}

/// The e-graph of a sample, with the facts of the values that are given.
pub(super) fn imported(graph: &Graph, values: &BTreeMap<String, Tensor>) -> Imported {
    let facts = values
        .iter()
        .map(|(name, value)| (name.clone(), ParameterFacts::of(value)))
        .collect();
    import(graph, &facts, false)
}

/// Adds a right side to the graph whose e-graph it was found in.
fn build(graph: &mut Graph, imported: &Imported, term: &Term, like: NodeId) -> NodeId {
    match term {
        Term::Class(id) => imported.order[imported.classes[*id].data.origins[0]],
        Term::Apply(operator, inputs) => {
            let inputs: Vec<NodeId> = inputs.iter().map(|input| build(graph, imported, input, like)).collect();
            graph.derive(like, (**operator).clone(), &inputs)
        }
    }
}

fn compare(
    rule: &Rule,
    graph: &Graph,
    values: &BTreeMap<String, Tensor>,
    imported: &Imported,
    found: &Match,
    seed: u64,
) {
    let like = imported.order[imported.classes[found.root].data.origins[0]];
    let (mut left, mut right) = (Graph::clone(graph), Graph::clone(graph));
    left.retain_outputs(|_| false);
    right.retain_outputs(|_| false);
    left.add_output("y", like);
    let made = build(&mut right, imported, &found.right, like);
    right.add_output("y", made);
    let mut bound = bindings(graph, seed);
    bound.parameters.extend(values.clone());
    let (left_value, right_value) = (&run(&left, &bound)[0].1, &run(&right, &bound)[0].1);
    let what = format!("{} on sample {seed}", rule.name);
    match rule.class {
        Class::BitExact => assert_same_bits(left_value, right_value, &what),
        Class::RealExact => {
            let tolerance = rounding_bound(&left, &bound) + rounding_bound(&right, &bound);
            assert_close(left_value, right_value, tolerance, &what);
        }
        Class::Quantized => {
            let bound = rule.bound.unwrap_or_else(|| panic!("{what}: the rule states no bound"));
            assert_close(left_value, right_value, bound(&graph.node(like).operator), &what);
        }
        Class::Architectural => panic!("{what}: no rule of this class runs in an e-graph"),
    }
}

#[test]
fn both_sides_of_every_rule_agree() {
    for rule in rules::all() {
        let mut compared = 0;
        for seed in 0..SAMPLES {
            let (graph, values) = sample(&rule, seed);
            let imported = imported(&graph, &values);
            for found in search(&imported.classes, &rule) {
                compare(&rule, &graph, &values, &imported, &found, seed);
                compared += 1;
            }
            if compared >= MATCHES {
                break;
            }
        }
        assert!(
            compared >= MATCHES,
            "`{}` applies to {compared} places in {SAMPLES} of its own samples",
            rule.name
        );
    }
}

#[test]
fn names_are_unique_and_docs_are_sentences() {
    let rules = rules::all();
    assert!(rules.len() >= 45, "{} rules", rules.len());
    let bounded = |rule: &Rule| rule.bound.is_some() == (rule.class == Class::Quantized);
    assert!(
        rules.iter().all(bounded),
        "rules of class quantized, and no others, state a bound"
    );
    for (index, rule) in rules.iter().enumerate() {
        assert!(
            rules[..index].iter().all(|other| other.name != rule.name),
            "`{}` is there twice",
            rule.name
        );
        assert!(rule.doc.ends_with('.'), "`{}`: {}", rule.name, rule.doc);
        assert!(
            rule.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
            "{}",
            rule.name
        );
    }
}

#[test]
fn every_rule_is_found_by_saturation_and_keeps_its_sample() {
    for rule in rules::all() {
        let fired = (0..20).any(|seed| {
            let (graph, values) = sample(&rule, seed);
            let mut imported = imported(&graph, &values);
            let saturation = crate::saturate::saturate(&mut imported.classes, &[&rule], crate::Limits::default());
            saturation.applications[0] > 0
        });
        assert!(fired, "`{}` never fires", rule.name);
    }
}

/// The whole catalog for reviewers: every rule with its class, its conditions, and both sides of one sample.
#[test]
fn catalog_as_text() {
    let mut text = String::new();
    for rule in rules::all() {
        let (graph, imported, found) = (0..SAMPLES)
            .find_map(|seed| {
                let (graph, values) = sample(&rule, seed);
                let imported = imported(&graph, &values);
                let found = search(&imported.classes, &rule).into_iter().next()?;
                Some((graph, imported, found))
            })
            .expect("every rule applies to one of its samples");
        let name = |id: egg::Id| {
            let node = imported.order[imported.classes[id].data.origins[0]];
            graph.node(node).name.clone()
        };
        let (left, right) = (found.left.to_text(&imported.classes, &name), found.right.to_text(&name));
        text += &format!(
            "{} ({})\n  {}\n  {left}\n  {right}\n\n",
            rule.name, rule.class, rule.doc
        );
    }
    insta::assert_snapshot!(text);
}

//! What the optimizer did, for people and for `--json`.

use std::fmt::Write;

use serde::Serialize;

use crate::rule::Class;
use crate::saturate::StopReason;

/// What the optimizer did to one graph.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The machine that costs are for.
    pub machine: String,
    /// Samples per run that costs are for.
    pub batch: usize,
    /// The graph as it was given.
    pub before: Totals,
    /// The graph as it is run.
    pub after: Totals,
    /// What became of layers, in their order; `None` if that was not asked for, or the graph is too large for proofs
    /// (5,000 nodes).
    pub changes: Option<Vec<Change>>,
    /// What else was possible, for parts of the network that could be computed otherwise; `None` where `changes` is, or
    /// if there is too much to try (1,000 values in all their layouts).
    pub decisions: Option<Vec<Decision>>,
    /// Rules that added something to the e-graph, with how often; most of it is not in the result.
    pub rules: Vec<Firing>,
    /// How large the e-graph became and why it stopped.
    pub search: Search,
    /// The phases that led there, in order.
    pub phases: Vec<Phase>,
}

/// Sums over a graph, for one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Operators, without inputs, parameters and constants.
    pub operators: usize,
    /// Of these, the ones computed once, when weights are bound.
    pub bound: usize,
    /// Multiply-accumulates of a run.
    pub macs: u64,
    /// Bytes of the results of a run.
    pub bytes: u64,
    /// Predicted picoseconds, including the share of what is computed when weights are bound.
    pub picoseconds: u64,
}

/// A part of the graph that was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Which of [`crate::Optimized::pieces`] it is in.
    #[serde(skip)]
    pub piece: Option<usize>,
    /// Names of the nodes that were replaced.
    pub layers: Vec<String>,
    /// Operators that were written.
    pub written: Vec<String>,
    /// Operators that are run instead; computed ones only, without what is bound.
    pub run: Vec<String>,
    /// The rules that lead from one to the other, in the order of the proof.
    pub rules: Vec<Applied>,
    /// Predicted picoseconds of what was written.
    pub before_picoseconds: u64,
    /// Predicted picoseconds of what is run, including the share of what is bound.
    pub after_picoseconds: u64,
}

/// A part of the network that could be computed in several ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Which of [`crate::Optimized::pieces`] it is in.
    #[serde(skip)]
    pub piece: Option<usize>,
    /// Names of the given nodes it stands for.
    pub layers: Vec<String>,
    /// The operators that are run.
    pub run: Vec<String>,
    /// The cheapest ways that were not taken.
    pub lost: Vec<Alternative>,
}

/// A way that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alternative {
    /// The operators that would be run for this part.
    pub run: Vec<String>,
    /// Whether these are the ones that were written.
    pub as_written: bool,
    /// Predicted picoseconds that the whole network would take more.
    pub more_picoseconds: u64,
}

/// A rule in a proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// The rule's name.
    pub rule: String,
    /// How close its two sides are.
    pub class: Class,
    /// What it does and why.
    pub doc: String,
}

/// How often a rule added something to the e-graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Firing {
    /// The rule's name.
    pub rule: String,
    /// How close its two sides are.
    pub class: Class,
    /// Times it added something.
    pub count: usize,
}

/// How the e-graph was grown and searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Search {
    /// E-nodes at the end.
    pub nodes: usize,
    /// E-classes at the end.
    pub classes: usize,
    /// Rounds of trying all rules.
    pub iterations: usize,
    /// Why it stopped.
    pub stop: StopReason,
    /// Whether the result is proven to be the cheapest graph in the e-graph.
    pub proven: bool,
}

/// One phase of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// Its name: `import`, `saturate`, `extract`, `emit`.
    pub name: &'static str,
    /// Nodes that there are at its end: e-nodes, candidates of the extraction, nodes of the resulting graph.
    pub nodes: usize,
    /// Values that these compute: e-classes.
    pub classes: usize,
    /// Rounds of trying all rules, where rules are tried.
    pub iterations: Option<usize>,
    /// Why it stopped, where it could have gone on.
    pub stop: Option<StopReason>,
    /// Whether the result is proven to be the cheapest, where something is chosen.
    pub proven: Option<bool>,
}

impl Phase {
    /// A phase that leaves so many nodes and classes.
    pub(crate) const fn new(name: &'static str, (nodes, classes): (usize, usize)) -> Self {
        Self {
            name,
            nodes,
            classes,
            iterations: None,
            stop: None,
            proven: None,
        }
    }
}

impl Report {
    /// The report as text: totals, one paragraph for each change, and the size of the search.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).expect("a string takes everything");
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let (before, after) = (&self.before, &self.after);
        writeln!(text, "predicted for batch {} on machine `{}`", self.batch, self.machine)?;
        writeln!(text, "             {:>14} {:>14}", "written", "run")?;
        let mut row =
            |name: &str, before: String, after: String| writeln!(text, "  {name:<10} {before:>14} {after:>14}");
        let per_run = |totals: &Totals| (totals.operators - totals.bound).to_string();
        row("operators", per_run(before), per_run(after))?;
        row("at binding", before.bound.to_string(), after.bound.to_string())?;
        row("MACs", grouped(before.macs), grouped(after.macs))?;
        row("bytes", grouped(before.bytes), grouped(after.bytes))?;
        row(
            "time",
            microseconds(before.picoseconds),
            microseconds(after.picoseconds),
        )?;
        for change in self.changes.iter().flatten() {
            change.write(text)?;
        }
        if self.decisions.iter().flatten().next().is_some() {
            writeln!(text, "\nways that were not taken")?;
        }
        for decision in self.decisions.iter().flatten() {
            let layers = decision.layers.join(" + ");
            for lost in &decision.lost {
                let (run, more) = (lost.run.join(", "), microseconds(lost.more_picoseconds));
                let written = if lost.as_written { " as written" } else { "" };
                writeln!(text, "  {layers}: {run}{written} (+{more})")?;
            }
        }
        let search = &self.search;
        let stop = match search.stop {
            StopReason::Saturated => "nothing more to find",
            StopReason::NodeLimit => "stopped at the limit on nodes",
            StopReason::IterationLimit => "stopped at the limit on rounds",
        };
        let proof = if search.proven {
            "the cheapest of all of them"
        } else {
            "the cheapest found among them"
        };
        let Search {
            nodes,
            classes,
            iterations,
            ..
        } = search;
        writeln!(
            text,
            "\n{nodes} ways to compute {classes} values after {iterations} rounds, {stop}; this is {proof}"
        )
    }
}

impl Change {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        let (written, run) = (self.written.join(", "), self.run.join(", "));
        let run = if run.is_empty() { "nothing" } else { &run };
        writeln!(text, "\n{}: {written} → {run}", self.layers.join(" + "))?;
        writeln!(
            text,
            "  {} → {}",
            microseconds(self.before_picoseconds),
            microseconds(self.after_picoseconds)
        )?;
        for applied in &self.rules {
            writeln!(text, "  {} ({}): {}", applied.rule, applied.class, applied.doc)?;
        }
        Ok(())
    }
}

fn microseconds(picoseconds: u64) -> String {
    format!("{:.3} µs", picoseconds as f64 / 1e6)
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

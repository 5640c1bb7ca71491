//! The rows of an explanation: pieces that the rewriter reports, joined where one kernel or one layer spans several.

use std::collections::{BTreeMap, BTreeSet};

use netc_graph::operators::constant::Constant;
use netc_graph::{Graph, NodeId, Operator};
use netc_rewrite::{Change, LaidOut, Optimized, Piece, Prediction};

use super::{Located, Phase, Row, Run, Written};
use crate::network::Network;

/// Rows being put together.
pub(super) struct Rows {
    rows: Vec<Row>,
    /// The row of each piece.
    row_of: Vec<usize>,
}

impl Rows {
    /// The rows of a written graph and what it became.
    pub(super) fn new(
        network: &Network,
        written: &Graph,
        optimized: &Optimized,
        options: &netc_rewrite::Options,
    ) -> Self {
        const ASKED: &str = "explanations were asked for";
        let run = &optimized.graph;
        let pieces = optimized.pieces.as_deref().expect(ASKED);
        let laid_out = optimized.laid_out.as_ref().expect(ASKED);
        let builder = Builder {
            network,
            written,
            run,
            phases: phases(written),
            before: Prediction::new(written, &options.machine, options.batch),
            costs: costs(laid_out, options),
            after: Prediction::new(run, &options.machine, options.batch),
            kernels: kernels(run),
        };
        let row_of = builder.joined(pieces);
        let mut members: Vec<Vec<&Piece>> = Vec::new();
        for (&row, piece) in row_of.iter().zip(pieces) {
            // Rows are numbered in the order in which they come up.
            if row == members.len() {
                members.push(Vec::new());
            }
            members[row].push(piece);
        }
        let rows = members.into_iter().map(|pieces| builder.row(pieces));
        Self {
            rows: rows.collect(),
            row_of,
        }
    }

    /// What is said of a piece, with its row and with where the first of these layers was written.
    pub(super) fn located<T: Clone>(&self, piece: Option<usize>, layers: &[String], what: &T) -> Option<Located<T>> {
        let row = self.row_of[piece?];
        let written = self.rows[row].written.iter().filter(|each| each.line.is_some());
        let mut written = written.filter(|each| layers.contains(&each.layer));
        let first = written.next();
        Some(Located {
            row,
            file: first.and_then(|each| each.file.clone()),
            line: first.and_then(|each| each.line),
            what: what.clone(),
        })
    }

    /// Remembers in its row which rules a change comes from.
    pub(super) fn note_rules(&mut self, change: &Located<Change>) {
        let known = &mut self.rows[change.row].rules;
        for applied in &change.what.rules {
            if !known.contains(&applied.rule) {
                known.push(applied.rule.clone());
            }
        }
    }

    pub(super) fn finish(self) -> Vec<Row> {
        self.rows
    }
}

struct Builder<'a> {
    network: &'a Network,
    written: &'a Graph,
    run: &'a Graph,
    /// Of each written node.
    phases: BTreeMap<NodeId, Phase>,
    before: Prediction<'a>,
    /// Of each written node, with the copies it needs.
    costs: BTreeMap<NodeId, u64>,
    after: Prediction<'a>,
    /// The kernel of each node that is run.
    kernels: BTreeMap<NodeId, usize>,
}

impl Builder<'_> {
    /// The row of each piece, numbered in order of the pieces. Pieces are one row if one kernel computes operators of
    /// both, or if both hold operators of one layer of the network.
    fn joined(&self, pieces: &[Piece]) -> Vec<usize> {
        let mut row_of: Vec<usize> = (0..pieces.len()).collect();
        let mut first: BTreeMap<Bond, usize> = BTreeMap::new();
        for (index, piece) in pieces.iter().enumerate() {
            for bond in self.bonds(piece) {
                let other = *first.entry(bond).or_insert(index);
                let (a, b) = (root(&row_of, index), root(&row_of, other));
                row_of[a.max(b)] = a.min(b);
            }
        }
        let mut numbers: BTreeMap<usize, usize> = BTreeMap::new();
        (0..pieces.len())
            .map(|index| {
                let next = numbers.len();
                *numbers.entry(root(&row_of, index)).or_insert(next)
            })
            .collect()
    }

    fn bonds<'p>(&'p self, piece: &'p Piece) -> impl Iterator<Item = Bond> + 'p {
        // What is done on weights has no call in a run.
        let runs = piece.run.iter().filter(|id| !self.after.is_bound(**id));
        let kernels = runs.filter_map(|id| Some(Bond::Kernel(*self.kernels.get(id)?)));
        let forward = piece.written.iter().filter(|id| self.phases[id] == Phase::Forward);
        let layers = forward.map(|id| Bond::Layer(self.written.node(*id).name.clone()));
        kernels.chain(layers)
    }

    fn row(&self, pieces: Vec<&Piece>) -> Row {
        let (mut written, mut run, mut already) = (Vec::new(), Vec::new(), Vec::new());
        for piece in pieces {
            written.extend(&piece.written);
            run.extend(&piece.run);
            already.extend(&piece.already);
        }
        written.sort_unstable();
        let order = |id: &NodeId| (self.kernels.get(id).copied(), *id);
        run.sort_unstable_by_key(order);
        let phase = written.iter().map(|id| self.phases[id]).min().unwrap_or(Phase::Forward);
        let mut layers: Vec<String> = Vec::new();
        for id in &written {
            let name = &self.written.node(*id).name;
            if !layers.contains(name) {
                layers.push(name.clone());
            }
        }
        let placed = written.iter().map(|&id| self.network.place(self.written, id));
        let (file, line) = placed.clone().find(|(_, line)| line.is_some()).unwrap_or_default();
        let written: Vec<Written> = written.iter().map(|&id| self.written(id)).collect();
        let run: Vec<Run> = run.iter().map(|&id| self.run(id)).collect();
        let already = if run.is_empty() { already } else { Vec::new() };
        let mut already: Vec<String> = already.iter().map(|&id| self.run.node(id).name.clone()).collect();
        already.dedup();
        let total = |costs: &mut dyn Iterator<Item = u64>| costs.fold(0, u64::saturating_add);
        Row {
            phase,
            layers,
            file,
            line,
            before_picoseconds: total(&mut written.iter().map(|each| each.picoseconds)),
            after_picoseconds: total(&mut run.iter().map(|each| each.picoseconds)),
            written,
            run,
            already,
            rules: Vec::new(),
        }
    }

    fn written(&self, id: NodeId) -> Written {
        let node = self.written.node(id);
        let (file, line) = self.network.place(self.written, id);
        Written {
            layer: node.name.clone(),
            file,
            line,
            operator: name(&node.operator),
            attributes: attributes(&node.operator),
            shape: node.ty.shape.to_string(),
            at_binding: self.before.is_bound(id),
            // Equal operators cost once, and what nobody needs costs nothing.
            picoseconds: self.costs.get(&id).copied().unwrap_or(0),
        }
    }

    fn run(&self, id: NodeId) -> Run {
        let node = self.run.node(id);
        Run {
            name: node.name.clone(),
            operator: name(&node.operator),
            attributes: attributes(&node.operator),
            shape: node.ty.shape.to_string(),
            layout: node.layout.map(netc_graph::Layout::name),
            lanes: match node.operator {
                Operator::Conv(_) if self.after.by_columns(id) => Some("columns"),
                Operator::Conv(_) | Operator::WinogradConv(_) => Some("channels"),
                _ => None,
            },
            at_binding: self.after.is_bound(id),
            kernel: self.kernels.get(&id).copied().unwrap_or(self.kernels.len()),
            picoseconds: self.after.node_picoseconds(id),
        }
    }
}

/// What makes two pieces one row.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Bond {
    Kernel(usize),
    Layer(String),
}

fn root(parents: &[usize], mut member: usize) -> usize {
    while parents[member] != member {
        member = parents[member];
    }
    member
}

/// What an operator is called: a function by its own name.
const fn name(operator: &Operator) -> &'static str {
    match operator {
        Operator::Unary(rule) => rule.function.name(),
        other => other.name(),
    }
}

/// Large constants are not told number by number.
fn attributes(operator: &Operator) -> String {
    match operator {
        Operator::Constant(Constant { value }) if value.shape().element_count() > 1 => {
            format!("{} numbers", value.shape().element_count())
        }
        other => other.attributes(),
    }
}

/// The kernel that computes each operator, numbered in the order in which they run.
fn kernels(graph: &Graph) -> BTreeMap<NodeId, usize> {
    let order: BTreeMap<NodeId, usize> = graph.topological().into_iter().zip(0..).collect();
    let mut layers = netc_schedule::layers(graph);
    layers.sort_by_key(|layer| layer.nodes.iter().map(|node| order[node]).max());
    let numbered = layers.into_iter().enumerate();
    numbered
        .flat_map(|(number, layer)| layer.nodes.into_iter().map(move |node| (node, number)))
        .collect()
}

/// What each written node costs, where it is not the same as another.
fn costs(laid_out: &LaidOut, options: &netc_rewrite::Options) -> BTreeMap<NodeId, u64> {
    let prediction = Prediction::new(&laid_out.graph, &options.machine, options.batch);
    let cost = |piece: &Piece| {
        let nodes = piece.run.iter().map(|&id| prediction.node_picoseconds(id));
        Some((*piece.written.first()?, nodes.fold(0, u64::saturating_add)))
    };
    laid_out.pieces.iter().filter_map(cost).collect()
}

/// These nodes and everything they depend on.
fn reached(graph: &Graph, from: impl Iterator<Item = NodeId>) -> BTreeSet<NodeId> {
    let mut reached: BTreeSet<NodeId> = from.collect();
    let mut pending: Vec<NodeId> = reached.iter().copied().collect();
    while let Some(id) = pending.pop() {
        pending.extend(graph.inputs(id).into_iter().filter(|&input| reached.insert(input)));
    }
    reached
}

/// Which part of a training step each node belongs to.
fn phases(graph: &Graph) -> BTreeMap<NodeId, Phase> {
    let outputs = |is_loss: bool| {
        let wanted = graph.outputs().iter();
        let wanted = wanted.filter(move |(name, _)| (name == netc_autodiff::LOSS) == is_loss);
        wanted.map(|(_, id)| *id)
    };
    let gradient = |id: &NodeId| {
        let named = graph.outputs().iter().filter(|(_, output)| output == id);
        named.clone().count() > 0
            && named
                .clone()
                .all(|(name, _)| name.starts_with(&netc_autodiff::gradient_output("")))
    };
    let forward = reached(graph, outputs(false).filter(|id| !gradient(id)));
    let loss = reached(graph, outputs(true));
    let parameters = graph.parameters();
    let parameters: BTreeSet<&str> = parameters.iter().map(|&id| graph.node(id).name.as_str()).collect();
    let values: BTreeSet<NodeId> = graph.updates().iter().map(|update| update.value).collect();
    let phase = |id: NodeId| {
        let node = graph.node(id);
        if forward.contains(&id) {
            Phase::Forward
        } else if loss.contains(&id) {
            Phase::Loss
        } else if values.contains(&id)
            || parameters.contains(node.name.as_str())
            || matches!(node.operator, Operator::ClipFactor(_))
        {
            Phase::Update
        } else if graph.updates().is_empty() && graph.outputs().len() == outputs(false).count() {
            // A network that is run, and something in it that nobody needs.
            Phase::Forward
        } else {
            Phase::Backward
        }
    };
    let mut phases: BTreeMap<NodeId, Phase> = graph.ids().map(|id| (id, phase(id))).collect();
    // The batch's variance as running statistics want it comes neither from the network nor from a gradient.
    let all = |ids: Vec<NodeId>, phase: Phase| !ids.is_empty() && ids.iter().all(|id| phases[id] == phase);
    let forward_only = |id: &NodeId| all(graph.inputs(*id), Phase::Forward) && all(graph.users(*id), Phase::Update);
    let statistics: Vec<NodeId> = graph
        .ids()
        .filter(|id| phases[id] == Phase::Backward && forward_only(id))
        .collect();
    phases.extend(statistics.into_iter().map(|id| (id, Phase::Update)));
    phases
}

//! Groups operators into clusters, one kernel each: a chain of element-wise operators, with the contraction it starts
//! from, if it starts from one, and then the pool it ends in, if that has small windows side by side.
//!
//! An operator joins its user's cluster when that user is the only one, so nothing is computed twice and no value that
//! someone else needs disappears.

use std::collections::{BTreeMap, BTreeSet};

use netc_graph::{Graph, NodeId, Operator, Type};

use crate::element_wise::{ElementWise, Source, element_wise};
use crate::expression::{Expression, Instruction, Value};
use crate::geometry::two_dimensional;
use crate::kernel::{Divisor, PoolKind, Pooled, Spread};
use crate::planner::chosen_layout;
use crate::winograd::holds_windows;

/// Nodes that run as one step, and the name of the plan's calls for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The name of the step, which both layers of a fused pool share.
    pub name: String,
    /// From that node backwards.
    pub nodes: Vec<NodeId>,
}

/// The steps that a graph's plan is made of, whatever the machine. What only names or views bytes is a layer of its own,
/// which may have no call.
#[must_use]
pub fn layers(graph: &Graph) -> Vec<Layer> {
    let layer = |cluster: Cluster| Layer {
        name: cluster.name(graph),
        nodes: cluster.members,
    };
    cluster(graph, Updates::Together).into_iter().map(layer).collect()
}

/// Operators that one kernel computes; named by the last of them.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    /// The operator whose result the cluster gives.
    pub(crate) root: NodeId,
    /// All its operators.
    pub(crate) members: Vec<NodeId>,
    /// The contraction whose sums the element-wise part works on.
    pub(crate) contraction: Option<NodeId>,
    /// The element-wise part; `None` where the root is any other operator.
    pub(crate) element_wise: Option<ClusterBody>,
    /// The pool that the contraction's results go through, which is then the root.
    pub(crate) pool: Option<(NodeId, Pooled)>,
}

impl Cluster {
    /// Of the layers that it computes: the contraction's name and the pool's, or that of the node whose result it gives.
    pub(crate) fn name(&self, graph: &Graph) -> String {
        let name = &graph.node(self.contraction.unwrap_or(self.root)).name;
        match self.pool {
            Some((pool, _)) => format!("{name} + {}", graph.node(pool).name),
            None => name.clone(),
        }
    }
}

/// The element-wise part of a cluster. In a cluster with a contraction, read 0 of the body is the sum and the reads
/// listed here start at 1.
#[derive(Clone, Debug)]
pub(crate) struct ClusterBody {
    pub(crate) reads: Vec<(ClusterRead, Spread)>,
    pub(crate) body: Expression,
    pub(crate) divisor: Divisor,
    /// Values of the body that are next values of parameters, beside the body's result.
    pub(crate) next_values: Vec<(Value, NodeId)>,
}

/// Whether one kernel may give next values of several parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Updates {
    /// An optimizer's state joins the step that reads it, which spares a pass over both. They change in place.
    Together,
    /// Each has a kernel of its own.
    Apart,
}

/// The parameter that a node is the next value of, if it is one.
pub(crate) fn parameter_of(graph: &Graph, id: NodeId) -> Option<NodeId> {
    let update = graph.updates().iter().find(|update| update.value == id);
    update.map(|update| update.parameter)
}

/// What a cluster reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ClusterRead {
    /// The result of a node outside the cluster.
    Node(NodeId),
    /// A vector worked out from the channel vectors of nodes outside the cluster.
    Channels { nodes: Vec<NodeId>, body: Expression },
}

/// Whether an operator is a contraction that can hand its sums to an epilogue.
pub(crate) fn is_contraction(operator: &Operator) -> bool {
    match operator {
        Operator::Conv(_) | Operator::WinogradConv(_) | Operator::Dense(_) | Operator::DenseGradInput(_) => true,
        // With a stride it is several contractions over interleaved rows and columns.
        Operator::ConvGradInput(rule) => rule.window.stride.iter().all(|&stride| stride == 1),
        _ => false,
    }
}

/// How a pool's windows are taken from the registers of the convolution that it pools.
fn pooled(graph: &Graph, pool: NodeId) -> Option<Pooled> {
    let (kind, window) = match &graph.node(pool).operator {
        Operator::MaxPool(rule) => (PoolKind::Maximum, &rule.window),
        Operator::AveragePool(rule) => {
            let count_padding = rule.count_padding;
            (PoolKind::Average { count_padding }, &rule.window)
        }
        _ => return None,
    };
    let [rows, columns] = two_dimensional(window).kernel;
    (window.tiles() && rows.max(columns) <= Pooled::LARGEST).then_some(Pooled { kind, rows, columns })
}

/// Groups all operators that compute something. Clusters come in order of their roots' addition.
pub(crate) fn cluster(graph: &Graph, updates: Updates) -> Vec<Cluster> {
    let absorption = Absorption::new(graph, updates);
    let mut absorbed = absorption.decide();
    let pools = absorption.pools(&absorbed);
    absorbed.extend(pools.values().map(|(input, _)| *input));
    graph
        .ids()
        .filter(|id| !absorbed.contains(id) && !is_leaf(&graph.node(*id).operator))
        .map(|root| {
            Assembly {
                graph,
                absorbed: &absorbed,
                pool: pools.get(&root).map(|(_, pooled)| (root, *pooled)),
                members: vec![root],
                contraction: None,
                reads: Vec::new(),
                body: Expression::default(),
                next_values: Vec::new(),
            }
            .finish(pools.get(&root).map_or(root, |(input, _)| *input))
        })
        .collect()
}

fn is_leaf(operator: &Operator) -> bool {
    matches!(
        operator,
        Operator::Input(_) | Operator::Parameter(_) | Operator::Constant(_)
    )
}

/// The element-wise meaning of a node, if it has one.
pub(crate) fn describe(graph: &Graph, id: NodeId) -> Option<ElementWise> {
    let inputs = graph.inputs(id);
    let types: Vec<&Type> = inputs.iter().map(|&input| graph.ty(input)).collect();
    element_wise(&graph.node(id).operator, &types, graph.ty(id))
}

/// Decides which operators join their user.
struct Absorption<'g> {
    graph: &'g Graph,
    uses: BTreeMap<NodeId, usize>,
    updates: Updates,
}

impl<'g> Absorption<'g> {
    fn new(graph: &'g Graph, updates: Updates) -> Self {
        let mut uses: BTreeMap<NodeId, usize> = BTreeMap::new();
        for id in graph.ids() {
            for input in graph.inputs(id) {
                *uses.entry(input).or_default() += 1;
            }
        }
        let outside = graph
            .outputs()
            .iter()
            .map(|(_, id)| *id)
            .chain(graph.updates().iter().map(|update| update.value));
        for id in outside {
            *uses.entry(id).or_default() += 1;
        }
        Self { graph, uses, updates }
    }

    /// All operators that join their only user.
    fn decide(&self) -> BTreeSet<NodeId> {
        let mut absorbed = BTreeSet::new();
        // The root of the cluster that a node is in, filled from the end so that users come before their inputs.
        let mut root_of: BTreeMap<NodeId, NodeId> = BTreeMap::new();
        let mut has_contraction: BTreeSet<NodeId> = BTreeSet::new();
        let mut bars_contraction: BTreeSet<NodeId> = BTreeSet::new();
        for user in self.graph.topological().into_iter().rev() {
            let root = *root_of.entry(user).or_insert(user);
            let Some(rule) = describe(self.graph, user) else {
                continue;
            };
            if rule.divisor != Divisor::One
                || rule.reads.iter().any(|(_, spread)| *spread == Spread::Sample)
                || draws_randomly(&rule.body)
            {
                bars_contraction.insert(root);
            }
            let inputs = self.graph.inputs(user);
            let candidates = rule.reads.iter().filter_map(|(source, spread)| match source {
                Source::Slot(slot) if *spread == Spread::Full => Some(inputs[*slot]),
                _ => None,
            });
            for input in candidates {
                if self.is_state_of(input, user) && !has_contraction.contains(&root) {
                    bars_contraction.insert(root);
                    absorbed.insert(input);
                    root_of.insert(input, root);
                    continue;
                }
                if !self.may_join(input, user) {
                    continue;
                }
                let joins = if is_contraction(&self.graph.node(input).operator) {
                    !bars_contraction.contains(&root) && has_contraction.insert(root)
                } else {
                    describe(self.graph, input)
                        .is_some_and(|inner| inner.divisor == Divisor::One && self.fits(&inner, root, &has_contraction))
                };
                if joins {
                    absorbed.insert(input);
                    root_of.insert(input, root);
                }
            }
        }
        absorbed
    }

    /// The pools that can be the end of a convolution's step, with what they pool: they are its only reader, and lie as
    /// it does.
    fn pools(&self, absorbed: &BTreeSet<NodeId>) -> BTreeMap<NodeId, (NodeId, Pooled)> {
        let ends = |pool: NodeId| {
            let pooled = pooled(self.graph, pool)?;
            let input = self.graph.inputs(pool)[0];
            let alone = self.uses.get(&input) == Some(&1);
            let alike = chosen_layout(self.graph, input) == chosen_layout(self.graph, pool);
            let convolves = match &self.graph.node(self.start(input, absorbed)).operator {
                Operator::Conv(_) => true,
                Operator::WinogradConv(rule) => holds_windows(rule, pooled),
                _ => false,
            };
            (alone && alike && convolves).then_some((pool, (input, pooled)))
        };
        self.graph.ids().filter_map(ends).collect()
    }

    /// The contraction in the cluster that ends in a node, or the node itself if there is none.
    fn start(&self, end: NodeId, absorbed: &BTreeSet<NodeId>) -> NodeId {
        let mut pending = vec![end];
        while let Some(id) = pending.pop() {
            if is_contraction(&self.graph.node(id).operator) {
                return id;
            }
            let inputs = self.graph.inputs(id).into_iter();
            pending.extend(inputs.filter(|input| absorbed.contains(input)));
        }
        end
    }

    fn may_join(&self, input: NodeId, user: NodeId) -> bool {
        self.uses.get(&input) == Some(&1) && self.graph.ty(input) == self.graph.ty(user)
    }

    /// Whether one node gives the next value of an optimizer's state, which the other, a parameter's step, alone reads.
    fn is_state_of(&self, input: NodeId, user: NodeId) -> bool {
        let graph = self.graph;
        let (Updates::Together, Some(state)) = (self.updates, parameter_of(graph, input)) else {
            return false;
        };
        let inner =
            describe(graph, input).filter(|inner| inner.divisor == Divisor::One && !draws_randomly(&inner.body));
        let reads_itself = inner.is_some_and(|inner| {
            let inputs = graph.inputs(input);
            let is_state = |source: &Source| matches!(source, Source::Slot(slot) if inputs[*slot] == state);
            inner
                .reads
                .iter()
                .any(|(source, spread)| *spread == Spread::Full && is_state(source))
        });
        // Two uses: the step and the update.
        reads_itself
            && parameter_of(graph, user).is_some()
            && self.uses.get(&input) == Some(&2)
            && graph.users(input) == [user]
            && graph.ty(input) == graph.ty(user)
    }

    /// An epilogue takes no per-sample reads and no random numbers.
    fn fits(&self, inner: &ElementWise, root: NodeId, has_contraction: &BTreeSet<NodeId>) -> bool {
        !has_contraction.contains(&root)
            || !(inner.reads.iter().any(|(_, spread)| *spread == Spread::Sample) || draws_randomly(&inner.body))
    }
}

fn draws_randomly(body: &Expression) -> bool {
    body.instructions
        .iter()
        .any(|instruction| matches!(instruction, Instruction::Keep { .. }))
}

/// Puts one cluster's expression together.
struct Assembly<'a> {
    graph: &'a Graph,
    absorbed: &'a BTreeSet<NodeId>,
    pool: Option<(NodeId, Pooled)>,
    members: Vec<NodeId>,
    contraction: Option<NodeId>,
    reads: Vec<(ClusterRead, Spread)>,
    body: Expression,
    next_values: Vec<(Value, NodeId)>,
}

impl Assembly<'_> {
    /// The cluster whose element-wise part ends in `last`: the root, or what is pooled.
    fn finish(mut self, last: NodeId) -> Cluster {
        let root = self.members[0];
        if last != root {
            self.members.push(last);
        }
        let Some(rule) = describe(self.graph, last) else {
            // A contraction on its own hands its sums on unchanged.
            let alone = is_contraction(&self.graph.node(last).operator);
            let body = ClusterBody {
                reads: Vec::new(),
                body: Expression::identity(),
                divisor: Divisor::One,
                next_values: Vec::new(),
            };
            return Cluster {
                root,
                members: self.members,
                contraction: alone.then_some(last),
                element_wise: alone.then_some(body),
                pool: self.pool,
            };
        };
        self.contraction = self.find_contraction(last);
        self.inline(last, &rule);
        let element_wise = ClusterBody {
            reads: self.reads,
            body: self.body,
            divisor: rule.divisor,
            next_values: self.next_values,
        };
        Cluster {
            root,
            members: self.members,
            contraction: self.contraction,
            element_wise: Some(element_wise),
            pool: self.pool,
        }
    }

    /// The contraction must be known before reads are numbered, as it takes number 0.
    fn find_contraction(&self, id: NodeId) -> Option<NodeId> {
        if is_contraction(&self.graph.node(id).operator) {
            return Some(id);
        }
        self.graph
            .inputs(id)
            .into_iter()
            .filter(|input| self.absorbed.contains(input) && self.joins(*input, id))
            .find_map(|input| self.find_contraction(input))
    }

    /// An absorbed node joined its only user.
    fn joins(&self, input: NodeId, user: NodeId) -> bool {
        self.graph.users(input) == [user]
    }

    fn inline(&mut self, id: NodeId, rule: &ElementWise) -> Value {
        let inputs = self.graph.inputs(id);
        let operands: Vec<Option<Value>> = rule
            .reads
            .iter()
            .map(|(source, spread)| self.operand(source, *spread, &inputs))
            .collect();
        let mut renamed: Vec<Value> = Vec::with_capacity(rule.body.instructions.len());
        for instruction in &rule.body.instructions {
            let value = match *instruction {
                Instruction::Read(read) => operands[read].expect("a key is not read as a number"),
                Instruction::Keep { key, salt, threshold } => {
                    let (source, spread) = &rule.reads[key];
                    let key = self.read(source, *spread, &inputs);
                    self.body.push(Instruction::Keep { key, salt, threshold })
                }
                other => self.body.push(renumber(other, &renamed)),
            };
            renamed.push(value);
        }
        *renamed.last().expect("an expression has a result")
    }

    /// The value of one of the rule's reads: an absorbed operator's result, the contraction's sum, or a read from memory.
    fn operand(&mut self, source: &Source, spread: Spread, inputs: &[NodeId]) -> Option<Value> {
        if let Source::Slot(slot) = source {
            let input = inputs[*slot];
            if self.graph.ty(input).dtype == netc_runtime::DType::I32 {
                return None;
            }
            if self.absorbed.contains(&input) && spread == Spread::Full {
                self.members.push(input);
                if is_contraction(&self.graph.node(input).operator) {
                    return Some(self.body.push(Instruction::Read(0)));
                }
                let rule =
                    describe(self.graph, input).expect("only element-wise operators and contractions are absorbed");
                let value = self.inline(input, &rule);
                if parameter_of(self.graph, input).is_some() {
                    self.next_values.push((value, input));
                }
                return Some(value);
            }
        }
        let read = self.read(source, spread, inputs);
        Some(self.body.push(Instruction::Read(read)))
    }

    /// Index of a read from memory, shared by equal ones.
    fn read(&mut self, source: &Source, spread: Spread, inputs: &[NodeId]) -> usize {
        let read = match source {
            Source::Slot(slot) => ClusterRead::Node(inputs[*slot]),
            Source::Channels { slots, body } => ClusterRead::Channels {
                nodes: slots.iter().map(|slot| inputs[*slot]).collect(),
                body: body.clone(),
            },
        };
        let first = usize::from(self.contraction.is_some());
        let entry = (read, spread);
        let index = self.reads.iter().position(|known| *known == entry).unwrap_or_else(|| {
            self.reads.push(entry);
            self.reads.len() - 1
        });
        first + index
    }
}

fn renumber(instruction: Instruction, names: &[Value]) -> Instruction {
    match instruction {
        Instruction::Read(_) | Instruction::Keep { .. } => unreachable!("reads are resolved by the caller"),
        Instruction::Constant(number) => Instruction::Constant(number),
        Instruction::Add(a, b) => Instruction::Add(names[a], names[b]),
        Instruction::Subtract(a, b) => Instruction::Subtract(names[a], names[b]),
        Instruction::Multiply(a, b) => Instruction::Multiply(names[a], names[b]),
        Instruction::Divide(a, b) => Instruction::Divide(names[a], names[b]),
        Instruction::MultiplyAdd(a, b, c) => Instruction::MultiplyAdd(names[a], names[b], names[c]),
        Instruction::Maximum(a, b) => Instruction::Maximum(names[a], names[b]),
        Instruction::Minimum(a, b) => Instruction::Minimum(names[a], names[b]),
        Instruction::SelectPositive(a, b, c) => Instruction::SelectPositive(names[a], names[b], names[c]),
        Instruction::SquareRoot(a) => Instruction::SquareRoot(names[a]),
        Instruction::Exponential(a) => Instruction::Exponential(names[a]),
        Instruction::Logarithm(a) => Instruction::Logarithm(names[a]),
        Instruction::Tanh(a) => Instruction::Tanh(names[a]),
        Instruction::Erf(a) => Instruction::Erf(names[a]),
        Instruction::Sigmoid(a) => Instruction::Sigmoid(names[a]),
    }
}

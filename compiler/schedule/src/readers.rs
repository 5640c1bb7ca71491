//! Who reads what: how wide a halo each value needs, which operators can wait until somebody asks, and which kernels may
//! write over their input.

use std::collections::{BTreeMap, BTreeSet};

use netc_graph::{Graph, Layout, NodeId, Operator};

use crate::cluster::{Cluster, ClusterRead, describe};
use crate::element_wise::Source;
use crate::geometry::{Halo, axes, backward_phases, forward_taps, two_dimensional};
use crate::kernel::{Spread, Stride};
use crate::parts::Parts;
use crate::planner::chosen_layout;

/// What is known about readers once the order is fixed.
pub(crate) struct Readers {
    halos: BTreeMap<NodeId, Halo>,
    deferred: BTreeSet<NodeId>,
    pointwise: BTreeSet<NodeId>,
    /// Input gradients that are made window by window.
    windows: BTreeSet<NodeId>,
    /// For a cluster's position, the node whose memory it takes over.
    overwritten: BTreeMap<usize, NodeId>,
    parts: Parts,
}

impl Readers {
    /// `early` are the nodes that the prologue makes.
    pub(crate) fn new(graph: &Graph, clusters: &[Cluster], early: &BTreeSet<NodeId>) -> Self {
        let is_pointwise = |cluster: &&Cluster| cluster.element_wise.is_some() && cluster.contraction.is_none();
        let pointwise = clusters
            .iter()
            .filter(is_pointwise)
            .map(|cluster| cluster.root)
            .collect();
        let deferred = clusters
            .iter()
            .map(|cluster| cluster.root)
            .filter(|&root| may_wait(graph, root))
            .collect();
        // A gradient that is finished by an epilogue is a contraction, which takes one.
        let windows = clusters
            .iter()
            .map(|cluster| cluster.root)
            .filter(|&root| adds_windows(graph, root))
            .collect();
        let mut readers = Self {
            halos: BTreeMap::new(),
            deferred,
            pointwise,
            windows,
            overwritten: BTreeMap::new(),
            parts: Parts::new(graph, clusters, early),
        };
        readers.find_overwritten(graph, clusters, early);
        readers.find_halos(graph, clusters);
        readers
    }

    /// How wide a halo of zeros the value's readers need around it.
    pub(crate) fn halo(&self, id: NodeId) -> Halo {
        self.halos.get(&id).copied().unwrap_or_default()
    }

    /// Whether the node moves no data by itself and is made when somebody asks for it.
    pub(crate) fn is_deferred(&self, id: NodeId) -> bool {
        self.deferred.contains(&id)
    }

    /// Whether the node is made by a pointwise kernel.
    pub(crate) fn is_pointwise(&self, id: NodeId) -> bool {
        self.pointwise.contains(&id)
    }

    /// Whether the node is an input gradient that is made window by window, which needs no halo.
    pub(crate) fn adds_windows(&self, id: NodeId) -> bool {
        self.windows.contains(&id)
    }

    /// The node whose memory the cluster at this position takes over.
    pub(crate) fn overwritten(&self, position: usize) -> Option<NodeId> {
        self.overwritten.get(&position).copied()
    }

    /// The concatenation that the node is made in, and its first channel there.
    pub(crate) fn place(&self, id: NodeId) -> Option<(NodeId, usize)> {
        self.parts.place(id)
    }

    /// Whether parts of the node are made in its memory.
    pub(crate) fn is_made_of_parts(&self, id: NodeId) -> bool {
        !self.parts.of(id).is_empty()
    }

    /// A pointwise kernel writes over a full read that lies in memory of its own and that nobody reads later.
    fn find_overwritten(&mut self, graph: &Graph, clusters: &[Cluster], early: &BTreeSet<NodeId>) {
        let mut last_reader: BTreeMap<NodeId, usize> = BTreeMap::new();
        // The whole prologue comes before any run: what it makes for runs to read dies neither there nor in a run.
        let mut outlives_runs: BTreeSet<NodeId> = BTreeSet::new();
        for (position, cluster) in clusters.iter().enumerate() {
            for input in cluster.members.iter().flat_map(|&member| graph.inputs(member)) {
                last_reader.insert(input, position);
                if early.contains(&input) && !early.contains(&cluster.root) {
                    outlives_runs.insert(input);
                }
            }
        }
        let kept: BTreeSet<NodeId> = graph
            .outputs()
            .iter()
            .map(|(_, id)| *id)
            .chain(graph.updates().iter().map(|update| update.value))
            .collect();
        for (position, cluster) in clusters.iter().enumerate() {
            let Some(body) = cluster.element_wise.as_ref().filter(|_| cluster.contraction.is_none()) else {
                continue;
            };
            let dies_here = |id: &NodeId| {
                last_reader.get(id) == Some(&position)
                    && !outlives_runs.contains(id)
                    && !kept.contains(id)
                    && !is_leaf(&graph.node(*id).operator)
                    && !self.deferred.contains(id)
                    // Memory that is part of a larger value's, or has others' parts, is not the value's own.
                    && self.parts.place(*id).is_none()
                    && self.parts.of(*id).is_empty()
                    && !graph.users(*id).iter().any(|user| self.deferred.contains(user))
                    && graph.ty(*id) == graph.ty(cluster.root)
                    && chosen_layout(graph, *id) == chosen_layout(graph, cluster.root)
            };
            let full = body.reads.iter().filter_map(|(read, spread)| match read {
                ClusterRead::Node(id) if *spread == Spread::Full => Some(*id),
                _ => None,
            });
            // Outputs, updated parameters and parts have a place of their own.
            if kept.contains(&cluster.root) || self.parts.place(cluster.root).is_some() {
                continue;
            }
            if let Some(dying) = full.into_iter().find(dies_here) {
                self.overwritten.insert(position, dying);
            }
        }
    }

    fn find_halos(&mut self, graph: &Graph, clusters: &[Cluster]) {
        for id in graph.ids().filter(|id| !self.windows.contains(id)).collect::<Vec<_>>() {
            for (input, halo) in halos_of_inputs(graph, id) {
                let known = self.halo(input);
                self.halos.insert(input, known.union(halo));
            }
        }
        // What reads a dropout reads its input.
        for id in graph.topological().into_iter().rev() {
            if matches!(graph.node(id).operator, Operator::Dropout(_)) {
                let input = graph.inputs(id)[0];
                self.halos.insert(input, self.halo(input).union(self.halo(id)));
            }
        }
        // Two values that share memory share its halo; from the last to the first, so that chains agree.
        for (&position, &dying) in self.overwritten.iter().rev() {
            let halo = self.halo(dying).union(self.halo(clusters[position].root));
            self.halos.insert(dying, halo);
        }
        // So do a whole and its parts, which come first.
        for whole in clusters.iter().map(|cluster| cluster.root) {
            let parts = self.parts.of(whole).iter();
            let halo = parts.fold(self.halo(whole), |halo, &part| halo.union(self.halo(part)));
            self.halos.insert(whole, halo);
        }
    }
}

fn is_leaf(operator: &Operator) -> bool {
    matches!(
        operator,
        Operator::Input(_) | Operator::Parameter(_) | Operator::Constant(_)
    )
}

fn may_wait(graph: &Graph, id: NodeId) -> bool {
    match graph.node(id).operator {
        Operator::Reshape(_) | Operator::Dropout(_) => true,
        Operator::Expand(_) => is_read_repeatedly(graph, id),
        _ => false,
    }
}

/// Whether a repeated value need not be written down, because only element-wise kernels read it: they can read the
/// original again and again.
fn is_read_repeatedly(graph: &Graph, id: NodeId) -> bool {
    let is_output = graph.outputs().iter().any(|(_, output)| *output == id);
    let users = graph.users(id);
    let reads_elements = |&user: &NodeId| {
        let inputs = graph.inputs(user);
        describe(graph, user).is_some_and(|rule| {
            let repeats = |(slot, &input): (usize, &NodeId)| {
                input != id || rule.reads.contains(&(Source::Slot(slot), Spread::Full))
            };
            inputs.iter().enumerate().all(repeats)
        })
    };
    // A value of more axes is a flat vector, which has no axis to repeat along.
    graph.ty(id).shape.rank() <= 3 && !is_output && !users.is_empty() && users.iter().all(reads_elements)
}

/// Whether a convolution's input gradient is better made window by window: there are so few input channels that they
/// would leave most lanes of a vector empty, and windows lie inside the input without gaps.
fn adds_windows(graph: &Graph, id: NodeId) -> bool {
    /// Half of the widest vectors. With so many channels, a contraction in narrower vectors loses little more than the
    /// products with its halo of zeros.
    const FEW_CHANNELS: usize = 8;
    let Operator::ConvGradInput(rule) = &graph.node(id).operator else {
        return false;
    };
    let window = two_dimensional(&rule.window);
    let channels = axes(&graph.ty(id).shape).channel;
    let inside = [window.pad_before, window.pad_after] == [[0; 2]; 2] && window.dilation == [1; 2];
    let lies_last = channels == 1 || chosen_layout(graph, id) != Some(Layout::ChannelsFirst);
    rule.groups == 1 && channels <= FEW_CHANNELS && window.kernel[1] > 1 && inside && lies_last
}

/// The halos that an operator needs around its inputs.
fn halos_of_inputs(graph: &Graph, id: NodeId) -> Vec<(NodeId, Halo)> {
    let inputs = graph.inputs(id);
    let extents = |node: NodeId| axes(&graph.ty(node).shape);
    let stride_of = |window: &crate::kernel::PoolWindow| Stride {
        row: window.stride[0],
        column: window.stride[1],
    };
    match &graph.node(id).operator {
        Operator::Conv(rule) => {
            let window = two_dimensional(&rule.window);
            let (source, result) = (extents(inputs[0]), extents(id));
            vec![(
                inputs[0],
                Halo::of_taps(
                    &forward_taps(&window).taps,
                    stride_of(&window),
                    source,
                    [result.row, result.column],
                ),
            )]
        }
        Operator::WinogradConv(rule) => {
            vec![(inputs[0], crate::winograd::halo(rule, extents(inputs[0]), extents(id)))]
        }
        Operator::ConvGradWeight(rule) => {
            let window = two_dimensional(&rule.window);
            let (source, gradient) = (extents(inputs[0]), extents(inputs[1]));
            vec![(
                inputs[0],
                Halo::of_taps(
                    &forward_taps(&window).taps,
                    stride_of(&window),
                    source,
                    [gradient.row, gradient.column],
                ),
            )]
        }
        Operator::ConvGradInput(rule) => {
            let window = two_dimensional(&rule.window);
            let (gradient, result) = (extents(inputs[0]), extents(id));
            let one = Stride { row: 1, column: 1 };
            let halo = backward_phases(&window).iter().fold(Halo::default(), |halo, phase| {
                let rows = phase_extent(result.row, phase.row, window.stride[0]);
                let columns = phase_extent(result.column, phase.column, window.stride[1]);
                if rows * columns == 0 {
                    halo
                } else {
                    halo.union(Halo::of_taps(&phase.taps.taps, one, gradient, [rows, columns]))
                }
            });
            vec![(inputs[0], halo)]
        }
        _ => Vec::new(),
    }
}

/// How many of `extent` positions lie at `first + t · stride`.
pub(crate) fn phase_extent(extent: usize, first: usize, stride: usize) -> usize {
    extent.saturating_sub(first).div_ceil(stride)
}

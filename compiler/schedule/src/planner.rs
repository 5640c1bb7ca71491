//! Walks the clusters in order and writes the plan: where each value lies, and which kernel makes it.
//!
//! Layout policy. Activations lie as the rewriter chose for their node; where it chose nothing, channels last, so that a
//! convolution is a batch-reduce matrix product without rearranging its input. They carry a halo of zeros as wide as
//! their widest reader needs, so that no kernel handles borders. What the caller gives and gets, and everything that
//! exists once, lies dense and channels first. Aliases (dropout at inference, reshapes that move nothing) are views of
//! the same bytes; other reshapes are made when somebody needs them as such.

use std::collections::{BTreeMap, BTreeSet};

use netc_graph::operators::parameter::Role;
use netc_graph::{Graph, Layout, NodeId, Operator, Type};
use netc_runtime::{DType, Tensor};

use crate::cluster::{Cluster, ClusterBody, ClusterRead, parameter_of};
use crate::expression::{Expression, Value};
use crate::geometry::{Halo, axes, channels_first};
use crate::kernel::{Divisor, Kernel, PackWeights, Pointwise, Replacement, Spread};
use crate::machine::Machine;
use crate::memory::{self, round_up};
use crate::order::{Order, order};
use crate::plan::{Buffer, ParameterSlot, Place, Plan, Port, Step};
use crate::readers::Readers;
use crate::strided::repeated;
use crate::view::{Axes, BufferId, View};

/// Plans a verified graph for a machine. The same graph and machine always give the same plan.
///
/// # Panics
/// If the graph breaks its own invariants (our bug: verify it first).
#[must_use]
pub fn plan(graph: &Graph, machine: &Machine) -> Plan {
    let Order {
        clusters,
        in_place_updates,
    } = order(graph);
    let known_early = known_early(graph);
    let readers = Readers::new(graph, &clusters, &known_early);
    let mut planner = Planner {
        graph,
        machine,
        readers,
        plan: Plan {
            name: graph.name().to_owned(),
            ..Plan::default()
        },
        values: BTreeMap::new(),
        halos: BTreeMap::new(),
        packed: Vec::new(),
        channel_vectors: Vec::new(),
        rearranged: BTreeMap::new(),
        known_early,
        in_place_updates,
        name: String::new(),
    };
    planner.bind_leaves();
    for (position, cluster) in clusters.iter().enumerate() {
        planner.emit(position, cluster);
    }
    planner.finish()
}

/// Nodes whose value follows from constants and from parameters that no run changes.
fn known_early(graph: &Graph) -> BTreeSet<NodeId> {
    let updated: BTreeSet<NodeId> = graph.updates().iter().map(|update| update.parameter).collect();
    let mut known = BTreeSet::new();
    for id in graph.topological() {
        let early = match graph.node(id).operator {
            Operator::Input(_) => false,
            Operator::Parameter(_) => !updated.contains(&id),
            Operator::Constant(_) => true,
            // What is spread over a batch has as many parts as a run has samples, which only a run knows.
            _ => !graph.ty(id).batched && graph.inputs(id).iter().all(|input| known.contains(input)),
        };
        if early {
            known.insert(id);
        }
    }
    known
}

/// A plan being written.
pub(crate) struct Planner<'g> {
    pub(crate) graph: &'g Graph,
    pub(crate) machine: &'g Machine,
    readers: Readers,
    plan: Plan,
    values: BTreeMap<NodeId, View>,
    /// How wide a halo of zeros each value's buffer has.
    halos: BTreeMap<NodeId, Halo>,
    packed: Vec<(View, PackWeights, View)>,
    channel_vectors: Vec<(Vec<NodeId>, Expression, View)>,
    /// Copies of values, channels last and with a halo, for contractions that cannot read the original.
    rearranged: BTreeMap<NodeId, View>,
    pub(crate) known_early: BTreeSet<NodeId>,
    in_place_updates: bool,
    /// Layer that steps are being written for.
    name: String,
}

impl Planner<'_> {
    fn bind_leaves(&mut self) {
        for id in self.graph.ids() {
            let node = self.graph.node(id);
            let place = match &node.operator {
                Operator::Input(_) => Place::Input(self.plan.inputs.len()),
                Operator::Parameter(_) => Place::Parameter(self.plan.parameters.len()),
                Operator::Constant(rule) => {
                    self.plan.constants.push(rule.value.clone());
                    Place::Constant(self.plan.constants.len() - 1)
                }
                _ => continue,
            };
            let view = self.dense(&node.ty, place);
            match &node.operator {
                Operator::Input(_) => {
                    self.plan.inputs.push(Port {
                        name: node.name.clone(),
                        view: view.clone(),
                        shape: node.ty.shape.clone(),
                    });
                }
                Operator::Parameter(rule) => self.plan.parameters.push(ParameterSlot {
                    name: node.name.clone(),
                    shape: rule.shape.clone(),
                    init: rule.init,
                    in_model: rule.role != Role::State,
                    updated: self.graph.updates().iter().any(|update| update.parameter == id),
                }),
                _ => {}
            }
            self.values.insert(id, view);
        }
        for (name, id) in self.graph.outputs() {
            let ty = self.graph.ty(*id);
            let view = self.dense(ty, Place::Output(self.plan.outputs.len()));
            self.plan.outputs.push(Port {
                name: name.clone(),
                view,
                shape: ty.shape.clone(),
            });
        }
    }

    fn emit(&mut self, position: usize, cluster: &Cluster) {
        self.name = cluster.name(self.graph);
        if self.readers.adds_windows(cluster.root) {
            self.emit_windows(position, cluster.root);
        } else if cluster.element_wise.is_some() {
            match cluster.contraction {
                Some(contraction) => self.emit_contraction(position, cluster, contraction),
                None => self.emit_pointwise(position, cluster),
            }
        } else if self.readers.is_deferred(cluster.root) {
            // Made when a reader asks for it, if any does.
        } else {
            self.emit_operator(position, cluster.root);
        }
    }

    fn emit_pointwise(&mut self, position: usize, cluster: &Cluster) {
        let body = cluster.element_wise.as_ref().expect("the caller checked");
        let reads: Vec<View> = body.reads.iter().map(|(read, _)| self.read(read)).collect();
        let write = self.destination(position, cluster.root);
        let spreads = body.reads.iter().map(|(_, spread)| *spread).collect();
        let kernel = Pointwise {
            spreads,
            body: body.body.clone(),
            divisor: body.divisor,
            replaces: self.replacements(body),
        };
        self.step(cluster.root, Kernel::Pointwise(kernel), reads, write);
    }

    /// The parameters beside its result that a kernel gives next values of, and reads, in place.
    fn replacements(&mut self, body: &ClusterBody) -> Vec<Replacement> {
        let one = |&(value, next): &(Value, NodeId)| {
            let parameter =
                parameter_of(self.graph, next).expect("only next values of parameters are given on the way");
            let view = self.overwrite(parameter);
            self.values.insert(next, view);
            let is_parameter = |(read, _): &(ClusterRead, Spread)| *read == ClusterRead::Node(parameter);
            let read = body.reads.iter().position(is_parameter);
            Replacement {
                read: read.expect("a next value is made of the one before"),
                value,
            }
        };
        body.next_values.iter().map(one).collect()
    }

    /// The view of something a cluster reads.
    pub(crate) fn read(&mut self, read: &ClusterRead) -> View {
        match read {
            ClusterRead::Node(id) => self.view(*id),
            ClusterRead::Channels { nodes, body } => self.channel_vector(nodes, body),
        }
    }

    /// A vector with one number a channel, worked out once however many kernels read it.
    pub(crate) fn channel_vector(&mut self, nodes: &[NodeId], body: &Expression) -> View {
        if let Some((.., view)) = self.channel_vectors.iter().find(|(n, b, _)| n == nodes && b == body) {
            return view.clone();
        }
        let reads: Vec<View> = nodes.iter().map(|&node| self.view(node)).collect();
        let early = nodes.iter().all(|node| self.known_early.contains(node));
        let write = self.temporary(&self.graph.ty(nodes[0]).clone(), early);
        let kernel = Pointwise {
            spreads: vec![Spread::Full; reads.len()],
            body: body.clone(),
            divisor: Divisor::One,
            replaces: Vec::new(),
        };
        self.push(early, Kernel::Pointwise(kernel), reads, write.clone(), 0);
        self.channel_vectors.push((nodes.to_vec(), body.clone(), write.clone()));
        write
    }

    /// The view of a node's value, making it now if it was deferred.
    pub(crate) fn view(&mut self, id: NodeId) -> View {
        if let Some(view) = self.values.get(&id) {
            return view.clone();
        }
        assert!(
            self.readers.is_deferred(id),
            "`{}` is read before it is made",
            self.graph.node(id).name
        );
        let view = self.make_deferred(id);
        self.values.insert(id, view.clone());
        view
    }

    /// Dropout at inference, what is repeated, and reshapes: another view of the same bytes if they allow it, else a copy.
    fn make_deferred(&mut self, id: NodeId) -> View {
        let source = self.view(self.graph.inputs(id)[0]);
        let ty = self.graph.ty(id).clone();
        match &self.graph.node(id).operator {
            Operator::Dropout(_) => {
                let halo = self.halos.get(&self.graph.inputs(id)[0]).copied().unwrap_or_default();
                self.halos.insert(id, halo);
                return source;
            }
            Operator::Expand(rule) => {
                let from = &self.graph.ty(self.graph.inputs(id)[0]).shape;
                return repeated(&source, from, rule);
            }
            _ => {}
        }
        let extents = axes(&ty.shape);
        let keeps_order = is_dense_channels_first(&source);
        // Only a vector, or a single channel, lies the same channels first and last.
        if keeps_order && (extents.channel == 1 || extents.row * extents.column == 1) {
            return View {
                extents,
                strides: channels_first(extents),
                ..source
            };
        }
        let halo = self.readers.halo(id);
        let early = self.known_early.contains(&id);
        let write = self.allocate(&ty, self.layout(id), halo, early);
        self.halos.insert(id, halo);
        self.zero_halo(early, &write, halo);
        self.push(early, Kernel::Reshape, vec![source], write.clone(), 0);
        write
    }

    /// A value as contractions read it: in the layout that was chosen, else with channels next to each other; and zeros as
    /// far around as the taps reach.
    pub(crate) fn contraction_source(&mut self, id: NodeId) -> View {
        let needed = self.readers.halo(id);
        let view = self.view(id);
        let there = self.halos.get(&id).copied().unwrap_or_default();
        let channels_adjoin = view.strides.channel == 1 || view.extents.channel == 1;
        let lies_well = channels_adjoin || chosen_layout(self.graph, id).is_some();
        if lies_well && there.covers(needed) {
            return view;
        }
        if let Some(copy) = self.rearranged.get(&id) {
            return copy.clone();
        }
        let early = self.known_early.contains(&id);
        let copy = self.allocate(&self.graph.ty(id).clone(), self.layout(id), needed, early);
        self.zero_halo(early, &copy, needed);
        self.push(early, Kernel::Copy, vec![view], copy.clone(), 0);
        self.rearranged.insert(id, copy.clone());
        copy
    }

    /// Whether a node's value follows from what is there when parameters are bound.
    pub(crate) fn is_known_early(&self, id: NodeId) -> bool {
        self.known_early.contains(&id)
    }

    /// Weights packed for a contraction, once however many contractions read them.
    pub(crate) fn packed(&mut self, id: NodeId, pack: &PackWeights) -> View {
        let source = self.view(id);
        if let Some((.., view)) = self.packed.iter().find(|(s, p, _)| *s == source && p == pack) {
            return view.clone();
        }
        let early = self.known_early.contains(&id);
        let ty = Type::fixed(DType::F32, [pack.packed_count()]);
        let write = self.temporary(&ty, early);
        self.push(
            early,
            Kernel::PackWeights(pack.clone()),
            vec![source.clone()],
            write.clone(),
            0,
        );
        self.packed.push((source, pack.clone(), write.clone()));
        write
    }

    /// Where a node's value goes: into the caller's output, over an updated parameter, over a dying input, or into the arena.
    pub(crate) fn destination(&mut self, position: usize, id: NodeId) -> View {
        if self.readers.place(id).is_some() || self.readers.is_made_of_parts(id) {
            return self.placed(id);
        }
        let view = if let Some(output) = self.output_for(id, self.readers.halo(id)) {
            output
        } else if let Some(parameter) = self.updated_parameter(id) {
            self.overwrite(parameter)
        } else if let Some(dying) = self.readers.overwritten(position) {
            self.halos
                .insert(id, self.halos.get(&dying).copied().unwrap_or_default());
            self.overwrite(dying)
        } else {
            self.own_memory(id)
        };
        self.values.insert(id, view.clone());
        view
    }

    /// Memory of the arena, with zeros around it.
    fn own_memory(&mut self, id: NodeId) -> View {
        let halo = self.readers.halo(id);
        let early = self.known_early.contains(&id);
        let view = self.allocate(&self.graph.ty(id).clone(), self.layout(id), halo, early);
        self.halos.insert(id, halo);
        self.zero_halo(early, &view, halo);
        view
    }

    /// Where a value lies that is a part of a concatenation, or is one with parts: memory is there for the outermost
    /// as soon as the first part of it is made.
    fn placed(&mut self, id: NodeId) -> View {
        let mut chain = vec![id];
        let mut whole = id;
        while let (None, Some((outer, _))) = (self.values.get(&whole), self.readers.place(whole)) {
            chain.push(outer);
            whole = outer;
        }
        let known = self.values.get(&whole).cloned();
        let known = known.or_else(|| self.output_for(whole, self.readers.halo(whole)));
        let mut view = known.unwrap_or_else(|| self.own_memory(whole));
        let halo = self.halos.get(&whole).copied().unwrap_or_default();
        for node in chain.into_iter().rev() {
            if let (None, Some((_, first))) = (self.values.get(&node), self.readers.place(node)) {
                view.offset += first * view.strides.channel;
                view.extents = axes(&self.graph.ty(node).shape);
                self.halos.insert(node, halo);
            }
            self.values.insert(node, view.clone());
        }
        view
    }

    /// The view of a value whose memory another value takes over. What was packed from it is not what will lie there.
    fn overwrite(&mut self, dying: NodeId) -> View {
        let view = self.values[&dying].clone();
        self.packed.retain(|(source, ..)| source.buffer != view.buffer);
        view
    }

    /// The output port that this value can be written to as it is.
    fn output_for(&self, id: NodeId, halo: Halo) -> Option<View> {
        let index = self.graph.outputs().iter().position(|(_, output)| *output == id)?;
        let view = &self.plan.outputs[index].view;
        let flat = view.extents.channel == 1 || view.extents.row * view.extents.column == 1;
        let as_given = flat || self.layout(id) == Layout::ChannelsFirst;
        (as_given && halo.is_none() && !self.known_early.contains(&id)).then(|| view.clone())
    }

    /// The parameter that this node is the next value of, if it can be written in place.
    fn updated_parameter(&self, id: NodeId) -> Option<NodeId> {
        if !self.in_place_updates || !self.readers.is_pointwise(id) {
            return None;
        }
        parameter_of(self.graph, id)
    }

    /// Memory for a value, in this layout and with a halo if it is an activation.
    fn allocate(&mut self, ty: &Type, layout: Layout, halo: Halo, early: bool) -> View {
        if !ty.batched {
            return self.temporary(ty, early);
        }
        let extents = axes(&ty.shape);
        let [rows, columns] = [
            halo.before[0] + extents.row + halo.after[0],
            halo.before[1] + extents.column + halo.after[1],
        ];
        let strides = match layout {
            Layout::ChannelsFirst => Axes {
                channel: rows * columns,
                row: columns,
                column: 1,
            },
            Layout::ChannelsLast => Axes {
                channel: 1,
                row: columns * extents.channel,
                column: extents.channel,
            },
        };
        let sample_stride = extents.channel * rows * columns;
        let buffer = self.buffer(
            sample_stride * ty.dtype.size_bytes(),
            Place::Batched { offset_bytes: 0 },
        );
        View {
            buffer,
            dtype: ty.dtype,
            offset: halo.before[0] * strides.row + halo.before[1] * strides.column,
            extents,
            strides,
            sample_stride,
        }
    }

    /// How a node's value is to lie.
    fn layout(&self, id: NodeId) -> Layout {
        chosen_layout(self.graph, id).unwrap_or(Layout::ChannelsLast)
    }

    /// A vector that the plan itself brings along.
    pub(crate) fn constant_vector(&mut self, value: Tensor) -> View {
        let ty = Type::fixed(value.dtype(), value.shape().clone());
        let place = Place::Constant(self.plan.constants.len());
        self.plan.constants.push(value);
        self.dense(&ty, place)
    }

    /// Memory for a value that exists once and is read by nothing but the next steps, which come as early as it does.
    pub(crate) fn passing(&mut self, ty: &Type) -> View {
        self.dense(ty, Place::Fixed { offset_bytes: 0 })
    }

    /// Memory for a dense, channels-first value: in the arena, or prepared if it is known when parameters are bound.
    pub(crate) fn temporary(&mut self, ty: &Type, early: bool) -> View {
        let place = if early {
            let offset_bytes = self.plan.prepared_bytes;
            self.plan.prepared_bytes += round_up(ty.size_bytes());
            Place::Prepared { offset_bytes }
        } else if ty.batched {
            Place::Batched { offset_bytes: 0 }
        } else {
            Place::Fixed { offset_bytes: 0 }
        };
        self.dense(ty, place)
    }

    fn dense(&mut self, ty: &Type, place: Place) -> View {
        let extents = axes(&ty.shape);
        let buffer = self.buffer(ty.size_bytes(), place);
        let sample_stride = if ty.batched { extents.product() } else { 0 };
        View {
            buffer,
            dtype: ty.dtype,
            offset: 0,
            extents,
            strides: channels_first(extents),
            sample_stride,
        }
    }

    fn buffer(&mut self, size_bytes: usize, place: Place) -> BufferId {
        self.plan.buffers.push(Buffer { size_bytes, place });
        BufferId(u32::try_from(self.plan.buffers.len() - 1).expect("fewer than 2^32 buffers"))
    }

    fn zero_halo(&mut self, early: bool, view: &View, halo: Halo) {
        if !halo.is_none() {
            self.push(
                early,
                Kernel::ZeroHalo {
                    before: halo.before,
                    after: halo.after,
                },
                Vec::new(),
                view.clone(),
                0,
            );
        }
    }

    /// Writes the step that makes this node's value.
    pub(crate) fn step(&mut self, id: NodeId, kernel: Kernel, reads: Vec<View>, write: View) {
        self.step_for_part(id, kernel, reads, write, 1);
    }

    /// Writes one of `parts` steps that make this node's value.
    pub(crate) fn step_for_part(&mut self, id: NodeId, kernel: Kernel, reads: Vec<View>, write: View, parts: u64) {
        let inputs = self.graph.inputs(id);
        let types: Vec<&Type> = inputs.iter().map(|&input| self.graph.ty(input)).collect();
        let macs = self.graph.node(id).operator.cost(&types, self.graph.ty(id)).macs / parts;
        self.push(self.known_early.contains(&id), kernel, reads, write, macs);
    }

    pub(crate) fn push(&mut self, early: bool, kernel: Kernel, reads: Vec<View>, write: View, macs: u64) {
        let step = Step {
            name: self.name.clone(),
            kernel,
            reads,
            write,
            macs,
        };
        if early {
            &mut self.plan.prologue
        } else {
            &mut self.plan.steps
        }
        .push(step);
    }

    /// Outputs and parameters that no step could write directly are copied; then memory is laid out.
    fn finish(mut self) -> Plan {
        for index in 0..self.graph.outputs().len() {
            let (name, id) = self.graph.outputs()[index].clone();
            let value = self.view(id);
            let port = self.plan.outputs[index].view.clone();
            if value.buffer != port.buffer {
                self.name = name;
                self.push(false, Kernel::Copy, vec![value], port, 0);
            }
        }
        for update in self.graph.updates() {
            let value = self.view(update.value);
            let parameter = self.values[&update.parameter].clone();
            if value.buffer != parameter.buffer {
                self.name.clone_from(&self.graph.node(update.parameter).name);
                self.push(false, Kernel::Copy, vec![value], parameter, 0);
            }
        }
        let (batched, fixed) = memory::assign(&mut self.plan.buffers, &self.plan.prologue, &self.plan.steps);
        self.plan.batched_bytes = batched;
        self.plan.fixed_bytes = fixed;
        self.plan
    }
}

/// The layout that the rewriter chose for a node, if it did.
pub(crate) fn chosen_layout(graph: &Graph, id: NodeId) -> Option<Layout> {
    let node = graph.node(id);
    match &node.operator {
        Operator::Relayout(rule) => Some(rule.layout),
        _ => node.layout,
    }
}

/// Whether the elements of a sample lie side by side in channels-first order.
pub(crate) fn is_dense_channels_first(view: &View) -> bool {
    let expected = channels_first(view.extents);
    let agrees = |extent: usize, stride: usize, expected: usize| extent == 1 || stride == expected;
    agrees(view.extents.channel, view.strides.channel, expected.channel)
        && agrees(view.extents.row, view.strides.row, expected.row)
        && agrees(view.extents.column, view.strides.column, expected.column)
        && (!view.is_batched() || view.sample_stride == view.extents.product())
}

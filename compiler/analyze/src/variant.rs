//! The same network with something changed, and every shape after it following.
//!
//! A graph is built again, node by node; what a caller changes (channels of an input, outputs of a layer, a layer for a
//! stack of layers) flows on: weights get the extents that their new inputs ask for, and the shape rules judge the
//! result. What cannot follow, such as a sum of two branches of which one changed, gives `None`.

use std::collections::BTreeMap;

use netc_graph::operators::conv::Conv;
use netc_graph::operators::input::Input;
use netc_graph::operators::parameter::{Parameter, Role};
use netc_graph::operators::reshape::Reshape;
use netc_graph::operators::window::Window;
use netc_graph::{Graph, NodeId, Operator};
use netc_runtime::{Init, Shape};

/// A graph being built again.
pub(crate) struct Variant<'g> {
    old: &'g Graph,
    new: Graph,
    /// New nodes by old ones.
    known: BTreeMap<NodeId, NodeId>,
}

/// Builds a graph again; `change` may give another node for any that computes something, or for an input.
///
/// `None` if the changed shapes do not fit together, or an output changes its shape.
pub(crate) fn variant(
    graph: &Graph,
    mut change: impl FnMut(&mut Variant<'_>, NodeId) -> Option<Option<NodeId>>,
) -> Option<(Graph, BTreeMap<NodeId, NodeId>)> {
    let mut result = Variant {
        old: graph,
        new: Graph::new(graph.name()),
        known: BTreeMap::new(),
    };
    for id in graph.topological() {
        if matches!(graph.node(id).operator, Operator::Parameter(_)) {
            continue;
        }
        let node = match change(&mut result, id) {
            Some(changed) => changed?,
            None => result.copy(id)?,
        };
        result.known.insert(id, node);
    }
    for (name, id) in graph.outputs() {
        let node = *result.known.get(id)?;
        if result.new.ty(node) != graph.ty(*id) {
            return None;
        }
        result.new.add_output(name, node);
    }
    Some((result.new, result.known))
}

impl Variant<'_> {
    /// The new node of an old node's input.
    pub(crate) fn input(&self, id: NodeId, slot: usize) -> Option<NodeId> {
        self.known.get(self.old.inputs(id).get(slot)?).copied()
    }

    /// Shape of a new node.
    pub(crate) fn shape(&self, new: NodeId) -> &Shape {
        &self.new.ty(new).shape
    }

    /// The node as it is, on its new inputs.
    pub(crate) fn copy(&mut self, id: NodeId) -> Option<NodeId> {
        self.copy_as(id, &self.old.node(id).name, None, None)
    }

    /// A convolution or dense layer with another number of outputs.
    pub(crate) fn copy_with_outputs(&mut self, id: NodeId, outputs: usize) -> Option<NodeId> {
        self.copy_as(id, &self.old.node(id).name, None, Some(outputs))
    }

    /// Once more, under another name, on `input` in place of its first input.
    pub(crate) fn again(&mut self, id: NodeId, name: &str, input: NodeId, outputs: Option<usize>) -> Option<NodeId> {
        self.copy_as(id, name, Some(input), outputs)
    }

    /// An input with another number of channels.
    pub(crate) fn input_with_channels(&mut self, id: NodeId, channels: usize) -> Option<NodeId> {
        let node = self.old.node(id);
        let mut extents = node.ty.shape.extents().to_vec();
        *extents.first_mut()? = channels;
        let ty = node.ty.with_shape(extents);
        self.new.add(&node.name, Input { ty }, &[], None).ok()
    }

    /// A new operator without parameters.
    pub(crate) fn add(&mut self, name: &str, operator: Operator, input: NodeId) -> Option<NodeId> {
        self.new.add(name, operator, &[input], None).ok()
    }

    /// A new convolution.
    pub(crate) fn convolve(
        &mut self,
        name: &str,
        input: NodeId,
        window: &Window,
        [groups, outputs]: [usize; 2],
        has_bias: bool,
    ) -> Option<NodeId> {
        add_convolution(&mut self.new, name, input, window, [groups, outputs], has_bias)
    }

    fn copy_as(&mut self, id: NodeId, name: &str, first: Option<NodeId>, outputs: Option<usize>) -> Option<NodeId> {
        let old = self.old.node(id);
        let old_inputs = self.old.inputs(id);
        let mut inputs: Vec<NodeId> = Vec::with_capacity(old_inputs.len());
        for (slot, &input) in old_inputs.iter().enumerate() {
            let node = match &self.old.node(input).operator {
                Operator::Parameter(parameter) => {
                    let shape = self.resized(id, slot, parameter, *inputs.first()?, outputs)?;
                    self.parameter(input, name, parameter, shape)?
                }
                _ => first
                    .filter(|_| slot == 0)
                    .or_else(|| self.known.get(&input).copied())?,
            };
            inputs.push(node);
        }
        let operator = self.following(id, &old.operator, inputs.first().copied())?;
        self.new.add(name, operator, &inputs, None).ok()
    }

    /// The parameter in its new shape; under its old name where it belongs to the layer of that name.
    fn parameter(&mut self, old: NodeId, layer: &str, parameter: &Parameter, shape: Shape) -> Option<NodeId> {
        if let Some(&known) = self.known.get(&old)
            && *self.shape(known) == shape
            && self.new.node(known).name.starts_with(layer)
        {
            return Some(known);
        }
        let old_name = &self.old.node(old).name;
        let key = old_name.rsplit('.').next().unwrap_or(old_name);
        let parameter = Parameter {
            shape,
            ..parameter.clone()
        };
        let node = self.new.add(format!("{layer}.{key}"), parameter, &[], None).ok()?;
        self.known.insert(old, node);
        Some(node)
    }

    /// The shape of a parameter in the given slot of a layer whose first input is now `input`.
    fn resized(
        &self,
        id: NodeId,
        slot: usize,
        old: &Parameter,
        input: NodeId,
        outputs: Option<usize>,
    ) -> Option<Shape> {
        let mut extents = old.shape.extents().to_vec();
        let channels = *self.shape(input).extents().first()?;
        match (&self.old.node(id).operator, slot) {
            (Operator::Conv(conv), 1) => {
                extents[0] = outputs.unwrap_or(extents[0]);
                extents[1] = channels.checked_div(conv.groups)?;
            }
            (Operator::Dense(_), 1) => {
                extents[0] = outputs.unwrap_or(extents[0]);
                extents[1] = channels;
            }
            (Operator::Conv(_) | Operator::Dense(_), _) => extents[0] = outputs.unwrap_or(extents[0]),
            // One number for each channel.
            _ => {
                let first = self.old.inputs(id).first().copied()?;
                if old.shape.extents() == &self.old.ty(first).shape.extents()[..1] {
                    extents[0] = channels;
                }
            }
        }
        Some(extents.into())
    }

    /// The operator, with attributes that follow the shape of its first input.
    fn following(&self, id: NodeId, operator: &Operator, input: Option<NodeId>) -> Option<Operator> {
        let Some(input) = input else {
            return Some(operator.clone());
        };
        let first = self.old.inputs(id)[0];
        let (before, now) = (&self.old.ty(first).shape, self.shape(input));
        match operator {
            Operator::Reshape(reshape) if reshape.shape.rank() == 1 => Some(
                Reshape {
                    shape: [now.element_count()].into(),
                }
                .into(),
            ),
            // Which channels it should take now is anybody's guess.
            Operator::Slice(slice) if slice.axis == 0 && before != now => None,
            other => Some(other.clone()),
        }
    }
}

/// A convolution with parameters of its own.
pub(crate) fn add_convolution(
    graph: &mut Graph,
    name: &str,
    input: NodeId,
    window: &Window,
    [groups, outputs]: [usize; 2],
    has_bias: bool,
) -> Option<NodeId> {
    let channels = *graph.ty(input).shape.extents().first()?;
    let shape = [&[outputs, channels / groups], window.kernel.as_slice()].concat();
    let parameter = |shape: Vec<usize>, role| Parameter {
        shape: shape.into(),
        role,
        init: Init::Constant(0.0),
    };
    let weight = graph
        .add(format!("{name}.weight"), parameter(shape, Role::Weight), &[], None)
        .ok()?;
    let mut inputs = vec![input, weight];
    if has_bias {
        inputs.push(
            graph
                .add(format!("{name}.bias"), parameter(vec![outputs], Role::Bias), &[], None)
                .ok()?,
        );
    }
    let conv = Conv {
        window: window.clone(),
        groups,
    };
    graph.add(name, conv, &inputs, None).ok()
}

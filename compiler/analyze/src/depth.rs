//! Depth against width: the same parameters in one layer fewer or one layer more.
//!
//! A *run* is a chain of convolutions of one kernel, stride 1 and one width that keep the size of what flows through, or
//! of dense layers of one width; between them stand only non-linearities, normalizations and dropout. Its variants have
//! one layer fewer or more, and the largest width with which the *whole network*, with the layers that read the run, has
//! no more parameters than as written. So what is compared is what a user would train: multiply-accumulates, predicted
//! time and receptive field of networks of one size. Which of them learns better no count can say; that takes training.
//!
//! Groups of more than one are left alone: widths could then only change in steps.

use netc_graph::operators::parameter::Parameter;
use netc_graph::{Graph, NodeId, Operator};
use serde::Serialize;

use crate::architecture::{Figures, Predict, figures};
use crate::largest::largest;
use crate::reach;
use crate::stack::is_activation;
use crate::variant::{Variant, variant};

/// Most runs that are looked at: those with the most parameters.
pub const MOST_RUNS: usize = 12;

/// A run of equal layers and its variants of equal parameters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// Its layers.
    pub layers: Vec<String>,
    /// `conv` or `dense`.
    pub kind: &'static str,
    /// Taps along each axis; empty for dense layers.
    pub kernel: Vec<usize>,
    /// As written.
    pub written: RunFigures,
    /// With one layer fewer; `None` for a run of one layer.
    pub shallower: Option<RunFigures>,
    /// With one layer more.
    pub deeper: Option<RunFigures>,
}

/// A network with one form of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunFigures {
    /// Layers of the run.
    pub depth: usize,
    /// Channels or units of each of them.
    pub width: usize,
    /// Input positions that a value behind the run depends on.
    pub receptive_field: Vec<u64>,
    /// The whole network.
    pub network: Figures,
}

/// The runs of a graph, in the order in which values flow, and how many smaller ones were left out.
#[must_use]
pub fn runs(graph: &Graph, predict: Predict<'_>) -> (Vec<Run>, usize) {
    let mut chains = chains(graph);
    let parameters = |chain: &Chain| chain.layers.iter().map(|&id| weight_count(graph, id)).sum::<u64>();
    let mut by_size: Vec<u64> = chains.iter().map(parameters).collect();
    by_size.sort_unstable_by(|left, right| right.cmp(left));
    let left_out = chains.len().saturating_sub(MOST_RUNS);
    if let Some(&least) = by_size.get(MOST_RUNS - 1) {
        chains.retain(|chain| parameters(chain) >= least);
        chains.truncate(MOST_RUNS);
    }
    let runs = chains.iter().filter_map(|chain| run(graph, chain, predict)).collect();
    (runs, left_out)
}

/// Layers of a run, and behind each the operators up to the next.
struct Chain {
    layers: Vec<NodeId>,
    tails: Vec<Vec<NodeId>>,
}

fn run(graph: &Graph, chain: &Chain, predict: Predict<'_>) -> Option<Run> {
    let first = chain.layers[0];
    let (depth, width) = (chain.layers.len(), graph.ty(first).shape[0]);
    let with = |depth: usize| form(graph, chain, depth, predict);
    let deeper = with(depth + 1);
    let shallower = if depth > 1 { with(depth - 1) } else { None };
    if deeper.is_none() && shallower.is_none() {
        return None;
    }
    let end = chain
        .tails
        .last()
        .and_then(|tail| tail.last().copied())
        .unwrap_or(chain.layers[depth - 1]);
    Some(Run {
        layers: chain.layers.iter().map(|&id| graph.node(id).name.clone()).collect(),
        kind: graph.node(first).operator.name(),
        kernel: match &graph.node(first).operator {
            Operator::Conv(conv) => conv.window.kernel.clone(),
            _ => Vec::new(),
        },
        written: RunFigures {
            depth,
            width,
            receptive_field: reach::of_all(graph)[&end].sizes_and_strides().0,
            network: figures(graph, predict),
        },
        shallower,
        deeper,
    })
}

/// The network whose run has another depth, as wide as its parameters allow.
fn form(graph: &Graph, chain: &Chain, depth: usize, predict: Predict<'_>) -> Option<RunFigures> {
    let budget = parameter_count(graph);
    let fits =
        |width: usize| with_run(graph, chain, depth, width).is_some_and(|(graph, _)| parameter_count(&graph) <= budget);
    // Parameters grow with the width.
    let width = largest(fits)?;
    let (network, end) = with_run(graph, chain, depth, width)?;
    Some(RunFigures {
        depth,
        width,
        receptive_field: reach::of_all(&network)[&end].sizes_and_strides().0,
        network: figures(&network, predict),
    })
}

/// The network with another depth and width of the run, and the node behind the run.
fn with_run(graph: &Graph, chain: &Chain, depth: usize, width: usize) -> Option<(Graph, NodeId)> {
    let last = chain.layers.len() - 1;
    let removed: Vec<NodeId> = if depth <= last {
        chain.layers[depth..]
            .iter()
            .chain(chain.tails[depth..].iter().flatten())
            .copied()
            .collect()
    } else {
        Vec::new()
    };
    let end = chain.tails[last].last().copied().unwrap_or(chain.layers[last]);
    let extend = |variant: &mut Variant<'_>, mut value: NodeId| {
        for extra in chain.layers.len()..depth {
            for &id in std::iter::once(&chain.layers[last]).chain(&chain.tails[last]) {
                let name = format!("{}_more{extra}", graph.node(id).name);
                value = variant.again(id, &name, value, (id == chain.layers[last]).then_some(width))?;
            }
        }
        Some(value)
    };
    let change = |variant: &mut Variant<'_>, id: NodeId| {
        if removed.contains(&id) {
            return Some(variant.input(id, 0));
        }
        let is_layer = chain.layers.contains(&id);
        if !is_layer && id != end {
            return None;
        }
        let node = if is_layer {
            variant.copy_with_outputs(id, width)
        } else {
            variant.copy(id)
        };
        Some(if id == end {
            node.and_then(|node| extend(variant, node))
        } else {
            node
        })
    };
    let (network, known) = variant(graph, change)?;
    let end = *known.get(&end)?;
    Some((network, end))
}

/// All maximal runs; each layer is in at most one.
fn chains(graph: &Graph) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut taken = std::collections::BTreeSet::new();
    for id in graph.topological().into_iter().filter(|&id| can_run(graph, id)) {
        if taken.contains(&id) {
            continue;
        }
        let mut chain = Chain {
            layers: vec![id],
            tails: Vec::new(),
        };
        let mut at = id;
        loop {
            let (tail, next) = tail(graph, at);
            chain.tails.push(tail);
            match next.filter(|&next| can_run(graph, next) && is_alike(graph, id, next)) {
                Some(next) => {
                    chain.layers.push(next);
                    at = next;
                }
                None => break,
            }
        }
        // A width that something else depends on, an output or a sum, cannot change: the run ends before it.
        while !chain.layers.is_empty()
            && with_run(graph, &chain, chain.layers.len(), changed_width(graph, id)).is_none()
        {
            chain.layers.pop();
            chain.tails.pop();
        }
        taken.extend(chain.layers.iter().copied());
        if !chain.layers.is_empty() {
            chains.push(chain);
        }
    }
    chains
}

fn changed_width(graph: &Graph, id: NodeId) -> usize {
    graph.ty(id).shape[0] + 1
}

/// Non-linearities, normalizations and dropout behind a layer, and what reads them, if it is one node.
fn tail(graph: &Graph, layer: NodeId) -> (Vec<NodeId>, Option<NodeId>) {
    let (mut tail, mut at) = (Vec::new(), layer);
    loop {
        let users = graph.users(at);
        let [user] = users.as_slice() else { return (tail, None) };
        let operator = &graph.node(*user).operator;
        let is_between = is_activation(operator)
            || matches!(
                operator,
                Operator::BatchNorm(_) | Operator::ScaleShift(_) | Operator::Dropout(_)
            );
        if !is_between {
            return (tail, Some(*user));
        }
        tail.push(*user);
        at = *user;
    }
}

fn can_run(graph: &Graph, id: NodeId) -> bool {
    match &graph.node(id).operator {
        Operator::Conv(conv) => {
            let input = graph.ty(graph.inputs(id)[0]).shape.extents();
            conv.groups == 1
                && conv.window.stride.iter().all(|&stride| stride == 1)
                && conv.window.tap_count() > 1
                && input[1..] == graph.ty(id).shape.extents()[1..]
        }
        Operator::Dense(_) => true,
        _ => false,
    }
}

fn is_alike(graph: &Graph, first: NodeId, other: NodeId) -> bool {
    let same_width = graph.ty(first).shape[0] == graph.ty(other).shape[0];
    same_width
        && match (&graph.node(first).operator, &graph.node(other).operator) {
            (Operator::Conv(first), Operator::Conv(other)) => first.window.kernel == other.window.kernel,
            (Operator::Dense(_), Operator::Dense(_)) => true,
            _ => false,
        }
}

fn weight_count(graph: &Graph, id: NodeId) -> u64 {
    graph
        .inputs(id)
        .get(1)
        .map_or(0, |&weight| graph.ty(weight).shape.element_count() as u64)
}

fn parameter_count(graph: &Graph) -> u64 {
    let learned = |id: &NodeId| match &graph.node(*id).operator {
        Operator::Parameter(it @ Parameter { shape, .. }) if it.is_trainable() => shape.element_count() as u64,
        _ => 0,
    };
    graph.parameters().iter().map(learned).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use netc_graph::Type;
    use netc_graph::operators::parameter::Role;
    use netc_graph::operators::window::Window;
    use netc_graph::operators::{add::Add, dense::Dense, input::Input, relu::Relu};
    use netc_runtime::{DType, Init, Shape};

    use crate::variant::add_convolution;

    fn input(shape: &[usize]) -> (Graph, NodeId) {
        let mut graph = Graph::new("test");
        let ty = Type::batched(DType::F32, Shape::from(shape));
        let x = graph.add("x", Input { ty }, &[], None).unwrap();
        (graph, x)
    }

    fn dense(graph: &mut Graph, name: &str, x: NodeId, units: usize) -> NodeId {
        let inputs = graph.ty(x).shape[0];
        let parameter = |shape: Vec<usize>, role| Parameter {
            shape: shape.into(),
            role,
            init: Init::Constant(0.0),
        };
        let weight = parameter(vec![units, inputs], Role::Weight);
        let w = graph.add(format!("{name}.weight"), weight, &[], None).unwrap();
        let bias = parameter(vec![units], Role::Bias);
        let b = graph.add(format!("{name}.bias"), bias, &[], None).unwrap();
        graph.add(name, Dense {}, &[x, w, b], None).unwrap()
    }

    #[test]
    fn widths_solve_the_equation_of_parameters() {
        let (mut graph, x) = input(&[20]);
        let one = dense(&mut graph, "one", x, 30);
        let relu = graph.add("relu1", Relu {}, &[one], None).unwrap();
        let two = dense(&mut graph, "two", relu, 30);
        let relu = graph.add("relu2", Relu {}, &[two], None).unwrap();
        let last = dense(&mut graph, "last", relu, 2);
        graph.add_output("y", last);
        let (runs, left_out) = runs(&graph, &|_| 1);
        assert_eq!((runs.len(), left_out), (1, 0));
        // 21·30 + 31·30 + 31·2 = 1622. One layer: 23w + 2; three: 2w² + 25w + 2.
        assert_eq!(runs[0].layers, ["one", "two"]);
        assert_eq!(runs[0].written.network.parameters, 1622);
        let found = |form: &Option<RunFigures>| {
            form.as_ref()
                .map(|form| (form.depth, form.width, form.network.parameters))
        };
        assert_eq!(found(&runs[0].shallower), Some((1, 70, 23 * 70 + 2)));
        assert_eq!(found(&runs[0].deeper), Some((3, 22, 2 * 22 * 22 + 25 * 22 + 2)));
        assert_eq!(runs[0].deeper.as_ref().unwrap().network.nonlinearities, 3);
    }

    #[test]
    fn deeper_sees_more_and_sums_keep_their_width() {
        let (mut graph, x) = input(&[8, 16, 16]);
        let window = Window::new([3, 3]).with_padding([1, 1]);
        let mut value = x;
        for name in ["first", "second", "third"] {
            value = add_convolution(&mut graph, name, value, &window, [1, 8], false).unwrap();
            value = graph.add(format!("{name}_relu"), Relu {}, &[value], None).unwrap();
        }
        let sum = graph.add("sum", Add {}, &[value, x], None).unwrap();
        graph.add_output("y", sum);
        let (runs, _) = runs(&graph, &|_| 1);
        // `third` flows into a sum: its width is that of `x`.
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0].layers, ["first", "second"]);
        let fields = [&runs[0].shallower, &Some(runs[0].written.clone()), &runs[0].deeper]
            .map(|form| form.as_ref().unwrap().receptive_field.clone());
        assert_eq!(fields, [[3, 3], [5, 5], [7, 7]]);
    }
}

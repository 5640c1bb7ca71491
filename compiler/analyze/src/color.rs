//! Grey against colour: what the first layers cost with one input channel and with three.
//!
//! Only the layers that read the picture change; what they hand on is the same. In a network of any depth that is a
//! small share of the whole, and the numbers here say how small.

use netc_graph::{Graph, NodeId, Operator};
use netc_runtime::Shape;
use serde::Serialize;

use crate::architecture::{Figures, Predict, figures};
use crate::report;
use crate::variant::{Variant, variant};

/// The network for pictures in grey and in colour.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Color {
    /// The input that holds the picture.
    pub input: String,
    /// Its shape as written.
    pub shape: Shape,
    /// The layers that read it.
    pub layers: Vec<String>,
    /// With one channel.
    pub grey: ColorFigures,
    /// With three channels.
    pub color: ColorFigures,
}

/// The network for one kind of picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColorFigures {
    /// Learned numbers of the layers that read the picture.
    pub layer_parameters: u64,
    /// Their multiply-accumulates for one picture.
    pub layer_macs: u64,
    /// Their share of the network's multiply-accumulates.
    pub layer_macs_share: f64,
    /// The whole network.
    pub network: Figures,
}

/// Grey against colour for the first input that is a picture of one or three channels; `None` if there is none, or
/// another number of channels does not fit the network.
#[must_use]
pub fn grey_against_color(graph: &Graph, predict: Predict<'_>) -> Option<Color> {
    let is_picture = |&id: &NodeId| matches!(graph.ty(id).shape.extents(), [1 | 3, _, _]);
    let input = graph.input_nodes().into_iter().find(is_picture)?;
    let layers = readers(graph, input)?;
    let with = |channels: usize| {
        let change =
            |variant: &mut Variant<'_>, id: NodeId| (id == input).then(|| variant.input_with_channels(id, channels));
        color_figures(&variant(graph, change)?.0, &layers, predict)
    };
    Some(Color {
        input: graph.node(input).name.clone(),
        shape: graph.ty(input).shape.clone(),
        grey: with(1)?,
        color: with(3)?,
        layers,
    })
}

/// The convolutions and dense layers whose weights depend on the picture's channels.
fn readers(graph: &Graph, input: NodeId) -> Option<Vec<String>> {
    let (mut found, mut open, mut seen) = (Vec::new(), vec![input], std::collections::BTreeSet::new());
    while let Some(id) = open.pop() {
        for user in graph.users(id) {
            let node = graph.node(user);
            match node.operator {
                _ if !seen.insert(user) => {}
                Operator::Conv(_) | Operator::Dense(_) => found.push((user, node.name.clone())),
                _ => open.push(user),
            }
        }
    }
    found.sort();
    (!found.is_empty()).then(|| found.into_iter().map(|(_, name)| name).collect())
}

fn color_figures(graph: &Graph, layers: &[String], predict: Predict<'_>) -> Option<ColorFigures> {
    let report = report(graph);
    let rows = || report.layers.iter().filter(|layer| layers.contains(&layer.name));
    let layer_macs = rows().map(|layer| layer.macs).sum::<u64>();
    Some(ColorFigures {
        layer_parameters: rows().map(|layer| layer.parameters).sum(),
        layer_macs,
        layer_macs_share: if report.macs == 0 {
            0.0
        } else {
            layer_macs as f64 / report.macs as f64
        },
        network: figures(graph, predict),
    })
}

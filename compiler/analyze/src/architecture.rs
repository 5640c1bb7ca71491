//! Architecture analysis: what a network's shape costs, and what other shapes would.
//!
//! Everything here follows from the graph, from a prediction of times that the caller brings, and, for the residual of
//! factorizations, from weights. Nothing is run or trained: which network learns better is for training to say.

use std::collections::BTreeMap;

use netc_graph::Graph;
use netc_runtime::Tensor;
use serde::Serialize;

use crate::color::{Color, grey_against_color};
use crate::depth::{Run, runs};
use crate::report;
use crate::stack::is_activation;
use crate::view::{View, views};
use crate::wide::{WideConvolution, stacked, wide_convolutions};

/// Predicted picoseconds of a graph for one sample.
pub type Predict<'a> = &'a dyn Fn(&Graph) -> u64;

/// What a network's shape costs, and what other shapes would.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Architecture {
    /// The network's name.
    pub model: String,
    /// The machine that times are predicted for.
    pub machine: String,
    /// What each layer sees of the input.
    pub views: Vec<View>,
    /// Convolutions wider than 3 beside their stacks.
    pub wide_convolutions: Vec<WideConvolution>,
    /// The network as written.
    pub written: Figures,
    /// The network with every wide convolution replaced; `None` if there is none.
    pub stacked: Option<Figures>,
    /// Grey against colour; `None` if no input is a picture of one or three channels.
    pub grey_against_color: Option<Color>,
    /// Runs of equal layers against fewer and more layers of equal parameters.
    pub depth_against_width: Vec<Run>,
    /// Runs that are not shown, because there are many and they are small.
    pub runs_left_out: usize,
}

/// What a network, or a part of one, holds and costs for one sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Convolutions and dense layers.
    pub layers: usize,
    /// Learned numbers.
    pub parameters: u64,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Non-linearities: relu and the like.
    pub nonlinearities: usize,
    /// Predicted time.
    pub predicted_us: f64,
}

/// Analyses a network; `weights` are tensors by name, `predict` gives times on `machine`.
#[must_use]
pub fn architecture(
    graph: &Graph,
    weights: Option<&BTreeMap<String, &Tensor>>,
    machine: &str,
    predict: Predict<'_>,
) -> Architecture {
    let (depth_against_width, runs_left_out) = runs(graph, predict);
    Architecture {
        model: graph.name().to_owned(),
        machine: machine.to_owned(),
        views: views(graph),
        wide_convolutions: wide_convolutions(graph, weights, predict),
        written: figures(graph, predict),
        stacked: stacked(graph).map(|graph| figures(&graph, predict)),
        grey_against_color: grey_against_color(graph, predict),
        depth_against_width,
        runs_left_out,
    }
}

/// Counts and predicts.
#[must_use]
pub fn figures(graph: &Graph, predict: Predict<'_>) -> Figures {
    use netc_graph::Operator;
    let report = report(graph);
    let count = |is: fn(&Operator) -> bool| graph.ids().filter(|&id| is(&graph.node(id).operator)).count();
    Figures {
        layers: count(|operator| matches!(operator, Operator::Conv(_) | Operator::Dense(_))),
        parameters: report.parameters,
        macs: report.macs,
        nonlinearities: count(is_activation),
        predicted_us: predict(graph) as f64 / 1e6,
    }
}

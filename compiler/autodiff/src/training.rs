//! The training graph: the network in its training form, the loss, the gradients and the updates.
//!
//! Every value that changes from step to step (labels, learning rate, dropout key, Adam's corrections) is an input, so
//! that a schedule needs no recompilation. The training loop knows them by the names in `netc_runtime::train::feed`.

use std::collections::BTreeMap;

use netc_graph::operators::batch_mean::BatchMean;
use netc_graph::operators::channel_mean::ChannelMean;
use netc_graph::operators::channel_variance::ChannelVariance;
use netc_graph::operators::cross_entropy::CrossEntropy;
use netc_graph::operators::input::Input;
use netc_graph::operators::mean_squared_error::MeanSquaredError;
use netc_graph::operators::moving_average::MovingAverage;
use netc_graph::operators::random_drop::RandomDrop;
use netc_graph::{Graph, NodeId, Operator, ShapeError, Type, assert_valid};
use netc_runtime::random::Stream;
use netc_runtime::recipe::{Loss, TrainRecipe};
pub use netc_runtime::train::feed::{
    ADAM_CORRECTION1, ADAM_CORRECTION2, DROPOUT_KEY, LABELS, LEARNING_RATE, LOSS, TARGET,
};
use netc_runtime::{DType, Shape};

use crate::gradients::{GradientError, add_gradients};
use crate::optimizer;

/// Why a network cannot be trained with a recipe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrainingGraphError {
    /// The loss needs one output to work on.
    #[error("training needs a network with one output, this one has {found}")]
    Outputs {
        /// How many there are.
        found: usize,
    },
    /// The loss has no meaning for the network's output.
    #[error("`{loss}` cannot work on output `{output}` of type {ty}: {error}")]
    Loss {
        /// The loss as the language names it.
        loss: &'static str,
        /// The output's name.
        output: String,
        /// The output's type.
        ty: Type,
        /// What the loss says.
        error: ShapeError,
    },
    /// A name that the training graph needs for itself.
    #[error("`{name}` is the name of an input or output of the training graph; the network must use another")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// Nothing to learn.
    #[error("the network has no parameter that the loss depends on")]
    NothingToLearn,
    /// The network cannot be differentiated.
    #[error(transparent)]
    Gradient(#[from] GradientError),
}

/// One step of training as a graph: outputs are the network's own and [`LOSS`]; updates are the parameters' next values,
/// the optimizer's states and the running statistics.
///
/// `forward` is the network as lowered: dropout becomes random, seeded by [`DROPOUT_KEY`] and the layer's name; batch
/// normalization uses the statistics of the batch, and its running statistics are updated.
pub fn training_graph(forward: &Graph, recipe: &TrainRecipe) -> Result<Graph, TrainingGraphError> {
    let (mut graph, loss) = with_loss(forward, &recipe.loss, Form::Training)?;
    let mut learned = differentiate(&mut graph, loss)?;
    if learned.is_empty() {
        return Err(TrainingGraphError::NothingToLearn);
    }
    if let Some(limit) = recipe.clip_norm {
        optimizer::clip(&mut graph, &mut learned, limit);
    }
    optimizer::add_updates(&mut graph, &learned, &recipe.optimizer);
    Ok(finish(graph, "training_graph"))
}

/// The network in its inference form with its loss: outputs are the network's own and [`LOSS`]. Nothing is updated.
pub fn evaluation_graph(forward: &Graph, loss: &Loss) -> Result<Graph, TrainingGraphError> {
    let (graph, _) = with_loss(forward, loss, Form::Inference)?;
    Ok(finish(graph, "evaluation_graph"))
}

/// The network in its inference form (dropout off, given statistics) with its loss and the gradient of every parameter
/// that is learned: outputs are the network's own, [`LOSS`], and [`gradient_output`] of each parameter's name.
pub fn gradient_graph(forward: &Graph, loss: &Loss) -> Result<Graph, TrainingGraphError> {
    let (mut graph, loss) = with_loss(forward, loss, Form::Inference)?;
    for (parameter, gradient) in differentiate(&mut graph, loss)? {
        let name = gradient_output(&graph.node(parameter).name);
        graph.add_output(name, gradient);
    }
    Ok(finish(graph, "gradient_graph"))
}

/// Name of the output that holds a parameter's gradient: `gradient:conv1.weight`.
#[must_use]
pub fn gradient_output(parameter: &str) -> String {
    format!("gradient:{parameter}")
}

/// What tells the dropout of this layer apart from that of others: a hash of its name, the same on every machine.
#[must_use]
pub fn dropout_salt(layer: &str) -> u32 {
    Stream::new(0, layer).u32_at(0)
}

/// Whether layers that behave differently while training do so.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Inference,
    Training,
}

/// The network with the loss as another output.
fn with_loss(forward: &Graph, loss: &Loss, form: Form) -> Result<(Graph, NodeId), TrainingGraphError> {
    check_names(forward)?;
    let [(name, output)] = forward.outputs() else {
        return Err(TrainingGraphError::Outputs {
            found: forward.outputs().len(),
        });
    };
    let mut copy = Copy {
        graph: Graph::new(forward.name()),
        form,
        dropout_key: None,
    };
    let mut copied = BTreeMap::new();
    for id in forward.topological() {
        let inputs: Vec<NodeId> = forward.inputs(id).iter().map(|input| copied[input]).collect();
        copied.insert(id, copy.node(forward, id, &inputs));
    }
    let mut graph = copy.graph;
    let output = copied[output];
    graph.add_output(name, output);
    let per_sample = add_loss(&mut graph, name, output, loss)?;
    let mean = graph.derive(per_sample, BatchMean {}, &[per_sample]);
    graph.add_output(LOSS, mean);
    Ok((graph, mean))
}

/// Every parameter that is learned, with its gradient.
fn differentiate(graph: &mut Graph, loss: NodeId) -> Result<Vec<optimizer::Learned>, GradientError> {
    let trainable = |&id: &NodeId| matches!(&graph.node(id).operator, Operator::Parameter(p) if p.is_trainable());
    let parameters: Vec<NodeId> = graph.parameters().into_iter().filter(trainable).collect();
    let gradients = add_gradients(graph, loss, &parameters)?;
    Ok(gradients.into_iter().collect())
}

fn finish(mut graph: Graph, stage: &str) -> Graph {
    graph.remove_unused();
    assert_valid(&graph, stage);
    graph
}

fn check_names(forward: &Graph) -> Result<(), TrainingGraphError> {
    let reserved = [
        LABELS,
        TARGET,
        LOSS,
        LEARNING_RATE,
        ADAM_CORRECTION1,
        ADAM_CORRECTION2,
        DROPOUT_KEY,
    ];
    let inputs = forward
        .input_nodes()
        .into_iter()
        .map(|id| forward.node(id).name.as_str());
    let mut names = inputs.chain(forward.outputs().iter().map(|(name, _)| name.as_str()));
    match names.find(|name| reserved.contains(name)) {
        Some(name) => Err(TrainingGraphError::NameTaken { name: name.to_owned() }),
        None => Ok(()),
    }
}

/// The loss of each sample.
fn add_loss(graph: &mut Graph, name: &str, output: NodeId, loss: &Loss) -> Result<NodeId, TrainingGraphError> {
    let ty = graph.ty(output).clone();
    let (called, result) = match *loss {
        Loss::CrossEntropy { label_smoothing } => {
            let positions = ty.shape.extents().get(1..).unwrap_or_default();
            let labels = Input {
                ty: Type::batched(DType::I32, positions),
            };
            let labels = graph
                .add(LABELS, labels, &[], None)
                .expect("part of a valid shape is one");
            (
                "cross_entropy",
                graph.add(LOSS, CrossEntropy { label_smoothing }, &[output, labels], None),
            )
        }
        Loss::MeanSquaredError => {
            let target = Input {
                ty: Type::batched(DType::F32, ty.shape.clone()),
            };
            let target = graph
                .add(TARGET, target, &[], None)
                .expect("an output's shape is a valid one");
            (
                "mean_squared_error",
                graph.add(LOSS, MeanSquaredError {}, &[output, target], None),
            )
        }
    };
    result.map_err(|error| TrainingGraphError::Loss {
        loss: called,
        output: name.to_owned(),
        ty,
        error,
    })
}

/// A fixed scalar that the caller gives at every step.
pub(crate) fn add_scalar_input(graph: &mut Graph, name: &str) -> NodeId {
    add_scalar(graph, name, DType::F32)
}

fn add_scalar(graph: &mut Graph, name: &str, dtype: DType) -> NodeId {
    let input = Input {
        ty: Type::fixed(dtype, Shape::scalar()),
    };
    graph.add(name, input, &[], None).expect("a scalar is a valid input")
}

/// Copies a network node by node into its form for training or inference.
struct Copy {
    graph: Graph,
    form: Form,
    dropout_key: Option<NodeId>,
}

impl Copy {
    fn node(&mut self, forward: &Graph, id: NodeId, inputs: &[NodeId]) -> NodeId {
        let node = forward.node(id);
        let copied = self
            .graph
            .add(node.name.clone(), node.operator.clone(), inputs, node.origin)
            .unwrap_or_else(|error| panic!("`{}` was valid and is copied with its inputs: {error}", node.name));
        match (&node.operator, self.form) {
            (Operator::Dropout(rule), Form::Training) if rule.rate > 0.0 => {
                self.random_drop(copied, rule.rate, inputs[0])
            }
            (Operator::BatchNorm(_), Form::Training) => self.batch_statistics(copied, inputs),
            _ => copied,
        }
    }

    fn random_drop(&mut self, dropout: NodeId, rate: f32, x: NodeId) -> NodeId {
        let graph = &mut self.graph;
        let key = *self
            .dropout_key
            .get_or_insert_with(|| add_scalar(graph, DROPOUT_KEY, DType::I32));
        let salt = dropout_salt(&graph.node(dropout).name);
        graph.derive(dropout, RandomDrop { rate, salt }, &[x, key])
    }

    /// Normalizes with the statistics of the batch instead of the running ones, and updates these.
    fn batch_statistics(&mut self, batch_norm: NodeId, inputs: &[NodeId]) -> NodeId {
        let &[x, gamma, beta, running_mean, running_variance] = inputs else {
            unreachable!("batch normalization has five inputs")
        };
        let graph = &mut self.graph;
        let Operator::BatchNorm(rule) = graph.node(batch_norm).operator.clone() else {
            unreachable!("called for batch normalization only")
        };
        let mean = graph.derive(batch_norm, ChannelMean {}, &[x]);
        let variance = graph.derive(batch_norm, ChannelVariance { unbiased: false }, &[x, mean]);
        let unbiased = graph.derive(batch_norm, ChannelVariance { unbiased: true }, &[x, mean]);
        let momentum = rule.momentum;
        for (running, new) in [(running_mean, mean), (running_variance, unbiased)] {
            if matches!(graph.node(running).operator, Operator::Parameter(_)) {
                let next = graph.derive(batch_norm, MovingAverage { momentum }, &[running, new]);
                graph.add_update(running, next);
            }
        }
        graph.derive(batch_norm, rule, &[x, gamma, beta, mean, variance])
    }
}

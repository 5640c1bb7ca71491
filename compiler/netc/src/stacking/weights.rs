//! First weights for a stacked network, from those of the network it was made of.
//!
//! Layers that stayed keep their weights. A stack begins as factors of its wide layer: behind relu as ones that relu does
//! not change, so that the network computes nearly what it did; otherwise as those that come closest with nothing between
//! them, and training makes up for what stands there.
//! Biases of the last layer are those of the wide one, biases before are zero; normalizations between layers begin as
//! new ones do.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use netc_analyze::factorize::{Factorization, Method, factorize, factorize_through_relu};
use netc_analyze::stack::{Between, Stack, Width};
use netc_diagnostics::Span;
use netc_graph::operators::parameter::Parameter;
use netc_graph::{NodeId, Operator};
use netc_lower::LayerInfo;
use netc_runtime::Tensor;
use netc_runtime::recipe::DataSource;
use netc_runtime::weights::Weights;
use serde::Serialize;

use super::Stacked;
use crate::error::Error;
use crate::network::Network;

/// First weights and how good they are.
#[derive(Clone, Debug)]
pub struct InitialWeights {
    /// One tensor for each parameter of the new network.
    pub weights: Weights,
    /// One entry for each replaced convolution.
    pub starts: Vec<LayerStart>,
}

/// How a stack begins.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerStart {
    /// The convolution it replaces.
    pub layer: String,
    /// How close its layers come; `None` if they begin at random, because the layer is too large to factor.
    pub factorization: Option<Factorization>,
    /// Whether the non-linearities between its layers change nothing: the stack computes what the wide convolution does,
    /// up to the residual, and up to borders where it pads.
    pub passes_activation: bool,
}

impl Stacked {
    /// First weights for this network from those of the `old` one. `path` is what errors call the weight file.
    ///
    /// # Errors
    /// If a tensor of the old network is missing or has another shape.
    pub fn initial_weights(&self, old: &Network, weights: &Weights, path: &Path) -> Result<InitialWeights, Error> {
        let mut copier = Copier {
            width: self.width,
            old,
            new: &self.network,
            weights,
            path,
            result: Weights::new(),
            starts: Vec::new(),
        };
        for (layer, range) in pairs(old, &self.network, &self.spans).unwrap_or_default() {
            let before = &old.layers()[layer];
            let after = &self.network.layers()[range];
            match after {
                [same] => copier.same(before, same)?,
                stack => copier.stack(before, stack)?,
            }
        }
        Ok(InitialWeights {
            weights: copier.result,
            starts: copier.starts,
        })
    }
}

/// For each layer of the old network, by index, the layers of the new one that stand for it. `None` if the two do not
/// run in step, which would be a bug of ours.
pub(super) fn pairs(old: &Network, new: &Network, replaced: &[Span]) -> Option<Vec<(usize, Range<usize>)>> {
    let mut next = 0;
    let mut pairs = Vec::new();
    for (index, layer) in old.layers().iter().enumerate() {
        let start = next;
        let count = if replaced.contains(&layer.span) {
            Stack::of(old.graph(), layer.output)?.layers()
        } else {
            1
        };
        let mut convolutions = 0;
        while convolutions < count {
            let found = new.layers().get(next)?;
            next += 1;
            if count == 1 || found.kind == "conv" {
                convolutions += 1;
            }
        }
        if new.layers()[next - 1].kind != layer.kind {
            return None;
        }
        pairs.push((index, start..next));
    }
    (next == new.layers().len()).then_some(pairs)
}

struct Copier<'a> {
    width: Width,
    old: &'a Network,
    new: &'a Network,
    weights: &'a Weights,
    path: &'a Path,
    result: Weights,
    starts: Vec<LayerStart>,
}

impl Copier<'_> {
    fn same(&mut self, before: &LayerInfo, after: &LayerInfo) -> Result<(), Error> {
        for (&from, &to) in before.parameters.iter().zip(&after.parameters) {
            let tensor = self.tensor(from)?;
            self.result.insert(&self.new.graph().node(to).name, tensor);
        }
        Ok(())
    }

    fn stack(&mut self, before: &LayerInfo, after: &[LayerInfo]) -> Result<(), Error> {
        let stack = Stack::of(self.old.graph(), before.output).and_then(|stack| stack.with_width(self.width));
        let stack = stack.expect("it was replaced by one");
        let weight = self.tensor(before.parameters[0])?;
        let bias = before.parameters.get(1).map(|&bias| self.tensor(bias)).transpose()?;
        let (factorization, passes_activation) = self.factors(before, &weight, &stack);
        let mut factors = factorization.iter().flat_map(|found| found.factors.clone());
        for layer in after {
            for &parameter in &layer.parameters {
                let Operator::Parameter(own) = &self.new.graph().node(parameter).operator else {
                    continue;
                };
                let first = |own: &Parameter| {
                    own.init
                        .materialize(0, &self.new.graph().node(parameter).name, &own.shape)
                };
                let is_weight = layer.kind == "conv" && layer.parameters.first() == Some(&parameter);
                let tensor = match (is_weight, layer.kind) {
                    (true, _) => factors.next().unwrap_or_else(|| first(own)),
                    (false, "conv") => Tensor::zeros(netc_runtime::DType::F32, own.shape.clone()),
                    (false, _) => first(own),
                };
                self.result.insert(&self.new.graph().node(parameter).name, tensor);
            }
        }
        if let (Some(bias), Some(last)) = (bias, after.last().and_then(|layer| layer.parameters.get(1))) {
            self.result.insert(&self.new.graph().node(*last).name, bias);
        }
        self.starts.push(LayerStart {
            layer: before.name.clone(),
            factorization,
            passes_activation,
        });
        Ok(())
    }

    /// Factors, and whether the non-linearities between them leave what they compute as it is.
    ///
    /// Half of what a plain factor makes is lost in a relu, which is a worse start than a random one; so a relu gets
    /// moved copies of what is not negative where channels suffice, or else channels in pairs. Anything else gets plain
    /// factors: around zero a tanh is nearly linear.
    fn factors(&self, before: &LayerInfo, weight: &Tensor, stack: &Stack) -> (Option<Factorization>, bool) {
        let graph = self.old.graph();
        let between = Between::of(graph, before.output);
        let slope = match &between.activation {
            Operator::Relu(_) => 0.0,
            Operator::LeakyRelu(leaky) => leaky.slope,
            _ => return (factorize(weight, stack), false),
        };
        // A normalization between the layers begins as next to nothing: it divides by the root of 1 + epsilon.
        if self.is_never_negative(graph.inputs(before.output)[0]) {
            let copies: usize = stack.wide.kernel.iter().map(|taps| taps.div_ceil(3)).product();
            if copies * stack.inputs <= stack.between
                && let Some(found) = factorize(weight, stack).filter(|found| found.method == Method::Shifts)
            {
                return (Some(found), true);
            }
        }
        match factorize_through_relu(weight, stack, slope) {
            Some(found) => (Some(found), true),
            None => (factorize(weight, stack), false),
        }
    }

    /// Whether a value is at least zero: behind a relu or sigmoid, and in pixels that nobody normalizes.
    fn is_never_negative(&self, mut id: NodeId) -> bool {
        let graph = self.old.graph();
        loop {
            match &graph.node(id).operator {
                Operator::Relu(_) | Operator::Sigmoid(_) => return true,
                Operator::Input(_) => {
                    return self.old.recipe().is_some_and(|recipe| match &recipe.data {
                        DataSource::Idx { .. } => true,
                        DataSource::Npy { .. } => false,
                    });
                }
                Operator::MaxPool(_)
                | Operator::AveragePool(_)
                | Operator::LocalResponseNorm(_)
                | Operator::Dropout(_)
                | Operator::Upsample(_)
                | Operator::Slice(_)
                | Operator::Reshape(_) => id = graph.inputs(id)[0],
                _ => return false,
            }
        }
    }

    fn tensor(&self, parameter: NodeId) -> Result<Tensor, Error> {
        let graph = self.old.graph();
        let (name, shape) = (&graph.node(parameter).name, &graph.ty(parameter).shape);
        self.weights.expect_f32(name, shape, self.path)?;
        Ok(self.weights.get(name).expect("just seen").clone())
    }
}

/// The tensors of a network in a weight file, by name, each in its shape.
pub(crate) fn tensors<'w>(
    network: &Network,
    weights: &'w Weights,
    path: &Path,
) -> Result<BTreeMap<String, &'w Tensor>, Error> {
    let graph = network.graph();
    let mut tensors = BTreeMap::new();
    for id in graph.parameters() {
        let name = &graph.node(id).name;
        weights.expect_f32(name, &graph.ty(id).shape, path)?;
        tensors.insert(name.clone(), weights.get(name).expect("just seen"));
    }
    Ok(tensors)
}

//! Batch normalization.

use netc_graph::NodeId;
use netc_graph::operators::batch_norm::BatchNorm;
use netc_graph::operators::parameter::Role;
use netc_runtime::Init;

use super::{Layer, Takes};
use crate::signature::{ABOVE_ZERO, Argument, Default, Kind, UNIT};
use crate::site::{Failed, Site};

pub(crate) const BATCH_NORM: Layer = Layer {
    name: "batch_norm",
    doc: "Each channel less its mean, over its standard deviation, then scaled and shifted by learned numbers; training takes \
          mean and variance from the batch, and keeps running ones for later.",
    shapes: "any shape, channels first, which it keeps",
    takes: Takes::One,
    arguments: &[
        Argument {
            name: "epsilon",
            kind: Kind::Real(ABOVE_ZERO),
            default: Default::Real(1e-5),
            doc: "added to the variance, so that nothing is divided by zero",
        },
        Argument {
            name: "momentum",
            kind: Kind::Real(UNIT),
            default: Default::Real(0.1),
            doc: "weight of the newest batch in the running statistics",
        },
    ],
    example: "batch_norm",
    expand,
};

/// Weight, bias, running mean and running variance, all `[C]`, as PyTorch names them.
fn expand(site: &mut Site<'_>) -> Result<NodeId, Failed> {
    let channels = site.shape(0)[0];
    let [weight, bias, mean, variance] = [
        site.parameter("weight", [channels], Role::Bias, Init::Constant(1.0))?,
        site.parameter("bias", [channels], Role::Bias, Init::Constant(0.0))?,
        site.parameter("running_mean", [channels], Role::Statistic, Init::Constant(0.0))?,
        site.parameter("running_var", [channels], Role::Statistic, Init::Constant(1.0))?,
    ];
    let (epsilon, momentum) = (site.bound.real("epsilon"), site.bound.real("momentum"));
    let rule = BatchNorm { epsilon, momentum };
    site.by_channels(|site, x| site.apply(rule, &[x, weight, bias, mean, variance]))
}

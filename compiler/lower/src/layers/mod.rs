//! The layers of the language, one file each: its arguments, and the operators it expands to.
//!
//! To add one: write its file and its line in [`ALL`]. Parsing, checking of arguments, "did you mean" and the reference
//! page follow from the table.

mod activation;
mod avg_pool;
mod axes;
mod batch_norm;
mod combine;
mod concat;
mod conv;
mod conv_transpose;
mod dense;
mod depth;
mod dropout;
mod fake_quantize;
mod flatten;
mod function;
mod global_pool;
mod lrn;
mod max_pool;
mod pad;
mod parameter;
mod reshape;
mod resize;
mod scale_shift;
mod slice;
mod softmax;
mod taken;
mod upsample;

use netc_graph::NodeId;

use crate::signature::{Argument, Default, Kind, YES_NO};
use crate::site::{Failed, Site};

/// One layer of the language.
#[derive(Debug)]
pub(crate) struct Layer {
    /// Its word.
    pub(crate) name: &'static str,
    /// What it does, as one sentence.
    pub(crate) doc: &'static str,
    /// The shape it takes and gives.
    pub(crate) shapes: &'static str,
    /// How many values it takes.
    pub(crate) takes: Takes,
    /// What stands in the brackets, without values.
    pub(crate) arguments: &'static [Argument],
    /// A stage or call for the reference; it follows `x`, of shape [4, 8, 8].
    pub(crate) example: &'static str,
    /// Adds its parameters and operators; gives the node of its result.
    pub(crate) expand: fn(&mut Site<'_>) -> Result<NodeId, Failed>,
}

/// How many values a layer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// It makes its value of nothing.
    Nothing,
    One,
    Two,
    /// Two or more; every positional argument is one.
    Several,
}

/// Every layer, in the order of the reference.
pub(crate) const ALL: &[&Layer] = &[
    &conv::CONV,
    &conv_transpose::CONV_TRANSPOSE,
    &dense::DENSE,
    &max_pool::MAX_POOL,
    &avg_pool::AVG_POOL,
    &global_pool::GLOBAL_AVG_POOL,
    &global_pool::GLOBAL_MAX_POOL,
    &activation::RELU,
    &activation::LEAKY_RELU,
    &activation::TANH,
    &activation::SIGMOID,
    &function::PRELU,
    &function::ELU,
    &function::SELU,
    &function::GELU,
    &function::SILU,
    &function::SOFTPLUS,
    &function::HARD_SIGMOID,
    &function::HARD_SWISH,
    &function::CLIP,
    &function::ABS,
    &function::NEGATE,
    &function::RECIPROCAL,
    &function::EXP,
    &function::LOG,
    &function::SQRT,
    &function::POWER,
    &function::ERF,
    &softmax::SOFTMAX,
    &softmax::LOG_SOFTMAX,
    &batch_norm::BATCH_NORM,
    &lrn::LRN,
    &scale_shift::SCALE_SHIFT,
    &dropout::DROPOUT,
    &flatten::FLATTEN,
    &reshape::RESHAPE,
    &axes::TRANSPOSE,
    &axes::REDUCE_MEAN,
    &axes::REDUCE_SUM,
    &axes::REDUCE_MAX,
    &axes::REDUCE_MIN,
    &concat::CONCAT,
    &slice::SLICE,
    &pad::PAD,
    &combine::ADD,
    &combine::SUBTRACT,
    &combine::MULTIPLY,
    &combine::DIVIDE,
    &combine::MAXIMUM,
    &combine::MINIMUM,
    &parameter::PARAMETER,
    &upsample::UPSAMPLE,
    &resize::RESIZE,
    &depth::DEPTH_TO_SPACE,
    &depth::SPACE_TO_DEPTH,
    &fake_quantize::FAKE_QUANTIZE,
];

/// The layer of this word.
pub(crate) fn find(name: &str) -> Option<&'static Layer> {
    ALL.iter().find(|layer| layer.name == name).copied()
}

/// Every word that an argument of a layer takes: words of the language, which stand for themselves.
pub(crate) fn words() -> impl Iterator<Item = &'static str> {
    ALL.iter()
        .flat_map(|layer| layer.arguments)
        .flat_map(|argument| argument.kind.words().iter().copied())
}

/// What to write for a layer as other frameworks call it.
pub(crate) fn alias(name: &str) -> Option<String> {
    let plain: String = name
        .chars()
        .filter(|c| *c != '_')
        .flat_map(char::to_lowercase)
        .collect();
    let ours = match plain.as_str() {
        "linear" | "fc" | "fullyconnected" => "dense",
        "convolution" | "conv1d" | "conv2d" => "conv",
        "pool" | "maxpool1d" | "maxpool2d" => "max_pool",
        "averagepool" | "avgpool1d" | "avgpool2d" => "avg_pool",
        "adaptiveavgpool" | "adaptiveavgpool1d" | "adaptiveavgpool2d" | "gap" | "globalaveragepool" => {
            "global_avg_pool"
        }
        "bn" | "batchnorm1d" | "batchnorm2d" | "batchnormalization" => "batch_norm",
        "localresponsenorm" | "localresponsenormalization" => "lrn",
        "cat" | "concatenate" => "concat",
        "sum" => "add",
        "mul" => "multiply",
        "view" => "reshape",
        "lrelu" => "leaky_relu",
        "swish" => "silu",
        "hardswish" => "hard_swish",
        "hardsigmoid" => "hard_sigmoid",
        "relu6" => return Some("write `clip(0, 6)`".to_owned()),
        "div" => "divide",
        "sub" => "subtract",
        "max" => "maximum",
        "min" => "minimum",
        "neg" => "negate",
        "pow" => "power",
        "permute" => "transpose",
        "mean" | "reducemean" => "reduce_mean",
        "reducesum" => "reduce_sum",
        "reducemax" | "amax" => "reduce_max",
        "reducemin" | "amin" => "reduce_min",
        "interpolate" | "upsampling" | "upsampling2d" => "upsample",
        "identity" => return Some("leave the stage out: what flows in flows on".to_owned()),
        "convtranspose1d" | "convtranspose2d" | "deconv" => "conv_transpose",
        "pixelshuffle" => return Some("write `depth_to_space(…, mode = crd)`".to_owned()),
        _ => return None,
    };
    Some(format!("did you mean `{ours}`?"))
}

const CHANNELS: Argument = Argument {
    name: "channels",
    kind: Kind::Integer(1),
    default: Default::Required,
    doc: "how many channels it makes",
};
const GROUPS: Argument = Argument {
    name: "groups",
    kind: Kind::Integer(1),
    default: Default::Integer(1),
    doc: "equal groups of channels; each output group sees the input group of its number only",
};
/// Of a layer that makes channels.
const BIAS: Argument = Argument {
    name: "bias",
    kind: YES_NO,
    default: Default::Word("true"),
    doc: "whether each channel adds a learned number",
};
const KERNEL: Argument = Argument {
    name: "kernel",
    kind: Kind::PerAxis(1),
    default: Default::Required,
    doc: "extent of the window",
};
const PAD: Argument = Argument {
    name: "pad",
    kind: Kind::Padding,
    default: Default::Integer(0),
    doc: "positions added on each side; `same` adds what keeps the size (over the stride, rounded up), and what does not split \
          evenly to the end, `same_lower` to the start, `valid` adds none",
};
const CEIL: Argument = Argument {
    name: "ceil",
    kind: YES_NO,
    default: Default::Word("false"),
    doc: "whether a last window may reach past the end, as long as it starts before that: extents are rounded up",
};
const DILATION: Argument = Argument {
    name: "dilation",
    kind: Kind::PerAxis(1),
    default: Default::Integer(1),
    doc: "distance between the taps of the window",
};
const AXIS: Argument = Argument {
    name: "axis",
    kind: Kind::Integer(0),
    default: Default::Integer(0),
    doc: "counts from 0, without the batch: 0 is the channels",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_in_order() {
        for layer in ALL {
            let required = |argument: &Argument| matches!(argument.default, Default::Required);
            assert!(
                layer.arguments.iter().is_sorted_by_key(|argument| !required(argument)),
                "{}",
                layer.name
            );
            assert!(
                layer.doc.ends_with('.') && layer.example.contains(layer.name),
                "{}",
                layer.name
            );
            assert!(
                layer.arguments.iter().all(|argument| !argument.doc.ends_with('.')),
                "{}",
                layer.name
            );
            assert_eq!(ALL.iter().filter(|other| other.name == layer.name).count(), 1);
        }
    }
}

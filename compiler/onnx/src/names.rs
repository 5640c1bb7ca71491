//! Names of a model as names of the language.
//!
//! A model's names are any text: `/features/features.0/Conv_output_0`, `gpu_0/conv1_w_0`, `onnx::Gemm_17`, `12`. What they say
//! about a layer is kept, as letters, digits and `_`; what exporters make up says nothing.

use std::collections::BTreeSet;

/// Longest name that is made, well below what the language allows.
const LONGEST: usize = 48;

/// Words that no value may be named: keywords, words of arguments, and layers.
const RESERVED: &[&str] = &[
    "use",
    "const",
    "block",
    "net",
    "input",
    "let",
    "in",
    "as",
    "repeat",
    "output",
    "expect",
    "train",
    "prune",
    "quantize",
    "distill",
    "transfer",
    "same",
    "valid",
    "true",
    "false",
    "none",
    "nearest",
    "bilinear",
    "linear",
    "reflect",
    "edge",
    "constant",
    "conv",
    "dense",
    "relu",
    "tanh",
    "sigmoid",
    "softmax",
    "lrn",
    "dropout",
    "flatten",
    "reshape",
    "concat",
    "slice",
    "add",
    "multiply",
    "subtract",
    "divide",
    "upsample",
    "pad",
    "transpose",
    "resize",
    "parameter",
    "clip",
    "elu",
    "erf",
    "gelu",
    "prelu",
    "min",
    "max",
    "mean",
    "sum",
    "exp",
    "log",
    "sqrt",
    "abs",
    "negate",
    "reciprocal",
    "power",
    "floor",
    "ceil",
    "wrap",
    "dcr",
    "crd",
    "same_lower",
    "u8",
    "i8",
    "silu",
    "round",
    "softplus",
    "selu",
    "dequantize",
    "expand",
    "minimum",
    "maximum",
];

/// Parts of names that say what a tensor is to its layer, not which layer.
const ROLES: &[&str] = &[
    "weight",
    "weights",
    "kernel",
    "gamma",
    "scale",
    "bias",
    "w",
    "W",
    "b",
    "B",
    "s",
    "running_mean",
];

/// Names that are taken, so that new ones differ.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    names: BTreeSet<String>,
}

impl Taken {
    /// Takes a name as it is.
    pub(crate) fn keep(&mut self, name: &str) {
        self.names.insert(name.to_owned());
    }

    /// The name, or the name with a number if it is taken; words of the language may be names here.
    pub(crate) fn other(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut count = 2;
        while self.names.contains(&name) {
            name = format!("{wanted}_{count}");
            count += 1;
        }
        self.names.insert(name.clone());
        name
    }

    /// The name, or the name with a number, if it is taken.
    pub(crate) fn unique(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut count = 2;
        while self.names.contains(&name) || is_keyword(&name) {
            name = format!("{wanted}_{count}");
            count += 1;
        }
        self.names.insert(name.clone());
        name
    }
}

/// Whether the language reserves the name.
pub(crate) fn is_keyword(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// A name for a value; `otherwise` if the model's says nothing.
pub(crate) fn of_value(name: &str, otherwise: &str) -> String {
    let name = identifier(&parts(without_output(name)));
    if name.is_empty() { otherwise.to_owned() } else { name }
}

/// A label for a layer, if one of these names says something about it.
pub(crate) fn of_layer(candidates: &[String]) -> Option<String> {
    candidates.iter().find_map(|name| {
        let mut parts = parts(without_output(name));
        if parts.len() > 1 && parts.last().is_some_and(|part| ROLES.contains(&part.as_str())) {
            parts.pop();
        }
        if let Some(last) = parts.last_mut() {
            *last = without_role(last).to_owned();
        }
        // The last part of PyTorch's names for nodes is the operator.
        let is_operator = |part: &String| {
            crate::operators::find(part.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_')).is_some()
        };
        if parts.len() > 1 && parts.last().is_some_and(is_operator) {
            parts.pop();
        }
        let says_something = parts.iter().any(|part| !is_made_up(part));
        let name = identifier(&parts);
        (says_something && !name.is_empty()).then_some(name)
    })
}

/// The node's name in what exporters make of it for its value.
fn without_output(name: &str) -> &str {
    let node = name
        .strip_suffix("_output_0")
        .or_else(|| name.strip_suffix("_Output_0"));
    node.unwrap_or(name)
}

/// `conv1` of `conv1_w_0`.
fn without_role(name: &str) -> &str {
    let base = name.strip_suffix("_0").unwrap_or(name);
    let stripped = ROLES
        .iter()
        .find_map(|role| base.strip_suffix(role).and_then(|rest| rest.strip_suffix('_')));
    match stripped {
        Some(rest) if !rest.is_empty() => rest,
        _ => name,
    }
}

/// Whether an exporter made it up: a number, a letter or two with one, an operator with one.
fn is_made_up(part: &str) -> bool {
    let letters = part
        .trim_end_matches(|c: char| c.is_ascii_digit())
        .trim_end_matches('_');
    letters.len() <= 2
        || crate::operators::find(letters).is_some()
        || matches!(
            letters,
            "onnx" | "node" | "val" | "tensor" | "Parameter" | "Plus" | "Convolution" | "Times"
        )
}

/// The parts between slashes, dots and the like; a part that begins with the one before stands for both.
fn parts(name: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for part in name.split(['/', ':', '\\', ' ']).filter(|part| !part.is_empty()) {
        if part == "onnx" {
            continue;
        }
        if let Some(last) = found.last_mut()
            && part.starts_with(last.as_str())
        {
            part.clone_into(last);
        } else {
            found.push(part.to_owned());
        }
    }
    found
        .iter()
        .flat_map(|part| part.split('.'))
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Parts as one identifier.
fn identifier(parts: &[String]) -> String {
    let mut name = String::new();
    for c in parts.join("_").chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' => name.push(c),
            _ if name.ends_with('_') => {}
            _ => name.push('_'),
        }
    }
    // The end of a long name says more than its start.
    let start = name.len().saturating_sub(LONGEST);
    let name = name[start..].trim_matches('_');
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return format!("v{name}");
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_have_the_names_of_their_weights() {
        let label = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            of_layer(&names).unwrap_or_else(|| "-".to_owned())
        };
        assert_eq!(label(&["features.0.weight", "/features/features.0/Conv"]), "features_0");
        assert_eq!(label(&["conv1_w_0", "n0", "r0"]), "conv1");
        assert_eq!(label(&["gpu_0/res_conv1_bn_s_0"]), "gpu_0_res_conv1_bn");
        assert_eq!(
            label(&["onnx::Conv_123", "/layer1/layer1.0/conv1/Conv"]),
            "layer1_0_conv1"
        );
        assert_eq!(label(&["W", "", "y"]), "-");
        assert_eq!(label(&["Parameter5", "Convolution28", "Convolution28_Output_0"]), "-");
        assert_eq!(label(&["12", "Conv_0", "r1"]), "-");
    }

    #[test]
    fn values_have_names_of_the_language() {
        assert_eq!(of_value("gpu_0/data_0", "x"), "gpu_0_data_0");
        assert_eq!(of_value("input.1", "x"), "input_1");
        assert_eq!(of_value("12", "x"), "v12");
        assert_eq!(of_value("…", "x"), "x");
        assert!(of_value(&"long/".repeat(40), "x").len() <= LONGEST);
    }

    #[test]
    fn names_are_used_once() {
        let mut taken = Taken::default();
        assert_eq!(
            ["x", "x", "input", "x_2"].map(|name| taken.unique(name)),
            ["x", "x_2", "input_2", "x_2_2"]
        );
    }
}

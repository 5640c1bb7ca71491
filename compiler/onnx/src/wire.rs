//! A look at the bytes of a protobuf before any message is made of them: are they well formed, and how much memory would
//! their messages take?
//!
//! A message costs at least two bytes in a file and some hundred in memory, a small integer one byte and eight; a file
//! that is nothing but those would take a hundredfold of its size. So both are counted first. The walk follows the
//! messages of [`crate::proto`] by their field numbers, and says of a mistake where it is: `graph.node[3].attribute[0]`.

use std::fmt::Write;

/// Most messages in a file. The largest real networks have some ten thousand nodes with a dozen messages each.
pub(crate) const MOST_MESSAGES: usize = 1 << 19;
/// Most bytes in a file that hold packed or single small integers.
pub(crate) const MOST_INTEGER_BYTES: usize = 1 << 22;
/// Deepest nesting: a model, its graph, a node, its attribute, its tensor, an entry of it, and as much again.
const MOST_DEPTH: usize = 12;

/// What a message holds that matters here.
struct Kind {
    name: &'static str,
    fields: &'static [Field],
}

/// A field that holds messages, texts or integers.
struct Field {
    number: u64,
    name: &'static str,
    holds: Holds,
}

enum Holds {
    Message(&'static Kind),
    /// Repeated texts: each takes a vector's place in memory.
    Texts,
    Integers,
}

const fn message(number: u64, name: &'static str, kind: &'static Kind) -> Field {
    Field {
        number,
        name,
        holds: Holds::Message(kind),
    }
}

const fn integers(number: u64, name: &'static str) -> Field {
    Field {
        number,
        name,
        holds: Holds::Integers,
    }
}

const fn texts(number: u64, name: &'static str) -> Field {
    Field {
        number,
        name,
        holds: Holds::Texts,
    }
}

static MODEL: Kind = Kind {
    name: "model",
    fields: &[message(8, "opset_import", &LEAF), message(7, "graph", &GRAPH)],
};
static GRAPH: Kind = Kind {
    name: "graph",
    fields: &[
        message(1, "node", &NODE),
        message(5, "initializer", &TENSOR),
        message(15, "sparse_initializer", &SPARSE),
        message(11, "input", &VALUE),
        message(12, "output", &VALUE),
    ],
};
static NODE: Kind = Kind {
    name: "node",
    fields: &[
        texts(1, "input"),
        texts(2, "output"),
        message(5, "attribute", &ATTRIBUTE),
    ],
};
static ATTRIBUTE: Kind = Kind {
    name: "attribute",
    fields: &[message(5, "t", &TENSOR), integers(8, "ints")],
};
static TENSOR: Kind = Kind {
    name: "tensor",
    fields: &[
        integers(1, "dims"),
        integers(5, "int32_data"),
        integers(7, "int64_data"),
        integers(11, "uint64_data"),
        message(13, "external_data", &LEAF),
    ],
};
static SPARSE: Kind = Kind {
    name: "sparse tensor",
    fields: &[message(1, "values", &TENSOR)],
};
static VALUE: Kind = Kind {
    name: "value",
    fields: &[message(2, "type", &TYPE)],
};
static TYPE: Kind = Kind {
    name: "type",
    fields: &[message(1, "tensor_type", &TENSOR_TYPE)],
};
static TENSOR_TYPE: Kind = Kind {
    name: "tensor type",
    fields: &[message(2, "shape", &SHAPE)],
};
static SHAPE: Kind = Kind {
    name: "shape",
    fields: &[message(1, "dim", &LEAF)],
};
/// A message without any of these fields.
static LEAF: Kind = Kind {
    name: "message",
    fields: &[],
};

/// Why bytes are no model, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// `graph.node[3]`, or `model`.
    pub(crate) place: String,
    pub(crate) problem: String,
}

/// Checks the bytes of a model.
pub(crate) fn check(bytes: &[u8]) -> Result<(), Malformed> {
    let mut walk = Walk {
        messages: 0,
        integer_bytes: 0,
        path: Vec::new(),
    };
    walk.message(bytes, &MODEL).map_err(|problem| Malformed {
        place: walk.place(),
        problem,
    })
}

struct Walk {
    messages: usize,
    integer_bytes: usize,
    /// Fields from the model down, with how many of the same were before.
    path: Vec<(&'static str, usize)>,
}

impl Walk {
    /// The path; it is left as it was where the walk stopped.
    fn place(&self) -> String {
        let mut text = String::new();
        for (name, index) in &self.path {
            let _ = match *name {
                "graph" | "t" | "type" | "tensor_type" | "shape" | "values" => write!(text, ".{name}"),
                _ => write!(text, ".{name}[{index}]"),
            };
        }
        if text.is_empty() {
            MODEL.name.to_owned()
        } else {
            text.split_off(1)
        }
    }

    fn message(&mut self, bytes: &[u8], kind: &'static Kind) -> Result<(), String> {
        self.messages += 1;
        if self.messages > MOST_MESSAGES {
            return Err(format!("more than {MOST_MESSAGES} messages are in the file"));
        }
        if self.path.len() > MOST_DEPTH {
            return Err("messages are nested too deeply".to_owned());
        }
        let mut counts = vec![0; kind.fields.len()];
        let mut rest = bytes;
        while !rest.is_empty() {
            let key = varint(&mut rest).ok_or_else(|| cut(kind))?;
            let content = content(&mut rest, key & 7).ok_or_else(|| cut(kind))?;
            let found = kind.fields.iter().position(|field| field.number == key >> 3);
            let Some(index) = found else { continue };
            let field = &kind.fields[index];
            match (&field.holds, key & 7) {
                (Holds::Message(inner), 2) => {
                    self.path.push((field.name, counts[index]));
                    self.message(content, inner)?;
                    self.path.pop();
                }
                (Holds::Message(_), _) => {
                    return Err(format!("`{}` of a {} is no message", field.name, kind.name));
                }
                (Holds::Texts, _) => self.messages += 1,
                (Holds::Integers, _) => {
                    self.integer_bytes += content.len();
                    if self.integer_bytes > MOST_INTEGER_BYTES {
                        return Err(format!(
                            "more than {MOST_INTEGER_BYTES} bytes of integers are in the file"
                        ));
                    }
                }
            }
            counts[index] += 1;
        }
        Ok(())
    }
}

fn cut(kind: &Kind) -> String {
    format!("the bytes of a {} end too early or are no protobuf", kind.name)
}

/// Takes what a field of this wire type holds; `None` if it does not fit.
fn content<'a>(rest: &mut &'a [u8], wire_type: u64) -> Option<&'a [u8]> {
    let length = match wire_type {
        0 => {
            let before = *rest;
            varint(rest)?;
            return before.get(..before.len() - rest.len());
        }
        1 => 8,
        2 => usize::try_from(varint(rest)?).ok()?,
        5 => 4,
        // Groups were never part of ONNX.
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(content)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{GraphProto, ModelProto, NodeProto};
    use prost::Message;

    fn model(nodes: usize) -> Vec<u8> {
        let node = NodeProto {
            op_type: "Relu".to_owned(),
            input: vec!["x".to_owned()],
            ..NodeProto::default()
        };
        let graph = GraphProto {
            node: vec![node; nodes],
            ..GraphProto::default()
        };
        ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        }
        .encode_to_vec()
    }

    fn problem(bytes: &[u8]) -> String {
        let Malformed { place, problem } = check(bytes).unwrap_err();
        format!("{place}: {problem}")
    }

    #[test]
    fn a_valid_model_passes() {
        assert_eq!(check(&model(3)), Ok(()));
        assert_eq!(check(&[]), Ok(()));
    }

    #[test]
    fn mistakes_say_where() {
        let mut bytes = model(2);
        let last = bytes.len() - 1;
        // The last byte is inside the second node's operator name; a longer name does not fit.
        bytes.truncate(last);
        insta::assert_snapshot!(problem(&bytes), @"model: the bytes of a model end too early or are no protobuf");
        let mut bytes = model(2);
        let place = bytes.windows(4).rposition(|window| window == b"Relu").unwrap();
        bytes[place - 1] = 100;
        insta::assert_snapshot!(problem(&bytes), @"graph.node[1]: the bytes of a node end too early or are no protobuf");
    }

    #[test]
    fn bombs_are_refused_before_memory_is_taken() {
        let empty_nodes = [&[0x3a, 0x80, 0x80, 0x80, 0x01][..], &[0x0a, 0x00].repeat(1 << 20)].concat();
        insta::assert_snapshot!(problem(&empty_nodes), @"graph.node[524286]: more than 524288 messages are in the file");
    }
}

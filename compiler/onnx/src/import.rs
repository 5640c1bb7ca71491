//! From a model to text and weights.
//!
//! Nodes are translated in order; what cannot be said is collected over the whole model. First the leading axis of every
//! input is taken for the batch; if some node cannot be said so, the whole tensors are taken for single samples.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use netc_diagnostics::{Diagnostic, Diagnostics};
use netc_runtime::{Shape, Tensor};

use crate::constant::Constant;
use crate::error::{self, Problem, of_file, of_nodes, quoted};
use crate::names;
use crate::operators;
use crate::proto::{Extent, GraphProto, ModelProto, NodeProto, ValueInfoProto, data_type};
use crate::read::Model;
use crate::site::{BATCH, Batch, Flowing, STORED, Site, Value};
use crate::sketch::Sketch;
use crate::text;

/// Elements that constants may be made of beside those that the model holds.
const ROOM: usize = 1 << 22;
/// And for each element that it holds: transposed once, scaled once, and once more.
const ROOM_PER_ELEMENT: usize = 3;

/// What is asked of an import beside the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// The net's name; without it, the file's.
    pub name: Option<String>,
    /// Numbers for extents that have names: `sequence`, or `INPUT.AXIS` for one without a name.
    pub extents: Vec<(String, usize)>,
}

/// A model as a network of the language.
#[derive(Debug)]
pub struct Imported {
    /// The net's name.
    pub name: String,
    /// The network, in the canonical layout.
    pub text: String,
    /// What it learned.
    pub weights: Vec<Weight>,
    /// For each of the model's inputs its name there and here.
    pub inputs: Vec<(String, String)>,
    /// The same for its outputs.
    pub outputs: Vec<(String, String)>,
    /// Whether the first axis of the model's inputs is the batch; otherwise a whole tensor is one sample.
    pub first_axis_is_batch: bool,
}

/// A tensor by its key. It takes memory once it is asked for, if one number stands for all elements.
#[derive(Debug)]
pub struct Weight {
    key: String,
    constant: Arc<Constant>,
}

impl Weight {
    /// The key, `conv1.weight`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its extents.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape::from(self.constant.shape())
    }

    /// Its elements, as they lie if there is one for each position.
    #[must_use]
    pub fn elements(&self) -> Cow<'_, [f32]> {
        self.constant.to_floats()
    }

    /// The tensor.
    #[must_use]
    pub fn tensor(&self) -> Tensor {
        self.constant.to_tensor()
    }
}

/// Reads a model.
///
/// # Errors
/// If the file cannot be read or is no model, extents lack numbers, or nodes cannot be said: all of them.
pub fn import(path: &Path, options: &ImportOptions) -> Result<Imported, Diagnostics> {
    let mut model = Model::open(path)?;
    import_model(&mut model, options)
}

/// The same for a model that was decoded or made elsewhere; `path` is for messages and external files.
///
/// # Errors
/// As [`import`].
pub fn import_proto(proto: ModelProto, path: &Path, options: &ImportOptions) -> Result<Imported, Diagnostics> {
    let mut model = Model::of(path, proto)?;
    import_model(&mut model, options)
}

fn import_model(model: &mut Model, options: &ImportOptions) -> Result<Imported, Diagnostics> {
    let graph = std::mem::take(&mut model.graph);
    let constants = initializers(model, &graph)?;
    let ports = inputs(model, &graph, &constants, options)?;
    let held = graph
        .initializer
        .len()
        .saturating_add(constants.values().map(|constant| constant.stored()).sum());
    let room = ROOM.saturating_add(held.saturating_mul(ROOM_PER_ELEMENT));
    let mut translate = |batch| {
        let attempt = Attempt {
            model,
            graph: &graph,
            constants: &constants,
            batch,
            room,
        };
        attempt.run(&ports)
    };
    let mut batch = Batch::First;
    let mut result = translate(Batch::First);
    if let Err(problems) = &result
        && !ports.iter().any(|port| port.extents.first() == Some(&BATCH))
    {
        let other = translate(Batch::None);
        if other.as_ref().map_or_else(Vec::len, |_| 0) < problems.len() {
            (batch, result) = (Batch::None, other);
        }
    }
    let sketch = result.map_err(|problems| of_nodes(&model.path, model.opset, &problems))?;
    let name = options.name.clone().unwrap_or_else(|| name_of(&model.path));
    let written = text::write(&sketch, &name);
    let pairs = |own: Vec<String>, theirs: Vec<String>| theirs.into_iter().zip(own).collect();
    Ok(Imported {
        name,
        text: written.text,
        weights: written
            .weights
            .into_iter()
            .map(|(key, constant)| Weight { key, constant })
            .collect(),
        inputs: pairs(written.inputs, ports.into_iter().map(|port| port.name).collect()),
        outputs: pairs(
            written.outputs,
            sketch.outputs.into_iter().map(|(name, _)| name).collect(),
        ),
        first_axis_is_batch: batch == Batch::First,
    })
}

/// A name for the net: that of the file, or `model`.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    names::Taken::default().unique(&names::of_value(&stem, "model"))
}

fn initializers(model: &mut Model, graph: &GraphProto) -> Result<BTreeMap<String, Arc<Constant>>, Diagnostics> {
    let mut problems = Vec::new();
    let mut constants = BTreeMap::new();
    let wrong = |model: &Model, problem: String| of_file(&model.path, error::MODEL, problem);
    for sparse in &graph.sparse_initializer {
        let name = sparse.values.as_ref().map_or("", |values| &values.name);
        problems.push(wrong(
            model,
            format!("the tensor {} is sparse, which netc does not read", quoted(name)),
        ));
    }
    for tensor in &graph.initializer {
        match model.constant(tensor) {
            Ok(constant) => {
                constants.insert(tensor.name.clone(), Arc::new(constant));
            }
            Err(problem) => problems.push(wrong(model, problem)),
        }
    }
    if problems.is_empty() {
        Ok(constants)
    } else {
        Err(problems.into())
    }
}

/// An input of the model that is no initializer.
struct Port {
    name: String,
    /// The first may be [`BATCH`].
    extents: Vec<usize>,
}

/// The inputs with every extent known but for the batch.
fn inputs(
    model: &Model,
    graph: &GraphProto,
    constants: &BTreeMap<String, Arc<Constant>>,
    options: &ImportOptions,
) -> Result<Vec<Port>, Diagnostics> {
    let mut problems: Vec<Diagnostic> = Vec::new();
    let mut unknown: Vec<String> = Vec::new();
    let mut ports = Vec::new();
    for input in graph.input.iter().filter(|input| !constants.contains_key(&input.name)) {
        match extents_of(input, options, &mut unknown) {
            Ok(extents) => ports.push(Port {
                name: input.name.clone(),
                extents,
            }),
            Err(problem) => {
                let message = format!("its input {} {problem}", quoted(&input.name));
                problems.push(of_file(&model.path, error::MODEL, message));
            }
        }
    }
    if !unknown.is_empty() {
        unknown.sort();
        unknown.dedup();
        let flags: Vec<String> = unknown.iter().map(|name| format!("--dim {name}=…")).collect();
        let message = format!("extents without a number: {}", unknown.join(", "));
        problems.push(
            of_file(&model.path, error::EXTENTS, message)
                .note("only the batch, the first axis of every input, may stay open")
                .hint(format!("give each a number: {}", flags.join(" "))),
        );
    }
    if problems.is_empty() && ports.is_empty() {
        problems.push(of_file(
            &model.path,
            error::MODEL,
            "it has no inputs: all that it gives is constant",
        ));
    }
    if problems.is_empty() {
        Ok(ports)
    } else {
        Err(problems.into())
    }
}

fn extents_of(
    input: &ValueInfoProto,
    options: &ImportOptions,
    unknown: &mut Vec<String>,
) -> Result<Vec<usize>, String> {
    let tensor = input.r#type.as_ref().and_then(|ty| ty.tensor_type.as_ref());
    let tensor = tensor.ok_or("is no tensor")?;
    if tensor.elem_type != data_type::FLOAT {
        let found = data_type::name(tensor.elem_type);
        return Err(format!("holds {found}; networks take float"));
    }
    let shape = tensor
        .shape
        .as_ref()
        .ok_or("has no shape: not even its rank is known")?;
    let mut extents = Vec::with_capacity(shape.dim.len());
    for (axis, dimension) in shape.dim.iter().enumerate() {
        let name = match &dimension.value {
            Some(Extent::Value(number @ 1..)) => {
                extents.push(usize::try_from(*number).map_err(|_| "is too large")?);
                continue;
            }
            Some(Extent::Name(name)) if !name.is_empty() => name.clone(),
            // Exporters write 0 or -1 for what is open.
            Some(Extent::Name(_) | Extent::Value(_)) | None => format!("{}.{axis}", input.name),
        };
        let given = options.extents.iter().find(|(known, _)| *known == name);
        match given {
            Some((_, number)) => extents.push(*number),
            None if axis == 0 => extents.push(BATCH),
            None => {
                unknown.push(name);
                extents.push(1);
            }
        }
    }
    Ok(extents)
}

/// One way to see the batch.
struct Attempt<'a> {
    model: &'a mut Model,
    graph: &'a GraphProto,
    constants: &'a BTreeMap<String, Arc<Constant>>,
    batch: Batch,
    room: usize,
}

/// Values by name; `None` for those of nodes that could not be said.
type Values<'a> = BTreeMap<&'a str, Option<Value>>;

impl<'a> Attempt<'a> {
    fn run(mut self, ports: &[Port]) -> Result<Sketch, Vec<Problem>> {
        let mut sketch = Sketch::default();
        let mut problems = Vec::new();
        let mut values: Values<'a> = BTreeMap::new();
        let uses = self.uses();
        for (name, constant) in self.constants {
            values.insert(name, Some(Value::Known(Arc::clone(constant))));
        }
        for (input, port) in self
            .graph
            .input
            .iter()
            .filter(|input| !self.constants.contains_key(&input.name))
            .zip(ports)
        {
            let value = self.input(&mut sketch, port);
            match value {
                Ok(flowing) => values.insert(&input.name, Some(Value::Flows(flowing))),
                Err(why) => {
                    problems.push(Problem {
                        operator: "input".to_owned(),
                        node: port.name.clone(),
                        why,
                    });
                    values.insert(&input.name, None)
                }
            };
        }
        for node in &self.graph.node {
            match self.node(node, &values, &mut sketch) {
                Ok(results) => self.bind(node, results, &uses, &mut values, &mut sketch),
                Err(problem) => {
                    problems.extend(problem);
                    node.output.iter().for_each(|name| {
                        values.insert(name, None);
                    });
                }
            }
        }
        self.outputs(&values, &mut sketch, &mut problems);
        if problems.is_empty() { Ok(sketch) } else { Err(problems) }
    }

    fn uses(&self) -> BTreeMap<&'a str, usize> {
        let mut uses = BTreeMap::new();
        let inputs = self.graph.node.iter().flat_map(|node| &node.input).map(String::as_str);
        let outputs = self.graph.output.iter().map(|output| output.name.as_str());
        inputs
            .chain(outputs)
            .for_each(|name| *uses.entry(name).or_insert(0) += 1);
        uses
    }

    fn input(&self, sketch: &mut Sketch, port: &Port) -> Result<Flowing, String> {
        let shape = match self.batch {
            Batch::First if port.extents.len() < 2 => return Err(crate::site::mixes()),
            Batch::First => &port.extents[1..],
            Batch::None if port.extents.is_empty() => &[1],
            Batch::None => port.extents.as_slice(),
        };
        Ok(Flowing {
            id: sketch.add_input(&port.name, shape.to_vec()),
            extents: port.extents.clone(),
        })
    }

    /// A node's results; nothing to be said if an input of it could not be.
    fn node(
        &mut self,
        node: &NodeProto,
        values: &Values<'a>,
        sketch: &mut Sketch,
    ) -> Result<Vec<Value>, Option<Problem>> {
        let is_own = node.domain.is_empty() || node.domain == "ai.onnx";
        let operator = if is_own {
            node.op_type.clone()
        } else {
            format!("{}.{}", node.domain, node.op_type)
        };
        let name = [Some(&node.name), node.output.first()]
            .into_iter()
            .flatten()
            .find(|name| !name.is_empty());
        let problem = |why: String| {
            Some(Problem {
                operator: operator.clone(),
                node: name.cloned().unwrap_or_default(),
                why,
            })
        };
        let translate = operators::find(&node.op_type).filter(|_| is_own);
        let translate = translate.ok_or_else(|| problem("the language has nothing like this operator".to_owned()))?;
        let mut inputs = Vec::with_capacity(node.input.len());
        for name in &node.input {
            inputs.push(match values.get(name.as_str()) {
                _ if name.is_empty() => None,
                Some(Some(value)) => Some(value.clone()),
                Some(None) => return Err(None),
                None => {
                    return Err(problem(format!(
                        "its input {} is made by no node before it",
                        quoted(name)
                    )));
                }
            });
        }
        let model = &mut *self.model;
        let opset = model.opset;
        let mut read = |tensor: &crate::proto::TensorProto| model.constant(tensor);
        let mut site = Site {
            node,
            opset,
            batch: self.batch,
            inputs,
            sketch,
            room: &mut self.room,
            read: &mut read,
            seen: RefCell::new(Vec::new()),
        };
        let results = translate(&mut site).map_err(problem)?;
        let seen = site.seen.borrow();
        let unread = node
            .attribute
            .iter()
            .find(|attribute| !seen.contains(&attribute.name.as_str()));
        match unread {
            None => Ok(results),
            Some(attribute) => Err(problem(format!("its attribute {} is unknown", quoted(&attribute.name)))),
        }
    }

    fn bind(
        &self,
        node: &'a NodeProto,
        results: Vec<Value>,
        uses: &BTreeMap<&'a str, usize>,
        values: &mut Values<'a>,
        sketch: &mut Sketch,
    ) {
        let mut results = results.into_iter();
        for name in &node.output {
            let value = results.next();
            if let Some(Value::Flows(flowing)) = &value {
                let flow = sketch.flow_mut(flowing.id);
                flow.uses += uses.get(name.as_str()).copied().unwrap_or(0);
                if flow.name.is_empty() {
                    name.clone_into(&mut flow.name);
                }
            }
            if !name.is_empty() {
                values.insert(name, value);
            }
        }
    }

    fn outputs(&self, values: &Values<'a>, sketch: &mut Sketch, problems: &mut Vec<Problem>) {
        let mut problem = |name: &str, why: &str| {
            problems.push(Problem {
                operator: "output".to_owned(),
                node: name.to_owned(),
                why: why.to_owned(),
            });
        };
        for output in &self.graph.output {
            match values.get(output.name.as_str()) {
                Some(Some(Value::Flows(flowing)))
                    if sketch.call_of(flowing.id).is_some_and(|call| call.word == STORED) =>
                {
                    problem(&output.name, "it is stored integers, which no layer gives");
                }
                Some(Some(Value::Flows(flowing))) => sketch.outputs.push((output.name.clone(), flowing.id)),
                Some(Some(Value::Known(_))) => problem(&output.name, "it depends on no input of the network"),
                // Why is said of its node.
                Some(None) => {}
                None => problem(&output.name, "no node makes it"),
            }
        }
        if self.graph.output.is_empty() {
            problem("", "the model has no outputs");
        }
    }
}

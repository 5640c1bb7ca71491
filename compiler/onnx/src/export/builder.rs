//! A model while it is made: names that are used once, nodes, and tensors.

use std::collections::BTreeMap;

use bytes::Bytes;
use netc_graph::{Graph, NodeId};
use netc_runtime::{DType, Data, Tensor};

use crate::names::Taken;
use crate::proto::{
    AttributeProto, DimensionProto, Extent, GraphProto, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto, data_type, kind,
};

/// Name of the batch among extents.
const BATCH: &str = "N";

/// What a node's attribute holds.
pub(super) enum Attribute<'a> {
    Integer(&'static str, i64),
    Integers(&'static str, Vec<i64>),
    Float(&'static str, f32),
    Text(&'static str, &'a str),
}

/// A model while it is made.
pub(super) struct Builder<'a> {
    model: GraphProto,
    /// Names of values by the graph's nodes.
    values: BTreeMap<NodeId, String>,
    parameters: BTreeMap<&'a str, &'a Tensor>,
    taken: Taken,
}

impl<'a> Builder<'a> {
    /// With the graph's inputs and outputs, whose names are kept.
    pub(super) fn new(graph: &Graph, parameters: &[(&'a str, &'a Tensor)]) -> Self {
        let mut taken = Taken::default();
        for id in graph.input_nodes() {
            taken.keep(&graph.node(id).name);
        }
        for (name, _) in graph.outputs() {
            taken.keep(name);
        }
        Self {
            model: GraphProto::default(),
            values: BTreeMap::new(),
            parameters: parameters.iter().copied().collect(),
            taken,
        }
    }

    /// The name of a value that was made.
    pub(super) fn value(&self, id: NodeId) -> String {
        self.values[&id].clone()
    }

    /// Names of a node's operands.
    pub(super) fn operands(&self, graph: &Graph, id: NodeId) -> Vec<String> {
        graph.inputs(id).into_iter().map(|input| self.value(input)).collect()
    }

    /// Says that a node's value is this one.
    pub(super) fn set(&mut self, id: NodeId, name: String) {
        self.values.insert(id, name);
    }

    pub(super) fn input(&mut self, graph: &Graph, id: NodeId) {
        let info = value_info(graph, id, &graph.node(id).name);
        self.set(id, info.name.clone());
        self.model.input.push(info);
    }

    /// A parameter under another shape of as many elements, which may have a name of its own.
    pub(super) fn parameter(&mut self, graph: &Graph, id: NodeId, shape: &[usize]) -> Result<String, String> {
        let key = graph.node(id).name.as_str();
        let tensor = *self
            .parameters
            .get(key)
            .ok_or_else(|| format!("there is no tensor `{key}`"))?;
        let is_own = tensor.shape().extents() == shape;
        let name = if is_own {
            key.to_owned()
        } else {
            format!("{key}.by_channel")
        };
        if !self.model.initializer.iter().any(|known| known.name == name) {
            self.taken.keep(&name);
            self.model.initializer.push(tensor_proto(&name, tensor, shape));
        }
        Ok(name)
    }

    /// A tensor of the model's own.
    pub(super) fn tensor(&mut self, name: &str, tensor: &Tensor) -> String {
        let name = self.taken.other(name);
        self.model
            .initializer
            .push(tensor_proto(&name, tensor, tensor.shape().extents()));
        name
    }

    /// A list of integers, such as a shape.
    pub(super) fn list(&mut self, name: &str, values: &[i64]) -> String {
        let name = self.taken.other(name);
        self.model.initializer.push(TensorProto {
            name: name.clone(),
            dims: vec![values.len() as i64],
            data_type: data_type::INT64,
            raw_data: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect::<Vec<_>>()
                .into(),
            ..TensorProto::default()
        });
        name
    }

    /// A node of the layer `layer`; gives the name of its result.
    pub(super) fn node(
        &mut self,
        layer: &str,
        operator: &str,
        inputs: &[String],
        attributes: Vec<Attribute<'_>>,
    ) -> String {
        let name = self.taken.other(layer);
        self.model.node.push(NodeProto {
            input: inputs.to_vec(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: operator.to_owned(),
            domain: String::new(),
            attribute: attributes.into_iter().map(attribute).collect(),
        });
        name
    }

    /// The outputs, under their own names.
    pub(super) fn outputs(&mut self, graph: &Graph) {
        for (name, id) in graph.outputs() {
            let value = self.value(*id);
            self.model.node.push(NodeProto {
                input: vec![value],
                output: vec![name.clone()],
                name: self.taken.other(&format!("{name}_out")),
                op_type: "Identity".to_owned(),
                ..NodeProto::default()
            });
            self.model.output.push(value_info(graph, *id, name));
        }
    }

    pub(super) fn finish(self) -> GraphProto {
        let mut model = self.model;
        without_last_identities(&mut model);
        model
    }
}

/// Lets the node that makes an output give it its name, where nothing else reads it.
fn without_last_identities(model: &mut GraphProto) {
    let count = model.output.len();
    let first = model.node.len() - count;
    let identities: Vec<NodeProto> = model.node.split_off(first);
    for identity in identities {
        let value = &identity.input[0];
        let reads = model
            .node
            .iter()
            .flat_map(|node| &node.input)
            .filter(|name| *name == value)
            .count();
        let maker = model.node.iter_mut().find(|node| node.output.first() == Some(value));
        match maker {
            Some(maker) if reads == 0 && !model.output.iter().any(|output| output.name == *value) => {
                maker.output[0].clone_from(&identity.output[0]);
            }
            _ => model.node.push(identity),
        }
    }
}

fn value_info(graph: &Graph, id: NodeId, name: &str) -> ValueInfoProto {
    let ty = graph.ty(id);
    let batch = ty.batched.then(|| Extent::Name(BATCH.to_owned()));
    let own = ty.shape.extents().iter().map(|&extent| Extent::Value(extent as i64));
    let dim = batch
        .into_iter()
        .chain(own)
        .map(|extent| DimensionProto { value: Some(extent) });
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: type_of(ty.dtype),
                shape: Some(TensorShapeProto { dim: dim.collect() }),
            }),
        }),
    }
}

const fn type_of(dtype: DType) -> i32 {
    match dtype {
        DType::F32 => data_type::FLOAT,
        DType::I32 => data_type::INT32,
        DType::U8 => data_type::UINT8,
        DType::I8 => data_type::INT8,
    }
}

fn tensor_proto(name: &str, tensor: &Tensor, shape: &[usize]) -> TensorProto {
    let raw: Vec<u8> = match tensor.data() {
        Data::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Data::I32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Data::U8(values) => values.clone(),
        Data::I8(values) => values.iter().map(|&value| value as u8).collect(),
    };
    TensorProto {
        name: name.to_owned(),
        dims: shape.iter().map(|&extent| extent as i64).collect(),
        data_type: type_of(tensor.dtype()),
        raw_data: Bytes::from(raw),
        ..TensorProto::default()
    }
}

fn attribute(given: Attribute<'_>) -> AttributeProto {
    let (name, r#type) = match &given {
        Attribute::Integer(name, _) => (*name, kind::INT),
        Attribute::Integers(name, _) => (*name, kind::INTS),
        Attribute::Float(name, _) => (*name, kind::FLOAT),
        Attribute::Text(name, _) => (*name, kind::STRING),
    };
    let mut proto = AttributeProto {
        name: name.to_owned(),
        r#type,
        ..AttributeProto::default()
    };
    match given {
        Attribute::Integer(_, value) => proto.i = value,
        Attribute::Integers(_, values) => proto.ints = values,
        Attribute::Float(_, value) => proto.f = value,
        Attribute::Text(_, text) => proto.s = Bytes::copy_from_slice(text.as_bytes()),
    }
    proto
}

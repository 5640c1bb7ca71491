//! The messages of `onnx.proto` that are read or written here, by hand: names and numbers are those of the public file, and
//! what is not listed is skipped when it is read. So nothing needs a protobuf compiler to be built.
//!
//! These types promise nothing about their contents: any bytes that decode give one.

use bytes::Bytes;
use prost::Message;

/// A whole file.
#[derive(Clone, PartialEq, Message)]
pub struct ModelProto {
    /// Version of the format.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// Which versions of which operator sets it uses.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
    /// Who wrote it.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// In which version.
    #[prost(string, tag = "3")]
    pub producer_version: String,
    /// The network.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
}

/// A version of a set of operators.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSetIdProto {
    /// Empty, or `ai.onnx`, for ONNX's own.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// Its number.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// Nodes, each after those it takes values from.
#[derive(Clone, PartialEq, Message)]
pub struct GraphProto {
    /// In order.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Weights and other constants.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    /// Weights of which few are not zero.
    #[prost(message, repeated, tag = "15")]
    pub sparse_initializer: Vec<SparseTensorProto>,
    /// What it is given; in old files also every initializer.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    /// What it gives.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
}

/// One use of an operator.
#[derive(Clone, PartialEq, Message)]
pub struct NodeProto {
    /// Names of values; an empty one stands for an optional input that is not given.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Names of values.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// Its own name; often empty.
    #[prost(string, tag = "3")]
    pub name: String,
    /// Which operator.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// Of which set; empty for ONNX's own.
    #[prost(string, tag = "7")]
    pub domain: String,
    /// In any order.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
}

/// A named setting of a node.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeProto {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Which of the fields below holds it: one of `kind`.
    #[prost(int32, tag = "20")]
    pub r#type: i32,
    /// A number.
    #[prost(float, tag = "2")]
    pub f: f32,
    /// An integer.
    #[prost(int64, tag = "3")]
    pub i: i64,
    /// A text.
    #[prost(bytes = "bytes", tag = "4")]
    pub s: Bytes,
    /// A tensor.
    #[prost(message, optional, tag = "5")]
    pub t: Option<TensorProto>,
    /// Numbers.
    #[prost(float, repeated, tag = "7")]
    pub floats: Vec<f32>,
    /// Integers.
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
}

/// A tensor with its elements, or where they are.
#[derive(Clone, PartialEq, Message)]
pub struct TensorProto {
    /// Extents, outermost first.
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    /// One of `data_type`.
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Elements of type f32, if they are here.
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    /// Elements of small integer types, and of 16-bit floats by their bits.
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    /// Elements of type i64.
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    /// Its name.
    #[prost(string, tag = "8")]
    pub name: String,
    /// Elements of any type, little endian; a view of the file, not a copy.
    #[prost(bytes = "bytes", tag = "9")]
    pub raw_data: Bytes,
    /// Elements of type f64.
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
    /// Elements of types u32 and u64.
    #[prost(uint64, repeated, tag = "11")]
    pub uint64_data: Vec<u64>,
    /// Where the elements are if they are in another file: `location`, `offset`, `length`.
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<StringStringEntryProto>,
    /// Whether they are in another file.
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

/// A tensor of which few elements are not zero; only recognized.
#[derive(Clone, PartialEq, Message)]
pub struct SparseTensorProto {
    /// The elements; the name is theirs.
    #[prost(message, optional, tag = "1")]
    pub values: Option<TensorProto>,
}

/// A pair of texts.
#[derive(Clone, PartialEq, Message)]
pub struct StringStringEntryProto {
    /// Left.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Right.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A value's name and type.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfoProto {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its type.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
}

/// A type. Sequences, maps and optional values are skipped: such a type has no tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TypeProto {
    /// The type of a tensor.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
}

/// Element type and shape of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorTypeProto {
    /// One of `data_type`.
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// Without it, even the rank is unknown.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// Extents, each a number, a name, or unknown.
#[derive(Clone, PartialEq, Message)]
pub struct TensorShapeProto {
    /// Outermost first.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimensionProto>,
}

/// One extent.
#[derive(Clone, PartialEq, Message)]
pub struct DimensionProto {
    /// Which of the two it is, if known.
    #[prost(oneof = "Extent", tags = "1, 2")]
    pub value: Option<Extent>,
}

/// A number or a name.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Extent {
    /// Always this.
    #[prost(int64, tag = "1")]
    Value(i64),
    /// Equal wherever the name is the same.
    #[prost(string, tag = "2")]
    Name(String),
}

/// Numbers of element types.
pub mod data_type {
    /// IEEE single precision.
    pub const FLOAT: i32 = 1;
    /// Unsigned byte.
    pub const UINT8: i32 = 2;
    /// Signed byte.
    pub const INT8: i32 = 3;
    /// Unsigned 16 bits.
    pub const UINT16: i32 = 4;
    /// Signed 16 bits.
    pub const INT16: i32 = 5;
    /// Signed 32 bits.
    pub const INT32: i32 = 6;
    /// Signed 64 bits.
    pub const INT64: i32 = 7;
    /// True or false, one byte each.
    pub const BOOL: i32 = 9;
    /// IEEE half precision.
    pub const FLOAT16: i32 = 10;
    /// IEEE double precision.
    pub const DOUBLE: i32 = 11;
    /// Unsigned 32 bits.
    pub const UINT32: i32 = 12;
    /// Unsigned 64 bits.
    pub const UINT64: i32 = 13;
    /// The upper half of IEEE single precision.
    pub const BFLOAT16: i32 = 16;

    /// The name as ONNX writes it, for messages.
    #[must_use]
    pub fn name(number: i32) -> String {
        const NAMES: [&str; 27] = [
            "undefined",
            "float",
            "uint8",
            "int8",
            "uint16",
            "int16",
            "int32",
            "int64",
            "string",
            "bool",
            "float16",
            "double",
            "uint32",
            "uint64",
            "complex64",
            "complex128",
            "bfloat16",
            "float8e4m3fn",
            "float8e4m3fnuz",
            "float8e5m2",
            "float8e5m2fnuz",
            "uint4",
            "int4",
            "float4e2m1",
            "float8e8m0",
            "uint2",
            "int2",
        ];
        let known = usize::try_from(number).ok().and_then(|index| NAMES.get(index));
        known.map_or_else(|| format!("type {number}"), |name| (*name).to_owned())
    }
}

/// Numbers of the kinds of attributes.
pub mod kind {
    /// A number.
    pub const FLOAT: i32 = 1;
    /// An integer.
    pub const INT: i32 = 2;
    /// A text.
    pub const STRING: i32 = 3;
    /// A tensor.
    pub const TENSOR: i32 = 4;
    /// Numbers.
    pub const FLOATS: i32 = 6;
    /// Integers.
    pub const INTS: i32 = 7;
}

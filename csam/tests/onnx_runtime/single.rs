//! Models of one operator.

use bytes::Bytes;
use import::proto::onnx::{
    AttributeProto, AttributeType, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TypeProto,
    ValueInfoProto, tensor_shape_proto, type_proto,
};
use import::{DType, Tensor};
use prost::Message;

/// An attribute by name.
#[derive(Debug)]
pub(crate) enum Attribute {
    Int(&'static str, i64),
    Ints(&'static str, Vec<i64>),
    Float(&'static str, f32),
    Text(&'static str, &'static str),
}

/// A node that reads `x` of this shape, and constants after it.
pub(crate) struct Single {
    pub(crate) op: &'static str,
    pub(crate) opset: i64,
    pub(crate) shape: Vec<usize>,
    pub(crate) constants: Vec<Option<Tensor>>,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) outputs: usize,
    pub(crate) gives: DType,
    last_gives: Option<DType>,
}

impl Single {
    pub(crate) fn new(op: &'static str, opset: i64, shape: &[usize]) -> Self {
        Self {
            op,
            opset,
            shape: shape.to_vec(),
            constants: Vec::new(),
            attributes: Vec::new(),
            outputs: 1,
            gives: DType::F32,
            last_gives: None,
        }
    }

    pub(crate) fn int(mut self, name: &'static str, value: i64) -> Self {
        self.attributes.push(Attribute::Int(name, value));
        self
    }

    pub(crate) fn ints(mut self, name: &'static str, values: &[i64]) -> Self {
        self.attributes.push(Attribute::Ints(name, values.to_vec()));
        self
    }

    pub(crate) fn float(mut self, name: &'static str, value: f32) -> Self {
        self.attributes.push(Attribute::Float(name, value));
        self
    }

    pub(crate) fn text(mut self, name: &'static str, value: &'static str) -> Self {
        self.attributes.push(Attribute::Text(name, value));
        self
    }

    /// A constant of this shape, drawn and moved by an offset.
    pub(crate) fn constant(mut self, shape: &[usize], offset: f32) -> Self {
        let values: Vec<f32> = crate::onnx_runtime::numbers(shape).iter().rev().map(|value| value + offset).collect();
        self.constants.push(Some(Tensor::from_f32(shape, &values).unwrap()));
        self
    }

    pub(crate) fn integers(mut self, values: &[i64]) -> Self {
        self.constants.push(Some(Tensor::from_i64(&[values.len()], values).unwrap()));
        self
    }

    /// A constant of integers of this shape.
    pub(crate) fn integers_of(mut self, shape: &[usize], values: &[i64]) -> Self {
        self.constants.push(Some(Tensor::from_i64(shape, values).unwrap()));
        self
    }

    pub(crate) fn floats(mut self, values: &[f32]) -> Self {
        self.constants.push(Some(Tensor::from_f32(&[values.len()], values).unwrap()));
        self
    }

    pub(crate) fn scalar(mut self, value: f32) -> Self {
        self.constants.push(Some(Tensor::from_f32(&[], &[value]).unwrap()));
        self
    }

    pub(crate) fn index(mut self, value: i64) -> Self {
        self.constants.push(Some(Tensor::from_i64(&[], &[value]).unwrap()));
        self
    }

    pub(crate) fn tensor(mut self, tensor: Tensor) -> Self {
        self.constants.push(Some(tensor));
        self
    }

    pub(crate) fn absent(mut self) -> Self {
        self.constants.push(None);
        self
    }

    pub(crate) fn outputs(mut self, outputs: usize) -> Self {
        self.outputs = outputs;
        self
    }

    /// Says what the outputs are, when they are not floats.
    pub(crate) fn gives(mut self, dtype: DType) -> Self {
        self.gives = dtype;
        self
    }

    /// Says what the last output is, when it differs from the others.
    pub(crate) fn last_gives(mut self, dtype: DType) -> Self {
        self.last_gives = Some(dtype);
        self
    }

    /// The file. The first axis of `x` has any size.
    pub(crate) fn file(&self) -> Vec<u8> {
        let names: Vec<String> = (0..self.constants.len()).map(|i| format!("c{i}")).collect();
        let given = self.constants.iter().zip(&names);
        let initializer = given.clone().filter_map(|(tensor, name)| Some(tensor.as_ref()?.to_proto(name)));
        let constants = given.clone().map(|(tensor, name)| tensor.as_ref().map_or(Bytes::new(), |_| text(name)));
        let outputs: Vec<String> = (0..self.outputs).map(|i| format!("y{i}")).collect();
        let node = NodeProto {
            input: std::iter::once(text("x")).chain(constants).collect(),
            output: outputs.iter().map(|name| text(name)).collect(),
            op_type: Some(text(self.op)),
            attribute: self.attributes.iter().map(Attribute::message).collect(),
            ..NodeProto::default()
        };
        let graph = GraphProto {
            name: Some(text("single")),
            node: vec![node],
            initializer: initializer.collect(),
            input: vec![declared("x", DType::F32, Some(&self.shape))],
            output: outputs.iter().enumerate().map(|(at, name)| declared(name, self.gives_at(at), None)).collect(),
            ..GraphProto::default()
        };
        let model = ModelProto {
            ir_version: Some(8),
            opset_import: vec![OperatorSetIdProto { domain: Some(Bytes::new()), version: Some(self.opset) }],
            graph: Some(graph),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }
}

impl Single {
    fn gives_at(&self, output: usize) -> DType {
        self.last_gives.filter(|_| output + 1 == self.outputs).unwrap_or(self.gives)
    }
}

impl Attribute {
    fn message(&self) -> AttributeProto {
        let named = |name: &str, kind: AttributeType| AttributeProto {
            name: Some(text(name)),
            r#type: Some(kind.into()),
            ..AttributeProto::default()
        };
        match self {
            Self::Int(name, value) => AttributeProto { i: Some(*value), ..named(name, AttributeType::Int) },
            Self::Ints(name, values) => AttributeProto { ints: values.clone(), ..named(name, AttributeType::Ints) },
            Self::Float(name, value) => AttributeProto { f: Some(*value), ..named(name, AttributeType::Float) },
            Self::Text(name, value) => AttributeProto { s: Some(text(value)), ..named(name, AttributeType::String) },
        }
    }
}

fn declared(name: &str, dtype: DType, shape: Option<&[usize]>) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension::Value};
    let dim = |(axis, extent): (usize, &usize)| Dimension {
        value: Some(if axis == 0 { Value::DimParam(text("n")) } else { Value::DimValue(*extent as i64) }),
        ..Dimension::default()
    };
    let shape = shape.map(|shape| TensorShapeProto { dim: shape.iter().enumerate().map(dim).collect() });
    let tensor = type_proto::Tensor { elem_type: Some(dtype.code()), shape };
    ValueInfoProto {
        name: Some(text(name)),
        r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}

fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

//! New nodes and attributes.

use bytes::Bytes;
use import::{
    Tensor,
    proto::onnx::{AttributeProto, AttributeType, NodeProto},
};

/// A node without attributes.
pub(crate) fn simple_node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    let names = |names: &[&str]| {
        let names = names.iter();
        names.map(|name| Bytes::copy_from_slice(name.as_bytes())).collect()
    };
    NodeProto {
        op_type: Some(Bytes::copy_from_slice(op.as_bytes())),
        input: names(inputs),
        output: names(outputs),
        name: outputs.first().map(|name| Bytes::copy_from_slice(name.as_bytes())),
        ..NodeProto::default()
    }
}

/// Since this version elementwise operators broadcast by themselves.
const BROADCASTS_SINCE: i64 = 7;

/// An elementwise node whose second input, shaped by [`along`], runs along `axis` of the first.
pub(crate) fn elementwise(op: &str, inputs: &[&str], axis: usize, opset: i64) -> NodeProto {
    let mut node = simple_node(op, inputs, &[]);
    if opset < BROADCASTS_SINCE {
        node.attribute.push(int_attribute("broadcast", 1));
        node.attribute.push(int_attribute("axis", axis as i64));
    }
    node
}

/// A list shaped so that it runs along `axis` of a value with `rank` axes.
pub(crate) fn along(values: &Tensor, rank: usize, axis: usize, opset: i64) -> Tensor {
    let mut shape = vec![values.len()];
    if opset >= BROADCASTS_SINCE {
        shape.resize(rank.saturating_sub(axis), 1);
    }
    Tensor { shape, ..values.clone() }
}

/// An attribute whose value is still to be put in.
pub(crate) fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto {
        name: Some(Bytes::copy_from_slice(name.as_bytes())),
        r#type: Some(kind as i32),
        ..AttributeProto::default()
    }
}

/// An integer attribute.
pub(crate) fn int_attribute(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, AttributeType::Int) }
}

/// A list of integers as an attribute.
pub(crate) fn ints_attribute(name: &str, values: Vec<i64>) -> AttributeProto {
    AttributeProto { ints: values, ..attribute(name, AttributeType::Ints) }
}

/// A node that holds a tensor.
pub(crate) fn constant_node(name: &str, tensor: &Tensor) -> NodeProto {
    let mut node = simple_node("Constant", &[], &[name]);
    node.attribute.push(value_attribute(name, tensor));
    node
}

/// What a Constant node holds.
pub(crate) fn value_attribute(name: &str, tensor: &Tensor) -> AttributeProto {
    AttributeProto { t: Some(Box::new(tensor.to_proto(name))), ..attribute("value", AttributeType::Tensor) }
}

//! The batch axis: a copy of a fixed-batch model that runs at any batch.

use bytes::Bytes;
use prost::Message;

use super::Graph;
use super::build::{BatchConstant, InputSizes, build};
use crate::model::ImportError;
use crate::proto::ModelFile;
use crate::proto::onnx::tensor_shape_proto::{Dimension, dimension};
use crate::proto::onnx::{GraphProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto};
use crate::tensor::{DType, Tensor};

/// Before this IR version every initializer is listed among the inputs too.
const INITIALIZERS_NEED_NO_INPUT: i64 = 4;

/// The name of the freed axis.
pub const NAME: &str = "espalier_batch";

/// A copy of the file in which the batch axis is free, or `None` when it is free already.
///
/// Only a declared size, or a constant that provably carries it, is changed. The copy is for running; it must be
/// compared with the file at the declared batch before it is trusted.
///
/// # Errors
/// When the graph cannot be built. A model whose batch is fixed by something else gives [`Freed::Stuck`].
pub fn free(file: &ModelFile) -> Result<Freed, ImportError> {
    let declared = build(file, &InputSizes::default())?;
    let Some(batch) = declared.graph.batch().and_then(super::Dim::value) else { return Ok(Freed::Already) };
    let sizes = InputSizes { free_batch: true, ..InputSizes::default() };
    let built = build(file, &sizes)?;
    if built.refusals.len() > declared.refusals.len() || !outputs_are_free(&built.graph) {
        return Ok(Freed::Stuck { batch });
    }
    let mut proto = file.proto.clone();
    let listed = proto.ir_version.unwrap_or(0) < INITIALIZERS_NEED_NO_INPUT;
    if let Some(graph) = &mut proto.graph {
        free_declarations(graph, &built.graph);
        for constant in &built.batch_constants {
            if !free_constant(graph, &built.graph, constant, listed) {
                return Ok(Freed::Stuck { batch });
            }
        }
    }
    Ok(Freed::Copy { bytes: Bytes::from(proto.encode_to_vec()), batch })
}

/// What freeing the batch axis gave.
#[derive(Clone, Debug)]
pub enum Freed {
    /// The file takes any batch.
    Already,
    /// A copy that takes any batch; the file declares this one.
    Copy {
        /// The copy.
        bytes: Bytes,
        /// The batch that the file declares.
        batch: i64,
    },
    /// The batch is fixed by something that cannot be changed provably.
    Stuck {
        /// The batch that the file declares.
        batch: i64,
    },
}

fn outputs_are_free(graph: &Graph) -> bool {
    graph.outputs.iter().all(|&output| {
        let shape = graph.value(output).shape.as_ref();
        shape.is_some_and(|shape| shape.first().is_some_and(|size| size.value().is_none()))
    })
}

fn free_declarations(proto: &mut GraphProto, graph: &Graph) {
    proto.value_info.clear();
    let names: Vec<&str> = graph.inputs.iter().map(|&i| graph.value(i).name.as_str()).collect();
    let inputs = proto.input.iter_mut().filter(|info| {
        let name = info.name.as_deref().unwrap_or_default();
        names.iter().any(|n| n.as_bytes() == name)
    });
    inputs.chain(&mut proto.output).for_each(free_first_axis);
}

fn free_first_axis(info: &mut ValueInfoProto) {
    let Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), .. }) = &mut info.r#type else { return };
    if let Some(first) = tensor.shape.as_mut().and_then(|shape| shape.dim.first_mut()) {
        first.value = Some(dimension::Value::DimParam(Bytes::from_static(NAME.as_bytes())));
    }
}

/// Gives the node a list of its own in which the batch is "whatever is left" (or "copied", when −1 is taken).
fn free_constant(proto: &mut GraphProto, graph: &Graph, constant: &BatchConstant, listed: bool) -> bool {
    let node = graph.node(constant.node);
    let Some(value) = node.input(constant.input) else { return false };
    let Some(mut list) = graph.value(value).content.as_ref().and_then(super::Content::ints) else { return false };
    list[constant.element] = if list.contains(&-1) { 0 } else { -1 };
    let Ok(tensor) = Tensor::from_i64(&[list.len()], &list) else { return false };
    let name = fresh_name(graph, &graph.value(value).name);
    proto.node[node.index].input[constant.input] = Bytes::from(name.clone());
    if listed {
        proto.input.push(list_input(&name, list.len()));
    }
    proto.initializer.push(tensor.to_proto(&name));
    true
}

fn list_input(name: &str, length: usize) -> ValueInfoProto {
    let dim = Dimension { value: Some(dimension::Value::DimValue(length as i64)), denotation: None };
    let shape = Some(TensorShapeProto { dim: vec![dim] });
    let tensor = type_proto::Tensor { elem_type: Some(DType::I64.code()), shape };
    let value = Some(type_proto::Value::TensorType(tensor));
    ValueInfoProto {
        name: Some(Bytes::copy_from_slice(name.as_bytes())),
        r#type: Some(TypeProto { value, denotation: None }),
        ..ValueInfoProto::default()
    }
}

fn fresh_name(graph: &Graph, base: &str) -> String {
    let taken = |name: &str| graph.values.iter().any(|v| v.name == name);
    let mut name = format!("{base}_any_batch");
    while taken(&name) {
        name.push('_');
    }
    name
}

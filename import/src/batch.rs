//! The batch axis: a copy of a fixed-batch model that runs at any batch.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::build::{FREE_BATCH, InputSizes, build};
use crate::graph::{Content, Dim, Graph, NodeId, Value};
use crate::model::ImportError;
use crate::ops::BatchConstant;
use crate::proto::ModelFile;
use crate::proto::onnx::tensor_shape_proto::{Dimension, dimension};
use crate::proto::onnx::{GraphProto, NodeProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto};
use crate::proto::splice::{Edits, INITIALIZER, INPUT, NODE, OUTPUT, VALUE_INFO};
use crate::tensor::{DType, Tensor};

/// Before this IR version every initializer is listed among the inputs too.
const INITIALIZERS_NEED_NO_INPUT: i64 = 4;

/// A copy of the file in which the batch axis is free, or [`Freed::Already`].
///
/// Only declared sizes, and constants that provably carry the batch, are changed; declarations of values between nodes
/// go, since they repeat the old batch. The copy must be compared with the file at the declared batch before it is
/// trusted. With `lossy`, what is changed may lose fields this program does not know.
///
/// # Errors
/// When the graph cannot be built, or the changes would lose an unknown field. A model whose batch is fixed by something
/// else gives [`Freed::Stuck`].
pub fn free(file: &ModelFile, lossy: bool) -> Result<Freed, ImportError> {
    let declared = build(file, &InputSizes::default())?;
    let Some(batch) = declared.graph.batch().and_then(Dim::value) else { return Ok(Freed::Already) };
    let sizes = InputSizes { free_batch: true, ..InputSizes::default() };
    let built = build(file, &sizes)?;
    let Some(proto) = &file.proto.graph else { return Ok(Freed::Stuck { batch }) };
    if built.refusals.len() > declared.refusals.len() || !outputs_are_free(&built.graph) {
        return Ok(Freed::Stuck { batch });
    }
    let mut edits = Edits::new().lossy(lossy);
    free_declarations(proto, &built.graph, &mut edits);
    let listed = file.proto.ir_version.unwrap_or(0) < INITIALIZERS_NEED_NO_INPUT;
    if free_constants(proto, &built.graph, &built.batch_constants, listed, &mut edits).is_none() {
        return Ok(Freed::Stuck { batch });
    }
    Ok(Freed::Copy { bytes: edits.splice(&file.bytes)?.to_bytes(), batch })
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

/// Whether the first size of every output is a multiple of the free batch.
fn outputs_are_free(graph: &Graph) -> bool {
    let batch = graph.batch().map_or(&[][..], Dim::symbols);
    graph.outputs.iter().all(|&output| {
        let first = graph.value(output).shape.as_ref().and_then(|shape| shape.first());
        first.is_some_and(|size| size.symbols().iter().any(|symbol| batch.contains(symbol)))
    })
}

fn free_declarations(proto: &GraphProto, graph: &Graph, edits: &mut Edits) {
    (0..proto.value_info.len()).for_each(|index| edits.remove(VALUE_INFO, index));
    let names: Vec<&str> = graph.inputs.iter().map(|&i| graph.value(i).name.as_str()).collect();
    let is_fed = |info: &ValueInfoProto| names.iter().any(|name| name.as_bytes() == info.name());
    for (index, info) in proto.input.iter().enumerate().filter(|(_, info)| is_fed(info)) {
        edits.replace(INPUT, index, with_free_first_axis(info.clone()));
    }
    for (index, info) in proto.output.iter().enumerate() {
        edits.replace(OUTPUT, index, with_free_first_axis(info.clone()));
    }
}

fn with_free_first_axis(mut info: ValueInfoProto) -> ValueInfoProto {
    if let Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), .. }) = &mut info.r#type
        && let Some(first) = tensor.shape.as_mut().and_then(|shape| shape.dim.first_mut())
    {
        first.value = Some(dimension::Value::DimParam(Bytes::from_static(FREE_BATCH.as_bytes())));
    }
    info
}

/// Gives each node a list of its own in which the batch is "whatever is left" (or "copied", when −1 is taken). None
/// where a list cannot be had.
fn free_constants(
    proto: &GraphProto,
    graph: &Graph,
    constants: &[BatchConstant],
    listed: bool,
    edits: &mut Edits,
) -> Option<()> {
    let mut nodes: BTreeMap<usize, NodeProto> = BTreeMap::new();
    for (position, constant) in constants.iter().enumerate() {
        let node = graph.node(constant.node);
        let value = graph.value(node.input(constant.input)?);
        let mut list = value.content.as_ref().and_then(Content::ints)?;
        list[constant.element] = if list.contains(&-1) { 0 } else { -1 };
        let tensor = Tensor::from_i64(&[list.len()], &list).ok()?;
        let name = fresh_name(graph, &value.name, position);
        let changed = nodes.entry(node.index).or_insert_with(|| proto.node[node.index].clone());
        changed.input[constant.input] = Bytes::from(name.clone());
        if listed {
            edits.append(INPUT, list_input(&name, list.len()));
        }
        edits.append(INITIALIZER, tensor.to_proto(&name));
    }
    remove_unread(proto, graph, &nodes, edits);
    nodes.into_iter().for_each(|(index, node)| edits.replace(NODE, index, node));
    Some(())
}

/// Leaves out the stored lists that only the changed nodes read.
fn remove_unread(proto: &GraphProto, graph: &Graph, nodes: &BTreeMap<usize, NodeProto>, edits: &mut Edits) {
    let outputs: Vec<&[u8]> = proto.output.iter().map(ValueInfoProto::name).collect();
    let is_unread = |name: &[u8]| {
        let value = graph.values.iter().find(|value| value.name.as_bytes() == name);
        let replaced = |(node, input): &(NodeId, usize)| {
            let changed = nodes.get(&graph.node(*node).index);
            changed.and_then(|node| node.input.get(*input)).is_some_and(|now| now != name)
        };
        let unread = |value: &Value| !value.readers.is_empty() && value.readers.iter().all(replaced);
        !outputs.contains(&name) && value.is_some_and(unread)
    };
    for (index, tensor) in proto.initializer.iter().enumerate().filter(|(_, tensor)| is_unread(tensor.name())) {
        edits.remove(INITIALIZER, index);
        let listed = proto.input.iter().position(|info| info.name() == tensor.name());
        listed.into_iter().for_each(|index| edits.remove(INPUT, index));
    }
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

/// A name nothing has yet; the position tells lists apart that began as one.
fn fresh_name(graph: &Graph, base: &str, position: usize) -> String {
    let taken = |name: &str| graph.values.iter().any(|v| v.name == name);
    let mut name = format!("{base}_any_batch_{position}");
    while taken(&name) {
        name.push('_');
    }
    name
}

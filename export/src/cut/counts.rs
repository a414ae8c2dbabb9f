//! Attributes and constants that count lanes count those that stay.

use bytes::Bytes;
use import::{
    DType, Tensor,
    graph::{Dim, Node, Origin, Shape, ValueId},
    lanes::Lanes,
    ops::{Resized, Rewrite, row_of},
    proto::onnx::{AttributeProto, AttributeType, text},
};

use crate::{
    draft::Draft,
    error::ExportError,
    nodes::{attribute, int_attribute},
    places::Places,
};

/// Asks every node whose sizes changed what in it counts lanes, and rewrites that.
pub(super) fn rewrite(draft: &mut Draft<'_>, lanes: &Lanes, places: &Places) -> Result<(), ExportError> {
    let graph = &draft.model.graph;
    for (id, node) in graph.nodes() {
        let mut around = node.inputs.iter().chain(&node.outputs).flatten();
        let counts_cut = |&(value, axis): &(ValueId, usize)| places.on(value, axis).is_some();
        let moves = |&input: &usize| lanes.counted(id, input).iter().any(counts_cut);
        let moved: Vec<usize> = (0..node.inputs.len()).filter(moves).collect();
        let Some(row) = row_of(node).filter(|_| !moved.is_empty() || around.any(|&value| places.is_cut(value))) else {
            continue;
        };
        let sizes = |values: &[Option<ValueId>]| {
            let values = values.iter();
            values.map(|value| resized(draft, places, (*value)?)).collect()
        };
        let (inputs, outputs) = (sizes(&node.inputs), sizes(&node.outputs));
        let kept = |value, axis| places.on(value, axis);
        let following = (0..node.inputs.len()).filter(|&input| lanes.follows(id, input)).collect();
        let resized = Resized { graph, node, inputs, outputs, kept: &kept, moved, following };
        for rewrite in (row.counts)(&resized) {
            apply(draft, node, rewrite)?;
        }
    }
    Ok(())
}

/// The sizes of a value after the cut.
fn resized(draft: &Draft<'_>, places: &Places, value: ValueId) -> Option<Shape> {
    let mut shape = draft.model.graph.value(value).shape.clone()?;
    for (axis, kept) in places.of_value(value) {
        shape[axis] = Dim::known(kept.len() as i64);
    }
    Some(shape)
}

fn apply(draft: &mut Draft<'_>, node: &Node, rewrite: Rewrite) -> Result<(), ExportError> {
    match rewrite {
        Rewrite::Int(name, value) => set_attribute(draft, node, int_attribute(name, value)),
        Rewrite::Ints(name, values) => {
            let mut new = attribute(name, AttributeType::Ints);
            new.ints = values;
            set_attribute(draft, node, new);
        }
        Rewrite::Drop(name) => draft.node_mut(node).attribute.retain(|old| text(&old.name) != name),
        Rewrite::Gather(axis, indices) => {
            let indices = draft.constant(node, "indices", &Tensor::from_i64(&[indices.len()], &indices)?);
            let new = draft.node_mut(node);
            new.op_type = Some(Bytes::from_static(b"Gather"));
            new.input.truncate(1);
            new.input.push(Bytes::from(indices));
            new.attribute = vec![int_attribute("axis", axis as i64)];
        }
        Rewrite::Input(input, values) => {
            let value = node.input(input).map(|value| draft.model.graph.value(value));
            let dtype = value.and_then(|value| value.dtype).unwrap_or(DType::I64);
            let list = Tensor::from_ints(dtype, &[values.len()], &values)?;
            match value.filter(|value| draft.is_only_read_here(value)).map(|value| value.origin) {
                Some(Origin::Stored(stored)) => draft.set_tensor(stored, &list),
                _ => {
                    let name = draft.constant(node, "sizes", &list);
                    draft.set_input(node, input, &name);
                }
            }
        }
    }
    Ok(())
}

fn set_attribute(draft: &mut Draft<'_>, node: &Node, new: AttributeProto) {
    let attributes = &mut draft.node_mut(node).attribute;
    match attributes.iter_mut().find(|old| old.name == new.name) {
        Some(old) => *old = new,
        None => attributes.push(new),
    }
}

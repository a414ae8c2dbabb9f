//! Constants that a cut would change: they are worked out before it, and lose what is removed and nothing else.

use import::{
    Tensor, compute,
    graph::ValueId,
    lanes::{Frozen, Lanes},
};

use super::slice::take;
use crate::{draft::Draft, error::ExportError, note::Note, places::Places};

/// The dense value of something that is read, and where.
pub(super) struct DenseValue<'a> {
    value: ValueId,
    tensor: Tensor,
    readers: Vec<&'a Frozen>,
}

/// Works out every value that a cut would change, from the stored tensors as they are now.
pub(super) fn dense_values<'a>(
    draft: &Draft<'_>,
    lanes: &'a Lanes,
    places: &Places,
) -> Result<Vec<DenseValue<'a>>, ExportError> {
    let graph = &draft.model.graph;
    let mut found: Vec<DenseValue<'a>> = Vec::new();
    for frozen in &lanes.frozen {
        let is_cut = |&(value, axis): &(ValueId, usize)| places.on(value, axis).is_some();
        let node = graph.node(frozen.node);
        let Some(value) = node.input(frozen.input).filter(|_| frozen.sites.iter().any(is_cut)) else { continue };
        if let Some(known) = found.iter_mut().find(|known| known.value == value) {
            known.readers.push(frozen);
            continue;
        }
        let tensor = compute(graph, value, |stored| draft.tensor(stored).ok());
        let (node, name) = (|| node.to_string(), || graph.value(value).name.clone());
        let tensor = tensor.ok_or_else(|| ExportError::Uncomputed { node: node(), value: name() })?;
        found.push(DenseValue { value, tensor, readers: vec![frozen] });
    }
    Ok(found)
}

/// Puts the values in the places of what made them.
pub(super) fn put(draft: &mut Draft<'_>, places: &Places, values: Vec<DenseValue<'_>>) -> Vec<Note> {
    let put = |DenseValue { value, mut tensor, readers }: DenseValue<'_>| {
        for (axis, kept) in places.of_value(value) {
            tensor = take(&tensor, axis, kept);
        }
        let name = draft.model.graph.value(value).name.clone();
        hold(draft, &readers, &name, &tensor);
        Note::Frozen { value: name, elements: tensor.len() }
    };
    values.into_iter().map(put).collect()
}

/// Makes the readers of a value read this constant instead.
fn hold(draft: &mut Draft<'_>, readers: &[&Frozen], base: &str, tensor: &Tensor) {
    let graph = &draft.model.graph;
    let Some(first) = readers.iter().map(|frozen| graph.node(frozen.node)).min_by_key(|node| node.index) else {
        return;
    };
    let name = draft.constant(first, base, tensor);
    for frozen in readers {
        draft.set_input(graph.node(frozen.node), frozen.input, &name);
    }
}

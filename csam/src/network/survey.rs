//! What the graph's structure says about its stored tensors: which are settings of the preprocessing, and which
//! convolutions lost their normalisation to the exporter's folding.

use std::collections::HashSet;

use import::Graph;
use import::graph::{Node, NodeId, Origin, StoredId, ValueId};
use import::ops::{Family, contraction_of};

use super::ops::family;

/// Whether learned features come out of a node, whatever goes in.
fn learns(node: &Node) -> bool {
    matches!(family(node), Family::Contraction | Family::Normalisation | Family::Standardisation)
}

/// Stored operands that are no parameters: those of the preprocessing, and tables of places.
pub(super) fn settings(graph: &Graph) -> HashSet<StoredId> {
    let mut settings = preprocessing(graph);
    settings.extend(tables(graph));
    settings
}

/// Stored tensors that only combine with data element by element and vary along several axes: anchors and grids, with
/// which a detector's numbers become boxes.
fn tables(graph: &Graph) -> impl Iterator<Item = StoredId> {
    let is_table = |id: &StoredId| {
        let stored = graph.stored(*id);
        let mut readers = graph.value(stored.value).readers.iter();
        let varies = stored.tensor.shape.iter().filter(|&&extent| extent > 1).count() > 1;
        varies && readers.all(|&(reader, _)| family(graph.node(reader)).is_pointwise())
    };
    (0..graph.stored.len()).map(|position| StoredId(position as u32)).filter(is_table)
}

/// Stored tensors that only combine with raw input, element by element, before anything learned: means and scales of
/// the preprocessing.
fn preprocessing(graph: &Graph) -> HashSet<StoredId> {
    let mut raw: HashSet<ValueId> = graph.inputs.iter().copied().collect();
    let mut settings = HashSet::new();
    let mut learned = HashSet::new();
    for (_, node) in graph.nodes() {
        let reads_raw = node.inputs.iter().flatten().any(|value| raw.contains(value));
        let stored = node.inputs.iter().flatten().filter_map(|&value| match graph.value(value).origin {
            Origin::Stored(id) => Some(id),
            _ => None,
        });
        match reads_raw && family(node).is_pointwise() {
            true => settings.extend(stored),
            false => learned.extend(stored),
        }
        if reads_raw && !learns(node) {
            raw.extend(node.outputs.iter().flatten());
        }
    }
    settings.difference(&learned).copied().collect()
}

/// Weighted operators with a stored weight and bias of their own that no normalisation follows before the next weight, and
/// that are not the classifier.
pub(super) fn unnormalised(graph: &Graph, outputs: &[ValueId]) -> HashSet<NodeId> {
    let own = |value: Option<ValueId>| {
        value
            .map(|id| graph.value(id))
            .is_some_and(|value| matches!(value.origin, Origin::Stored(_)) && value.readers.len() == 1)
    };
    let folded = graph.nodes().filter(|(_, node)| {
        let inputs = contraction_of(graph, node, 0).and_then(|sums| Some([sums.weight, sums.bias?]));
        inputs.is_some_and(|inputs| inputs.iter().all(|&input| own(node.input(input))))
            && !followed(graph, node, outputs)
    });
    folded.map(|(id, _)| id).collect()
}

/// Whether a node's output meets a normalisation or one of some outputs before the next weight.
fn followed(graph: &Graph, node: &Node, outputs: &[ValueId]) -> bool {
    let mut open: Vec<ValueId> = node.outputs.iter().flatten().copied().collect();
    let mut seen = HashSet::new();
    while let Some(value) = open.pop() {
        if outputs.contains(&value) {
            return true;
        }
        for &(reader, _) in &graph.value(value).readers {
            let next = graph.node(reader);
            match family(next) {
                Family::Normalisation | Family::Standardisation => return true,
                Family::Contraction => {}
                _ if seen.insert(reader) => open.extend(next.outputs.iter().flatten()),
                _ => {}
            }
        }
    }
    false
}

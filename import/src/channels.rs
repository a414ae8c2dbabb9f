//! Which axis of an input holds its channels, told by what reads it, and whether an output has any, told by what makes
//! it.

use crate::graph::{Dim, Graph, Origin, ValueId};
use crate::ops::{Family, contraction_of, row_of};

/// So many nodes are followed.
const FAR: usize = 16;

/// The axis that the first contraction over windows behind a value reads as channels; none where nothing tells.
pub fn channel_axis(graph: &Graph, value: ValueId) -> Option<usize> {
    let rank = graph.value(value).shape.as_ref()?.len();
    // Where each axis of the value that is looked at lies in the one that was asked for.
    let mut axes: Vec<usize> = (0..rank).collect();
    let mut value = value;
    for _ in 0..FAR {
        let &(reader, input) = graph.value(value).readers.first()?;
        let node = graph.node(reader);
        if let Some(contraction) = contraction_of(graph, node, rank).filter(|_| input == 0) {
            let weight = graph.value(node.input(contraction.weight)?).shape.as_ref()?;
            let over_windows = weight.len() == rank && rank > 2;
            return axes.get(contraction.output_axis).copied().filter(|_| over_windows);
        }
        if let Some(order) = node.ints("perm") {
            let moved = order.iter().map(|&axis| axes.get(usize::try_from(axis).ok()?).copied());
            axes = moved.collect::<Option<_>>()?;
        } else if graph.value(node.output(0)?).shape.as_ref()?.len() != rank {
            return None;
        }
        value = node.output(0)?;
    }
    None
}

/// Whether a value is a series: all its numbers are one channel, at places that follow one another. Its maker, behind
/// what only rearranges or changes single numbers, is a contraction over windows with one channel out; or how many there
/// are depends on the size of an input.
pub fn is_series(graph: &Graph, value: ValueId) -> bool {
    let batch = graph.batch().map_or(&[][..], Dim::symbols);
    let open = |size: &Dim| size.symbols().iter().any(|symbol| !batch.contains(symbol));
    if graph.value(value).shape.iter().flatten().any(open) {
        return true;
    }
    let mut value = value;
    for _ in 0..FAR {
        let Origin::Node(id, 0) = graph.value(value).origin else { return false };
        let node = graph.node(id);
        let Some(data) = node.input(0) else { return false };
        if let Some(contraction) = contraction_of(graph, node, 0) {
            let shape = graph.value(value).shape.as_deref().unwrap_or_default();
            return shape.len() > 2 && shape.get(contraction.output_axis).is_some_and(|channels| channels.is(1));
        }
        match row_of(node).map(|row| row.family) {
            Some(Family::Same | Family::Regrouping | Family::Pointwise | Family::Addition | Family::Normalisation) => {
                value = data;
            }
            _ => return false,
        }
    }
    false
}

//! Which axis of an input holds its channels, told by what reads it.

use crate::graph::{Graph, ValueId};
use crate::ops::contraction_of;

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

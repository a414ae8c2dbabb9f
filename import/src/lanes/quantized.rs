//! Stored integers that stand for numbers: they are cut, scored and counted as the numbers are.

use std::collections::BTreeSet;

use crate::graph::{Graph, Node, StoredId, StoredTensor};
use crate::ops::{Quantised, holds_quantised, quantised_at};
use crate::tensor::{Tensor, TensorError};

/// Whether the axes of a stored tensor are made of channels: of floats, and of integers that only quantised operators
/// read as such.
pub(super) fn is_laid_out(graph: &Graph, stored: &StoredTensor) -> bool {
    let dtype = stored.tensor.dtype;
    let readers = &graph.value(stored.value).readers;
    let whole = dtype.is_integer() && dtype.bits().is_multiple_of(8) && !readers.is_empty();
    dtype.is_float() || (whole && readers.iter().all(|&(node, input)| holds_quantised(graph.node(node), input)))
}

/// Stored integers that stand for weights and biases.
pub(super) fn quantised(graph: &Graph) -> BTreeSet<StoredId> {
    let ids = (0..graph.stored.len()).map(|position| StoredId(position as u32));
    ids.filter(|&id| graph.stored(id).tensor.len() > 1 && reader(graph, graph.stored(id)).is_some()).collect()
}

/// The first node that reads stored integers as quantised numbers.
fn reader<'a>(graph: &'a Graph, stored: &StoredTensor) -> Option<(&'a Node, &'static Quantised)> {
    let mut readers = graph.value(stored.value).readers.iter();
    readers.find_map(|&(node, input)| Some((graph.node(node), quantised_at(graph.node(node), input)?)))
}

/// The numbers that a stored tensor stands for. Scales and zero points that are computed count as 1 and 0.
pub(super) fn numbers(graph: &Graph, id: StoredId) -> Result<Vec<f64>, TensorError> {
    let stored = graph.stored(id);
    if stored.tensor.dtype.is_float() {
        return stored.tensor.to_f64();
    }
    let whole = stored.tensor.to_i64()?;
    let Some((node, form)) = reader(graph, stored) else { return Ok(whole.into_iter().map(|n| n as f64).collect()) };
    let list = |input: Option<usize>| {
        let value = node.input(input?)?;
        let whole = || graph.value(value).content.as_ref()?.ints();
        graph.numbers(value).or_else(|| Some(whole()?.into_iter().map(|n| n as f64).collect()))
    };
    let (scales, zeros) = (list(form.scale), list(form.zero_point));
    let axis = (form.axis)(node, stored.tensor.shape.len());
    let stands = |(flat, n): (usize, i64)| {
        let channel = axis.map_or(0, |axis| index_on(&stored.tensor, axis, flat));
        let at = |list: &Option<Vec<f64>>, usual| match list.as_deref() {
            Some([only]) => *only,
            Some(list) => list.get(channel).copied().unwrap_or(usual),
            None => usual,
        };
        at(&scales, 1.0) * (n as f64 - at(&zeros, 0.0))
    };
    Ok(whole.into_iter().enumerate().map(stands).collect())
}

/// The index on one axis of the element at a row-major position.
fn index_on(tensor: &Tensor, axis: usize, flat: usize) -> usize {
    let inner: usize = tensor.shape[axis + 1..].iter().product();
    flat / inner.max(1) % tensor.shape[axis].max(1)
}

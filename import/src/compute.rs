//! Elements of values that are made from constants alone, worked out from the constants.

use std::collections::{HashMap, HashSet};

use ndarray::{ArrayD, IxDyn};

use crate::graph::{Content, Graph, Node, NodeId, Origin, StoredId, Value, ValueId};
use crate::ops::{self, ComputeView, Elements};
use crate::tensor::{DType, Tensor};

/// So many elements may be worked out on the way to a value, beyond four times those that the file stores.
const ROOM: usize = 1 << 20;

/// Which values [`compute`] works out, one for each of a graph's values.
pub(crate) fn computable(graph: &Graph) -> Vec<bool> {
    let mut computable: Vec<bool> = graph.values.iter().map(is_known).collect();
    for node in &graph.nodes {
        let Some(first) = node.output(0).filter(|&output| !computable[output.0 as usize]) else { continue };
        let is_one = node.outputs.iter().flatten().count() == 1 && extents(graph, first).is_some();
        let made = is_one && !node.inputs.is_empty() && ops::row_of(node).is_some_and(|row| row.compute.is_some());
        computable[first.0 as usize] = made && node.inputs.iter().flatten().all(|input| computable[input.0 as usize]);
    }
    computable
}

/// Whether the elements of a value are at hand: stored, or numbers that inference found.
fn is_known(value: &Value) -> bool {
    let typed = value.dtype.is_some_and(|dtype| dtype.is_float() || dtype.is_integer() || dtype == DType::Bool);
    let found = || value.content.as_ref().is_some_and(|content| content.ints().is_some());
    typed && (matches!(value.origin, Origin::Stored(_)) || found())
}

fn extents(graph: &Graph, value: ValueId) -> Option<Vec<usize>> {
    graph.value(value).shape.as_ref()?.iter().map(|size| size.extent()).collect()
}

/// The elements of a value that is made from constants alone, in its own type; `stored` gives those of stored tensors.
///
/// `None` where an operator on the way, or a form of it, is not covered, or more elements than the file accounts for come
/// of it.
pub fn compute(graph: &Graph, value: ValueId, stored: impl Fn(StoredId) -> Option<Tensor>) -> Option<Tensor> {
    let (nodes, mut known) = needed(graph, value, &stored)?;
    let mut room = graph.stored.iter().fold(ROOM, |room, stored| room.saturating_add(stored.tensor.len() * 4));
    for id in nodes {
        let node = graph.node(id);
        let output = node.output(0)?;
        let shape = extents(graph, output)?;
        let count = shape.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent))?;
        room = room.checked_sub(count)?;
        let elements = run(graph, node, shape.clone(), &known)?;
        if elements.shape() != shape {
            return None;
        }
        known.insert(output, elements);
    }
    to_tensor(graph.value(value), known.get(&value)?)
}

fn run(graph: &Graph, node: &Node, shape: Vec<usize>, known: &HashMap<ValueId, Elements>) -> Option<Elements> {
    let inputs = node.inputs.iter().map(|input| input.as_ref().and_then(|input| known.get(input))).collect();
    (ops::row_of(node)?.compute?)(&ComputeView { node, graph, inputs, shape })
}

/// The nodes to run, in order, and the elements to begin with.
fn needed(
    graph: &Graph,
    value: ValueId,
    stored: &impl Fn(StoredId) -> Option<Tensor>,
) -> Option<(Vec<NodeId>, HashMap<ValueId, Elements>)> {
    let (mut nodes, mut known) = (Vec::new(), HashMap::new());
    let mut seen = HashSet::from([value]);
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        let entry = graph.value(value);
        match (entry.origin, &entry.content) {
            (Origin::Stored(id), _) => {
                known.insert(value, of_tensor(&stored(id)?)?);
            }
            (_, Some(content)) if content.ints().is_some() => {
                known.insert(value, of_content(content, extents(graph, value)?)?);
            }
            (Origin::Node(id, 0), _) => {
                nodes.push(id);
                open.extend(graph.node(id).inputs.iter().flatten().filter(|&&input| seen.insert(input)));
            }
            _ => return None,
        }
    }
    nodes.sort_unstable();
    Some((nodes, known))
}

fn of_tensor(tensor: &Tensor) -> Option<Elements> {
    let whole = || Some(tensor.to_i64().ok()?.into_iter().map(|element| element as f64).collect());
    let elements = if tensor.dtype.is_float() { tensor.to_f64().ok() } else { whole() };
    ArrayD::from_shape_vec(IxDyn(&tensor.shape), elements?).ok()
}

fn of_content(content: &Content, extents: Vec<usize>) -> Option<Elements> {
    let elements = content.ints()?.into_iter().map(|element| element as f64).collect();
    ArrayD::from_shape_vec(IxDyn(&extents), elements).ok()
}

fn to_tensor(value: &Value, elements: &Elements) -> Option<Tensor> {
    let (dtype, shape) = (value.dtype?, elements.shape());
    let flat: Vec<f64> = elements.iter().copied().collect();
    match dtype {
        DType::I64 | DType::I32 => {
            let whole: Vec<i64> = flat.into_iter().map(|element| element as i64).collect();
            Tensor::from_ints(dtype, shape, &whole).ok()
        }
        _ => Tensor::from_floats(dtype, shape, &flat).ok(),
    }
}

//! What the stored tensors of a graph are to the operators that read them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::graph::{Graph, Node, Origin, StoredId, ValueId};
use crate::ops::{self, Role};

/// A stored tensor as training sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its role at its readers.
    pub role: Role,
    /// For a weight, how many products each output sums over.
    pub fan_in: usize,
}

/// Float tensors that reach an input with a role, directly or through a chain of constants. Scalars that only scale or
/// shift are settings, not parameters.
pub fn parameters(graph: &Graph) -> BTreeMap<StoredId, Parameter> {
    let mut found: BTreeMap<StoredId, Parameter> = BTreeMap::new();
    let mut walked = HashSet::new();
    for (_, node) in graph.nodes() {
        for &(input, role) in ops::row_of(node).map_or(&[][..], |row| row.parameters) {
            let Some(value) = node.input(input).filter(|&value| graph.value(value).constant) else { continue };
            let parameter = Parameter { role, fan_in: fan_in(graph, node, input) };
            // Of several readers in the same role, the first says how many products are summed.
            if !walked.insert((value, role)) {
                continue;
            }
            for id in sources(graph, vec![value]).into_iter().filter(|&id| is_parameter(graph, id)) {
                let known = found.entry(id).or_insert(parameter);
                if parameter.role < known.role {
                    *known = parameter;
                }
            }
        }
    }
    found
}

/// Those of the parameters that are learned.
pub fn trainable(graph: &Graph) -> Vec<StoredId> {
    parameters(graph).into_iter().filter(|(_, parameter)| !parameter.role.is_statistic()).map(|(id, _)| id).collect()
}

/// Whether a stored tensor can be a parameter at all.
pub(super) fn is_parameter(graph: &Graph, id: StoredId) -> bool {
    let tensor = &graph.stored(id).tensor;
    tensor.dtype.is_float() && tensor.len() > 1
}

fn fan_in(graph: &Graph, node: &Node, input: usize) -> usize {
    let shape = node.input(input).and_then(|value| graph.value(value).shape.as_ref());
    let extents = shape.and_then(|shape| shape.iter().map(|size| size.extent()).collect::<Option<Vec<_>>>());
    let of = ops::row_of(node).zip(extents).map(|(row, extents)| (row.fan_in)(node, input, &extents));
    of.unwrap_or(1).max(1)
}

/// The stored tensors that values are made from. Each value is walked once, however many ways lead to it.
pub(super) fn sources(graph: &Graph, mut open: Vec<ValueId>) -> BTreeSet<StoredId> {
    let mut seen = HashSet::new();
    let mut found = BTreeSet::new();
    while let Some(value) = open.pop() {
        if !seen.insert(value) {
            continue;
        }
        match graph.value(value).origin {
            Origin::Stored(stored) => {
                found.insert(stored);
            }
            Origin::Node(node, _) => {
                // A scale is no weight, though a weight is made with it.
                let node = graph.node(node);
                let inputs = node.inputs.iter().enumerate().filter(|(input, _)| !ops::scales_quantised(node, *input));
                open.extend(inputs.filter_map(|(_, value)| *value));
            }
            Origin::Unread | Origin::Input | Origin::Missing => {}
        }
    }
    found
}

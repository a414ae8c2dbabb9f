//! The main graph: its values, nodes and stored tensors.

use super::content::Content;
use super::dim::{Dim, Symbols};
use super::ids::{NodeId, StoredId, ValueId};
use super::node::Node;
use super::value::{Origin, StoredTensor, Value};

/// The main graph with names resolved, types and shapes inferred, constants known.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Every value: inputs, stored tensors, node outputs.
    pub values: Vec<Value>,
    /// Nodes, each after the nodes it reads from.
    pub nodes: Vec<Node>,
    /// Inputs that a caller has to feed (stored tensors listed as inputs are not among them).
    pub inputs: Vec<ValueId>,
    /// Outputs in the file's order.
    pub outputs: Vec<ValueId>,
    /// Tensors whose elements the file holds.
    pub stored: Vec<StoredTensor>,
    /// Operator set versions by domain; the default domain is the empty string.
    pub opsets: Vec<(String, i64)>,
    /// Names of unknown sizes.
    pub symbols: Symbols,
    /// Whether somebody gave sizes that the file leaves open: then it may be run at others too.
    pub sizes_given: bool,
}

impl Graph {
    /// The value with this id.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0 as usize]
    }

    /// The node with this id.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The node that makes a value.
    pub fn maker(&self, value: ValueId) -> Option<&Node> {
        match self.value(value).origin {
            Origin::Node(node, _) => Some(self.node(node)),
            _ => None,
        }
    }

    /// The stored tensor with this id.
    pub fn stored(&self, id: StoredId) -> &StoredTensor {
        &self.stored[id.0 as usize]
    }

    /// The stored tensor's name in the file.
    pub fn stored_name(&self, id: StoredId) -> &str {
        &self.value(self.stored(id).value).name
    }

    /// A list of integers that older revisions give as an attribute and newer ones as an input; `None` when it is left
    /// out or computed while the model runs.
    pub fn ints(&self, node: &Node, attribute: &str, input: usize) -> Option<Vec<i64>> {
        let given = node.ints(attribute).map(<[i64]>::to_vec);
        given.or_else(|| self.value(node.input(input)?).content.as_ref()?.ints())
    }

    /// The elements of a value, as numbers, when they are known.
    pub fn numbers(&self, value: ValueId) -> Option<Vec<f64>> {
        match self.value(value).content.as_ref()? {
            Content::Tensor(tensor) => tensor.to_f64().ok(),
            Content::Dims { .. } => None,
        }
    }

    /// Nodes with their ids, in execution order.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(i, n)| (NodeId(i as u32), n))
    }

    /// Finds a stored tensor by name.
    pub fn find_stored(&self, name: &str) -> Option<StoredId> {
        let found = self.stored.iter().position(|s| self.value(s.value).name == name)?;
        Some(StoredId(found as u32))
    }

    /// Finds a constant by name: a stored tensor, or what nodes make from constants.
    pub fn find_constant(&self, name: &str) -> Option<ValueId> {
        let stored = self.find_stored(name).map(|stored| self.stored(stored).value);
        let made = || self.values.iter().position(|value| value.constant && value.name == name);
        stored.or_else(|| Some(ValueId(made()? as u32)))
    }

    /// The version imported for a domain.
    pub fn opset(&self, domain: &str) -> Option<i64> {
        self.opsets.iter().find(|(d, _)| d == domain).map(|(_, v)| *v)
    }

    /// The size of the batch axis, as the first input has it.
    pub fn batch(&self) -> Option<&Dim> {
        let first = *self.inputs.first()?;
        self.value(first).shape.as_ref()?.get(self.batch_axis(first)?)
    }

    /// The axis of an input along which samples lie; none where it takes one sample at a time.
    ///
    /// Of the first input it is the first axis, unless that has a size of its own (neither open nor 1) and the second is
    /// open and found in every output: sequences before samples. A single axis holds samples only where another input
    /// has the same open one. Of the other inputs it is the axis of the same size, or a first axis as open.
    pub fn batch_axis(&self, input: ValueId) -> Option<usize> {
        let shape = self.value(input).shape.as_deref()?;
        let first = *self.inputs.first()?;
        if input == first {
            return match shape {
                [] => None,
                [only] => (only.value().is_none() && self.is_shared(first, only)).then_some(0),
                [own, open, ..] if own.value().is_some_and(|size| size > 1) && self.is_in_every_output(open) => Some(1),
                _ => Some(0),
            };
        }
        let batch = self.value(first).shape.as_deref()?.get(self.batch_axis(first)?)?;
        let open = batch.value().is_none();
        let same = shape.iter().position(|size| size == batch).filter(|axis| open || (*axis == 0 && shape.len() > 1));
        same.or_else(|| (open && shape.len() > 1 && shape[0].value().is_none()).then_some(0))
    }

    fn is_shared(&self, input: ValueId, size: &Dim) -> bool {
        let has = |other: &ValueId| self.value(*other).shape.as_ref().is_some_and(|shape| shape.contains(size));
        self.inputs.iter().any(|other| *other != input && has(other))
    }

    fn is_in_every_output(&self, size: &Dim) -> bool {
        let has = |output: &ValueId| self.value(*output).shape.as_ref().is_some_and(|shape| shape.contains(size));
        size.value().is_none() && !self.outputs.is_empty() && self.outputs.iter().all(has)
    }

    /// A node as people refer to it: operator, and name or position.
    pub fn describe(&self, id: NodeId) -> String {
        self.node(id).to_string()
    }
}

//! What of a graph is lowered: the values that are learned, and the nodes that they depend on.
//!
//! Where all of a graph can be lowered, its outputs are what is learned. Post-processing that cannot be lowered (a
//! detector's selection of boxes, a decoder's loop), or that only picks among what was computed, is left as it is: what
//! is learned lies before it. The file keeps all of it.

use std::{collections::HashSet, fmt};

use import::graph::{Node, NodeId, Origin, Refusal, ValueId};
use import::{Graph, Model};

use super::NetworkError;
use super::lower::{Builder, trained};

/// The part of a graph that a network is made of.
#[derive(Clone, Debug)]
pub(super) struct Trunk {
    /// What comes out.
    pub(super) values: Vec<ValueId>,
    nodes: HashSet<NodeId>,
    read: HashSet<ValueId>,
}

/// What of a model can be learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learnable {
    /// The values that are learned, by name: outputs, and what lies before those that cannot be.
    pub values: Vec<String>,
    /// Outputs that are not among them, though they depend on weights.
    pub left: Vec<String>,
    /// Nodes that are left as they are, with the reason why they cannot be lowered.
    pub refused: Vec<Refusal>,
}

impl Trunk {
    /// All that a graph's outputs depend on.
    pub(super) fn whole(graph: &Graph) -> Self {
        Self::up_to(graph, graph.outputs.clone())
    }

    /// All that some values depend on.
    ///
    /// # Errors
    /// When the graph has no value of a name.
    pub(super) fn until(graph: &Graph, names: &[String]) -> Result<Self, NetworkError> {
        let named = |name: &String| {
            let found = graph.values.iter().position(|value| value.name == *name);
            found.map(|position| ValueId(position as u32)).ok_or_else(|| NetworkError::NoValue { name: name.clone() })
        };
        Ok(Self::up_to(graph, names.iter().map(named).collect::<Result<_, _>>()?))
    }

    fn up_to(graph: &Graph, values: Vec<ValueId>) -> Self {
        let (mut nodes, mut read) = (HashSet::new(), HashSet::new());
        let mut open = values.clone();
        while let Some(value) = open.pop() {
            if !read.insert(value) {
                continue;
            }
            if let Origin::Node(id, _) = graph.value(value).origin
                && nodes.insert(id)
            {
                open.extend(operands(graph.node(id)));
            }
        }
        Self { values, nodes, read }
    }

    /// Whether a node is part of it.
    pub(super) fn has(&self, node: NodeId) -> bool {
        self.nodes.contains(&node)
    }

    /// Whether a value is part of it.
    pub(super) fn reads(&self, value: ValueId) -> bool {
        self.read.contains(&value)
    }
}

impl Learnable {
    /// What of a model can be learned: the outputs, or what lies last before them.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn of(model: &Model) -> Result<Self, NetworkError> {
        let refused = Builder::refused(model)?;
        let (nodes, refused) = refused.into_iter().unzip::<_, _, HashSet<NodeId>, Vec<Refusal>>();
        let graph = &model.graph;
        let reach = Reach::of(graph, &nodes);
        let mut search = Search { graph, reach: &reach, seen: HashSet::new(), found: Vec::new() };
        graph.outputs.iter().for_each(|&output| search.before(output));
        let name = |&value: &ValueId| graph.value(value).name.clone();
        let left = graph.outputs.iter().filter(|&output| reach.depends(*output) && !search.found.contains(output));
        Ok(Self { values: search.found.iter().map(name).collect(), left: left.map(name).collect(), refused })
    }

    /// Whether an output is left out, so that what is learned are not the outputs alone.
    pub fn is_partial(&self) -> bool {
        !self.left.is_empty()
    }
}

impl fmt::Display for Learnable {
    /// What is left, why, and what is learned instead.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let why = match self.refused.first() {
            Some(first) => format!("cannot be trained ({}: {})", first.node, first.reason),
            None => "only say what was picked among other values".to_owned(),
        };
        let (left, values) = (quoted(&self.left), quoted(&self.values));
        write!(f, "outputs {left} {why}; they are left as they are, and the network is trained up to {values}")
    }
}

/// What each value is made from.
struct Reach {
    /// Values that depend on trained weights.
    learned: HashSet<ValueId>,
    /// Values behind what cannot be lowered, or behind places that were picked by what was computed.
    beyond: HashSet<ValueId>,
}

impl Reach {
    fn of(graph: &Graph, refused: &HashSet<NodeId>) -> Self {
        let weights: HashSet<ValueId> = trained(graph).into_keys().map(|id| graph.stored(id).value).collect();
        let lead_on = lead_to_weights(graph, &weights);
        let mut reach = Self { learned: weights, beyond: HashSet::new() };
        for (id, node) in graph.nodes() {
            let outputs = || node.outputs.iter().flatten().copied();
            let picks = !lead_on.contains(&id) && operands(node).any(|value| reach.is_picked(graph, value));
            if refused.contains(&id) || picks || operands(node).any(|value| reach.beyond.contains(&value)) {
                reach.beyond.extend(outputs());
            }
            if operands(node).any(|value| reach.learned.contains(&value)) {
                reach.learned.extend(outputs());
            }
        }
        reach
    }

    fn depends(&self, value: ValueId) -> bool {
        self.learned.contains(&value)
    }

    /// Whether a value holds whole numbers that were computed from data, and do not just count it.
    fn is_picked(&self, graph: &Graph, value: ValueId) -> bool {
        let known = graph.value(value);
        let whole = known.dtype.is_some_and(|dtype| dtype.is_integer());
        whole && known.content.is_none() && self.depends(value)
    }
}

/// Nodes that have weights, or whose outputs come to one that has.
fn lead_to_weights(graph: &Graph, weights: &HashSet<ValueId>) -> HashSet<NodeId> {
    let mut leading = HashSet::new();
    let nodes: Vec<(NodeId, &Node)> = graph.nodes().collect();
    for (id, node) in nodes.into_iter().rev() {
        let reads = operands(node).any(|value| weights.contains(&value));
        let mut readers = node.outputs.iter().flatten().flat_map(|&value| &graph.value(value).readers);
        if reads || readers.any(|(reader, _)| leading.contains(reader)) {
            leading.insert(id);
        }
    }
    leading
}

/// The walk from the outputs back to what can be learned.
struct Search<'a> {
    graph: &'a Graph,
    reach: &'a Reach,
    seen: HashSet<ValueId>,
    found: Vec<ValueId>,
}

impl Search<'_> {
    /// Finds what is last before a value, or the value itself.
    fn before(&mut self, value: ValueId) {
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            let known = self.graph.value(value);
            let counts = known.content.is_some();
            if counts || !self.reach.depends(value) || !self.seen.insert(value) {
                continue;
            }
            let float = known.dtype.is_none_or(|dtype| dtype.is_float());
            match known.origin {
                _ if float && !self.reach.beyond.contains(&value) => self.found.push(value),
                // From the last operand, so that the first is taken up first.
                Origin::Node(id, _) => open.extend(operands(self.graph.node(id)).collect::<Vec<_>>().into_iter().rev()),
                _ => {}
            }
        }
    }
}

/// What a node reads, itself or in its subgraphs.
fn operands(node: &Node) -> impl Iterator<Item = ValueId> {
    node.inputs.iter().flatten().chain(&node.captures).copied()
}

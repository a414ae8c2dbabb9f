//! New names for what moves from one scope to another.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use crate::proto::onnx::{AttributeProto, GraphProto, NodeProto};

/// Every name of a value in a graph and the graphs inside it.
#[derive(Default)]
pub(super) struct Names {
    taken: HashSet<Bytes>,
    /// How often a name was asked for.
    asked: HashMap<Vec<u8>, usize>,
}

impl Names {
    pub(super) fn of(graph: &GraphProto) -> Self {
        let mut names = Self::default();
        names.take(graph);
        names
    }

    fn take(&mut self, graph: &GraphProto) {
        self.taken.extend(graph.input.iter().chain(&graph.output).filter_map(|info| info.name.clone()));
        self.taken.extend(stored(graph));
        for node in &graph.node {
            self.taken.extend(node.input.iter().chain(&node.output).cloned());
            node.subgraphs().for_each(|inner| self.take(inner));
        }
    }

    /// A name that nothing has.
    pub(super) fn fresh(&mut self, prefix: &[u8], name: &[u8]) -> Bytes {
        let wanted = [prefix, b"/", name].concat();
        let asked = self.asked.entry(wanted.clone()).or_default();
        loop {
            let name = match *asked {
                0 => wanted.clone(),
                n => [&wanted[..], format!("_{n}").as_bytes()].concat(),
            };
            *asked += 1;
            let name = Bytes::from(name);
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// Names of a graph's stored tensors.
pub(super) fn stored(graph: &GraphProto) -> impl Iterator<Item = Bytes> {
    let dense = graph.initializer.iter();
    let sparse = graph.sparse_initializer.iter().filter_map(|sparse| sparse.values.as_ref());
    dense.chain(sparse).filter_map(|tensor| tensor.name.clone())
}

/// What nodes are called, and what they read, in the scope that they move to.
pub(super) struct Moved<'a> {
    /// New names by old ones.
    pub(super) names: HashMap<Bytes, Bytes>,
    /// What new names begin with.
    pub(super) prefix: Bytes,
    /// Whether a name that is not in `names` is new; otherwise it is the outer scope's and stays.
    pub(super) all: bool,
    /// What an attribute of this name, which nodes refer to, stands for.
    pub(super) attribute: &'a dyn Fn(&[u8]) -> Option<AttributeProto>,
}

impl Moved<'_> {
    /// A node with its subgraphs.
    pub(super) fn node(&mut self, node: &NodeProto, taken: &mut Names) -> NodeProto {
        let mut new = node.clone();
        new.name = node.name.as_ref().filter(|name| !name.is_empty()).map(|name| joined(&self.prefix, name));
        new.input = node.input.iter().map(|name| self.name(name, taken)).collect();
        new.output = node.output.iter().map(|name| self.name(name, taken)).collect();
        new.attribute = node.attribute.iter().filter_map(|attribute| self.attribute(attribute, taken)).collect();
        new
    }

    /// A value's name in the new scope.
    pub(super) fn name(&mut self, name: &Bytes, taken: &mut Names) -> Bytes {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        if name.is_empty() || !self.all {
            return name.clone();
        }
        self.made(name, taken)
    }

    /// Gives a value a name of its own in the new scope.
    pub(super) fn made(&mut self, name: &Bytes, taken: &mut Names) -> Bytes {
        let fresh = taken.fresh(&self.prefix, name);
        self.names.insert(name.clone(), fresh.clone());
        fresh
    }

    fn attribute(&mut self, attribute: &AttributeProto, taken: &mut Names) -> Option<AttributeProto> {
        let refers = attribute.ref_attr_name.as_ref().filter(|name| !name.is_empty());
        if let Some(refers) = refers {
            let given = (self.attribute)(refers)?;
            return Some(AttributeProto { name: attribute.name.clone(), ref_attr_name: None, ..given });
        }
        let mut new = attribute.clone();
        new.g = new.g.map(|graph| Box::new(self.graph(*graph, taken)));
        new.graphs = new.graphs.into_iter().map(|graph| self.graph(graph, taken)).collect();
        Some(new)
    }

    fn graph(&mut self, mut graph: GraphProto, taken: &mut Names) -> GraphProto {
        graph.node = graph.node.iter().map(|node| self.node(node, taken)).collect();
        let declared = graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info);
        let sparse = graph.sparse_initializer.iter_mut().filter_map(|sparse| sparse.values.as_mut());
        let stored = graph.initializer.iter_mut().chain(sparse).map(|tensor| &mut tensor.name);
        for name in declared.map(|info| &mut info.name).chain(stored) {
            *name = name.as_ref().map(|name| self.name(name, taken));
        }
        graph
    }
}

fn joined(prefix: &[u8], name: &[u8]) -> Bytes {
    Bytes::from([prefix, b"/", name].concat())
}

/// A node that gives a value another name.
pub(super) fn renamed(from: Bytes, to: Bytes) -> NodeProto {
    NodeProto {
        op_type: Some(Bytes::from_static(b"Identity")),
        name: Some(to.clone()),
        input: vec![from],
        output: vec![to],
        ..NodeProto::default()
    }
}

//! Which values of a graph something reads.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use import::proto::onnx::{GraphProto, NodeProto};

/// Every name a graph gives or uses, those of its nodes included.
pub(crate) fn names(graph: &GraphProto) -> BTreeSet<Bytes> {
    let mut names = BTreeSet::new();
    let infos = graph.input.iter().chain(&graph.output);
    names.extend(infos.chain(&graph.value_info).filter_map(|it| it.name.clone()));
    names.extend(graph.initializer.iter().filter_map(|it| it.name.clone()));
    for node in &graph.node {
        names.extend(node.name.clone());
        names.extend(node.output.iter().cloned());
        names.extend(reads(node));
        for inner in subgraphs(node) {
            names.extend(self::names(inner));
        }
    }
    names
}

/// The names of values that lead to some others, these included.
pub(crate) fn live(nodes: &[&NodeProto], ends: impl Iterator<Item = Bytes>) -> BTreeSet<Bytes> {
    let mut makers: HashMap<&Bytes, usize> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        makers.extend(node.output.iter().map(|name| (name, index)));
    }
    let mut live = BTreeSet::new();
    let mut open: Vec<Bytes> = ends.collect();
    while let Some(name) = open.pop() {
        if name.is_empty() || live.contains(&name) {
            continue;
        }
        if let Some(&maker) = makers.get(&name) {
            open.extend(reads(nodes[maker]));
            let together = nodes[maker].output.iter();
            live.extend(together.filter(|it| !it.is_empty()).cloned());
        }
        live.insert(name);
    }
    live
}

/// What a node reads: its inputs, and every name its subgraphs mention, which may be theirs or
/// the outer graph's.
fn reads(node: &NodeProto) -> Vec<Bytes> {
    let mut names = node.input.clone();
    for graph in subgraphs(node) {
        names.extend(graph.node.iter().flat_map(reads));
        names.extend(graph.output.iter().filter_map(|it| it.name.clone()));
    }
    names
}

fn subgraphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|attribute| attribute.g.as_deref().into_iter().chain(&attribute.graphs))
}

//! `If` nodes whose condition is known before any run.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::names::{Moved, Names, renamed, stored};
use crate::graph::{Content, Graph, Node};
use crate::proto::ModelFile;
use crate::proto::onnx::{GraphProto, NodeProto, TensorProto, ValueInfoProto, text};
use crate::proto::splice::{Edits, INITIALIZER, NODE, SPARSE_INITIALIZER, VALUE_INFO};

/// Before this IR version every initializer is an input too, which one of a branch is not.
const INITIALIZERS_NEED_NO_INPUT: i64 = 4;

/// Whether the main graph branches.
pub(super) fn has_any(file: &ModelFile) -> bool {
    file.proto.graph.iter().flat_map(|graph| &graph.node).any(is_branching)
}

fn is_branching(node: &NodeProto) -> bool {
    text(&node.op_type) == "If" && matches!(text(&node.domain).as_ref(), "" | "ai.onnx")
}

/// Puts the branch that is taken in the place of every `If` that always takes the same. Gives the edits and how many
/// there are; `None` when there are none.
pub(super) fn taken(file: &ModelFile, graph: &Graph) -> Option<(Edits, usize)> {
    let mut names = Names::of(file.proto.graph.as_ref()?);
    let (mut edits, mut count) = (Edits::new(), 0);
    for node in graph.nodes.iter().filter(|node| is_branching(&node.proto)) {
        let branch = condition(graph, node).and_then(|truth| branch(file, node, truth));
        if let Some(branch) = branch {
            put(&mut edits, &mut names, node, branch);
            count += 1;
        }
    }
    (count > 0).then_some((edits, count))
}

/// Whether the condition holds, when that is known.
fn condition(graph: &Graph, node: &Node) -> Option<bool> {
    match graph.value(node.input(0)?).content.as_ref().and_then(Content::ints)?[..] {
        [truth] => Some(truth != 0),
        _ => None,
    }
}

fn branch<'a>(file: &ModelFile, node: &'a Node, truth: bool) -> Option<&'a GraphProto> {
    let branch = node.proto.graph(if truth { "then_branch" } else { "else_branch" })?;
    let stores = !branch.initializer.is_empty() || !branch.sparse_initializer.is_empty();
    let may_store = file.proto.ir_version.unwrap_or(0) >= INITIALIZERS_NEED_NO_INPUT;
    let fits = branch.input.is_empty() && branch.output.len() == node.proto.output.len();
    (fits && (may_store || !stores)).then_some(branch)
}

fn put(edits: &mut Edits, names: &mut Names, node: &Node, branch: &GraphProto) {
    let maker = node.proto.name.clone().filter(|name| !name.is_empty()).or_else(|| node.proto.output.first().cloned());
    let none = |_: &[u8]| None;
    let mut moved = Moved { names: HashMap::new(), prefix: maker.unwrap_or_default(), all: false, attribute: &none };
    let made: HashSet<&Bytes> =
        branch.node.iter().flat_map(|inner| &inner.output).filter(|name| !name.is_empty()).collect();
    let mut passed_on = Vec::new();
    for (info, wanted) in branch.output.iter().zip(&node.proto.output).filter(|(_, wanted)| !wanted.is_empty()) {
        let name = info.name.clone().unwrap_or_default();
        match made.contains(&name) && !moved.names.contains_key(&name) {
            true => drop(moved.names.insert(name, wanted.clone())),
            false => passed_on.push((name, wanted.clone())),
        }
    }
    let own = branch.node.iter().flat_map(|inner| &inner.output).filter(|name| !name.is_empty()).cloned();
    for name in own.chain(stored(branch)) {
        if !moved.names.contains_key(&name) {
            moved.made(&name, names);
        }
    }
    edits.remove(NODE, node.index);
    for inner in &branch.node {
        edits.insert(NODE, node.index, moved.node(inner, names));
    }
    for (from, to) in passed_on {
        edits.insert(NODE, node.index, renamed(moved.name(&from, names), to));
    }
    for tensor in &branch.initializer {
        let name = tensor.name.as_ref().map(|name| moved.name(name, names));
        edits.append(INITIALIZER, TensorProto { name, ..tensor.clone() });
    }
    for sparse in &branch.sparse_initializer {
        let mut sparse = sparse.clone();
        if let Some(values) = &mut sparse.values {
            values.name = values.name.as_ref().map(|name| moved.name(name, names));
        }
        edits.append(SPARSE_INITIALIZER, sparse);
    }
    for info in &branch.value_info {
        let name = info.name.as_ref().map(|name| moved.name(name, names));
        edits.append(VALUE_INFO, ValueInfoProto { name, ..info.clone() });
    }
}

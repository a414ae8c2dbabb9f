//! From a draft to a file: edits of the original bytes, without what nothing reads any more.

use std::collections::BTreeSet;

use bytes::Bytes;
use import::proto::{
    onnx::{GraphProto, NodeProto, ValueInfoProto},
    splice::{Edits, INITIALIZER, INPUT, NODE, OUTPUT, Repeated, SPARSE_INITIALIZER, Spliced, VALUE_INFO},
};

use crate::{
    draft::{Changes, Draft, NewTensor},
    error::ExportError,
    live,
};

/// Splices a draft's changes into the file. What was read before them and is not read after
/// them goes; what nothing ever read stays.
pub(crate) fn settle(draft: Draft<'_>, lossy: bool) -> Result<Spliced, ExportError> {
    let mut edits = Edits::new().lossy(lossy);
    if let Some(graph) = draft.graph() {
        let dead = Dead::after(graph, &draft.changes);
        dead.remove(graph, &mut edits);
        apply(draft.changes, graph, &dead, &mut edits);
    }
    Ok(edits.splice(&draft.model.file.bytes)?)
}

/// Names of values that nothing reads after the changes: those that something read before, and those of new nodes.
pub(crate) struct Dead(BTreeSet<Bytes>);

impl Dead {
    pub(crate) fn after(graph: &GraphProto, changes: &Changes) -> Self {
        let name = |info: &ValueInfoProto| info.name.clone();
        let old: Vec<&NodeProto> = graph.node.iter().collect();
        let before = live::live(&old, graph.output.iter().filter_map(name));
        let now = |(index, node)| changes.nodes.get(&index).unwrap_or(node);
        let changed: Vec<&NodeProto> = graph.node.iter().enumerate().map(now).collect();
        let new: Vec<&NodeProto> = changes.inserted.values().flatten().collect();
        let all = [changed.as_slice(), &new].concat();
        let outputs = graph.output.iter().chain(&changes.outputs);
        let after = live::live(&all, outputs.filter_map(name));
        let mut dead = Self(before.difference(&after).cloned().collect());
        // A new node stays for any other that does, though that may lead nowhere, as it did before.
        let staying = changed.iter().filter(|node| !dead.takes(node)).flat_map(|node| node.output.iter().cloned());
        let needed = live::live(&all, staying.collect::<Vec<_>>().into_iter());
        let made = new.iter().flat_map(|node| &node.output);
        dead.0.extend(made.filter(|&name| !after.contains(name) && !needed.contains(name)).cloned());
        dead
    }

    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.0.contains(name)
    }

    /// Whether nothing of what a node makes is read any more.
    fn takes(&self, node: &NodeProto) -> bool {
        let outputs = node.output.iter().filter(|name| !name.is_empty());
        let mut outputs = outputs.peekable();
        outputs.peek().is_some() && outputs.all(|name| self.has(name))
    }

    fn remove(&self, graph: &GraphProto, edits: &mut Edits) {
        remove(edits, NODE, &graph.node, |node| self.takes(node));
        remove(edits, INITIALIZER, &graph.initializer, |it| self.has(it.name()));
        remove(edits, SPARSE_INITIALIZER, &graph.sparse_initializer, |it| {
            it.values.as_ref().is_some_and(|values| self.has(values.name()))
        });
        let declares_dead = |info: &ValueInfoProto| self.has(info.name());
        remove(edits, INPUT, &graph.input, declares_dead);
        remove(edits, VALUE_INFO, &graph.value_info, declares_dead);
    }
}

fn remove<T>(edits: &mut Edits, field: Repeated<T>, elements: &[T], is_dead: impl Fn(&T) -> bool) {
    for (index, element) in elements.iter().enumerate() {
        if is_dead(element) {
            edits.remove(field, index);
        }
    }
}

/// Turns what is not dead of the changes into edits.
fn apply(changes: Changes, graph: &GraphProto, dead: &Dead, edits: &mut Edits) {
    for (index, node) in changes.nodes {
        if !dead.takes(&node) {
            edits.replace(NODE, index, node);
        }
    }
    for ((index, _), nodes) in changes.inserted {
        for node in nodes.into_iter().filter(|node| !dead.takes(node)) {
            if index < graph.node.len() {
                edits.insert(NODE, index, node);
            } else {
                edits.append(NODE, node);
            }
        }
    }
    for (index, tensor) in changes.tensors {
        if dead.has(tensor.name()) {
            continue;
        }
        match tensor {
            NewTensor::Made(tensor) => edits.replace(INITIALIZER, index, tensor),
            NewTensor::Later(tensor) => edits.replace_later(index, tensor),
        }
    }
    for (index, tensor) in changes.densified {
        edits.remove(SPARSE_INITIALIZER, index);
        if !dead.has(tensor.name()) {
            edits.append(INITIALIZER, tensor);
        }
    }
    for (field, infos) in
        [(INPUT, changes.declared.inputs), (OUTPUT, changes.declared.outputs), (VALUE_INFO, changes.declared.values)]
    {
        for (index, info) in infos {
            if !dead.has(info.name()) {
                edits.replace(field, index, info);
            }
        }
    }
    for output in changes.outputs {
        edits.append(OUTPUT, output);
    }
}

//! Calls of a model's own functions, written out in place.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use prost::Message;

use super::names::{Moved, Names, renamed};
use crate::ops::rows_named;
use crate::proto::ModelFile;
use crate::proto::onnx::{FunctionProto, ModelProto, NodeProto, OperatorSetIdProto, text};
use crate::proto::splice::{Edits, FUNCTIONS, NODE, OPSET_IMPORT};

/// All that is written out has at most this many nodes.
const MOST_NODES: usize = 1 << 16;
/// It takes at most this many bytes, and a few for each byte of the file.
const LEAST_ROOM: usize = 1 << 20;
const ROOM: usize = 8;
/// Functions that call functions are written out to this depth.
const DEEPEST: usize = 64;

/// How a call names a function: domain, name, overload.
type Key = (String, String, String);

/// Writes out every call in the main graph that can be, and leaves out functions that nothing calls any more. Gives the
/// edits and the number of calls; `None` when there are none.
///
/// A call stays where its function calls itself, would be written out to too much, or was written for operator sets in
/// which its operators mean something else.
pub(super) fn written_out(file: &ModelFile) -> Option<(Edits, usize)> {
    let proto = &file.proto;
    let graph = proto.graph.as_ref().filter(|_| !proto.functions.is_empty())?;
    let functions = Functions::of(proto);
    let mut writer = Writer {
        functions: &functions,
        names: Names::of(graph),
        nodes_left: MOST_NODES,
        bytes_left: file.bytes.len().saturating_mul(ROOM).saturating_add(LEAST_ROOM),
    };
    let (mut edits, mut calls) = (Edits::new(), 0);
    let mut still = Vec::new();
    for (index, node) in graph.node.iter().enumerate() {
        let Some(written) = writer.call(node) else {
            still.extend(called(std::slice::from_ref(node)));
            continue;
        };
        calls += 1;
        still.extend(called(&written));
        edits.remove(NODE, index);
        written.into_iter().for_each(|node| edits.insert(NODE, index, node));
    }
    if calls == 0 {
        return None;
    }
    let still = functions.reached(still);
    for (index, _) in proto.functions.iter().enumerate().filter(|(_, function)| !still.contains(&key_of(function))) {
        edits.remove(FUNCTIONS, index);
    }
    for (domain, &version) in &functions.added {
        let domain = Some(Bytes::copy_from_slice(domain.as_bytes()));
        edits.append(OPSET_IMPORT, OperatorSetIdProto { domain, version: Some(version) });
    }
    Some((edits, calls))
}

/// The functions of a model.
struct Functions<'a> {
    by_key: HashMap<Key, &'a FunctionProto>,
    /// How many nodes those that can be written out come to.
    nodes: HashMap<Key, usize>,
    /// Operator sets that functions need and the model does not name.
    added: BTreeMap<String, i64>,
}

impl<'a> Functions<'a> {
    fn of(proto: &'a ModelProto) -> Self {
        let mut functions = Self { by_key: HashMap::new(), nodes: HashMap::new(), added: BTreeMap::new() };
        let mut opsets: BTreeMap<String, i64> =
            proto.opset_import.iter().map(|set| (short(&set.domain), set.version.unwrap_or(1))).collect();
        let mut fitting = Vec::new();
        for function in &proto.functions {
            let key = key_of(function);
            if functions.by_key.contains_key(&key) {
                continue;
            }
            functions.by_key.insert(key.clone(), function);
            fitting.push(key);
        }
        fitting.retain(|key| {
            let function = functions.by_key[key];
            let fits = makes_its_outputs(function) && functions.means_the_same(function, &opsets);
            for set in function.opset_import.iter().filter(|_| fits) {
                let (domain, version) = (short(&set.domain), set.version.unwrap_or(1));
                if !opsets.contains_key(&domain) {
                    opsets.insert(domain.clone(), version);
                    functions.added.insert(domain, version);
                }
            }
            fits
        });
        functions.measure(fitting);
        functions
    }

    /// Whether a function's operators mean the same in the model's operator sets as in its own.
    fn means_the_same(&self, function: &FunctionProto, opsets: &BTreeMap<String, i64>) -> bool {
        let own: BTreeMap<String, i64> =
            function.opset_import.iter().map(|set| (short(&set.domain), set.version.unwrap_or(1))).collect();
        let same = |node: &NodeProto| {
            let domain = short(&node.domain);
            let (Some(own), Some(&models)) = (own.get(&domain), opsets.get(&domain)) else { return true };
            let revision = |version: i64| {
                let op = text(&node.op_type);
                let revisions = rows_named(&domain, &op).flat_map(|(_, row)| row.revisions);
                revisions.copied().filter(|&since| since <= version).max()
            };
            *own == models
                || self.by_key.contains_key(&key_called(node))
                || revision(*own).is_some_and(|since| revision(models) == Some(since))
        };
        every_node(&function.node).into_iter().all(same)
    }

    /// Counts the nodes of functions whose calls are all counted, again and again: what calls itself is never among
    /// them.
    fn measure(&mut self, fitting: Vec<Key>) {
        let mut waiting: HashMap<Key, usize> = HashMap::new();
        let mut callers: HashMap<Key, Vec<Key>> = HashMap::new();
        let mut ready = Vec::new();
        let mut depth: HashMap<Key, usize> = HashMap::new();
        for key in fitting {
            let calls = called(&self.by_key[&key].node).into_iter().filter(|call| self.by_key.contains_key(call));
            let calls: HashSet<Key> = calls.collect();
            if calls.is_empty() {
                ready.push(key.clone());
            }
            waiting.insert(key.clone(), calls.len());
            calls.into_iter().for_each(|call| callers.entry(call).or_default().push(key.clone()));
        }
        while let Some(key) = ready.pop() {
            let body = &self.by_key[&key].node;
            let keys = body.iter().map(key_called);
            let nodes = keys.map(|call| self.nodes.get(&call).copied().unwrap_or(1));
            let nodes = nodes.fold(body.len(), usize::saturating_add);
            let inner = called(body).iter().filter_map(|call| depth.get(call)).max().copied().unwrap_or(0);
            if nodes > MOST_NODES || inner >= DEEPEST {
                continue;
            }
            depth.insert(key.clone(), inner + 1);
            self.nodes.insert(key.clone(), nodes);
            for caller in callers.remove(&key).unwrap_or_default() {
                if let Some(left) = waiting.get_mut(&caller) {
                    *left -= 1;
                    if *left == 0 {
                        ready.push(caller);
                    }
                }
            }
        }
    }

    /// The functions that are called, and those that they call.
    fn reached(&self, mut open: Vec<Key>) -> HashSet<Key> {
        let mut reached = HashSet::new();
        while let Some(key) = open.pop() {
            let Some(function) = self.by_key.get(&key) else { continue };
            if reached.insert(key) {
                open.extend(called(&function.node));
            }
        }
        reached
    }
}

/// Writes calls out.
struct Writer<'a> {
    functions: &'a Functions<'a>,
    names: Names,
    nodes_left: usize,
    bytes_left: usize,
}

impl Writer<'_> {
    /// The nodes of a call; `None` when it is none, or stays.
    fn call(&mut self, node: &NodeProto) -> Option<Vec<NodeProto>> {
        let key = key_called(node);
        let nodes = *self.functions.nodes.get(&key)?;
        let fits = node.output.len() <= self.functions.by_key[&key].output.len();
        let left = self.nodes_left.checked_sub(nodes).filter(|_| fits)?;
        let written = self.written(node);
        match written {
            Some(_) => self.nodes_left = left,
            None => self.nodes_left = 0,
        }
        written
    }

    /// The body of a call's function under names of its own; `None` when there is no room.
    fn written(&mut self, call: &NodeProto) -> Option<Vec<NodeProto>> {
        let function = self.functions.by_key[&key_called(call)];
        let named = |name: &Option<Bytes>| name.clone().filter(|name| !name.is_empty());
        let given = |name: &[u8]| {
            let mut attributes = call.attribute.iter().chain(&function.attribute_proto);
            attributes.find(|attribute| attribute.name() == name).cloned()
        };
        let mut moved = Moved {
            names: HashMap::new(),
            prefix: named(&call.name).or(named(&function.name)).unwrap_or_default(),
            all: true,
            attribute: &given,
        };
        for (position, name) in function.input.iter().enumerate() {
            moved.names.insert(name.clone(), call.input.get(position).cloned().unwrap_or_default());
        }
        let mut passed_on = Vec::new();
        for (name, wanted) in function.output.iter().zip(&call.output).filter(|(_, wanted)| !wanted.is_empty()) {
            match moved.names.get(name) {
                Some(known) => passed_on.push(renamed(known.clone(), wanted.clone())),
                None => drop(moved.names.insert(name.clone(), wanted.clone())),
            }
        }
        let mut written = Vec::new();
        for inner in &function.node {
            let node = moved.node(inner, &mut self.names);
            self.bytes_left = self.bytes_left.checked_sub(node.encoded_len())?;
            match self.functions.nodes.contains_key(&key_called(&node)) {
                true => written.extend(self.written(&node)?),
                false => written.push(node),
            }
        }
        written.extend(passed_on);
        Some(written)
    }
}

/// Whether a function has nothing to give that is neither made nor given to it.
fn makes_its_outputs(function: &FunctionProto) -> bool {
    let made = function.node.iter().flat_map(|node| &node.output);
    let there: HashSet<&Bytes> = made.chain(&function.input).collect();
    function.output.iter().all(|output| there.contains(output))
}

/// What nodes call, in their subgraphs too, whether or not there is such a function.
fn called(nodes: &[NodeProto]) -> Vec<Key> {
    every_node(nodes).into_iter().map(key_called).collect()
}

/// Nodes, and those of the graphs inside them.
fn every_node(nodes: &[NodeProto]) -> Vec<&NodeProto> {
    let mut open: Vec<&NodeProto> = nodes.iter().collect();
    let mut all = Vec::new();
    while let Some(node) = open.pop() {
        all.push(node);
        node.subgraphs().for_each(|graph| open.extend(&graph.node));
    }
    all
}

fn key_called(node: &NodeProto) -> Key {
    (short(&node.domain), text(&node.op_type).into_owned(), text(&node.overload).into_owned())
}

fn key_of(function: &FunctionProto) -> Key {
    (short(&function.domain), text(&function.name).into_owned(), text(&function.overload).into_owned())
}

/// A domain by its short name: the default one is the empty string.
fn short(domain: &Option<Bytes>) -> String {
    let domain = text(domain);
    if domain == "ai.onnx" { String::new() } else { domain.into_owned() }
}

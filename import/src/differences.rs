//! What changed between two model files: what they say of themselves, inputs and outputs, operators, stored tensors.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::Serialize;

use crate::graph::{Dim, Graph, StoredId, ValueId};
use crate::model::Model;
use crate::proto::onnx::ModelProto;
use crate::tensor::Tensor;

/// Everything that differs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Differences {
    /// Format, producer, operator sets and notes: what, before, after.
    pub header: Vec<Changed>,
    /// Inputs and outputs by name, with type and sizes.
    pub interface: Vec<Changed>,
    /// Operators of which the files have other numbers: name, before, after.
    pub operators: Vec<(String, usize, usize)>,
    /// Nodes before and after.
    pub nodes: [usize; 2],
    /// Stored tensors that only the first file has.
    pub removed: Vec<String>,
    /// Those that only the second has.
    pub added: Vec<String>,
    /// Those of other names and the same elements: before, after.
    pub renamed: Vec<(String, String)>,
    /// Those of another type or other sizes.
    pub reshaped: Vec<Changed>,
    /// Those with other elements, the most changed first.
    pub moved: Vec<Moved>,
    /// How many are the same, byte by byte.
    pub same: usize,
}

/// One thing that is not what it was; absent on the side that has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// What.
    pub what: String,
    /// In the first file.
    pub before: Option<String>,
    /// In the second.
    pub after: Option<String>,
}

/// A stored tensor with other elements.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moved {
    /// Its name.
    pub tensor: String,
    /// How far it moved, ‖b − a‖ / ‖a‖; absent where a is zero, or the elements are no numbers.
    pub relative: Option<f64>,
    /// The largest |b − a|.
    pub largest: Option<f64>,
}

impl Differences {
    /// Compares two models. Tensors are matched by name, those left over by their elements.
    pub fn of(a: &Model, b: &Model) -> Self {
        let mut found = Self {
            header: changed(&header(&a.file.proto), &header(&b.file.proto)),
            interface: changed(&interface(&a.graph), &interface(&b.graph)),
            operators: operators(&a.graph, &b.graph),
            nodes: [a.graph.nodes.len(), b.graph.nodes.len()],
            ..Self::default()
        };
        found.tensors(&tensors(&a.graph), &tensors(&b.graph));
        found
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        let Self { header, interface, operators, nodes, removed, added, renamed, reshaped, moved, same: _ } = self;
        let lists = [removed.is_empty(), added.is_empty(), renamed.is_empty(), reshaped.is_empty(), moved.is_empty()];
        header.is_empty()
            && interface.is_empty()
            && operators.is_empty()
            && nodes[0] == nodes[1]
            && !lists.contains(&false)
    }

    fn tensors(&mut self, a: &BTreeMap<&str, &Tensor>, b: &BTreeMap<&str, &Tensor>) {
        let mut spare: BTreeMap<Contents, Vec<&str>> = BTreeMap::new();
        for (name, tensor) in b.iter().filter(|(name, _)| !a.contains_key(*name)) {
            spare.entry(contents(tensor)).or_default().push(name);
        }
        for (&name, tensor) in a {
            match b.get(name) {
                Some(other) => self.pair(name, tensor, other),
                None => match spare.get_mut(&contents(tensor)).and_then(Vec::pop) {
                    Some(other) => self.renamed.push((name.to_owned(), other.to_owned())),
                    None => self.removed.push(name.to_owned()),
                },
            }
        }
        let left: BTreeSet<&str> = spare.into_values().flatten().collect();
        self.added.extend(left.into_iter().map(str::to_owned));
        let size = |moved: &Moved| moved.relative.unwrap_or(f64::INFINITY);
        self.moved.sort_by(|a, b| size(b).total_cmp(&size(a)).then_with(|| a.tensor.cmp(&b.tensor)));
    }

    fn pair(&mut self, name: &str, a: &Tensor, b: &Tensor) {
        if (a.dtype, &a.shape) != (b.dtype, &b.shape) {
            let (what, before, after) = (name.to_owned(), Some(form(a)), Some(form(b)));
            self.reshaped.push(Changed { what, before, after });
        } else if a.data == b.data {
            self.same += 1;
        } else {
            self.moved.push(moved(name, a, b));
        }
    }
}

/// What tells a tensor from others whatever its name.
type Contents = (i32, Vec<usize>, Bytes);

fn contents(tensor: &Tensor) -> Contents {
    (tensor.dtype.code(), tensor.shape.clone(), tensor.data.clone())
}

fn form(tensor: &Tensor) -> String {
    format!("{:?} {:?}", tensor.dtype, tensor.shape)
}

fn moved(name: &str, a: &Tensor, b: &Tensor) -> Moved {
    let tensor = name.to_owned();
    let (Ok(a), Ok(b)) = (a.to_f64(), b.to_f64()) else { return Moved { tensor, relative: None, largest: None } };
    let (mut square, mut whole, mut largest) = (0.0, 0.0, 0.0f64);
    for (a, b) in a.iter().zip(&b) {
        square += (b - a).powi(2);
        whole += a * a;
        largest = largest.max((b - a).abs());
    }
    let relative = (square / whole).sqrt();
    Moved { tensor, relative: relative.is_finite().then_some(relative), largest: Some(largest) }
}

/// Entries of both sides that are not equal, in the order of their names.
fn changed(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<Changed> {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let unequal = names.into_iter().filter(|name| a.get(*name) != b.get(*name));
    unequal
        .map(|name| Changed { what: name.clone(), before: a.get(name).cloned(), after: b.get(name).cloned() })
        .collect()
}

fn header(proto: &ModelProto) -> BTreeMap<String, String> {
    let text = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let mut entries = BTreeMap::new();
    let mut put = |name: String, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            entries.insert(name, value);
        }
    };
    put("IR version".to_owned(), proto.ir_version.map(|version| version.to_string()));
    put("producer".to_owned(), text(&proto.producer_name));
    put("producer's version".to_owned(), text(&proto.producer_version));
    for set in &proto.opset_import {
        let domain = text(&set.domain).filter(|domain| !domain.is_empty()).unwrap_or_else(|| "ai.onnx".to_owned());
        put(format!("operator set {domain}"), set.version.map(|version| version.to_string()));
    }
    for note in &proto.metadata_props {
        put(format!("note {}", text(&note.key).unwrap_or_default()), text(&note.value));
    }
    entries
}

fn interface(graph: &Graph) -> BTreeMap<String, String> {
    let entry = |side: &str, id: ValueId| {
        let value = graph.value(id);
        let dtype = value.dtype.map_or_else(|| "?".to_owned(), |dtype| format!("{dtype:?}"));
        let size = |size: &Dim| size.value().map_or_else(|| "open".to_owned(), |size| size.to_string());
        let sizes = value.shape.as_ref().map(|shape| shape.iter().map(size).collect::<Vec<_>>().join(", "));
        (format!("{side} {}", value.name), format!("{dtype} [{}]", sizes.unwrap_or_else(|| "of any rank".to_owned())))
    };
    let inputs = graph.inputs.iter().map(|&id| entry("input", id));
    inputs.chain(graph.outputs.iter().map(|&id| entry("output", id))).collect()
}

fn operators(a: &Graph, b: &Graph) -> Vec<(String, usize, usize)> {
    let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for (side, graph) in [a, b].into_iter().enumerate() {
        graph.nodes.iter().for_each(|node| counts.entry(&node.op).or_default()[side] += 1);
    }
    let unequal = counts.into_iter().filter(|(_, [before, after])| before != after);
    unequal.map(|(op, [before, after])| (op.to_owned(), before, after)).collect()
}

fn tensors(graph: &Graph) -> BTreeMap<&str, &Tensor> {
    let numbered = graph.stored.iter().enumerate();
    numbered.map(|(position, stored)| (graph.stored_name(StoredId(position as u32)), &stored.tensor)).collect()
}

//! A model being changed: which messages differ from the file's.
//!
//! The cut and the twin both write through a draft; what they write is their own.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use import::{
    DType, Model, Tensor,
    graph::{Node, Place, StoredId, StoredTensor, Value},
    proto::{
        onnx::{DataLocation, GraphProto, NodeProto, TensorProto, TypeProto, ValueInfoProto, type_proto},
        splice::Later,
    },
    tensor::Floats,
};

use crate::{
    error::ExportError,
    live,
    nodes::{along, constant_node, elementwise, value_attribute},
    note::Note,
};

/// A model being changed.
pub(crate) struct Draft<'a> {
    pub(crate) model: &'a Model,
    pub(crate) changes: Changes,
    names: BTreeSet<Bytes>,
}

/// Changes to a model, by the file's own positions.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) nodes: BTreeMap<usize, NodeProto>,
    pub(crate) inserted: BTreeMap<Slot, Vec<NodeProto>>,
    pub(crate) tensors: BTreeMap<usize, NewTensor>,
    /// What stands in for sparse initializers, by their position: all their elements.
    pub(crate) densified: BTreeMap<usize, TensorProto>,
    pub(crate) declared: Declarations,
    pub(crate) outputs: Vec<ValueInfoProto>,
}

impl Changes {
    /// Whether nothing is changed.
    pub(crate) fn is_empty(&self) -> bool {
        let declared = &self.declared;
        let declarations = [&declared.inputs, &declared.outputs, &declared.values];
        self.nodes.is_empty()
            && self.inserted.is_empty()
            && self.tensors.is_empty()
            && self.densified.is_empty()
            && self.outputs.is_empty()
            && declarations.iter().all(|infos| infos.is_empty())
    }
}

/// What a stored tensor becomes.
pub(crate) enum NewTensor {
    /// This.
    Made(TensorProto),
    /// What is made when it is written.
    Later(Later),
}

impl NewTensor {
    pub(crate) fn name(&self) -> &[u8] {
        match self {
            Self::Made(tensor) => tensor.name(),
            Self::Later(tensor) => tensor.name(),
        }
    }
}

/// A place before a position of the node list.
pub(crate) type Slot = (usize, Side);

/// What follows the previous node comes first, then what the next one needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    AfterPrevious,
    Before,
}

/// Changed declarations of inputs, outputs and values between nodes.
#[derive(Default)]
pub(crate) struct Declarations {
    pub(crate) inputs: BTreeMap<usize, ValueInfoProto>,
    pub(crate) outputs: BTreeMap<usize, ValueInfoProto>,
    pub(crate) values: BTreeMap<usize, ValueInfoProto>,
}

/// One of the graph's lists of declarations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    Input,
    Output,
    Value,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(model: &'a Model) -> Self {
        let mut draft = Self { model, changes: Changes::default(), names: BTreeSet::new() };
        draft.names = draft.graph().map(live::names).unwrap_or_default();
        draft
    }

    /// The file's main graph.
    pub(crate) fn graph(&self) -> Option<&'a GraphProto> {
        self.model.file.proto.graph.as_ref()
    }

    /// The version of the default operator set.
    pub(crate) fn opset(&self) -> i64 {
        self.model.graph.opset("").unwrap_or(1)
    }

    /// A name nothing has yet, beginning with `base`.
    pub(crate) fn fresh_name(&mut self, base: &str) -> String {
        let mut name = base.to_owned();
        let mut count = 1;
        while !self.names.insert(Bytes::copy_from_slice(name.as_bytes())) {
            count += 1;
            name = format!("{base}_{count}");
        }
        name
    }

    /// The message of a node, to be changed.
    pub(crate) fn node_mut(&mut self, node: &Node) -> &mut NodeProto {
        self.changes.nodes.entry(node.index).or_insert_with(|| node.proto.clone())
    }

    /// Feeds input number `input` of a node from the value called `name`.
    pub(crate) fn set_input(&mut self, node: &Node, input: usize, name: &str) {
        let inputs = &mut self.node_mut(node).input;
        if inputs.len() <= input {
            inputs.resize(input + 1, Bytes::new());
        }
        inputs[input] = Bytes::copy_from_slice(name.as_bytes());
    }

    /// Puts a node right before another.
    pub(crate) fn insert_before(&mut self, node: &Node, new: NodeProto) {
        let slot = (node.index, Side::Before);
        self.changes.inserted.entry(slot).or_default().push(new);
    }

    /// Puts a node right after another, before whatever was put there earlier.
    pub(crate) fn insert_after(&mut self, node: &Node, new: NodeProto) {
        let slot = (node.index + 1, Side::AfterPrevious);
        self.changes.inserted.entry(slot).or_default().insert(0, new);
    }

    /// Puts a constant before a node; gives its name.
    pub(crate) fn constant(&mut self, node: &Node, base: &str, tensor: &Tensor) -> String {
        let name = self.fresh_name(base);
        self.insert_before(node, constant_node(&name, tensor));
        name
    }

    /// Adds a constant per index of `axis` to a node's output, keeping the output's name.
    ///
    /// `values` has one element per index of the axis; `rank` is the output's.
    pub(crate) fn add_after(&mut self, node: &Node, rank: usize, axis: usize, values: &Tensor) {
        let raw = self.fresh_name("unfilled");
        let outputs = &mut self.node_mut(node).output;
        let Some(output) = outputs.first_mut() else {
            return;
        };
        let output = std::mem::replace(output, Bytes::copy_from_slice(raw.as_bytes()));
        let opset = self.opset();
        let addend = self.constant(node, "fill", &along(values, rank, axis, opset));
        let mut add = elementwise("Add", &[&raw, &addend], axis, opset);
        add.name = Some(Bytes::copy_from_slice(self.fresh_name("add_fill").as_bytes()));
        add.output = vec![output];
        self.insert_after(node, add);
    }

    /// Whether a value has one reader, no subgraph among them, and is no output: it may be changed for that reader.
    pub(crate) fn is_only_read_here(&self, value: &Value) -> bool {
        let name = value.name.as_bytes();
        let mut outputs = self.graph().into_iter().flat_map(|graph| &graph.output);
        let captured = |node: &Node| node.captures.iter().any(|&it| self.model.graph.value(it).name == value.name);
        value.readers.len() == 1
            && !outputs.any(|output| output.name() == name)
            && !self.model.graph.nodes.iter().any(captured)
    }

    /// Sparse constants that were changed, and hold all their elements now.
    pub(crate) fn densified(&self) -> Vec<Note> {
        let graph = &self.model.graph;
        let is_changed = |stored: &&StoredTensor| match stored.place {
            Place::SparseInitializer(index) => self.changes.densified.contains_key(&index),
            Place::ConstantNode(index) => {
                let held = |node: &NodeProto| node.tensor("value").is_some();
                self.changes.nodes.get(&index).is_some_and(held)
                    && !self.graph().and_then(|graph| graph.node.get(index)).is_some_and(held)
            }
            Place::Initializer(_) => false,
        };
        let name = |stored: &StoredTensor| graph.value(stored.value).name.clone();
        graph.stored.iter().filter(is_changed).map(|stored| Note::Densified { tensor: name(stored) }).collect()
    }

    /// The elements of a stored tensor as they are now.
    pub(crate) fn tensor(&self, stored: StoredId) -> Result<Tensor, ExportError> {
        let entry = self.model.graph.stored(stored);
        let read = |proto: &TensorProto| Ok(Tensor::from_proto(proto, self.model.file.folder())?);
        match entry.place {
            Place::Initializer(index) => match self.changes.tensors.get(&index) {
                Some(NewTensor::Made(proto)) => read(proto),
                Some(NewTensor::Later(later)) => read(&later.now()),
                None => Ok(entry.tensor.clone()),
            },
            Place::SparseInitializer(index) => {
                self.changes.densified.get(&index).map_or_else(|| Ok(entry.tensor.clone()), read)
            }
            Place::ConstantNode(index) => {
                let changed = self.changes.nodes.get(&index).and_then(|it| it.tensor("value"));
                changed.map_or_else(|| Ok(entry.tensor.clone()), read)
            }
        }
    }

    /// Gives a stored tensor other elements; external ones move into the file.
    pub(crate) fn set_tensor(&mut self, stored: StoredId, tensor: &Tensor) {
        let Some(graph) = self.graph() else { return };
        match self.model.graph.stored(stored).place {
            Place::Initializer(index) => {
                let new = with_elements(&graph.initializer[index], tensor);
                self.changes.tensors.insert(index, NewTensor::Made(new));
            }
            Place::SparseInitializer(index) => {
                let new = tensor.to_proto(self.model.graph.stored_name(stored));
                self.changes.densified.insert(index, new);
            }
            Place::ConstantNode(index) => {
                let node = self.changes.nodes.entry(index).or_insert_with(|| graph.node[index].clone());
                match node.attribute.iter_mut().find_map(|it| it.t.as_deref_mut()) {
                    Some(value) => *value = with_elements(value, tensor),
                    None => node.attribute = vec![value_attribute(self.model.graph.stored_name(stored), tensor)],
                }
            }
        }
    }

    /// Gives a stored tensor of floats what `change` makes of it, not before that is written. An initializer's new
    /// elements are never kept, so that a changed copy of a network takes no more memory than the network.
    pub(crate) fn change_later(
        &mut self,
        stored: StoredId,
        change: impl Fn(Floats<'_>) -> Tensor + Send + Sync + 'static,
    ) -> Result<(), ExportError> {
        let tensor = self.tensor(stored)?;
        let Some(floats) = tensor.floats() else { return Ok(()) };
        let place = self.model.graph.stored(stored).place;
        let (Place::Initializer(index), Some(graph)) = (place, self.graph()) else {
            self.set_tensor(stored, &change(floats));
            return Ok(());
        };
        let head = with_elements(&graph.initializer[index], &Tensor { data: Bytes::new(), ..tensor.clone() });
        let length = tensor.data.len();
        let make = move || tensor.floats().map_or_else(|| tensor.data.clone(), |floats| change(floats).data);
        self.changes.tensors.insert(index, NewTensor::Later(Later::new(head, length, make)));
        Ok(())
    }

    /// The declarations of one list as they are now, to be changed where `change` says so.
    pub(crate) fn declare(&mut self, list: Declared, change: impl Fn(&ValueInfoProto) -> Option<ValueInfoProto>) {
        let Some(graph) = self.graph() else { return };
        let (infos, changed) = match list {
            Declared::Input => (&graph.input, &mut self.changes.declared.inputs),
            Declared::Output => (&graph.output, &mut self.changes.declared.outputs),
            Declared::Value => (&graph.value_info, &mut self.changes.declared.values),
        };
        for (index, info) in infos.iter().enumerate() {
            if let Some(new) = change(info) {
                changed.insert(index, new);
            }
        }
    }

    /// Makes a value an output of the graph, unless it is one.
    ///
    /// A runtime infers the type where it is not known here.
    pub(crate) fn tap(&mut self, name: &str, dtype: Option<DType>) {
        let is_output = |info: &ValueInfoProto| info.name() == name.as_bytes();
        let declared = self.graph().map_or(&[][..], |graph| &graph.output);
        if declared.iter().chain(&self.changes.outputs).any(is_output) {
            return;
        }
        let tensor = |dtype: DType| type_proto::Tensor { elem_type: Some(dtype.code()), shape: None };
        let typed = |tensor| TypeProto { value: Some(type_proto::Value::TensorType(tensor)), denotation: None };
        self.changes.outputs.push(ValueInfoProto {
            name: Some(Bytes::copy_from_slice(name.as_bytes())),
            r#type: dtype.map(tensor).map(typed),
            ..ValueInfoProto::default()
        });
    }
}

/// A stored tensor with other elements, inline; its name and notes stay.
fn with_elements(old: &TensorProto, tensor: &Tensor) -> TensorProto {
    TensorProto {
        name: old.name.clone(),
        doc_string: old.doc_string.clone(),
        metadata_props: old.metadata_props.clone(),
        data_location: old.data_location.map(|_| DataLocation::Default as i32),
        ..tensor.to_proto("")
    }
}

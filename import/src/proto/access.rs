//! Reading what the messages hold: attributes by name, entries by key.

use std::borrow::Cow;

use super::onnx::{AttributeProto, GraphProto, NodeProto, StringStringEntryProto, TensorProto, text};

impl NodeProto {
    /// The attribute of this name, if the node has it.
    pub fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.attribute.iter().find(|attribute| attribute.name() == name.as_bytes())
    }

    /// An integer attribute.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name)?.i
    }

    /// A list of integers; an attribute that is there and empty gives an empty list.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        Some(&self.attribute(name)?.ints)
    }

    /// A float attribute.
    pub fn float(&self, name: &str) -> Option<f32> {
        self.attribute(name)?.f
    }

    /// A list of floats; an attribute that is there and empty gives an empty list.
    pub fn floats(&self, name: &str) -> Option<&[f32]> {
        Some(&self.attribute(name)?.floats)
    }

    /// A string attribute, shown lossily when it is not UTF-8.
    pub fn string(&self, name: &str) -> Option<Cow<'_, str>> {
        let value = self.attribute(name)?.s.as_ref()?;
        Some(String::from_utf8_lossy(value))
    }

    /// A tensor attribute.
    pub fn tensor(&self, name: &str) -> Option<&TensorProto> {
        self.attribute(name)?.t.as_deref()
    }

    /// A graph attribute.
    pub fn graph(&self, name: &str) -> Option<&GraphProto> {
        self.attribute(name)?.g.as_deref()
    }

    /// The graphs that the node holds.
    pub fn subgraphs(&self) -> impl Iterator<Item = &GraphProto> {
        self.attribute.iter().flat_map(|attribute| attribute.g.as_deref().into_iter().chain(&attribute.graphs))
    }
}

/// The value under `key` in a list of entries.
pub fn entry<'a>(entries: &'a [StringStringEntryProto], key: &str) -> Option<Cow<'a, str>> {
    entries.iter().find(|entry| entry.key() == key.as_bytes()).map(|entry| text(&entry.value))
}

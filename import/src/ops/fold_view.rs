//! What constant folding sees of a node.

use crate::graph::{Content, Dim, Graph, Node, Value};
use crate::tensor::Tensor;

/// A node whose inputs' elements may be known.
pub struct FoldView<'a> {
    /// The node.
    pub node: &'a Node,
    pub(crate) graph: &'a Graph,
    /// Sizes of output 0 as inferred.
    pub(crate) shape: Option<&'a [Dim]>,
}

impl FoldView<'_> {
    /// For operators whose elements are never worth knowing.
    pub fn unknown(_: &FoldView) -> Option<Content> {
        None
    }

    /// The value at an input.
    pub fn value(&self, input: usize) -> Option<&Value> {
        Some(self.graph.value(self.node.input(input)?))
    }

    /// Elements of an input.
    pub fn content(&self, input: usize) -> Option<&Content> {
        self.value(input)?.content.as_ref()
    }

    /// Elements of an input, as sizes.
    pub fn dims(&self, input: usize) -> Option<Vec<Dim>> {
        self.content(input)?.dims()
    }

    /// Elements of an input, as integers.
    pub fn ints(&self, input: usize) -> Option<Vec<i64>> {
        self.content(input)?.ints()
    }

    /// All elements of an input.
    pub fn tensor(&self, input: usize) -> Option<&Tensor> {
        match self.content(input)? {
            Content::Tensor(tensor) => Some(tensor),
            Content::Dims { .. } => None,
        }
    }

    /// Sizes of output 0 as numbers.
    pub fn output_extents(&self) -> Option<Vec<usize>> {
        self.shape?.iter().map(Dim::extent).collect()
    }
}

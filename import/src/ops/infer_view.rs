//! What shape inference sees of a node, and what it says of its outputs.

use crate::graph::{Code, Content, Dim, Graph, Node, NodeId, Refusal, Shape, Symbols, Value};
use crate::tensor::DType;

/// A constant list of sizes in which one element stands for the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchConstant {
    /// The node that reads the list.
    pub node: NodeId,
    /// The input position.
    pub input: usize,
    /// The element that equals the declared batch.
    pub element: usize,
}

/// Type and sizes of one output; `None` means unknown.
#[derive(Clone, Debug, Default)]
pub struct Fact {
    /// Element type.
    pub dtype: Option<DType>,
    /// Sizes.
    pub shape: Option<Shape>,
}

/// A node with what is known of its inputs.
pub struct InferView<'a> {
    pub(crate) id: NodeId,
    /// The node.
    pub node: &'a Node,
    pub(crate) graph: &'a Graph,
    pub(crate) symbols: &'a mut Symbols,
    /// The batch that the file declares, when it is read as free.
    pub(crate) declared_batch: Option<i64>,
    pub(crate) batch_constants: &'a mut Vec<BatchConstant>,
}

impl InferView<'_> {
    /// The value at an input.
    pub fn value(&self, input: usize) -> Option<&Value> {
        Some(self.graph.value(self.node.input(input)?))
    }

    /// Sizes of an input.
    pub fn shape(&self, input: usize) -> Option<&[Dim]> {
        self.value(input)?.shape.as_deref()
    }

    /// Element type of an input.
    pub fn dtype(&self, input: usize) -> Option<DType> {
        self.value(input)?.dtype
    }

    /// Elements of an input, as sizes.
    pub fn dims(&self, input: usize) -> Option<Vec<Dim>> {
        self.value(input)?.content.as_ref().and_then(Content::dims)
    }

    /// A list given as an attribute in older revisions and as an input in newer ones.
    pub fn list(&self, attribute: &str, input: usize) -> Option<Vec<i64>> {
        self.graph.ints(self.node, attribute, input)
    }

    /// A size about which nothing is known.
    pub fn fresh(&mut self) -> Dim {
        self.symbols.fresh()
    }

    /// One output with the type of input 0 and this shape.
    pub fn like_first(&self, shape: Option<Shape>) -> Result<Vec<Fact>, Box<Refusal>> {
        Ok(vec![Fact { dtype: self.dtype(0), shape }])
    }

    /// The refusal of a node whose parts contradict each other.
    pub fn contradiction(&self, reason: impl Into<String>) -> Box<Refusal> {
        let remedy = "export the model again, or report the exporter's bug";
        Box::new(Refusal::new(Code::Contradiction, self.node, reason, remedy))
    }

    /// The refusal of a form that the row does not cover.
    pub fn unsupported(&self, reason: impl Into<String>) -> Box<Refusal> {
        let remedy = "its neighbourhood can still be kept as it is";
        Box::new(Refusal::new(Code::UnsupportedForm, self.node, reason, remedy))
    }

    /// An axis counted from the end when negative, checked against a rank.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, Box<Refusal>> {
        resolve_axis(axis, rank).ok_or_else(|| self.contradiction(format!("axis {axis} of a value with {rank} axes")))
    }

    /// Sizes as text.
    pub fn show(&self, shape: &[Dim]) -> String {
        let parts: Vec<String> = shape.iter().map(|d| self.symbols.show(d)).collect();
        format!("[{}]", parts.join(", "))
    }
}

/// An axis counted from the end when negative; `None` when out of range.
pub(crate) fn resolve_axis(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let axis = if axis < 0 { axis.checked_add(rank)? } else { axis };
    (0..rank).contains(&axis).then_some(axis as usize)
}

/// Whether no axis is named twice.
pub(crate) fn distinct(axes: impl Iterator<Item = usize>) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    axes.into_iter().all(|axis| seen.insert(axis))
}

//! What a lowering sees of its node.

use std::collections::HashMap;

use import::Graph;
use import::graph::{Code, Dim, Node, Refusal, ValueId};
use tch::Tensor;

use super::op::{Ints, read_ints};

/// A node, with the values that are the same in every run.
pub(super) struct View<'a> {
    pub(super) graph: &'a Graph,
    pub(super) node: &'a Node,
    pub(super) constants: &'a HashMap<ValueId, Tensor>,
    /// Values that training changes, by the position of their leaf.
    pub(super) held: &'a HashMap<ValueId, usize>,
    /// Whether the network is trained.
    pub(super) trainable: bool,
    /// Whether running statistics stay what they are.
    pub(super) frozen: bool,
}

impl View<'_> {
    /// An input that is the same in every run and not trained.
    pub(super) fn constant(&self, input: usize) -> Option<&Tensor> {
        self.constants.get(&self.node.input(input)?)
    }

    /// Whether an input is a stored tensor that training changes.
    pub(super) fn trained(&self, input: usize) -> bool {
        self.node.input(input).is_some_and(|value| self.held.contains_key(&value))
    }

    /// Whether an input is given.
    pub(super) fn has(&self, input: usize) -> bool {
        self.node.input(input).is_some()
    }

    /// The number of axes of an input, when known.
    pub(super) fn rank(&self, input: usize) -> Option<usize> {
        let inferred = || self.graph.value(self.node.input(input)?).shape.as_ref().map(Vec::len);
        self.constant(input).map(Tensor::dim).or_else(inferred)
    }

    /// The sizes of an input, when all are known.
    pub(super) fn shape(&self, input: usize) -> Option<Vec<i64>> {
        let inferred = || self.graph.value(self.node.input(input)?).shape.as_ref()?.iter().map(Dim::value).collect();
        self.constant(input).map(Tensor::size).or_else(inferred)
    }

    /// The only element of a constant input.
    pub(super) fn constant_number(&self, input: usize) -> Option<f64> {
        let tensor = self.constant(input)?;
        (tensor.numel() == 1).then(|| tensor.f_double_value(&vec![0; tensor.dim()]).ok()).flatten()
    }

    /// A list that older revisions give as an attribute and newer ones as an input; `None` when neither is there.
    pub(super) fn list(&self, attribute: &str, input: usize) -> Result<Option<Ints>, Box<Refusal>> {
        if let Some(list) = self.node.ints(attribute) {
            return Ok(Some(Ints::Known(list.to_vec())));
        }
        if !self.has(input) {
            return Ok(None);
        }
        match self.constant(input) {
            None => Ok(Some(Ints::At(input))),
            Some(tensor) => match read_ints(tensor) {
                Ok(list) => Ok(Some(Ints::Known(list))),
                Err(_) => Err(self.contradiction(format!("input {input} should be a list of integers"))),
            },
        }
    }

    /// A refusal of a form that has no exact lowering.
    pub(super) fn unsupported(&self, reason: impl Into<String>) -> Box<Refusal> {
        let remedy = "cut without training, or export the model without it";
        Box::new(Refusal::new(Code::UnsupportedForm, self.node, reason, remedy))
    }

    /// A refusal of a node whose parts contradict each other.
    pub(super) fn contradiction(&self, reason: impl Into<String>) -> Box<Refusal> {
        Box::new(Refusal::new(Code::Contradiction, self.node, reason, "export the model again"))
    }
}

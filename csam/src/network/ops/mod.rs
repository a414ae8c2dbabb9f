//! The torch lowering of every operator, in files named like those of the operator table.

mod conv;
mod elementwise;
mod gemm;
mod join;
mod layout;
mod normalization;
mod pad;
mod part;
mod pool;
mod reduce;
mod resize;
mod shape;
mod window;

use import::Graph;
use import::graph::{Code, Node, Origin, Refusal};

pub(super) use normalization::Normalise;

use super::op::Op;
use super::view::View;

/// An operator with its attributes resolved, or why there is none.
pub(super) type Lowered = Result<Box<dyn Op>, Box<Refusal>>;

/// Turns a node into an operator.
pub(super) type Lower = fn(&View) -> Lowered;

/// How an operator uses the stored tensors it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Multiplies by a weight and sums: what comes after it is made of learned features.
    Contraction,
    /// Normalises per channel, by statistics of its own.
    Normalisation,
    /// Normalises by statistics of its data, in training as in inference.
    Standardisation,
    /// Combines operands element by element; a constant operand is a learned scale or shift, or just a number.
    Pointwise,
    /// Anything else.
    Other,
}

/// One operator's lowering.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) lower: Lower,
}

impl Row {
    const fn new(name: &'static str, lower: Lower) -> Self {
        Self { name, kind: Kind::Other, lower }
    }

    const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }
}

fn rows() -> impl Iterator<Item = &'static Row> {
    [
        conv::ROWS,
        gemm::ROWS,
        normalization::ROWS,
        elementwise::ROWS,
        pool::ROWS,
        reduce::ROWS,
        resize::ROWS,
        layout::ROWS,
        join::ROWS,
        part::ROWS,
        pad::ROWS,
        shape::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// The lowering of an operator; those of other domains have none.
pub(super) fn row(domain: &str, op: &str) -> Option<&'static Row> {
    matches!(domain, "" | "ai.onnx").then(|| rows().find(|row| row.name == op)).flatten()
}

/// The refusal of a node whose operator has no lowering.
pub(super) fn without_lowering(node: &Node) -> Refusal {
    let remedy = "cut without training, or export the model without it";
    Refusal::new(Code::UnknownOperator, node, "this operator has no torch lowering", remedy)
}

/// What a graph's first output holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// Logits, log-probabilities, or anything else.
    Scores,
    /// Probabilities from a softmax.
    Probabilities,
}

/// What the first output holds, as its operator says.
pub(super) fn head(graph: &Graph) -> Head {
    let origin = graph.outputs.first().map(|&value| graph.value(value).origin);
    let Some(Origin::Node(id, _)) = origin else { return Head::Scores };
    if graph.node(id).op == "Softmax" { Head::Probabilities } else { Head::Scores }
}

#[cfg(test)]
mod tests {
    /// A lowering that only refuses, with a reason, counts too: it is written down.
    #[test]
    fn every_operator_of_the_table_has_a_lowering() {
        let missing: Vec<&str> =
            import::ops::rows().filter(|row| super::row(row.domain, row.name).is_none()).map(|row| row.name).collect();
        assert!(missing.is_empty(), "no lowering for {missing:?}");
    }
}

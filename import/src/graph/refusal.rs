//! Why something cannot be done with a node: a value, collected over the whole graph.

use std::fmt;

use super::codes::codes;
use super::node::Node;

codes! {
    /// The kind of a refusal.
    Code {
        /// The operator has no row in the table.
        UnknownOperator = "unknown-operator",
        /// The operator has a row, but not for this operator-set version.
        UnknownRevision = "unknown-revision",
        /// Inputs, attributes and shapes contradict each other.
        Contradiction = "contradiction",
        /// The row does not cover this use of the operator.
        UnsupportedForm = "unsupported-form",
        /// The node holds subgraphs.
        ControlFlow = "control-flow",
        /// The node reads a value that nothing makes.
        UndefinedInput = "undefined-input",
    }
}

/// Why one node cannot be understood or trained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The kind.
    pub code: Code,
    /// The node as people refer to it.
    pub node: String,
    /// Its operator.
    pub op: String,
    /// Its domain.
    pub domain: String,
    /// The imported version of that domain.
    pub opset: i64,
    /// What is wrong, with names and sizes.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

impl Refusal {
    /// A refusal about a node.
    pub fn new(code: Code, node: &Node, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            code,
            node: node.to_string(),
            op: node.op.clone(),
            domain: node.domain.clone(),
            opset: node.opset,
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({}); {}", self.code.as_str(), self.node, self.reason, self.remedy)
    }
}

//! One operator call.

use std::borrow::Cow;
use std::fmt;

use super::ids::{RowId, ValueId};
use crate::proto::onnx::NodeProto;

/// One operator call.
#[derive(Clone, Debug)]
pub struct Node {
    /// Position in the file's `graph.node`.
    pub index: usize,
    /// Name in the file; may be empty.
    pub name: String,
    /// Operator name.
    pub op: String,
    /// Operator domain; the default domain is the empty string.
    pub domain: String,
    /// Version of the domain's operator set that the file imports.
    pub opset: i64,
    /// Inputs; `None` where an optional one is left out.
    pub inputs: Vec<Option<ValueId>>,
    /// Outputs; `None` where an optional one is left out.
    pub outputs: Vec<Option<ValueId>>,
    /// Outer values that subgraphs of this node read by name.
    pub captures: Vec<ValueId>,
    /// The message as the file has it.
    pub proto: NodeProto,
    /// The operator's row in the table; `None` makes the node opaque.
    pub row: Option<RowId>,
}

impl Node {
    /// Input number `i`, when it is there.
    pub fn input(&self, i: usize) -> Option<ValueId> {
        self.inputs.get(i).copied().flatten()
    }

    /// Output number `i`, when it is there.
    pub fn output(&self, i: usize) -> Option<ValueId> {
        self.outputs.get(i).copied().flatten()
    }

    /// An integer attribute.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.proto.int(name)
    }

    /// An integer attribute with its default.
    pub fn int_or(&self, name: &str, default: i64) -> i64 {
        self.proto.int(name).unwrap_or(default)
    }

    /// A list of integers.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        self.proto.ints(name)
    }

    /// A float attribute with its default.
    pub fn float_or(&self, name: &str, default: f32) -> f32 {
        self.proto.float(name).unwrap_or(default)
    }

    /// A text attribute with its default.
    pub fn text_or<'a>(&'a self, name: &str, default: &'a str) -> Cow<'a, str> {
        self.proto.string(name).unwrap_or(Cow::Borrowed(default))
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            write!(f, "{} (node {})", self.op, self.index)
        } else {
            write!(f, "{} '{}'", self.op, self.name)
        }
    }
}

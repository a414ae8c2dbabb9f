//! The resolved view of a model's main graph.

pub mod batch;
mod build;
mod content;
mod dim;
mod refusal;

use std::borrow::Cow;
use std::fmt;

use crate::ops::OpRow;
use crate::proto::onnx::NodeProto;
use crate::tensor::{DType, Tensor};

pub(crate) use build::FOLD_LIMIT;
pub use build::{BatchConstant, BuildError, Built, InputSizes, build};
pub use content::Content;
pub use dim::{Dim, Symbol, Symbols, product};
pub use refusal::{Code, Refusal};

/// Names a value of a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub u32);

/// Names a node of a [`Graph`]; smaller comes first in execution order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// Names a stored tensor of a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoredId(pub u32);

/// No value has more axes than this: neither NumPy nor any runtime takes them.
pub const MOST_AXES: usize = 64;

/// Sizes of a value's axes.
pub type Shape = Vec<Dim>;

/// The main graph with names resolved, types and shapes inferred, constants known.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Every value: inputs, stored tensors, node outputs.
    pub values: Vec<Value>,
    /// Nodes, each after the nodes it reads from.
    pub nodes: Vec<Node>,
    /// Inputs that a caller has to feed (stored tensors listed as inputs are not among them).
    pub inputs: Vec<ValueId>,
    /// Outputs in the file's order.
    pub outputs: Vec<ValueId>,
    /// Tensors whose elements the file holds.
    pub stored: Vec<StoredTensor>,
    /// Operator set versions by domain; the default domain is the empty string.
    pub opsets: Vec<(String, i64)>,
    /// Names of unknown sizes.
    pub symbols: Symbols,
}

/// One value.
#[derive(Clone, Debug)]
pub struct Value {
    /// Its name in the file.
    pub name: String,
    /// Element type, when known.
    pub dtype: Option<DType>,
    /// Sizes, when the rank is known.
    pub shape: Option<Shape>,
    /// Where it comes from.
    pub origin: Origin,
    /// Its elements, when they are the same in every run and worth knowing.
    pub content: Option<Content>,
    /// Whether it is the same in every run: made from stored tensors alone, by operators that are known.
    pub constant: bool,
    /// Who reads it: node and input position.
    pub readers: Vec<(NodeId, usize)>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Fed by the caller.
    Input,
    /// A stored tensor (an initializer, or the output of a Constant node).
    Stored(StoredId),
    /// Held by the file in a form that is not read as numbers: text, or sparse. It is the same in every run.
    Unread,
    /// Output number `.1` of a node.
    Node(NodeId, usize),
    /// Named by a reader but made by nobody.
    Missing,
}

/// A tensor whose elements the file holds.
#[derive(Clone, Debug)]
pub struct StoredTensor {
    /// The value that holds it.
    pub value: ValueId,
    /// Where the file keeps it.
    pub place: Place,
    /// Its elements, over the file's bytes.
    pub tensor: Tensor,
}

/// Where the file keeps a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `graph.initializer[i]`.
    Initializer(usize),
    /// The `value` attribute of `graph.node[i]`, a Constant node.
    ConstantNode(usize),
}

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
    pub row: Option<&'static OpRow>,
}

impl Graph {
    /// The value with this id.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0 as usize]
    }

    /// The node with this id.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The stored tensor with this id.
    pub fn stored(&self, id: StoredId) -> &StoredTensor {
        &self.stored[id.0 as usize]
    }

    /// The stored tensor's name in the file.
    pub fn stored_name(&self, id: StoredId) -> &str {
        &self.value(self.stored(id).value).name
    }

    /// A list of integers that older revisions give as an attribute and newer ones as an input; `None` when it is left
    /// out or computed while the model runs.
    pub fn ints(&self, node: &Node, attribute: &str, input: usize) -> Option<Vec<i64>> {
        let given = node.ints(attribute).map(<[i64]>::to_vec);
        given.or_else(|| self.value(node.input(input)?).content.as_ref()?.ints())
    }

    /// The elements of a value, as numbers, when they are known.
    pub fn numbers(&self, value: ValueId) -> Option<Vec<f64>> {
        match self.value(value).content.as_ref()? {
            Content::Tensor(tensor) => tensor.to_f64().ok(),
            Content::Dims { .. } => None,
        }
    }

    /// Nodes with their ids, in execution order.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(i, n)| (NodeId(i as u32), n))
    }

    /// Finds a stored tensor by name.
    pub fn find_stored(&self, name: &str) -> Option<StoredId> {
        let found = self.stored.iter().position(|s| self.value(s.value).name == name)?;
        Some(StoredId(found as u32))
    }

    /// The version imported for a domain.
    pub fn opset(&self, domain: &str) -> Option<i64> {
        self.opsets.iter().find(|(d, _)| d == domain).map(|(_, v)| *v)
    }

    /// The first dimension of the first input: the batch axis.
    pub fn batch(&self) -> Option<&Dim> {
        self.value(*self.inputs.first()?).shape.as_ref()?.first()
    }

    /// A node as people refer to it: operator, and name or position.
    pub fn describe(&self, id: NodeId) -> String {
        self.node(id).to_string()
    }
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

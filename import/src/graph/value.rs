//! Values: what flows between nodes, and what the file stores.

use super::content::Content;
use super::dim::Dim;
use super::ids::{NodeId, StoredId, ValueId};
use crate::tensor::{DType, Tensor};

/// Sizes of a value's axes.
pub type Shape = Vec<Dim>;

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
    /// Held by the file in a form that is not read as numbers: text, or sparse and huge. It is the same in every run.
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
    /// `graph.sparse_initializer[i]`; here all its elements are held.
    SparseInitializer(usize),
    /// The `value` or `sparse_value` attribute of `graph.node[i]`, a Constant node.
    ConstantNode(usize),
}

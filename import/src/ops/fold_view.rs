//! What constant folding sees of a node.

use crate::graph::{Content, Dim, FOLD_LIMIT, Graph, Instead, Node, Shape, Value};
use crate::tensor::Tensor;

/// The index of the element at a row-major position.
fn coordinates(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (coordinate, &size) in index.iter_mut().zip(shape).rev() {
        *coordinate = flat % size.max(1);
        flat /= size.max(1);
    }
    index
}

/// A node whose inputs' elements may be known.
pub struct FoldView<'a> {
    /// The node.
    pub node: &'a Node,
    pub(crate) graph: &'a Graph,
    /// Sizes of output 0 as inferred.
    pub(crate) shape: Option<&'a [Dim]>,
    pub(crate) instead: &'a Instead,
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

    /// Sizes of an input.
    pub fn sizes(&self, input: usize) -> Option<&Shape> {
        let known = || self.value(input)?.shape.as_ref();
        self.instead.sizes.get(&self.node.input(input)?).or_else(known)
    }

    /// Elements of an input.
    pub fn content(&self, input: usize) -> Option<&Content> {
        let known = || self.value(input)?.content.as_ref();
        self.instead.contents.get(&self.node.input(input)?).or_else(known)
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

    /// A constant of these sizes whose element at an index is input 0's at `source(index)`. Integers only: other
    /// constants are weights, and change while the network is trained.
    pub fn rearranged(&self, shape: &[usize], source: impl Fn(&[usize]) -> Vec<usize>) -> Option<Content> {
        let tensor = self.tensor(0).filter(|tensor| tensor.dtype.is_integer())?;
        let width = tensor.dtype.bits() / 8;
        let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
        let count = count.filter(|&count| count <= FOLD_LIMIT)?;
        let mut data = Vec::with_capacity(count * width);
        for flat in 0..count {
            let from = source(&coordinates(flat, shape));
            let inside = from.len() == tensor.shape.len() && from.iter().zip(&tensor.shape).all(|(at, size)| at < size);
            let at = from.iter().zip(&tensor.shape).fold(0, |at, (index, size)| at * size + index);
            data.extend_from_slice(inside.then(|| tensor.data.get(at * width..(at + 1) * width)).flatten()?);
        }
        Some(Content::Tensor(Tensor { dtype: tensor.dtype, shape: shape.to_vec(), data: data.into() }))
    }

    /// Sizes of output 0 as numbers.
    pub fn output_extents(&self) -> Option<Vec<usize>> {
        self.shape?.iter().map(Dim::extent).collect()
    }
}

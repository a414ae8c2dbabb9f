//! What is known of a value's elements before any run.

use std::collections::HashMap;

use super::dim::Dim;
use super::ids::ValueId;
use crate::tensor::{DType, Tensor};

/// Constants with more elements than this are not computed with.
pub(crate) const FOLD_LIMIT: usize = 1 << 16;

/// Contents and sizes to work with in place of those that a graph knows.
#[derive(Debug, Default)]
pub(crate) struct Instead {
    pub(crate) contents: HashMap<ValueId, Content>,
    pub(crate) sizes: HashMap<ValueId, Vec<Dim>>,
}

/// Elements that are the same in every run.
#[derive(Clone, Debug)]
pub enum Content {
    /// All elements.
    Tensor(Tensor),
    /// A scalar or list of integers from shape arithmetic, some of them unknown sizes.
    Dims {
        /// Rank 0 (one element) or rank 1.
        scalar: bool,
        /// The elements.
        elements: Vec<Dim>,
    },
}

impl Content {
    /// A list of sizes.
    pub fn list(elements: Vec<Dim>) -> Self {
        Self::Dims { scalar: false, elements }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Tensor(tensor) => tensor.len(),
            Self::Dims { elements, .. } => elements.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements as sizes, for integers and truths of rank 0 or 1, when they are few enough to be a list of sizes.
    pub fn dims(&self) -> Option<Vec<Dim>> {
        match self {
            Self::Dims { elements, .. } => Some(elements.clone()),
            Self::Tensor(tensor) if tensor.shape.len() <= 1 && is_whole(tensor.dtype) && tensor.len() <= FOLD_LIMIT => {
                Some(tensor.to_i64().ok()?.into_iter().map(Dim::known).collect())
            }
            Self::Tensor(_) => None,
        }
    }

    /// The elements as numbers, when all are known integers.
    pub fn ints(&self) -> Option<Vec<i64>> {
        self.dims()?.iter().map(Dim::value).collect()
    }

    /// Whether this has rank 0.
    pub fn is_scalar(&self) -> bool {
        match self {
            Self::Dims { scalar, .. } => *scalar,
            Self::Tensor(tensor) => tensor.shape.is_empty(),
        }
    }
}

/// Whether elements are integers, or truths, which count as 1 and 0.
fn is_whole(dtype: DType) -> bool {
    dtype.is_integer() || dtype == DType::Bool
}

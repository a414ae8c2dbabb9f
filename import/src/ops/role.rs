//! What a stored tensor is to the operator that reads it.

use crate::graph::Node;

/// The role of a parameter. Where a tensor has several, the first of this order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Multiplied with data and summed: kernels and matrices.
    Weight,
    /// Added to such a sum.
    Bias,
    /// Multiplied with data, element by element.
    Scale,
    /// Multiplied with what is negative of the data.
    Slope,
    /// Added to data, element by element.
    Shift,
    /// A running mean.
    Mean,
    /// A running variance.
    Variance,
}

impl Role {
    /// Whether it is measured rather than learned.
    pub fn is_statistic(self) -> bool {
        matches!(self, Self::Mean | Self::Variance)
    }
}

/// How many products each output of a node sums over, from the input that holds the weight and the weight's shape.
pub type FanIn = fn(&Node, usize, &[usize]) -> usize;

/// For operators that sum nothing.
pub(super) fn no_sum(_: &Node, _: usize, _: &[usize]) -> usize {
    1
}

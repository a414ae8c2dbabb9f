//! How an operator multiplies its data with a weight and sums.

use crate::graph::Node;

/// Where the lanes of a contraction lie, and how a constant is added to what it gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contraction {
    /// The input that holds the weight.
    pub weight: usize,
    /// The weight's axis that is multiplied with the data's lanes.
    pub read_axis: usize,
    /// The weight's axis that becomes the output's lanes; where there are groups, those of one group.
    pub written_axis: usize,
    /// The output's axis of lanes.
    pub output_axis: usize,
    /// What a product of data and weight is multiplied by on the way to the output.
    pub product_scale: f64,
    /// The input that takes a constant per output lane; `None` when only an addition after the node can.
    pub bias: Option<usize>,
    /// What that input is multiplied by on the way to the output.
    pub bias_scale: f64,
}

/// The contraction of a node whose data has `rank` axes; `None` for operators that sum no such products.
pub type ContractionOf = fn(node: &Node, rank: usize) -> Option<Contraction>;

/// For operators that sum no products.
pub(super) fn none(_: &Node, _: usize) -> Option<Contraction> {
    None
}

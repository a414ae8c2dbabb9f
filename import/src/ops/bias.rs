//! How a constant is added to the output of an operator that contracts lanes.

use crate::graph::Node;

/// Where a constant per output lane goes, and what it is worth there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bias {
    /// The input that takes it; `None` when only an addition after the node can.
    pub input: Option<usize>,
    /// What that input is multiplied by on the way to the output.
    pub scale: f64,
    /// The weight's axis that becomes the output's lanes.
    pub weight_axis: usize,
    /// The output's axis of lanes.
    pub output_axis: usize,
    /// What a product of data and weight is multiplied by on the way to the output.
    pub product_scale: f64,
}

/// The bias of a node whose data has `rank` axes; `None` for operators that take none.
pub type BiasOf = fn(node: &Node, rank: usize) -> Option<Bias>;

/// For operators without one.
pub(super) fn none(_: &Node, _: usize) -> Option<Bias> {
    None
}

//! What quantised numbers stand for: `scale · (n − zero point)`.

use crate::graph::Node;

/// Where a node finds what quantised numbers stand for.
#[derive(Clone, Copy, Debug)]
pub struct Quantised {
    /// The input that holds the numbers; `None` where they are made.
    pub numbers: Option<usize>,
    /// The input that holds the scale.
    pub scale: Option<usize>,
    /// The input that holds the zero point.
    pub zero_point: Option<usize>,
    /// The axis of the numbers along which a list of scales or zero points varies, by the number of axes.
    pub axis: fn(&Node, usize) -> Option<usize>,
}

//! How an operator that works on lanes as a whole leaves some of them out, in a network from which none is cut.
//!
//! Of `C` lanes along an axis, `n` stay: `m` is 1 for those and 0 for the others. The operator is given other data and
//! stays what it is; the slim network, which has `n` lanes there, computes the same.

use crate::graph::Node;

/// The axes that statistics are taken over, of data with this many.
pub type StatisticAxes = fn(node: &Node, rank: usize) -> Option<Vec<usize>>;

/// What is given to an operator, and what becomes of its output.
#[derive(Clone, Copy, Debug)]
pub enum Summary {
    /// Removed lanes hold this number, which changes nothing: 0 in a sum, the lowest there is in a maximum.
    Neutral(f64),
    /// The mean of all lanes: removed ones hold 0, and the output is multiplied by `C / n`.
    Mean,
    /// Division by the root of the mean square over some axes.
    ///
    /// With `s = √(C/n)`, the operator is given `s · (m·x + (1−m)·μ)`, where `μ` is the mean over the lanes that stay
    /// where the operator takes it off, and 0 where not; the scale, at an input, is divided by `s`.
    Deviation {
        /// Whether the operator takes the mean off.
        centred: bool,
        /// The input of the scale.
        scale: usize,
        /// What it takes statistics over.
        axes: StatisticAxes,
    },
}

impl Summary {
    /// As low as numbers go.
    pub(super) const LOWEST: Self = Self::Neutral(f32::MIN as f64);
    /// As high as numbers go.
    pub(super) const HIGHEST: Self = Self::Neutral(f32::MAX as f64);
}

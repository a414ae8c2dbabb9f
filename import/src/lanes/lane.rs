//! One lane, where it lies, what reads it, and what is pinned.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::graph::{NodeId, StoredId};
use crate::labels::Reason;

/// Names a lane of a [`Lanes`](super::Lanes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub u32);

/// The lane of one index; `None` is never cut.
pub type Slot = Option<LaneId>;

/// Lanes that a check refused to cut, each by a stored tensor, axis and index where it lies.
pub type Refused = BTreeSet<(StoredId, usize, usize)>;

/// One lane.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Its group.
    pub group: usize,
    /// The stored tensor, axis and index by which a plan names it.
    pub home: (StoredId, usize, usize),
}

/// Lanes that appear at the same places.
#[derive(Clone, Debug)]
pub struct Group {
    /// The stored tensor that first holds its lanes.
    pub name: String,
    /// Its lanes, by their index there.
    pub lanes: Vec<LaneId>,
    /// Stored tensors and axes on which its lanes lie.
    pub sites: Vec<(StoredId, usize)>,
}

/// A node that contracts lanes of its data against a weight.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The node.
    pub node: NodeId,
    /// Input position of the data.
    pub data: usize,
    /// Its contracted axis.
    pub data_axis: usize,
    /// Input position of the weight.
    pub weight: usize,
    /// Its contracted axis.
    pub weight_axis: usize,
    /// Lane per index of the weight's contracted axis.
    pub slots: Arc<[Slot]>,
    /// Whether a constant can stand in for a removed lane, folded into a bias: the weight is stored, and the data's
    /// contracted axis has the same slots as the weight's.
    pub fillable: bool,
}

/// Indices of a stored tensor's axis that are not cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The stored tensor.
    pub tensor: String,
    /// The axis.
    pub axis: usize,
    /// How many of its indices.
    pub count: usize,
    /// Why.
    pub reason: Reason,
}

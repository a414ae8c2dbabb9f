//! One lane, where it lies, what reads it, and what is pinned.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::graph::{NodeId, StoredId, ValueId};
use crate::labels::Reason;

/// Names a lane of a [`Lanes`](super::Lanes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub u32);

/// The lane of one index; `None` is never cut.
pub type Slot = Option<LaneId>;

/// Where a lane lies: a constant (a stored tensor, or one that a node fills with a number), an axis of it and an index.
pub type Home = (ValueId, usize, usize);

/// Lanes that a check refused to cut.
pub type Refused = BTreeSet<Home>;

/// One lane.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Its group.
    pub group: usize,
    /// By this a plan names it.
    pub home: Home,
}

/// Lanes that appear at the same places.
#[derive(Clone, Debug)]
pub struct Group {
    /// The constant that first holds its lanes.
    pub name: String,
    /// Its lanes, by their index there.
    pub lanes: Vec<LaneId>,
    /// Stored tensors and axes on which its lanes lie.
    pub sites: Vec<(StoredId, usize)>,
    /// The fewest indices of an axis that one of its lanes takes.
    pub width: usize,
}

impl Group {
    /// The fewest lanes that leave `floor` indices on every axis where they lie: at least one, and no more than there are.
    pub fn least(&self, floor: usize) -> usize {
        floor.div_ceil(self.width.max(1)).max(1).min(self.lanes.len())
    }
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

/// A node that works on lanes of its first input as a whole, and knows how to leave some out.
#[derive(Clone, Debug)]
pub struct Summarised {
    /// The node.
    pub node: NodeId,
    /// The axis along which the lanes lie.
    pub axis: usize,
    /// Lane per index of that axis.
    pub slots: Arc<[Slot]>,
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

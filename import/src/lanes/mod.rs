//! Lanes: which indices of which axes can only be cut together, and what that costs.
//!
//! Labels start at stored tensors and flow through the graph by each operator's lane rule; classes of labels that are
//! not pinned are the lanes. [`Lanes::of`] runs the whole analysis.

mod allocate;
mod axis;
mod budget;
mod cost;
mod counted;
mod labels;
mod parameters;
mod plan;
mod resolve;
pub mod score;
mod view;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

pub use allocate::{AllocateError, Allocation, BAND, Kept, allocate};
pub(crate) use axis::Axis;
pub use budget::{Amount, Budget, BudgetError, Quantity};
pub use cost::{CostModel, Term, Width};
pub use labels::{PinCode, Reason};
pub use parameters::{Parameter, parameters, trainable};
pub use plan::{Fill, Plan, PlanError, Removal, Replacement, SCHEMA as PLAN_SCHEMA, TensorShape};
pub use view::LaneView;

use crate::graph::{Graph, NodeId, StoredId, ValueId};

/// Names a lane of a [`Lanes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub u32);

/// The lane of one index; `None` is never cut.
pub type Slot = Option<LaneId>;

/// Lanes that a check refused to cut, each by a stored tensor, axis and index where it lies.
pub type Refused = BTreeSet<(StoredId, usize, usize)>;

/// What may be cut from a graph.
#[derive(Clone, Debug)]
pub struct Lanes {
    /// The units of removal.
    pub lanes: Vec<Lane>,
    /// Lanes that rank against each other.
    pub groups: Vec<Group>,
    /// Where lanes are contracted.
    pub readers: Vec<Reader>,
    /// Work and parameters as functions of the lanes kept.
    pub cost: CostModel,
    /// What is not cut, by stored tensor axis, and why.
    pub pins: Vec<Pin>,
    slots: HashMap<(ValueId, usize), Arc<[Slot]>>,
    counted: HashMap<(NodeId, usize), Vec<(ValueId, usize)>>,
    following: BTreeSet<(NodeId, usize)>,
}

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

impl Lanes {
    /// Analyses a graph. Stored tensors whose name contains one of `keep` are not cut.
    pub fn of(graph: &Graph, keep: &[String]) -> Self {
        Self::leaving(graph, keep, &Refused::new())
    }

    /// Analyses a graph of which some lanes are not cut, since a check of the cut refused them.
    pub fn leaving(graph: &Graph, keep: &[String], refused: &Refused) -> Self {
        resolve::analyse(graph, keep, refused)
    }

    /// The lanes along an axis of a value; `None` when no index of it is ever cut.
    pub fn value_axis(&self, value: ValueId, axis: usize) -> Option<&[Slot]> {
        self.slots.get(&(value, axis)).map(AsRef::as_ref)
    }

    /// The axes whose sizes make up a number that states a size at a node's input: if one of them loses lanes, the number
    /// would be another.
    pub fn counted(&self, node: NodeId, input: usize) -> &[(ValueId, usize)] {
        self.counted.get(&(node, input)).map_or(&[], Vec::as_slice)
    }

    /// Whether a number that states a size at a node's input is right by itself: what it counts is cut as what it sizes.
    pub fn follows(&self, node: NodeId, input: usize) -> bool {
        self.following.contains(&(node, input))
    }

    /// The lanes along an axis of a stored tensor.
    pub fn stored_axis(&self, graph: &Graph, stored: StoredId, axis: usize) -> Option<&[Slot]> {
        self.value_axis(graph.stored(stored).value, axis)
    }

    /// Lanes with their ids.
    pub fn ids(&self) -> impl Iterator<Item = LaneId> + use<> {
        (0..self.lanes.len() as u32).map(LaneId)
    }

    /// The lane with this id.
    pub fn lane(&self, id: LaneId) -> &Lane {
        &self.lanes[id.0 as usize]
    }
}

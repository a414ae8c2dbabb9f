//! What the analysis of a graph finds.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::cost::CostModel;
use super::lane::{Group, Lane, LaneId, Pin, Reader, Slot, Summarised};
use crate::graph::{Graph, NodeId, StoredId, ValueId};
use crate::labels::Frozen;

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
    /// Where lanes are worked on as a whole.
    pub summaries: Vec<Summarised>,
    /// Inputs that the cut gives their dense value.
    pub frozen: Vec<Frozen>,
    pub(super) slots: HashMap<(ValueId, usize), Arc<[Slot]>>,
    pub(super) counted: HashMap<(NodeId, usize), Vec<(ValueId, usize)>>,
    pub(super) following: BTreeSet<(NodeId, usize)>,
}

impl Lanes {
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

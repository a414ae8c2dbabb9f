//! Where the lanes of a group lie on learned tensors.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::graph::{Graph, StoredId};
use crate::lanes::analysis::Lanes;
use crate::lanes::lane::{Group, LaneId};
use crate::lanes::parameters::parameters;
use crate::lanes::quantized::quantised;
use crate::ops::Role;

/// A trainable tensor's axis on which lanes of a group lie.
pub(super) struct Site {
    pub(super) stored: StoredId,
    pub(super) axis: usize,
    pub(super) role: Role,
    /// The lane of each index, where it is one of the group's.
    pub(super) slots: Vec<Option<LaneId>>,
}

/// What a criterion measures of each lane at one site.
pub(super) type Figures = HashMap<LaneId, f64>;

/// The roles of learned tensors; quantised ones are weights that were learned.
pub(super) fn learned(graph: &Graph) -> BTreeMap<StoredId, Role> {
    let roles = parameters(graph).into_iter().map(|(id, parameter)| (id, parameter.role));
    let learned = roles.filter(|(_, role)| !role.is_statistic());
    quantised(graph).into_iter().map(|id| (id, Role::Weight)).chain(learned).collect()
}

pub(super) fn sites(graph: &Graph, lanes: &Lanes, group: &Group, roles: &BTreeMap<StoredId, Role>) -> Vec<Site> {
    let of_group: HashSet<LaneId> = group.lanes.iter().copied().collect();
    let site = |&(stored, axis): &(StoredId, usize)| {
        let role = *roles.get(&stored)?;
        let slots = lanes.stored_axis(graph, stored, axis)?;
        let slots = slots.iter().map(|slot| slot.filter(|lane| of_group.contains(lane))).collect();
        Some(Site { stored, axis, role, slots })
    };
    group.sites.iter().filter_map(site).collect()
}

//! What to do to a model: lanes to remove, constants that stand in for them, tensors to replace.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Kept, Lanes};
use crate::graph::Graph;

/// The plan's format version.
pub const SCHEMA: u32 = 1;

/// A plan, as `plan.json` holds it. Tensors lie beside it in `tensors.safetensors`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Format version.
    pub schema: u32,
    /// Where the plan comes from, for people.
    #[serde(default)]
    pub origin: String,
    /// Lanes to remove, each named at one or more places.
    #[serde(default)]
    pub remove: Vec<Removal>,
    /// What readers see in place of removed lanes; 0 where nothing is said.
    #[serde(default)]
    pub fills: Vec<Fill>,
    /// Stored tensors to replace.
    #[serde(default)]
    pub tensors: Vec<Replacement>,
}

/// Lanes named by where they lie on a stored tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removal {
    /// The stored tensor.
    pub tensor: String,
    /// Its axis.
    pub axis: usize,
    /// Indices on that axis.
    pub indices: Vec<usize>,
}

/// Means of a reader's input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fill {
    /// The reading node's position in the file's node list.
    pub node: usize,
    /// Its weight.
    #[serde(default)]
    pub tensor: String,
    /// The weight's contracted axis.
    pub axis: usize,
    /// Mean per removed index of that axis.
    pub means: Vec<(usize, f32)>,
}

/// A stored tensor with new elements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// The stored tensor.
    pub name: String,
    /// Whether the new elements have the dense shape or the slim one.
    pub shape: TensorShape,
}

/// Which shape a replacement has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TensorShape {
    /// The stored tensor's; the cut still slices it.
    Dense,
    /// The final one.
    Slim,
}

/// Why a plan does not fit a model.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The plan cannot be read.
    #[error("the plan '{path}' cannot be read: {reason}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// Another format.
    #[error("the plan has schema {found}, this program reads schema {SCHEMA}")]
    Schema {
        /// Its version.
        found: u32,
    },
    /// No such tensor.
    #[error("the plan names the tensor '{tensor}', which the model does not store")]
    UnknownTensor {
        /// The name.
        tensor: String,
    },
    /// No such index, or one that is never cut.
    #[error("the plan removes index {index} of axis {axis} of '{tensor}', which cannot be cut: {reason}")]
    NotALane {
        /// The tensor.
        tensor: String,
        /// The axis.
        axis: usize,
        /// The index.
        index: usize,
        /// Why.
        reason: String,
    },
}

impl Plan {
    /// The plan that keeps these lanes, each removed one named at its home.
    pub fn from_kept(graph: &Graph, lanes: &Lanes, kept: &Kept, origin: impl Into<String>) -> Self {
        let mut removals: BTreeMap<(String, usize), Vec<usize>> = BTreeMap::new();
        for id in lanes.ids().filter(|&id| !kept.keeps(id)) {
            let (stored, axis, index) = lanes.lane(id).home;
            removals.entry((graph.stored_name(stored).to_owned(), axis)).or_default().push(index);
        }
        let remove = removals.into_iter().map(|((tensor, axis), indices)| Removal { tensor, axis, indices });
        Self { schema: SCHEMA, origin: origin.into(), remove: remove.collect(), ..Self::default() }
    }

    /// The lanes that stay.
    ///
    /// # Errors
    /// When the plan removes what the model does not have or cannot lose.
    pub fn kept(&self, graph: &Graph, lanes: &Lanes) -> Result<Kept, PlanError> {
        let mut kept = Kept::all(lanes);
        for removal in &self.remove {
            let stored = graph
                .find_stored(&removal.tensor)
                .ok_or_else(|| PlanError::UnknownTensor { tensor: removal.tensor.clone() })?;
            let slots = lanes.stored_axis(graph, stored, removal.axis).unwrap_or_default();
            for &index in &removal.indices {
                match slots.get(index) {
                    Some(Some(lane)) => kept.0[lane.0 as usize] = false,
                    _ => return Err(not_a_lane(lanes, removal, index)),
                }
            }
        }
        Ok(kept)
    }

    /// Reads `plan.json`.
    ///
    /// # Errors
    /// When it cannot be read or has another format.
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        let error = |reason: String| PlanError::Read { path: path.display().to_string(), reason };
        let text = std::fs::read_to_string(path).map_err(|e| error(e.to_string()))?;
        let plan: Self = serde_json::from_str(&text).map_err(|e| error(e.to_string()))?;
        if plan.schema != SCHEMA {
            return Err(PlanError::Schema { found: plan.schema });
        }
        Ok(plan)
    }
}

fn not_a_lane(lanes: &Lanes, removal: &Removal, index: usize) -> PlanError {
    let pin = lanes.pins.iter().find(|pin| pin.tensor == removal.tensor && pin.axis == removal.axis);
    let reason = pin.map_or_else(
        || "no lane lies there".to_owned(),
        |pin| format!("it is pinned ({} at {})", pin.reason.code, pin.reason.place),
    );
    PlanError::NotALane { tensor: removal.tensor.clone(), axis: removal.axis, index, reason }
}

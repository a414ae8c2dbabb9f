//! What to do to a model: lanes to remove, constants that stand in for them, tensors to replace.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::analysis::Lanes;
use super::kept::Kept;
use crate::graph::{Dim, Graph, Node, StoredId, ValueId};

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

/// Lanes named by where they lie on a stored tensor, or on a constant that a node fills with a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removal {
    /// The constant.
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
    #[error("the plan names the tensor '{tensor}', which the model does not store{}", suggestion(nearest.as_deref()))]
    UnknownTensor {
        /// The name.
        tensor: String,
        /// The stored tensor of the most similar name.
        nearest: Option<String>,
    },
    /// No such axis.
    #[error("the plan names axis {axis} of '{tensor}', which has {rank} axes, counted from 0")]
    UnknownAxis {
        /// The tensor.
        tensor: String,
        /// The axis.
        axis: usize,
        /// How many there are.
        rank: usize,
    },
    /// No such index.
    #[error("the plan names index {index} of axis {axis} of '{tensor}', which has {extent} indices, counted from 0")]
    UnknownIndex {
        /// The tensor.
        tensor: String,
        /// The axis.
        axis: usize,
        /// The index.
        index: usize,
        /// How many there are.
        extent: usize,
    },
    /// A removal without indices.
    #[error("the plan names axis {axis} of '{tensor}' and no index of it; leave that entry out")]
    Nothing {
        /// The tensor.
        tensor: String,
        /// The axis.
        axis: usize,
    },
    /// A fill of a node that does not read this tensor.
    #[error("the plan fills '{tensor}' at node {node}, which does not read it; make the plan again for this model")]
    OtherTensor {
        /// The tensor.
        tensor: String,
        /// The node's position in the file.
        node: usize,
    },
    /// An index that is never cut.
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
            let (value, axis, index) = lanes.lane(id).home;
            removals.entry((graph.value(value).name.clone(), axis)).or_default().push(index);
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
            let (tensor, axis) = (&removal.tensor, removal.axis);
            let value = graph.find_constant(tensor).ok_or_else(|| unknown(graph, tensor))?;
            let extent = extent(graph, value, axis)?;
            if removal.indices.is_empty() {
                return Err(PlanError::Nothing { tensor: tensor.clone(), axis });
            }
            let slots = lanes.value_axis(value, axis).unwrap_or_default();
            for &index in &removal.indices {
                if index >= extent {
                    return Err(PlanError::UnknownIndex { tensor: tensor.clone(), axis, index, extent });
                }
                match slots.get(index) {
                    Some(Some(lane)) => kept.0[lane.0 as usize] = false,
                    _ => return Err(not_a_lane(lanes, removal, index)),
                }
            }
        }
        self.fills.iter().try_for_each(|fill| fill.check(graph))?;
        self.tensors.iter().try_for_each(|replaced| find(graph, &replaced.name).map(|_| ()))?;
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

impl Fill {
    /// Whether what it names is there. That a constant can stand in there is for the cut to say.
    fn check(&self, graph: &Graph) -> Result<(), PlanError> {
        if self.tensor.is_empty() {
            return Ok(());
        }
        let stored = find(graph, &self.tensor)?;
        let extent = extent(graph, graph.stored(stored).value, self.axis)?;
        let reads = |node: &Node| node.index == self.node && node.inputs.contains(&Some(graph.stored(stored).value));
        if !graph.nodes.iter().any(reads) {
            return Err(PlanError::OtherTensor { tensor: self.tensor.clone(), node: self.node });
        }
        match self.means.iter().find(|(index, _)| *index >= extent) {
            None => Ok(()),
            Some(&(index, _)) => {
                Err(PlanError::UnknownIndex { tensor: self.tensor.clone(), axis: self.axis, index, extent })
            }
        }
    }
}

/// The stored tensor of a name.
fn find(graph: &Graph, tensor: &str) -> Result<StoredId, PlanError> {
    graph.find_stored(tensor).ok_or_else(|| unknown(graph, tensor))
}

fn unknown(graph: &Graph, tensor: &str) -> PlanError {
    PlanError::UnknownTensor { tensor: tensor.to_owned(), nearest: nearest(graph, tensor).map(str::to_owned) }
}

/// The size of an axis of a constant.
fn extent(graph: &Graph, value: ValueId, axis: usize) -> Result<usize, PlanError> {
    let value = graph.value(value);
    let shape = value.shape.as_deref().unwrap_or_default();
    let size = shape.get(axis).and_then(Dim::extent);
    size.ok_or_else(|| PlanError::UnknownAxis { tensor: value.name.clone(), axis, rank: shape.len() })
}

/// Names beyond this length are not compared.
const LONGEST_NAME: usize = 256;
/// Names less alike than this are no suggestion (Jaro–Winkler similarity).
const LEAST_LIKENESS: f64 = 0.7;

/// The stored tensor whose name is most like this one.
fn nearest<'a>(graph: &'a Graph, name: &str) -> Option<&'a str> {
    let names = graph.stored.iter().map(|stored| graph.value(stored.value).name.as_str());
    let comparable = names.filter(|other| other.len().max(name.len()) <= LONGEST_NAME);
    let scored = comparable.map(|other| (strsim::jaro_winkler(other, name), other));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= LEAST_LIKENESS).then_some(best.1)
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean '{name}'?"))
}

fn not_a_lane(lanes: &Lanes, removal: &Removal, index: usize) -> PlanError {
    let pin = lanes.pins.iter().find(|pin| pin.tensor == removal.tensor && pin.axis == removal.axis);
    let reason = pin.map_or_else(
        || "no lane lies there".to_owned(),
        |pin| format!("it is pinned ({} at {})", pin.reason.code, pin.reason.place),
    );
    PlanError::NotALane { tensor: removal.tensor.clone(), axis: removal.axis, index, reason }
}

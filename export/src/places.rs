//! Which indices of which axes stay, from labels and a plan.

use std::collections::BTreeMap;

use import::{
    Model,
    graph::ValueId,
    lanes::{Kept, Lanes, Plan},
};

use crate::error::ExportError;

/// The indices that stay on every axis that loses some.
pub(crate) struct Places {
    kept: BTreeMap<ValueId, BTreeMap<usize, Vec<usize>>>,
}

impl Places {
    /// Works out every axis that the plan's removals touch.
    pub(crate) fn of(model: &Model, lanes: &Lanes, plan: &Plan) -> Result<Self, ExportError> {
        let kept_lanes = plan.kept(&model.graph, lanes)?;
        let mut places = Self { kept: BTreeMap::new() };
        for (position, value) in model.graph.values.iter().enumerate() {
            let id = ValueId(position as u32);
            for axis in 0..value.shape.as_ref().map_or(0, Vec::len) {
                let Some(kept) = kept_on(lanes, &kept_lanes, id, axis) else {
                    continue;
                };
                if kept.is_empty() {
                    let value = value.name.clone();
                    return Err(ExportError::NothingLeft { value, axis });
                }
                places.kept.entry(id).or_default().insert(axis, kept);
            }
        }
        Ok(places)
    }

    /// The indices that stay on one axis; `None` when all do.
    pub(crate) fn on(&self, value: ValueId, axis: usize) -> Option<&[usize]> {
        self.kept.get(&value)?.get(&axis).map(Vec::as_slice)
    }

    /// Axes of one value that lose indices, and those that stay.
    pub(crate) fn of_value(&self, value: ValueId) -> impl Iterator<Item = (usize, &[usize])> {
        let axes = self.kept.get(&value).into_iter().flatten();
        axes.map(|(&axis, kept)| (axis, kept.as_slice()))
    }

    /// Values that lose indices.
    pub(crate) fn cut_values(&self) -> impl Iterator<Item = ValueId> {
        self.kept.keys().copied()
    }

    /// Whether a value loses indices.
    pub(crate) fn is_cut(&self, value: ValueId) -> bool {
        self.kept.contains_key(&value)
    }
}

fn kept_on(lanes: &Lanes, kept: &Kept, value: ValueId, axis: usize) -> Option<Vec<usize>> {
    let slots = lanes.value_axis(value, axis)?;
    let stays = |index: &usize| slots[*index].is_none_or(|lane| kept.keeps(lane));
    let indices: Vec<usize> = (0..slots.len()).filter(stays).collect();
    (indices.len() < slots.len()).then_some(indices)
}

//! Lane masks: multiplied into the weights of the readers, never into activations.
//!
//! A reader computes `y = reader(x, W·m) + Σ W·(1−m)·μ`: a removed lane is as if it held the constant μ.

use import::lanes::Reader;
use tch::{Device, Kind, Tensor};

use super::op::{Op, Torch};

/// One number per lane, and what stands in for removed lanes.
#[derive(Debug)]
pub struct Masks {
    /// `[lanes]`, 1 kept and 0 removed, soft or hard; may require a gradient.
    pub lanes: Tensor,
    /// Mean input per read index for each reader of the lanes, as [`super::Taps::means`] gives them; missing ones are 0.
    pub fills: Option<Vec<Option<Tensor>>>,
}

/// How one node reads lanes.
pub(super) struct Reading {
    /// Position in the lanes' list of readers.
    pub(super) reader: usize,
    /// Input position of the data.
    pub(super) data: usize,
    /// The data's contracted axis.
    pub(super) data_axis: usize,
    /// Whether means may stand in.
    pub(super) fillable: bool,
    weight: usize,
    weight_axis: usize,
    /// Per index of the weight's contracted axis: its lane, or the place after the last lane, which holds 1.
    index: Tensor,
}

impl Reading {
    /// Resolves a reader; `None` when it reads no lane.
    pub(super) fn of(position: usize, reader: &Reader, lanes: usize, device: Device) -> Torch<Option<Self>> {
        if reader.slots.iter().all(Option::is_none) {
            return Ok(None);
        }
        let index: Vec<i64> =
            reader.slots.iter().map(|slot| slot.map_or(lanes as i64, |lane| i64::from(lane.0))).collect();
        Ok(Some(Self {
            reader: position,
            data: reader.data,
            data_axis: reader.data_axis,
            fillable: reader.fillable,
            weight: reader.weight,
            weight_axis: reader.weight_axis,
            index: Tensor::f_from_slice(&index)?.f_to_device(device)?,
        }))
    }

    /// Masks the weight among a node's inputs, and says what the removed part adds to the output.
    pub(super) fn apply(&self, op: &dyn Op, masked: &Masked, inputs: &mut [Option<Tensor>]) -> Torch<Option<Tensor>> {
        let Some(weight) = inputs.get_mut(self.weight).and_then(Option::as_mut) else { return Ok(None) };
        let mask = masked.per_index(&self.index)?;
        let dense = std::mem::replace(weight, weight.f_mul(&super::op::along(&mask, self.weight_axis, weight.dim())?)?);
        match masked.fill(self.reader).filter(|_| self.fillable) {
            Some(means) => op.fill(&dense.f_sub(weight)?, means).map(Some),
            None => Ok(None),
        }
    }
}

/// Masks made ready for one run.
pub(super) struct Masked<'a> {
    with_one: Tensor,
    fills: Option<&'a [Option<Tensor>]>,
}

impl<'a> Masked<'a> {
    pub(super) fn new(masks: &'a Masks) -> Torch<Self> {
        let one = Tensor::f_ones([1], (Kind::Float, masks.lanes.device()))?;
        Ok(Self { with_one: Tensor::f_cat(&[&masks.lanes, &one], 0)?, fills: masks.fills.as_deref() })
    }

    /// The mask of each index of an axis; `index` names a lane, or the place after the last for an index without one.
    pub(super) fn per_index(&self, index: &Tensor) -> Torch<Tensor> {
        self.with_one.f_index_select(0, index)
    }

    fn fill(&self, reader: usize) -> Option<&'a Tensor> {
        self.fills?.get(reader)?.as_ref()
    }
}

//! Operators that work on lanes as a whole leave out those that are removed, as [`import::ops::Summary`] says.

use import::graph::Node;
use import::lanes::Summarised;
use import::ops::{Summary, row_of};
use tch::{Device, Tensor};

use super::masks::Masked;
use super::op::{Inputs, Torch, along};

/// How one node works on lanes as a whole.
pub(super) struct LeavingOut {
    summary: Summary,
    axis: usize,
    /// The axes that statistics are taken over.
    over: Vec<i64>,
    /// Per index of the axis: its lane, or the place after the last lane, which holds 1.
    index: Tensor,
}

impl LeavingOut {
    /// Resolves a place; `None` where no lane lies.
    pub(super) fn of(
        node: &Node,
        rank: usize,
        place: &Summarised,
        lanes: usize,
        device: Device,
    ) -> Torch<Option<Self>> {
        let Some(summary) = row_of(node).and_then(|row| row.summary) else { return Ok(None) };
        if place.slots.iter().all(Option::is_none) {
            return Ok(None);
        }
        let over = match summary {
            Summary::Deviation { axes, .. } => axes(node, rank).unwrap_or_default(),
            Summary::Neutral(_) | Summary::Mean => Vec::new(),
        };
        let over = over.into_iter().map(|axis| axis as i64).collect();
        let index: Vec<i64> = place.slots.iter().map(|slot| slot.map_or(lanes as i64, |lane| lane.0.into())).collect();
        let index = Tensor::f_from_slice(&index)?.f_to_device(device)?;
        Ok(Some(Self { summary, axis: place.axis, over, index }))
    }

    /// Changes what the operator reads; gives what its first output is to be multiplied by.
    pub(super) fn apply(&self, masked: &Masked, inputs: &mut Inputs) -> Torch<Option<Tensor>> {
        let mask = masked.per_index(&self.index)?;
        let data = inputs.at(0)?;
        let stays = along(&mask, self.axis, data.dim())?;
        let kept = data.f_mul(&stays)?;
        // How many lanes there are for each that stays.
        let staying = mask.f_sum(mask.kind())?;
        let ratio = staying.f_full_like(mask.numel() as f64)?.f_div(&staying)?;
        match self.summary {
            Summary::Neutral(0.0) => inputs.0[0] = Some(kept),
            Summary::Neutral(number) => {
                let gone = stays.f_detach()?.f_eq(0.0)?;
                inputs.0[0] = Some(kept.f_masked_fill(&gone, number)?);
            }
            Summary::Mean => {
                inputs.0[0] = Some(kept);
                return Ok(Some(ratio));
            }
            Summary::Deviation { centred, scale, .. } => {
                let filled = match centred {
                    false => kept,
                    true => {
                        let mean = kept.f_mean_dim(&self.over[..], true, None)?.f_mul(&ratio)?;
                        let gone = stays.f_neg()?.f_add_scalar(1.0)?;
                        kept.f_add(&mean.f_mul(&gone)?)?
                    }
                };
                let by = ratio.f_sqrt()?;
                inputs.0[0] = Some(filled.f_mul(&by)?);
                if let Some(scale) = inputs.0.get_mut(scale).and_then(Option::as_mut) {
                    *scale = scale.f_div(&by)?;
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::network::Masks;
    use tch::Kind;

    /// Six channels of which the first, third and last stay, and those alone.
    const STAY: [i64; 3] = [0, 2, 5];

    fn numbers(shape: &[i64], seed: f64) -> Tensor {
        let count: i64 = shape.iter().product();
        (Tensor::arange(count, (Kind::Double, Device::Cpu)) * 12.9898 + seed).sin().reshape(shape).to_kind(Kind::Float)
    }

    /// What an operator gives when lanes along axis 1 are left out, from all six.
    fn left_out(
        summary: Summary,
        over: &[i64],
        inputs: [&Tensor; 2],
        op: impl Fn(&Tensor, &Tensor) -> Tensor,
    ) -> Tensor {
        let masks = Masks { lanes: Tensor::from_slice(&[1.0f32, 0.0, 1.0, 0.0, 0.0, 1.0]), fills: None };
        let index = Tensor::arange(6, (Kind::Int64, Device::Cpu));
        let leaving_out = LeavingOut { summary, axis: 1, over: over.to_vec(), index };
        let mut inputs = Inputs(inputs.map(|input| Some(input.shallow_clone())).into());
        let factor = leaving_out.apply(&Masked::new(&masks).unwrap(), &mut inputs).unwrap();
        let output = op(inputs.at(0).unwrap(), inputs.at(1).unwrap());
        factor.map_or_else(|| output.shallow_clone(), |factor| &output * factor)
    }

    fn staying(all: &Tensor, axis: i64) -> Tensor {
        all.index_select(axis, &Tensor::from_slice(&STAY))
    }

    fn agree(a: &Tensor, b: &Tensor) {
        assert!((a - b).abs().max().double_value(&[]) < 1e-5, "{a} {b}");
    }

    #[test]
    fn numbers_over_all_lanes_are_those_over_the_ones_that_stay() {
        let (data, unused) = (numbers(&[2, 6, 3], 0.3), numbers(&[1], 0.0));
        let mean = |x: &Tensor, _: &Tensor| x.mean_dim(1, false, None);
        agree(&left_out(Summary::Mean, &[], [&data, &unused], mean), &mean(&staying(&data, 1), &unused));
        let largest = |x: &Tensor, _: &Tensor| x.amax(1, false);
        let lowest = Summary::Neutral(f64::from(f32::MIN));
        agree(&left_out(lowest, &[], [&data, &unused], largest), &largest(&staying(&data, 1), &unused));
        let shares = |x: &Tensor, _: &Tensor| x.softmax(1, None);
        let found = staying(&left_out(lowest, &[], [&data, &unused], shares), 1);
        agree(&found, &shares(&staying(&data, 1), &unused));
    }

    #[test]
    fn deviations_are_those_of_the_lanes_that_stay() {
        let (data, scale) = (numbers(&[2, 6, 3], 0.3), numbers(&[6, 1], 0.7));
        let normal = |centred: bool| {
            move |x: &Tensor, scale: &Tensor| {
                let over = &[1i64, 2][..];
                let x = if centred { x - x.mean_dim(over, true, None) } else { x.shallow_clone() };
                let square = (&x * &x).mean_dim(over, true, None) + 0.1;
                x / square.sqrt() * scale
            }
        };
        for centred in [true, false] {
            let summary = Summary::Deviation { centred, scale: 1, axes: |_, _| None };
            let found = staying(&left_out(summary, &[1, 2], [&data, &scale], normal(centred)), 1);
            agree(&found, &normal(centred)(&staying(&data, 1), &staying(&scale, 0)));
        }
    }
}

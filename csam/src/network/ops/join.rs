//! Operators that join values, or take parts of them.

use tch::{TchError, Tensor};

use super::{Lowered, Row};
use crate::network::op::{Inputs, Ints, Torch, extent, many, pure};
use crate::network::view::View;

pub(super) const ROWS: &[Row] =
    &[Row::new("Concat", concat), Row::new("Split", split), Row::new("Slice", slice), Row::new("Pad", pad)];

fn concat(view: &View) -> Lowered {
    let axis = view.node.int_or("axis", 1);
    Ok(pure(move |x| Tensor::f_cat(&x.present().collect::<Vec<_>>(), axis)))
}

fn split(view: &View) -> Lowered {
    let axis = view.node.int_or("axis", 0);
    let sizes = view.list("split", 1)?;
    let parts = view.node.outputs.len().max(1) as i64;
    Ok(many(move |x| {
        let data = x.at(0)?;
        match &sizes {
            Some(sizes) => data.f_split_with_sizes(sizes.get(x)?.as_ref(), axis),
            None => data.f_split_with_sizes(equal_parts(extent(data, axis)?, parts), axis),
        }
    }))
}

/// Equal sizes, the last one smaller when it does not divide.
fn equal_parts(extent: i64, parts: i64) -> Vec<i64> {
    let size = (extent + parts - 1) / parts;
    (0..parts).map(|part| (extent - part * size).clamp(0, size)).collect()
}

fn slice(view: &View) -> Lowered {
    let wanted =
        |list: Option<Ints>, name: &str| list.ok_or_else(|| view.contradiction(format!("`{name}` is missing")));
    let starts = wanted(view.list("starts", 1)?, "starts")?;
    let ends = wanted(view.list("ends", 2)?, "ends")?;
    let (axes, steps) = (view.list("axes", 3)?, view.list("steps", 4)?);
    Ok(pure(move |x| {
        let (starts, ends) = (starts.get(x)?, ends.get(x)?);
        let counted: Vec<i64> = (0..starts.len() as i64).collect();
        let axes = optional(&axes, x)?.unwrap_or(counted);
        let steps = optional(&steps, x)?.unwrap_or_else(|| vec![1; starts.len()]);
        let parts = axes.iter().zip(starts.iter()).zip(ends.iter()).zip(&steps);
        parts.into_iter().try_fold(x.at(0)?.shallow_clone(), |data, (((&axis, &start), &end), &step)| {
            part(&data, axis, start, end, step)
        })
    }))
}

fn optional(list: &Option<Ints>, inputs: &Inputs) -> Torch<Option<Vec<i64>>> {
    list.as_ref().map(|list| list.get(inputs).map(|list| list.into_owned())).transpose()
}

/// One axis of a slice. Bounds count from the end when negative and are clamped; a negative step walks backwards.
fn part(data: &Tensor, axis: i64, start: i64, end: i64, step: i64) -> Torch<Tensor> {
    let extent = extent(data, axis)?;
    let from_front = |bound: i64| if bound < 0 { bound.saturating_add(extent) } else { bound };
    if step > 0 {
        let (start, end) = (from_front(start).clamp(0, extent), from_front(end).clamp(0, extent));
        return data.f_slice(axis, start, end.max(start), step);
    }
    let (start, end) = (from_front(start).clamp(-1, extent - 1), from_front(end).clamp(-1, extent - 1));
    let taken: Vec<i64> = (end + 1..=start).rev().step_by(step.unsigned_abs().max(1) as usize).collect();
    data.f_index_select(axis, &Tensor::f_from_slice(&taken)?.f_to_device(data.device())?)
}

fn pad(view: &View) -> Lowered {
    let legacy = if view.node.ints("paddings").is_some() { "paddings" } else { "pads" };
    let pads = view.list(legacy, 1)?.ok_or_else(|| view.contradiction("`pads` is missing"))?;
    let axes = view.list("axes", 3)?;
    let mode = match view.node.text_or("mode", "constant").as_ref() {
        "constant" => "constant",
        "reflect" => "reflect",
        "edge" => "replicate",
        other => return Err(view.unsupported(format!("padding by `{other}`"))),
    };
    let filler = match view.node.proto.float("value") {
        Some(number) => f64::from(number),
        None if view.has(2) => {
            view.constant_number(2).ok_or_else(|| view.unsupported("the number to pad with is computed"))?
        }
        None => 0.0,
    };
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let all: Vec<i64> = (0..data.dim() as i64).collect();
        let axes = optional(&axes, x)?.unwrap_or(all);
        let both = by_axis(data.dim(), &axes, &pads.get(x)?)?;
        // Torch wants pads from the last axis to the first, and other modes want no more axes than needed.
        let first =
            if mode == "constant" { 0 } else { both.iter().position(|pads| *pads != [0, 0]).unwrap_or(both.len()) };
        let pads: Vec<i64> = both[first.min(both.len())..].iter().rev().flatten().copied().collect();
        if pads.is_empty() {
            Ok(data.shallow_clone())
        } else {
            data.f_pad(&pads, mode, (mode == "constant").then_some(filler))
        }
    }))
}

/// Pads before and after every axis, from the format's list of all befores and then all afters.
fn by_axis(rank: usize, axes: &[i64], pads: &[i64]) -> Torch<Vec<[i64; 2]>> {
    let mut both = vec![[0, 0]; rank];
    for (i, &axis) in axes.iter().enumerate() {
        let at = if axis < 0 { axis + rank as i64 } else { axis };
        let place = usize::try_from(at).ok().and_then(|at| both.get_mut(at));
        let (Some(place), Some(&before), Some(&after)) = (place, pads.get(i), pads.get(i + axes.len())) else {
            return Err(TchError::Shape(format!("pads {pads:?} do not fit axes {axes:?} of {rank}")));
        };
        *place = [before, after];
    }
    Ok(both)
}

//! Operators that take parts of a value: Split, Slice.

use import::ops::taken;
use tch::Tensor;

use super::{Lowered, Row};
use crate::network::op::{Ints, Torch, extent, many, optional, pure};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[Row::new("Split", split), Row::new("Slice", slice)];

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

/// One axis of a slice.
fn part(data: &Tensor, axis: i64, start: i64, end: i64, step: i64) -> Torch<Tensor> {
    let (first, count) = taken(start, end, step, extent(data, axis)?);
    if step == 1 {
        return data.f_narrow(axis, first, count);
    }
    let indices: Vec<i64> = (0..count).map(|place| first + place * step).collect();
    data.f_index_select(axis, &Tensor::f_from_slice(&indices)?.f_to_device(data.device())?)
}

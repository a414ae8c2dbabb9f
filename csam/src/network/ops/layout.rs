//! Operators that move elements without changing them.

use tch::TchError;

use super::{Lowered, Row};
use crate::network::op::{Ints, pure};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[
    Row::new("Identity", |_| Ok(pure(|x| Ok(x.at(0)?.shallow_clone())))),
    Row::new("Flatten", flatten),
    Row::new("Reshape", reshape),
    Row::new("Transpose", transpose),
    Row::new("Squeeze", squeeze),
    Row::new("Unsqueeze", unsqueeze),
    Row::new("Expand", expand),
    Row::new("Tile", tile),
];

fn flatten(view: &View) -> Lowered {
    let axis = view.node.int_or("axis", 1);
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let axis = if axis < 0 { axis + data.dim() as i64 } else { axis };
        let axis = usize::try_from(axis).unwrap_or(0).min(data.dim());
        let size = data.size();
        let (outer, inner) = size.split_at(axis);
        data.f_reshape([outer.iter().product::<i64>(), inner.iter().product()])
    }))
}

fn reshape(view: &View) -> Lowered {
    let target = view.list("shape", 1)?.ok_or_else(|| view.contradiction("it has no target shape"))?;
    let zero_is_zero = view.node.int_or("allowzero", 0) != 0;
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let size = data.size();
        let mut shape = target.get(x)?.into_owned();
        if !zero_is_zero {
            for (axis, extent) in shape.iter_mut().enumerate().filter(|(_, extent)| **extent == 0) {
                let missing = || TchError::Shape(format!("axis {axis} is copied from a value of shape {size:?}"));
                *extent = *size.get(axis).ok_or_else(missing)?;
            }
        }
        data.f_reshape(&shape)
    }))
}

fn transpose(view: &View) -> Lowered {
    let order = view.node.ints("perm").map(<[i64]>::to_vec);
    Ok(pure(move |x| {
        let data = x.at(0)?;
        match &order {
            Some(order) => data.f_permute(order),
            None => data.f_permute((0..data.dim() as i64).rev().collect::<Vec<_>>()),
        }
    }))
}

fn squeeze(view: &View) -> Lowered {
    let axes = view.list("axes", 1)?;
    Ok(pure(move |x| match &axes {
        Some(axes) => x.at(0)?.f_squeeze_dims(axes.get(x)?.as_ref()),
        None => x.at(0)?.f_squeeze(),
    }))
}

fn unsqueeze(view: &View) -> Lowered {
    let axes = view.list("axes", 1)?.unwrap_or(Ints::Known(Vec::new()));
    Ok(pure(move |x| {
        let (data, axes) = (x.at(0)?, axes.get(x)?);
        let rank = (data.dim() + axes.len()) as i64;
        let mut axes: Vec<i64> = axes.iter().map(|&axis| if axis < 0 { axis + rank } else { axis }).collect();
        axes.sort_unstable();
        axes.iter().try_fold(data.shallow_clone(), |data, &axis| data.f_unsqueeze(axis))
    }))
}

fn expand(view: &View) -> Lowered {
    let target = view.list("shape", 1)?.ok_or_else(|| view.contradiction("it has no target shape"))?;
    Ok(pure(move |x| {
        let (data, target) = (x.at(0)?, target.get(x)?);
        let size = data.size();
        let rank = size.len().max(target.len());
        let extent = |list: &[i64], axis: usize| (axis + list.len()).checked_sub(rank).map_or(1, |at| list[at]);
        // Either side may be 1: the data's own extent stays where the target has 1.
        let shape: Vec<i64> = (0..rank)
            .map(|axis| match (extent(&size, axis), extent(&target, axis)) {
                (own, 1) => own,
                (_, wanted) => wanted,
            })
            .collect();
        data.f_expand(&shape, false)
    }))
}

fn tile(view: &View) -> Lowered {
    let repeats = view.list("repeats", 1)?.ok_or_else(|| view.contradiction("it has no repeats"))?;
    Ok(pure(move |x| x.at(0)?.f_repeat(repeats.get(x)?.as_ref())))
}

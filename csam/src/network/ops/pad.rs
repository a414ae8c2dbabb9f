//! Padding: Pad.

use tch::{Kind, TchError};

use super::{Lowered, Row};
use crate::network::op::{Torch, extent, optional, pure};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[Row::new("Pad", pad), Row::new("CenterCropPad", centre)];

/// Cropped or padded with zeros to a size, alike on both sides; what is odd goes to the end.
fn centre(view: &View) -> Lowered {
    let sizes = view.list("shape", 1)?.ok_or_else(|| view.contradiction("`shape` is missing"))?;
    let axes = view.node.ints("axes").map(<[i64]>::to_vec);
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let rank = data.dim() as i64;
        let axes = axes.clone().unwrap_or_else(|| (0..rank).collect());
        let sizes = sizes.get(x)?;
        if sizes.len() != axes.len() {
            return Err(TchError::Shape(format!("sizes {sizes:?} for axes {axes:?}")));
        }
        let mut centred = data.shallow_clone();
        for (axis, &size) in axes.into_iter().zip(sizes.iter()) {
            let old = extent(data, axis)?;
            let axis = if axis < 0 { axis + rank } else { axis };
            if old >= size {
                centred = centred.f_narrow(axis, (old - size) / 2, size)?;
                continue;
            }
            let before = (size - old) / 2;
            let mut pads = vec![0; 2 * (rank - 1 - axis) as usize];
            pads.extend([before, size - old - before]);
            centred = centred.f_constant_pad_nd(&pads)?;
        }
        Ok(centred)
    }))
}

fn pad(view: &View) -> Lowered {
    let legacy = if view.node.ints("paddings").is_some() { "paddings" } else { "pads" };
    let pads = view.list(legacy, 1)?.ok_or_else(|| view.contradiction("`pads` is missing"))?;
    let axes = view.list("axes", 3)?;
    let mode = match view.node.text_or("mode", "constant").as_ref() {
        "constant" => "constant",
        "reflect" => "reflect",
        "edge" => "replicate",
        "wrap" => "circular",
        other => return Err(view.unsupported(format!("padding by `{other}`"))),
    };
    let stated = view.node.proto.float("value").map(f64::from).or_else(|| view.constant_number(2));
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
            let filler = match (stated, x.get(2)) {
                (Some(number), _) => number,
                (None, Some(number)) => number.f_reshape([-1])?.f_to_kind(Kind::Double)?.f_double_value(&[0])?,
                (None, None) => 0.0,
            };
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

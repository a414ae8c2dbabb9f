//! Changes of an image's size: Resize, Upsample.

use import::graph::Shape;
use import::ops::{Wanted, scaled, wanted};
use tch::TchError;

use super::{Lowered, Row};
use crate::network::op::{Torch, pure};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[Row::new("Resize", resize), Row::new("Upsample", resize)];

/// Since this version positions are taken at the middle of pixels unless said.
const MIDDLES_SINCE: i64 = 11;

/// How the pixels between are made.
#[derive(Clone, Copy)]
enum Between {
    /// Whole factors only, where every rule for ties repeats each pixel so many times.
    Repeated,
    /// Weighted by distance, with the outermost pixels' corners or middles staying where they are.
    Linear { corners: bool },
}

fn resize(view: &View) -> Lowered {
    let shape = view.node.input(0).and_then(|value| view.graph.value(value).shape.as_ref());
    let Some(shape) = shape.filter(|shape| shape.len() == 4) else {
        return Err(view.unsupported("only images of known rank are resized"));
    };
    let wanted = wanted(view.graph, view.node, 4)
        .ok_or_else(|| view.unsupported("the size is computed while the model runs"))?;
    let [samples, channels, height, width] = wanted[..] else {
        return Err(view.contradiction("it does not name four axes"));
    };
    if [(0, samples), (1, channels)].iter().any(|&(axis, wanted)| factor(shape, axis, wanted) != Some(1.0)) {
        return Err(view.unsupported("it resizes more than height and width"));
    }
    let between = between(view)?;
    let whole = |axis, wanted| factor(shape, axis, wanted).is_some_and(|by| by >= 1.0 && by.fract() == 0.0);
    if matches!(between, Between::Repeated) && !(whole(2, height) && whole(3, width)) {
        return Err(view.unsupported("it repeats pixels, but not a whole number of times"));
    }
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let (_, _, rows, columns) = data.size4()?;
        let size = [extent(rows, height)?, extent(columns, width)?];
        let (by_rows, by_columns) = (scale(height), scale(width));
        match between {
            Between::Repeated => data.f_upsample_nearest2d(size, by_rows, by_columns),
            Between::Linear { corners } => data.f_upsample_bilinear2d(size, corners, by_rows, by_columns),
        }
    }))
}

/// How many times longer an axis becomes; `None` where that is not known.
fn factor(shape: &Shape, axis: usize, wanted: Wanted) -> Option<f64> {
    match wanted {
        Wanted::Scale(by) => Some(by),
        Wanted::Size(new) => shape[axis].value().filter(|&old| old > 0).map(|old| new as f64 / old as f64),
    }
}

/// The rule of this node, when torch has the same one.
fn between(view: &View) -> Result<Between, Box<import::graph::Refusal>> {
    let node = view.node;
    let old = node.opset < MIDDLES_SINCE;
    let text = |name, usual: &'static str| node.text_or(name, usual).into_owned();
    let mode = text("mode", "nearest");
    let position = text("coordinate_transformation_mode", if old { "asymmetric" } else { "half_pixel" });
    let rounding = text("nearest_mode", if old { "floor" } else { "round_prefer_floor" });
    if node.int_or("antialias", 0) != 0 {
        return Err(view.unsupported("it smooths before it shrinks"));
    }
    match (mode.as_str(), position.as_str(), rounding.as_str()) {
        ("nearest", "asymmetric", "floor")
        | ("nearest", "half_pixel" | "pytorch_half_pixel", "round_prefer_floor" | "round_prefer_ceil") => {
            Ok(Between::Repeated)
        }
        ("linear", "half_pixel", _) => Ok(Between::Linear { corners: false }),
        ("linear", "align_corners", _) => Ok(Between::Linear { corners: true }),
        _ => Err(view.unsupported(format!("{mode} resizing with {position} positions and {rounding} rounding"))),
    }
}

/// The new size of an axis.
fn extent(old: i64, wanted: Wanted) -> Torch<i64> {
    let new = match wanted {
        Wanted::Size(new) => new,
        Wanted::Scale(by) => scaled(old, by),
    };
    if new > 0 { Ok(new) } else { Err(TchError::Shape(format!("an axis of {old} would become {new}"))) }
}

/// The scale as the file states it, so that positions are those of the file when sizes are rounded.
fn scale(wanted: Wanted) -> Option<f64> {
    match wanted {
        Wanted::Size(_) => None,
        Wanted::Scale(by) => Some(by),
    }
}

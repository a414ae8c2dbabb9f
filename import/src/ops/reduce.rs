//! Reductions over axes, and softmax along one.

use super::compute::{ComputeView, Elements};
use super::infer_view::resolve_axis;
use super::row::{Fact, Family, InferView, OpRow, Summary};
use super::says;
use crate::graph::{Dim, Node, Refusal, Shape};
use crate::labels::{LaneView, Layout};
use crate::tensor::DType;

const fn reduction(name: &'static str, revisions: &'static [i64]) -> OpRow {
    OpRow::new(name, revisions, reduce_infer, reduce_lanes).says(says::WHOLE)
}

const fn softmax(name: &'static str, logarithmic: bool) -> OpRow {
    OpRow::new(name, &[13], same_infer, softmax_lanes)
        .says(says::WHOLE)
        .summary(Summary::LOWEST)
        .family(Family::Softmax { logarithmic, flattening: false })
}

/// Before version 13 everything from the axis on is one distribution.
const fn softmax_from(name: &'static str, logarithmic: bool) -> OpRow {
    let row = OpRow::new(name, &[1, 11], same_infer, softmax_from_lanes).says(says::WHOLE).before(13);
    let row = row.summary(Summary::LOWEST);
    row.family(Family::Softmax { logarithmic, flattening: true })
}

pub(super) const ROWS: &[OpRow] = &[
    reduction("ReduceMean", &[1, 11, 13, 18])
        .summary(Summary::Mean)
        .family(Family::Average)
        .compute(|view| over(view, |all| all.iter().sum::<f64>() / all.len() as f64)),
    reduction("ReduceSum", &[1, 11, 13])
        .summary(Summary::Neutral(0.0))
        .compute(|view| over(view, |all| all.iter().sum())),
    reduction("ReduceMax", &[1, 11, 12, 13, 18, 20])
        .summary(Summary::LOWEST)
        .compute(|view| over(view, |all| all.iter().copied().fold(f64::NEG_INFINITY, f64::max))),
    reduction("ReduceMin", &[1, 11, 12, 13, 18, 20])
        .summary(Summary::HIGHEST)
        .compute(|view| over(view, |all| all.iter().copied().fold(f64::INFINITY, f64::min))),
    reduction("ReduceL1", &[1, 11, 13, 18])
        .summary(Summary::Neutral(0.0))
        .compute(|view| over(view, |all| all.iter().map(|x| x.abs()).sum())),
    reduction("ReduceL2", &[1, 11, 13, 18])
        .summary(Summary::Neutral(0.0))
        .compute(|view| over(view, |all| all.iter().map(|x| x * x).sum::<f64>().sqrt())),
    reduction("ReduceSumSquare", &[1, 11, 13, 18])
        .summary(Summary::Neutral(0.0))
        .compute(|view| over(view, |all| all.iter().map(|x| x * x).sum())),
    reduction("ReduceProd", &[1, 11, 13, 18])
        .summary(Summary::Neutral(1.0))
        .compute(|view| over(view, |all| all.iter().product())),
    reduction("ReduceLogSum", &[1, 11, 13, 18, 28]).summary(Summary::Neutral(0.0)),
    reduction("ReduceLogSumExp", &[1, 11, 13, 18, 28]).summary(Summary::LOWEST),
    OpRow::new("ArgMax", &[1, 11, 12, 13], place_infer, place_lanes).says(says::AXES),
    OpRow::new("ArgMin", &[1, 11, 12, 13], place_infer, place_lanes).says(says::AXES),
    softmax("Softmax", false),
    softmax_from("Softmax", false),
    softmax("LogSoftmax", true),
    softmax_from("LogSoftmax", true),
    OpRow::new("Hardmax", &[13], same_infer, softmax_lanes).says(says::AXES),
    OpRow::new("Hardmax", &[1, 11], same_infer, softmax_from_lanes).says(says::AXES).before(13),
];

/// The axes a reduction removes: named ones, or all (none when told so).
pub fn reduced_axes(node: &Node, listed: Option<Vec<i64>>, rank: usize) -> Option<Vec<usize>> {
    match listed {
        Some(list) if !list.is_empty() => list.into_iter().map(|axis| resolve_axis(axis, rank)).collect(),
        _ if node.int_or("noop_with_empty_axes", 0) != 0 => Some(Vec::new()),
        _ => Some((0..rank).collect()),
    }
}

/// A number for all elements that differ on the reduced axes alone.
fn over(view: &ComputeView, of: fn(&[f64]) -> f64) -> Option<Elements> {
    let axes = reduced_axes(view.node, view.list("axes", 1), view.at(0)?.ndim())?;
    view.reduced(&axes, of)
}

fn reduce_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let Some(shape) = view.shape(0) else { return view.like_first(None) };
    let listed = view.list("axes", 1);
    let keep = view.node.int_or("keepdims", 1) != 0;
    if listed.is_none() && view.node.input(1).is_some() {
        // Its axes are computed at run time.
        let unknown = keep.then(|| shape.to_vec()).map(|shape| shape.iter().map(|_| view.fresh()).collect());
        return view.like_first(unknown);
    }
    let axes = reduced_axes(view.node, listed, shape.len())
        .ok_or_else(|| view.contradiction(format!("axes outside {}", view.show(shape))))?;
    view.like_first(Some(reduced(shape, &axes, keep)))
}

/// Sizes without some axes, or with 1 in their places.
fn reduced(shape: &[Dim], axes: &[usize], keep: bool) -> Shape {
    let mut reduced: Shape = Vec::new();
    for (axis, size) in shape.iter().enumerate() {
        match axes.contains(&axis) {
            false => reduced.push(size.clone()),
            true if keep => reduced.push(Dim::known(1)),
            true => {}
        }
    }
    reduced
}

fn reduce_lanes(view: &mut LaneView) {
    let Some(layout) = view.layout(0) else { return LaneView::opaque(view) };
    let listed = view.list("axes", 1);
    if listed.is_none() && view.node().input(1).is_some() {
        return LaneView::opaque(view);
    }
    match reduced_axes(view.node(), listed, layout.len()) {
        Some(axes) => without(view, layout, &axes),
        None => LaneView::opaque(view),
    }
}

/// Where along an axis the largest or smallest element is.
fn place_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let keep = view.node.int_or("keepdims", 1) != 0;
    let shape = match view.shape(0) {
        Some(shape) => {
            let axis = view.axis(view.node.int_or("axis", 0), shape.len())?;
            Some(reduced(shape, &[axis], keep))
        }
        None => None,
    };
    Ok(vec![Fact { dtype: Some(DType::I64), shape }])
}

fn place_lanes(view: &mut LaneView) {
    let Some(layout) = view.layout(0) else { return LaneView::opaque(view) };
    match resolve_axis(view.node().int_or("axis", 0), layout.len()) {
        Some(axis) => without(view, layout, &[axis]),
        None => LaneView::opaque(view),
    }
}

/// Axes that are worked on as a whole are gone; the others keep their lanes.
fn without(view: &mut LaneView, layout: Layout, axes: &[usize]) {
    let keep = view.node().int_or("keepdims", 1) != 0;
    view.summarise(&layout, axes);
    let mut output = Vec::new();
    for (position, axis) in layout.into_iter().enumerate() {
        match axes.contains(&position) {
            false => output.push(axis),
            true if keep => output.push(view.plain(&Dim::known(1))),
            true => {}
        }
    }
    view.set(0, output);
}

fn same_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    view.like_first(view.shape(0).map(<[Dim]>::to_vec))
}

fn softmax_from_lanes(view: &mut LaneView) {
    let Some(layout) = view.layout(0) else { return LaneView::opaque(view) };
    let Some(axis) = resolve_axis(view.node().int_or("axis", 1), layout.len()) else { return LaneView::opaque(view) };
    view.summarise(&layout, &(axis..layout.len()).collect::<Vec<_>>());
    view.set(0, layout);
}

fn softmax_lanes(view: &mut LaneView) {
    let Some(layout) = view.layout(0) else { return LaneView::opaque(view) };
    let Some(axis) = resolve_axis(view.node().int_or("axis", -1), layout.len()) else { return LaneView::opaque(view) };
    view.summarise(&layout, &[axis]);
    view.set(0, layout);
}

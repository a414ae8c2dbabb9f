//! Shape arithmetic and constants: Constant, Shape, Gather, Cast, CastLike, ConstantOfShape.

use std::path::Path;

use super::compute::{ComputeView, Elements};
use super::infer_view::resolve_axis;
use super::row::{CostView, Fact, Family, FoldView, InferView, OpRow, Resized, Rewrite, moved_to};
use super::says;
use crate::graph::{Content, Dim, FOLD_LIMIT, Refusal, product};
use crate::labels::LaneView;
use crate::proto::onnx::{NodeProto, SparseTensorProto, TensorProto, text};
use crate::tensor::{DType, MOST_AXES, Tensor};

pub(super) const ROWS: &[OpRow] = &[
    OpRow::new("Constant", &[1, 9, 11, 12, 13, 19, 21, 23, 24, 25], constant_infer, LaneView::constants_only)
        .says(says::NONE)
        .notes("sparse ones and texts stay as they are")
        .fold(constant_fold)
        .cost(CostView::free),
    OpRow::new("Shape", &[1, 13, 15, 19, 21, 23, 24, 25], shape_infer, LaneView::sizes_only)
        .says(says::COUNTED)
        .fold(shape_fold)
        .cost(CostView::free)
        .measures(),
    OpRow::new("Size", &[1, 13, 19, 21, 23, 24, 25], size_infer, LaneView::sizes_only)
        .says(says::COUNTED)
        .fold(|view| Some(Content::Dims { scalar: true, elements: vec![product(view.sizes(0)?)?] }))
        .cost(CostView::free)
        .measures(),
    OpRow::new("Range", &[11, 27], range_infer, LaneView::constants_only)
        .says(says::NONE)
        .fold(range_fold)
        .cost(CostView::free),
    OpRow::new("Gather", &[1, 11, 13], gather_infer, gather_lanes)
        .says("pass in the order of a known list; else nothing is cut along the axis worked on")
        .fold(gather_fold)
        .counts(gather_counts)
        .compute(|view| view.picked(view.node.int_or("axis", 0), &view.ints(1)?))
        .cost(CostView::free),
    OpRow::new("Cast", &[1, 6, 9, 13, 19, 21, 23, 24, 25, 28], cast_infer, LaneView::same_layout)
        .says(says::PASS)
        .fold(cast_fold)
        .compute(cast)
        .family(Family::Same),
    OpRow::new("CastLike", &[15, 19, 21, 23, 24, 25], cast_like_infer, LaneView::same_layout).says(says::PASS),
    OpRow::new("ConstantOfShape", &[9, 20, 21, 23, 24, 25], filled_infer, filled_lanes)
        .says("an axis goes with the one that its size counts, or is cut by its size")
        .fold(filled_fold)
        .compute(filled)
        .cost(CostView::free)
        .sizes(&[0])
        .counts(filled_counts),
];

/// The tensor in a Constant node.
#[derive(Clone, Copy, Debug)]
pub enum Constant<'a> {
    /// With all its elements.
    Dense(&'a TensorProto),
    /// With those that are not zero.
    Sparse(&'a SparseTensorProto),
}

/// The tensor in a Constant node, when that is how it states its value.
pub fn constant_value(node: &NodeProto) -> Option<Constant<'_>> {
    let is_constant = text(&node.op_type) == "Constant" && matches!(text(&node.domain).as_ref(), "" | "ai.onnx");
    let dense = || node.tensor("value").map(Constant::Dense);
    let sparse = || node.attribute("sparse_value")?.sparse_tensor.as_deref().map(Constant::Sparse);
    is_constant.then(|| dense().or_else(sparse)).flatten()
}

/// Value of the short forms (`value_int`, `value_floats` …).
fn short_constant(node: &NodeProto) -> Option<Tensor> {
    let ints = |shape: &[usize], v: &[i64]| Tensor::from_i64(shape, v).ok();
    let floats = |shape: &[usize], v: &[f32]| Tensor::from_f32(shape, v).ok();
    if let Some(n) = node.int("value_int") {
        ints(&[], &[n])
    } else if let Some(v) = node.ints("value_ints") {
        ints(&[v.len()], v)
    } else if let Some(x) = node.float("value_float") {
        floats(&[], &[x])
    } else {
        node.floats("value_floats").and_then(|v| floats(&[v.len()], v))
    }
}

fn constant_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let tensor = short_constant(&view.node.proto)
        .ok_or_else(|| view.unsupported("its value is text, absent, or sparse and huge"))?;
    let shape = tensor.shape.iter().map(|&n| Dim::known(n as i64)).collect();
    Ok(vec![Fact { dtype: Some(tensor.dtype), shape: Some(shape) }])
}

fn constant_fold(view: &FoldView) -> Option<Content> {
    short_constant(&view.node.proto).map(Content::Tensor)
}

/// The part of a shape that `Shape` gives (`start` and `end` since version 15).
fn shape_range(node: &crate::graph::Node, rank: usize) -> std::ops::Range<usize> {
    let clamp = |n: i64| {
        let rank = rank as i64;
        (if n < 0 { n + rank } else { n }).clamp(0, rank) as usize
    };
    let start = clamp(node.int_or("start", 0));
    let end = node.int("end").map_or(rank, clamp);
    start..end.max(start)
}

fn shape_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let count = view.shape(0).map(|shape| shape_range(view.node, shape.len()).len());
    let shape = count.map(|n| vec![Dim::known(n as i64)]);
    Ok(vec![Fact { dtype: Some(DType::I64), shape }])
}

fn shape_fold(view: &FoldView) -> Option<Content> {
    let shape = view.sizes(0)?;
    Some(Content::list(shape[shape_range(view.node, shape.len())].to_vec()))
}

/// How many elements there are.
fn size_infer(_: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    Ok(vec![Fact { dtype: Some(DType::I64), shape: Some(Vec::new()) }])
}

fn range_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let bound = |input| view.dims(input)?.into_iter().next();
    let count = bound(0).zip(bound(1)).zip(bound(2)).and_then(|((start, limit), step)| steps(&start, &limit, &step));
    let count = count.unwrap_or_else(|| view.fresh());
    Ok(vec![Fact { dtype: view.dtype(0), shape: Some(vec![count]) }])
}

/// How many steps lead from a start to a limit.
fn steps(start: &Dim, limit: &Dim, step: &Dim) -> Option<Dim> {
    if start.is(0) && step.is(1) && limit.is_size() {
        return Some(limit.clone());
    }
    let (distance, step) = (limit.value()?.checked_sub(start.value()?)?, step.value()?);
    let towards = step != 0 && (distance > 0) == (step > 0);
    let steps = if towards { distance.unsigned_abs().div_ceil(step.unsigned_abs()) } else { 0 };
    (step != 0).then(|| i64::try_from(steps).ok().map(Dim::known)).flatten()
}

/// Short ranges of integers.
fn range_fold(view: &FoldView) -> Option<Content> {
    let bound = |input| view.ints(input)?.first().copied();
    let (start, limit, step) = (bound(0)?, bound(1)?, bound(2)?);
    let count = steps(&Dim::known(start), &Dim::known(limit), &Dim::known(step))?.extent()?;
    let element = |place: usize| start.checked_add(step.checked_mul(place as i64)?).map(Dim::known);
    (count <= FOLD_LIMIT).then(|| (0..count).map(element).collect::<Option<_>>().map(Content::list)).flatten()
}

fn gather_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let (Some(data), Some(indices)) = (view.shape(0), view.shape(1)) else {
        return view.like_first(None);
    };
    let axis = view.axis(view.node.int_or("axis", 0), data.len())?;
    let shape = [&data[..axis], indices, &data[axis + 1..]].concat();
    view.like_first(Some(shape))
}

fn gather_fold(view: &FoldView) -> Option<Content> {
    let data = view.dims(0)?;
    let indices = view.ints(1)?;
    let picked = indices.iter().map(|&i| Some(data[resolve_axis(i, data.len())?].clone()));
    Some(Content::Dims { scalar: view.content(1)?.is_scalar(), elements: picked.collect::<Option<_>>()? })
}

/// Axes other than the gathered one pass when the indices are a scalar or a list. A known list takes the lanes of the
/// indices it names.
fn gather_lanes(view: &mut LaneView) {
    let (Some(data), Some(indices)) = (view.layout(0), view.layout(1)) else { return LaneView::opaque(view) };
    let Some(axis) = resolve_axis(view.node().int_or("axis", 0), data.len()) else { return LaneView::opaque(view) };
    let listed = view.list("indices", 1).filter(|_| indices.len() == 1 && data[axis].holds_whole_blocks());
    let picked = listed.and_then(|listed| {
        let extent = data[axis].extent()?;
        let places: Option<Vec<usize>> = listed.into_iter().map(|index| resolve_axis(index, extent)).collect();
        view.picked(&data[axis], places?.into_iter())
    });
    let picked = picked.map_or(indices, |picked| {
        view.restates(1);
        vec![picked]
    });
    if picked.iter().all(|axis| !axis.has_labels()) {
        view.fix(&data[axis]);
    }
    view.set(0, [&data[..axis], picked.as_slice(), &data[axis + 1..]].concat());
}

/// Indices on a cut axis move to where those they named have gone.
fn gather_counts(resized: &Resized) -> Vec<Rewrite> {
    let node = resized.node;
    let rank = node.input(0).and_then(|data| resized.graph.value(data).shape.as_ref()).map_or(0, Vec::len);
    let Some(axis) = resolve_axis(node.int_or("axis", 0), rank) else { return Vec::new() };
    let dense = node.input(0).and_then(|data| resized.graph.value(data).shape.as_ref()?[axis].value());
    let (Some(listed), Some(kept), Some(extent)) =
        (resized.graph.ints(node, "indices", 1), resized.kept_in(0, axis), dense)
    else {
        return Vec::new();
    };
    let indices = listed.into_iter().map(|index| if index < 0 { index + extent } else { index });
    vec![Rewrite::Input(1, moved_to(indices, kept))]
}

fn cast_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let to = view.node.int_or("to", 0);
    let dtype = i32::try_from(to).ok().and_then(DType::from_code);
    let dtype = dtype.ok_or_else(|| view.contradiction(format!("element type {to} does not exist")))?;
    Ok(vec![Fact { dtype: Some(dtype), shape: view.shape(0).map(<[Dim]>::to_vec) }])
}

fn cast_like_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    Ok(vec![Fact { dtype: view.dtype(1), shape: view.shape(0).map(<[Dim]>::to_vec) }])
}

fn cast_fold(view: &FoldView) -> Option<Content> {
    let to = i32::try_from(view.node.int_or("to", 0)).ok().and_then(DType::from_code)?;
    let from = view.value(0)?.dtype?;
    let whole = |d: DType| matches!(d, DType::I64 | DType::I32);
    if to == DType::Bool && whole(from) {
        let truths = view.ints(0)?.into_iter().map(|number| Dim::known(i64::from(number != 0)));
        return Some(Content::Dims { scalar: view.content(0)?.is_scalar(), elements: truths.collect() });
    }
    (from == to || ((whole(from) || from == DType::Bool) && whole(to))).then(|| view.content(0).cloned()).flatten()
}

/// Fractions are cut off where whole numbers are asked for.
fn cast(view: &ComputeView) -> Option<Elements> {
    let to = i32::try_from(view.node.int_or("to", 0)).ok().and_then(DType::from_code)?;
    match to {
        _ if to.is_float() => view.same(),
        _ if to.is_integer() => view.each(f64::trunc),
        _ => None,
    }
}

/// The element that fills a ConstantOfShape: a single-precision zero unless said.
fn filler(node: &NodeProto) -> Option<Tensor> {
    match node.tensor("value") {
        Some(proto) => Tensor::from_proto(proto, Path::new("")).ok().filter(|tensor| tensor.len() == 1),
        None => Tensor::from_f32(&[1], &[0.0]).ok(),
    }
}

fn filled_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let element = filler(&view.node.proto).ok_or_else(|| view.contradiction("its value is not one element"))?;
    let rank = view.shape(0).and_then(|shape| shape.first()?.extent()).filter(|&rank| rank <= MOST_AXES);
    if view.dims(0).is_some_and(|sizes| sizes.iter().any(|size| size.value().is_some_and(|size| size < 0))) {
        return Err(view.contradiction("it has a negative size"));
    }
    let shape = view.dims(0).or_else(|| Some((0..rank?).map(|_| view.fresh()).collect()));
    Ok(vec![Fact { dtype: Some(element.dtype), shape }])
}

fn filled(view: &ComputeView) -> Option<Elements> {
    let element = filler(&view.node.proto)?;
    let element = if element.dtype.is_float() { element.to_f64().ok()?[0] } else { element.to_i64().ok()?[0] as f64 };
    Some(Elements::from_elem(view.shape(), element))
}

/// Axes that get the size of another axis are cut as that one is. Where constants state all sizes, the sizes of axes that
/// lose lanes are stated anew.
fn filled_lanes(view: &mut LaneView) {
    if view.is_constant(0) && view.list("shape", 0).is_some() && view.fill() {
        return;
    }
    let (Some(mut output), Some(axes)) = (view.plain_output(), view.counted_axes(0)) else {
        return LaneView::sizes_only(view);
    };
    for (place, axis) in output.iter_mut().zip(axes) {
        *place = axis.unwrap_or_else(|| place.clone());
    }
    view.follows(0);
    view.set(0, output);
}

/// Sizes stated by constants are those that are left.
fn filled_counts(resized: &Resized) -> Vec<Rewrite> {
    let stated = resized.node.input(0).and_then(|sizes| resized.graph.value(sizes).content.as_ref()?.ints());
    let left = resized.outputs.first().and_then(|shape| shape.as_ref()?.iter().map(Dim::value).collect());
    match (stated, left) {
        (Some(stated), Some(left)) if stated != left && !resized.follows(0) => vec![Rewrite::Input(0, left)],
        _ => Vec::new(),
    }
}

/// Lists only: larger constants are never worth knowing.
fn filled_fold(view: &FoldView) -> Option<Content> {
    let element = filler(&view.node.proto).filter(|tensor| tensor.dtype.is_integer())?.to_i64().ok()?;
    let [count] = view.output_extents()?[..] else { return None };
    (count <= MOST_AXES).then(|| Content::list(vec![Dim::known(element[0]); count]))
}

//! Elements picked, placed and ordered by index. Which element goes where is known while the model runs: no lane passes.

use super::infer_view::resolve_axis;
use super::row::{CostView, Fact, InferView, OpRow};
use super::says;
use crate::graph::{Dim, Refusal};
use crate::labels::LaneView;
use crate::tensor::DType;

/// A row of an operator whose output has the sizes of one of its inputs.
const fn like(name: &'static str, revisions: &'static [i64], infer: super::row::Infer) -> OpRow {
    OpRow::new(name, revisions, infer, LaneView::opaque).says(says::STAY).cost(CostView::free)
}

pub(super) const ROWS: &[OpRow] = &[
    like("GatherElements", &[11, 13], like_indices),
    like("GatherND", &[11, 12, 13], gather_nd_infer),
    like("Scatter", &[9, 11], like_data),
    like("ScatterElements", &[11, 13, 16, 18], like_data),
    like("ScatterND", &[11, 13, 16, 18], like_data),
    like("ReverseSequence", &[10, 28], like_data),
    like("Compress", &[9, 11, 28], compress_infer),
    like("OneHot", &[9, 11, 28], one_hot_infer),
    like("EyeLike", &[9, 22], eye_infer),
    like("NonZero", &[9, 13], non_zero_infer),
    OpRow::new("Trilu", &[14], like_data, trilu_lanes).says("the last two axes stay, others pass").cost(CostView::free),
    OpRow::new("CumSum", &[11, 14], like_data, along_named_axis).says(says::AXES),
    OpRow::new("CumProd", &[26], like_data, along_named_axis).says(says::AXES),
    OpRow::new("TopK", &[1], top_infer, top_lanes).says(says::AXES).before(10),
    OpRow::new("TopK", &[10, 11, 24], top_infer, top_lanes).says(says::AXES),
];

fn like_data(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    view.like_first(view.shape(0).map(<[Dim]>::to_vec))
}

fn like_indices(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    view.like_first(view.shape(1).map(<[Dim]>::to_vec))
}

/// Indices `[…, k]` name slices of the first k axes behind those of the batch.
fn gather_nd_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let (Some(data), Some(indices)) = (view.shape(0), view.shape(1)) else { return view.like_first(None) };
    let batch = usize::try_from(view.node.int_or("batch_dims", 0)).ok();
    let Some((last, places)) = indices.split_last() else { return view.like_first(None) };
    let rest = last.extent().zip(batch).and_then(|(named, batch)| data.get(batch.checked_add(named)?..));
    let shape = rest.map(|rest| [places, rest].concat());
    view.like_first(shape)
}

fn compress_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let Some(mut shape) = view.shape(0).map(<[Dim]>::to_vec) else { return view.like_first(None) };
    match view.node.int("axis") {
        Some(axis) => {
            let axis = view.axis(axis, shape.len())?;
            shape[axis] = view.fresh();
        }
        None => shape = vec![view.fresh()],
    }
    view.like_first(Some(shape))
}

fn one_hot_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let dtype = view.dtype(2);
    let Some(mut shape) = view.shape(0).map(<[Dim]>::to_vec) else { return Ok(vec![Fact { dtype, shape: None }]) };
    let axis = view.axis(view.node.int_or("axis", -1), shape.len() + 1)?;
    let depth = view.dims(1).and_then(|list| list.into_iter().next()).filter(Dim::is_size);
    shape.insert(axis, depth.unwrap_or_else(|| view.fresh()));
    Ok(vec![Fact { dtype, shape: Some(shape) }])
}

fn eye_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let stated = view.node.int("dtype").and_then(|code| DType::from_code(i32::try_from(code).ok()?));
    Ok(vec![Fact { dtype: stated.or(view.dtype(0)), shape: view.shape(0).map(<[Dim]>::to_vec) }])
}

fn non_zero_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let shape = view.shape(0).map(|shape| Dim::known(shape.len() as i64));
    let shape = shape.map(|rank| vec![rank, view.fresh()]);
    Ok(vec![Fact { dtype: Some(DType::I64), shape }])
}

/// The last two axes are matrices, of which nothing is cut.
fn trilu_lanes(view: &mut LaneView) {
    let Some(layout) = view.layout(0).filter(|layout| layout.len() > 1) else { return LaneView::opaque(view) };
    view.fix_from(&layout, layout.len() - 2);
    view.set(0, layout);
}

fn along_named_axis(view: &mut LaneView) {
    let rank = view.layout(0).map_or(0, |layout| layout.len());
    let axis = view.list("axis", 1).and_then(|list| resolve_axis(*list.first()?, rank));
    match axis {
        Some(axis) => LaneView::along(view, axis),
        None => LaneView::opaque(view),
    }
}

/// The largest, or smallest, elements along an axis, and where they were.
fn top_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let dtype = view.dtype(0);
    let shape = match view.shape(0).map(<[Dim]>::to_vec) {
        Some(mut shape) => {
            let axis = view.axis(view.node.int_or("axis", -1), shape.len())?;
            let count = view.list("k", 1).and_then(|list| list.first().copied()).filter(|&count| count >= 0);
            shape[axis] = count.map_or_else(|| view.fresh(), Dim::known);
            Some(shape)
        }
        None => None,
    };
    Ok(vec![Fact { dtype, shape: shape.clone() }, Fact { dtype: Some(DType::I64), shape }])
}

fn top_lanes(view: &mut LaneView) {
    let Some(mut layout) = view.layout(0) else { return LaneView::opaque(view) };
    let axis = resolve_axis(view.node().int_or("axis", -1), layout.len());
    let place = axis.and_then(|axis| Some((axis, view.size_of(0, axis)?.clone())));
    let Some((axis, size)) = place else { return LaneView::opaque(view) };
    view.fix(&layout[axis].clone());
    layout[axis] = view.plain(&size);
    view.set(0, layout.clone());
    view.set(1, layout);
}

//! Operators that only rearrange axes: Reshape, Flatten, Transpose, Squeeze, Unsqueeze, Identity, Expand, Tile.

use super::elementwise::broadcast;
use super::infer_view::{BatchConstant, resolve_axis};
use super::row::{CostView, Fact, Family, FoldView, InferView, OpRow, Resized, Rewrite};
use super::says;
use crate::graph::{Content, Dim, Refusal, Shape, product};
use crate::labels::{Axis, LaneView, PinCode};
use crate::tensor::{MOST_AXES, Tensor};

pub(super) const ROWS: &[OpRow] = &[
    OpRow::new("Identity", &[1, 13, 14, 16, 19, 21, 23, 24, 25], identity_infer, LaneView::same_layout)
        .says(says::PASS)
        .fold(first_fold)
        .compute(|view| view.same())
        .cost(CostView::free)
        .family(Family::Same),
    OpRow::new("Reshape", &[5, 13, 14, 19, 21, 23, 24, 25], reshape_infer, reshape_lanes)
        .says(says::REGROUPED)
        .fold(regroup_fold)
        .compute(|view| view.regrouped())
        .cost(CostView::free)
        .family(Family::Regrouping)
        .sizes(&[1])
        .counts(reshape_counts),
    OpRow::new("Flatten", &[1, 9, 11, 13, 21, 23, 24, 25], flatten_infer, LaneView::regroup)
        .says(says::REGROUPED)
        .fold(regroup_fold)
        .compute(|view| view.regrouped())
        .cost(CostView::free)
        .family(Family::Regrouping),
    OpRow::new("Squeeze", &[1, 11, 13, 21, 23, 24, 25], squeeze_infer, LaneView::regroup)
        .says(says::REGROUPED)
        .fold(regroup_fold)
        .compute(|view| view.regrouped())
        .cost(CostView::free)
        .family(Family::Regrouping),
    OpRow::new("Unsqueeze", &[1, 11, 13, 21, 23, 24, 25], unsqueeze_infer, LaneView::regroup)
        .says(says::REGROUPED)
        .fold(regroup_fold)
        .compute(|view| view.regrouped())
        .cost(CostView::free)
        .family(Family::Regrouping),
    OpRow::new("Transpose", &[1, 13, 21, 23, 24, 25], transpose_infer, transpose_lanes)
        .says("pass, in another order")
        .fold(transpose_fold)
        .compute(|view| view.permuted(&permutation(view.node, view.at(0)?.ndim())?))
        .cost(CostView::free),
    OpRow::new("Expand", &[8, 13], expand_infer, expand_lanes)
        .says("pass; axes that are stretched have none, or those that their size counts")
        .fold(expand_fold)
        .compute(|view| view.spread())
        .cost(CostView::free)
        .sizes(&[1])
        .counts(expand_counts),
    OpRow::new("Tile", &[6, 13], tile_infer, tile_lanes).says("are repeated").cost(CostView::free),
];

fn identity_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    view.like_first(view.shape(0).map(<[Dim]>::to_vec))
}

fn first_fold(view: &FoldView) -> Option<Content> {
    view.content(0).cloned()
}

/// The same elements in another shape; nothing where a declared shape holds another number of them.
fn regroup_fold(view: &FoldView) -> Option<Content> {
    let extents = view.output_extents()?;
    let count = extents.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent))?;
    if view.content(0)?.len() != count {
        return None;
    }
    match view.content(0)? {
        Content::Dims { elements, .. } if extents.len() <= 1 => {
            Some(Content::Dims { scalar: extents.is_empty(), elements: elements.clone() })
        }
        content @ Content::Dims { .. } => Tensor::from_i64(&extents, &content.ints()?).ok().map(Content::Tensor),
        Content::Tensor(tensor) => {
            let mut tensor = tensor.clone();
            tensor.shape = extents;
            Some(Content::Tensor(tensor))
        }
    }
}

fn reshape_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let (Some(data), Some(target)) = (view.shape(0).map(<[Dim]>::to_vec), view.dims(1)) else {
        let rank = view.shape(1).and_then(|s| s.first().and_then(Dim::extent)).filter(|&rank| rank <= MOST_AXES);
        let shape = rank.map(|rank| (0..rank).map(|_| view.fresh()).collect());
        return view.like_first(shape);
    };
    let copies_zero = view.node.int_or("allowzero", 0) == 0;
    // A target that carries the batch must be found first: one with a rest would silently take the batch in.
    let freed = free_batch(view, &data, &target, copies_zero);
    if let Some(shape) = freed.or_else(|| reshaped(&data, &target, copies_zero)) {
        return view.like_first(Some(shape));
    }
    Err(view.contradiction(format!("{} cannot become {}", view.show(&data), view.show(&target))))
}

/// Target sizes with 0 (copy) and −1 (rest) resolved; `None` when the element counts differ.
fn reshaped(data: &[Dim], target: &[Dim], copies_zero: bool) -> Option<Shape> {
    let total = product(data)?;
    let mut shape = Vec::with_capacity(target.len());
    for (axis, size) in target.iter().enumerate() {
        shape.push(if size.is(0) && copies_zero { data.get(axis)?.clone() } else { size.clone() });
    }
    let Some(rest) = shape.iter().position(|size| size.is(-1)) else {
        let unknown = |dims: &[Dim]| dims.iter().any(|d| d.value().is_none());
        let matches = product(&shape)? == total || unknown(&shape) || unknown(data);
        return matches.then_some(shape);
    };
    let others = product(shape.iter().enumerate().filter(|(i, _)| *i != rest).map(|(_, d)| d))?;
    shape[rest] = total.divide(&others)?;
    Some(shape)
}

/// When a fixed batch is read as free: a target whose first size was the declared batch carries it. So does one that
/// names all sizes, since one of them then has to, and images come first.
fn free_batch(view: &mut InferView, data: &[Dim], target: &[Dim], copies_zero: bool) -> Option<Shape> {
    let declared = view.declared_batch?;
    let batch = data.first().filter(|d| d.value().is_none())?.clone();
    let first = target.first()?.value()?;
    let names_all = target.iter().all(|size| size.value().is_some_and(|size| size > 0));
    let times = first.checked_div(declared).filter(|times| times * declared == first && (*times == 1 || names_all))?;
    let mut freed = target.to_vec();
    freed[0] = batch.times(&Dim::known(times))?;
    let shape = reshaped(data, &freed, copies_zero)?;
    view.batch_constants.push(BatchConstant { node: view.id, input: 1, element: 0 });
    Some(shape)
}

fn reshape_lanes(view: &mut LaneView) {
    let copies_zero = view.node().int_or("allowzero", 0) == 0;
    let sizes = view.input_shape(0).zip(view.output_shape());
    if sizes.is_some_and(|(data, output)| target_for(data, output, copies_zero).is_some()) {
        view.restates(1);
    }
    LaneView::regroup(view);
}

/// A target that asks for these sizes: numbers where known, 0 where an axis is copied, −1 for one that is neither;
/// `None` where there are more.
fn target_for(data: &[Dim], output: &[Dim], copies_zero: bool) -> Option<Vec<i64>> {
    let mut rests = 0;
    let target = output.iter().enumerate().map(|(axis, size)| match size.value() {
        Some(n) => n,
        None if copies_zero && data.get(axis) == Some(size) => 0,
        None => {
            rests += 1;
            -1
        }
    });
    let target = target.collect();
    (rests <= 1).then_some(target)
}

/// A target that names cut sizes is replaced by one for the new sizes.
fn reshape_counts(resized: &Resized) -> Vec<Rewrite> {
    let (Some(Some(data)), Some(Some(output))) = (resized.inputs.first(), resized.outputs.first()) else {
        return Vec::new();
    };
    let old = resized.node.input(1).and_then(|v| resized.graph.value(v).content.as_ref()).and_then(Content::dims);
    let copies_zero = resized.node.int_or("allowzero", 0) == 0;
    let right = old.as_deref().and_then(|target| reshaped(data, target, copies_zero)).as_ref() == Some(output);
    if right && !resized.moves(1) {
        return Vec::new();
    }
    target_for(data, output, copies_zero).map(|target| Rewrite::Input(1, target)).into_iter().collect()
}

fn flatten_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let Some(shape) = view.shape(0) else { return view.like_first(None) };
    let axis = view.node.int_or("axis", 1);
    let axis = if axis == shape.len() as i64 { shape.len() } else { view.axis(axis, shape.len())? };
    let (Some(outer), Some(inner)) = (product(&shape[..axis]), product(&shape[axis..])) else {
        return Err(view.contradiction(format!("{} is too large", view.show(shape))));
    };
    view.like_first(Some(vec![outer, inner]))
}

fn squeeze_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let Some(shape) = view.shape(0) else { return view.like_first(None) };
    let axes = match view.list("axes", 1) {
        Some(list) => list.into_iter().map(|a| view.axis(a, shape.len())).collect::<Result<Vec<_>, _>>()?,
        None if view.node.input(1).is_some() => return view.like_first(None),
        None => (0..shape.len()).filter(|&axis| shape[axis].is(1)).collect(),
    };
    if let Some(&axis) = axes.iter().find(|&&axis| shape[axis].value().is_some_and(|size| size != 1)) {
        return Err(view.contradiction(format!("axis {axis} of {} is not 1", view.show(shape))));
    }
    let kept = shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, size)| size.clone());
    view.like_first(Some(kept.collect()))
}

fn unsqueeze_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let (Some(shape), Some(list)) = (view.shape(0), view.list("axes", 1)) else { return view.like_first(None) };
    let rank = shape.len() + list.len();
    if rank > MOST_AXES {
        return Err(view.contradiction(format!("it makes {rank} axes of {}", view.show(shape))));
    }
    let axes = list.iter().map(|&a| view.axis(a, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut sizes = shape.iter().cloned();
    let filled = (0..rank).map(|axis| if axes.contains(&axis) { Some(Dim::known(1)) } else { sizes.next() });
    let filled = filled.collect::<Option<Shape>>();
    view.like_first(Some(filled.ok_or_else(|| view.contradiction("an axis is named twice"))?))
}

/// The order of axes of a Transpose; reversed unless said.
pub fn permutation(node: &crate::graph::Node, rank: usize) -> Option<Vec<usize>> {
    let Some(order) = node.ints("perm") else { return Some((0..rank).rev().collect()) };
    let order: Vec<usize> = order.iter().map(|&axis| resolve_axis(axis, rank)).collect::<Option<_>>()?;
    let mut seen = order.clone();
    seen.sort_unstable();
    (seen == (0..rank).collect::<Vec<_>>()).then_some(order)
}

fn transpose_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let Some(shape) = view.shape(0) else { return view.like_first(None) };
    let order = permutation(view.node, shape.len())
        .ok_or_else(|| view.contradiction(format!("its order does not fit {}", view.show(shape))))?;
    view.like_first(Some(order.into_iter().map(|axis| shape[axis].clone()).collect()))
}

fn transpose_fold(view: &FoldView) -> Option<Content> {
    let shape = &view.tensor(0)?.shape;
    let order = permutation(view.node, shape.len())?;
    let turned: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
    view.rearranged(&turned, |index| {
        let mut source = vec![0; index.len()];
        order.iter().zip(index).for_each(|(&axis, &at)| source[axis] = at);
        source
    })
}

fn transpose_lanes(view: &mut LaneView) {
    let Some(layout) = view.layout(0) else { return LaneView::opaque(view) };
    match permutation(view.node(), layout.len()) {
        Some(order) => view.set(0, order.into_iter().map(|axis| layout[axis].clone()).collect()),
        None => LaneView::opaque(view),
    }
}

fn expand_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let (Some(data), Some(target)) = (view.shape(0), view.dims(1)) else { return view.like_first(None) };
    let carries = |declared| declared != 1 && target.first().is_some_and(|size| size.is(declared));
    if view.declared_batch.is_some_and(carries) {
        return Err(view.unsupported("its target may carry the batch"));
    }
    let shape = broadcast(data, &target)
        .ok_or_else(|| view.contradiction(format!("{} does not expand to {}", view.show(data), view.show(&target))))?;
    view.like_first(Some(shape))
}

/// A target that is no longer than what it spreads is that.
fn expand_fold(view: &FoldView) -> Option<Content> {
    let extents = view.output_extents()?;
    let same = view.sizes(0)?.iter().map(Dim::extent).eq(extents.into_iter().map(Some));
    same.then(|| view.content(0).cloned()).flatten()
}

/// Axes that keep their size keep their lanes, where the target can be written anew. Axes that the target gives the size
/// of another axis are cut as that one is.
fn expand_lanes(view: &mut LaneView) {
    let (Some(data), Some(mut output)) = (view.layout(0), view.plain_output()) else { return LaneView::opaque(view) };
    let Some(offset) = output.len().checked_sub(data.len()) else { return LaneView::opaque(view) };
    if let Some(axes) = view.counted_axes(1).filter(|_| !data.iter().any(Axis::has_labels)) {
        let Some(behind) = output.len().checked_sub(axes.len()) else { return LaneView::opaque(view) };
        let is_new = |place: usize| place < offset || data[place - offset].is_one();
        let axes = axes.into_iter().enumerate().filter_map(|(place, axis)| Some((behind + place, axis?)));
        let axes: Vec<_> = axes.collect();
        if axes.iter().all(|(place, _)| is_new(*place)) {
            axes.into_iter().for_each(|(place, axis)| output[place] = axis);
            view.follows(1);
            return view.set(0, output);
        }
    }
    let known = view.list("shape", 1).is_some();
    if known {
        view.restates(1);
    }
    for (position, axis) in data.into_iter().enumerate().filter(|(_, axis)| axis.has_labels()) {
        if known {
            output[offset + position] = axis;
        } else {
            view.pin(&axis, PinCode::NoExactForm);
        }
    }
    view.set(0, output);
}

/// A target that names cut sizes names the new ones.
fn expand_counts(resized: &Resized) -> Vec<Rewrite> {
    if resized.follows(1) {
        return Vec::new();
    }
    let target = resized.graph.ints(resized.node, "shape", 1);
    let (Some(mut target), Some(Some(output))) = (target, resized.outputs.first()) else { return Vec::new() };
    let old = target.clone();
    let Some(offset) = output.len().checked_sub(target.len()) else { return Vec::new() };
    for (size, new) in target.iter_mut().zip(&output[offset..]).filter(|(size, _)| **size != 1) {
        *size = new.value().unwrap_or(*size);
    }
    if target == old && !resized.moves(1) { Vec::new() } else { vec![Rewrite::Input(1, target)] }
}

fn tile_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let Some(shape) = view.shape(0).map(<[Dim]>::to_vec) else { return view.like_first(None) };
    let repeats = view.dims(1).filter(|repeats| repeats.len() == shape.len());
    let tiled = |view: &mut InferView, axis: usize| {
        let times = repeats.as_ref().and_then(|repeats| shape[axis].times(&repeats[axis])).filter(Dim::is_size);
        times.unwrap_or_else(|| view.fresh())
    };
    let tiled = (0..shape.len()).map(|axis| tiled(view, axis)).collect();
    view.like_first(Some(tiled))
}

/// A repeated axis holds its lanes again and again.
fn tile_lanes(view: &mut LaneView) {
    let (Some(data), Some(repeats)) = (view.layout(0), view.list("repeats", 1)) else { return LaneView::opaque(view) };
    if repeats.len() != data.len() {
        return LaneView::opaque(view);
    }
    let mut output = Vec::with_capacity(data.len());
    for (position, (axis, times)) in data.iter().zip(repeats).enumerate() {
        let Some(size) = view.size_of(0, position) else { return LaneView::opaque(view) };
        let sizes = axis.extent().zip(size.extent()).filter(|_| times != 1 && axis.has_labels());
        output.push(match sizes {
            _ if times == 1 => axis.clone(),
            None => view.plain(size),
            Some((extent, all)) => match view.picked(axis, (0..all).map(|index| index % extent)) {
                Some(tiled) => tiled,
                None => return LaneView::opaque(view),
            },
        });
    }
    view.set(0, output);
}

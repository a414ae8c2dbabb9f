//! Padding: Pad.

use std::ops::Range;

use super::infer_view::{distinct, resolve_axis};
use super::row::{CostView, Fact, InferView, OpRow, Resized, Rewrite};
use super::says;
use crate::graph::{Dim, Graph, Node, Refusal, ValueId};
use crate::labels::{Axis, LaneView};

pub(super) const ROWS: &[OpRow] = &[
    OpRow::new("Pad", &[1, 2, 11, 13, 18, 19, 21, 23, 24, 25], pad_infer, pad_lanes)
        .says("constant padding has lanes of its own; of other padding the axis stays")
        .cost(CostView::free)
        .counts(pad_counts),
    OpRow::new("CenterCropPad", &[18], centred_infer, centred_lanes).says(says::AXES).cost(CostView::free).sizes(&[1]),
];

/// What is added to one axis; negative amounts take away.
struct Margin {
    axis: usize,
    /// Place in the node's list of axes.
    place: usize,
    before: i64,
    after: i64,
}

/// The list of amounts: all befores, then all afters.
fn amounts(graph: &Graph, node: &Node) -> Option<Vec<i64>> {
    graph.ints(node, attribute(node), 1)
}

/// The list's name in this revision.
fn attribute(node: &Node) -> &'static str {
    if node.ints("paddings").is_some() { "paddings" } else { "pads" }
}

/// Axes that are padded; `None` when that is computed, or does not fit the rank.
fn margins(graph: &Graph, node: &Node, rank: usize) -> Option<Vec<Margin>> {
    let amounts = amounts(graph, node)?;
    let axes = match node.input(3) {
        Some(_) => graph.ints(node, "axes", 3)?,
        None => (0..rank as i64).collect(),
    };
    if amounts.len() != 2 * axes.len() {
        return None;
    }
    let margin = |place: usize| {
        let axis = resolve_axis(axes[place], rank)?;
        Some(Margin { axis, place, before: amounts[place], after: amounts[place + axes.len()] })
    };
    let all: Vec<Margin> = (0..axes.len()).map(margin).collect::<Option<_>>()?;
    if !distinct(all.iter().map(|margin| margin.axis)) {
        return None;
    }
    Some(all.into_iter().filter(|margin| (margin.before, margin.after) != (0, 0)).collect())
}

fn pad_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let Some(mut shape) = view.shape(0).map(<[Dim]>::to_vec) else { return view.like_first(None) };
    let Some(margins) = margins(view.graph, view.node, shape.len()) else {
        let unknown = shape.iter().map(|_| view.fresh()).collect();
        return view.like_first(Some(unknown));
    };
    for margin in margins {
        let extent = shape[margin.axis].value();
        let padded = extent.and_then(|extent| extent.checked_add(margin.before)?.checked_add(margin.after));
        if padded.is_some_and(|padded| padded < 0) {
            return Err(view.contradiction(format!("it takes more from {} than there is", view.show(&shape))));
        }
        shape[margin.axis] = padded.map_or_else(|| view.fresh(), Dim::known);
    }
    view.like_first(Some(shape))
}

fn pad_lanes(view: &mut LaneView) {
    let Some(mut layout) = view.layout(0) else { return LaneView::opaque(view) };
    let Some(margins) = margins(view.graph, view.node(), layout.len()) else { return LaneView::opaque(view) };
    view.restates(1);
    for margin in margins {
        let Some(size) = view.size_of(0, margin.axis) else { return LaneView::opaque(view) };
        layout[margin.axis] = padded(view, &layout[margin.axis].clone(), &margin, size);
    }
    view.set(0, layout);
}

/// Constant padding adds lanes of its own, and takes lanes away where it is less than nothing; copies of other indices (reflection, edges) have no exact cut form.
fn padded(view: &mut LaneView, axis: &Axis, margin: &Margin, size: &Dim) -> Axis {
    if !axis.has_labels() {
        return view.plain(size);
    }
    let constant = view.node().text_or("mode", "constant") == "constant" && size.extent().is_some();
    let changed = axis.extent().filter(|_| constant).and_then(|extent| {
        let taken = |amount: i64| usize::try_from(amount.min(0).checked_neg()?).ok();
        let added = |amount: i64| usize::try_from(amount.max(0)).ok();
        let rest = taken(margin.before)?..extent.checked_sub(taken(margin.after)?)?;
        let rest = if rest.len() == extent { axis.clone() } else { view.part(axis, rest)? };
        view.padded(&rest, added(margin.before)?, added(margin.after)?)
    });
    changed.unwrap_or_else(|| {
        view.fix(axis);
        view.plain(size)
    })
}

/// The axes that are cropped or padded about their middle.
fn centred_axes(node: &Node, rank: usize) -> Option<Vec<usize>> {
    match node.ints("axes") {
        Some(axes) => axes.iter().map(|&axis| resolve_axis(axis, rank)).collect(),
        None => Some((0..rank).collect()),
    }
}

fn centred_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let Some(mut shape) = view.shape(0).map(<[Dim]>::to_vec) else { return view.like_first(None) };
    let axes = centred_axes(view.node, shape.len());
    let axes = axes.ok_or_else(|| view.contradiction(format!("it has not all its axes in {}", view.show(&shape))))?;
    let sizes = view.dims(1);
    for (place, axis) in axes.into_iter().enumerate() {
        let stated = sizes.as_ref().and_then(|sizes| sizes.get(place).cloned()).filter(Dim::is_size);
        shape[axis] = stated.unwrap_or_else(|| view.fresh());
    }
    view.like_first(Some(shape))
}

/// Axes that it leaves alone pass.
fn centred_lanes(view: &mut LaneView) {
    let Some(mut layout) = view.layout(0) else { return LaneView::opaque(view) };
    let Some(axes) = centred_axes(view.node(), layout.len()) else { return LaneView::opaque(view) };
    for axis in axes {
        let Some(size) = view.size_of(0, axis) else { return LaneView::opaque(view) };
        view.fix(&layout[axis].clone());
        layout[axis] = view.plain(size);
    }
    view.set(0, layout);
}

/// How many of a range of indices stay.
fn staying(kept: Option<&[usize]>, range: Range<i64>) -> i64 {
    let Some(kept) = kept else { return range.end - range.start };
    kept.iter().filter(|&&index| range.contains(&(index as i64))).count() as i64
}

/// On a cut axis, as many indices are added as stayed of those added before, and as many taken away.
fn pad_counts(resized: &Resized) -> Vec<Rewrite> {
    let (graph, node) = (resized.graph, resized.node);
    let shape = |value: Option<ValueId>| graph.value(value?).shape.as_deref();
    let shapes = shape(node.input(0)).zip(shape(node.output(0)));
    let lists = shapes.and_then(|shapes| Some((shapes, margins(graph, node, shapes.0.len())?, amounts(graph, node)?)));
    let Some(((data, padded), margins, mut amounts)) = lists else { return Vec::new() };
    let old = amounts.clone();
    for Margin { axis, place, before, after } in margins {
        let (Some(data), Some(padded)) = (data[axis].value(), padded[axis].value()) else { continue };
        let (kept_in, kept_out) = (resized.kept_in(0, axis), resized.kept_out(axis));
        let half = amounts.len() / 2;
        amounts[place] = match before {
            ..0 => -staying(kept_in, 0..-before),
            added => staying(kept_out, 0..added),
        };
        amounts[place + half] = match after {
            ..0 => -staying(kept_in, data + after..data),
            added => staying(kept_out, padded - added..padded),
        };
    }
    if amounts == old && !resized.moves(1) { Vec::new() } else { vec![resized.list(attribute(node), 1, amounts)] }
}

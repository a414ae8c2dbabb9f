//! Parts of a value along its axes: Split, Slice.

use super::infer_view::{distinct, resolve_axis};
use super::row::{CostView, Fact, FoldView, InferView, OpRow, Resized, Rewrite, moved_to};
use crate::graph::{Content, Dim, Graph, Node, Refusal};
use crate::labels::{Axis, LABEL_LIMIT, LaneView, PinCode};

pub(super) const ROWS: &[OpRow] = &[
    OpRow::new("Split", &[1, 2, 11], split_infer, split_lanes)
        .says("each part has its own")
        .before(13)
        .variadic()
        .cost(CostView::free)
        .sizes(&[1])
        .counts(|resized| split_counts(resized, |sizes| Rewrite::Ints("split", sizes))),
    OpRow::new("Split", &[13, 18], split_infer, split_lanes)
        .says("each part has its own")
        .variadic()
        .cost(CostView::free)
        .sizes(&[1])
        .counts(|resized| split_counts(resized, |sizes| Rewrite::Input(1, sizes))),
    OpRow::new("Slice", &[1, 10, 11, 13], slice_infer, slice_lanes)
        .says("each part has its own")
        .fold(slice_fold)
        .cost(CostView::free)
        .sizes(&[1, 2])
        .counts(slice_counts),
];

fn split_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let (dtype, count) = (view.dtype(0), view.node.outputs.len());
    let Some(shape) = view.shape(0).map(<[Dim]>::to_vec) else {
        return Ok(vec![Fact { dtype, shape: None }; count]);
    };
    let axis = view.axis(view.node.int_or("axis", 0), shape.len())?;
    let part = |size| {
        let mut shape = shape.clone();
        shape[axis] = size;
        Fact { dtype, shape: Some(shape) }
    };
    Ok(part_sizes(view, &shape[axis], count)?.into_iter().map(part).collect())
}

/// The size of every part of an axis.
fn part_sizes(view: &mut InferView, extent: &Dim, count: usize) -> Result<Vec<Dim>, Box<Refusal>> {
    let Some(sizes) = stated_sizes(view.graph, view.node, extent.value()) else {
        return Ok((0..count).map(|_| view.fresh()).collect());
    };
    let fits = sizes.len() == count && sizes.iter().all(|&size| size >= 0);
    let sum = sizes.iter().try_fold(0, |sum: i64, &size| sum.checked_add(size));
    if !fits || extent.value().is_some_and(|extent| sum != Some(extent)) {
        return Err(view.contradiction(format!("parts {sizes:?} do not make up the axis in {count} outputs")));
    }
    Ok(sizes.into_iter().map(Dim::known).collect())
}

/// The sizes of the parts: as stated, or equal with a smaller last one. `None` where they are computed.
fn stated_sizes(graph: &Graph, node: &Node, extent: Option<i64>) -> Option<Vec<i64>> {
    if let Some(stated) = graph.ints(node, "split", 1) {
        return Some(stated);
    }
    let extent = extent.filter(|_| node.input(1).is_none())?.max(0);
    let count = node.outputs.len() as i64;
    let size = extent.unsigned_abs().div_ceil(count.unsigned_abs().max(1)) as i64;
    let left = |part: i64| extent.saturating_sub(part.saturating_mul(size)).clamp(0, size);
    Some((0..count).map(left).collect())
}

/// Parts without a name are dropped, but they take their indices along.
fn split_lanes(view: &mut LaneView) {
    let Some(layout) = view.layout(0) else { return LaneView::opaque(view) };
    let Some(along) = resolve_axis(view.node().int_or("axis", 0), layout.len()) else { return LaneView::opaque(view) };
    let extent = view.input_shape(0).and_then(|shape| shape[along].value());
    let sizes = stated_sizes(view.graph, view.node(), extent);
    if sizes.is_some() {
        view.restates(1);
    }
    let mut start = 0;
    for output in 0..view.node().outputs.len() {
        let known = sizes.as_ref().and_then(|sizes| sizes.get(output)).map(|&size| Dim::known(size));
        let Some(size) = known.or_else(|| view.size_of(output, along).cloned()) else { return LaneView::opaque(view) };
        let mut parts = layout.clone();
        parts[along] = part(view, &layout[along], start, &size);
        view.set(output, parts);
        start = start.saturating_add(size.extent().unwrap_or(0));
    }
}

/// The `size` indices of an axis from `start` on; the whole axis is pinned where that cannot be said.
fn part(view: &mut LaneView, axis: &Axis, start: usize, size: &Dim) -> Axis {
    if !axis.has_labels() {
        return view.plain(size);
    }
    let taken = size.extent().and_then(|size| view.part(axis, start..start.checked_add(size)?));
    taken.unwrap_or_else(|| {
        view.pin(axis, PinCode::LayoutTooMixed);
        view.plain(size)
    })
}

/// Parts that were stated (as an attribute before version 13, as an input since), or are no longer what equal parts would be, are stated with their new sizes.
fn split_counts(resized: &Resized, stated_as: fn(Vec<i64>) -> Rewrite) -> Vec<Rewrite> {
    let (graph, node) = (resized.graph, resized.node);
    let dense = node.input(0).and_then(|value| graph.value(value).shape.as_ref());
    let place = dense.and_then(|dense| Some((dense, resolve_axis(node.int_or("axis", 0), dense.len())?)));
    let Some((dense, axis)) = place else { return Vec::new() };
    let Some(mut sizes) = stated_sizes(graph, node, dense[axis].value()) else { return Vec::new() };
    let stated = graph.ints(node, "split", 1);
    if let Some(kept) = resized.kept_in(0, axis) {
        let mut start = 0;
        for size in &mut sizes {
            let part = start..start + *size;
            start = part.end;
            *size = kept.iter().filter(|&&index| part.contains(&(index as i64))).count() as i64;
        }
    }
    let equal = || sizes.iter().all(|size| *size == sizes[0]);
    let right = stated.as_ref() == Some(&sizes) || (stated.is_none() && equal());
    if right && !resized.moves(1) {
        return Vec::new();
    }
    vec![stated_as(sizes), Rewrite::Drop("num_outputs")]
}

/// What a Slice takes along one axis, as written.
struct Span {
    axis: usize,
    /// Place in the node's lists.
    place: usize,
    start: i64,
    end: i64,
    step: i64,
}

impl Span {
    fn taken(&self, extent: i64) -> (i64, i64) {
        taken(self.start, self.end, self.step, extent)
    }

    /// As many indices as `size` says, from the first one on, step by step.
    fn indices(&self, start: usize, size: &Dim) -> impl ExactSizeIterator<Item = usize> + use<> {
        let step = self.step;
        let count = size.extent().unwrap_or(0).min(LABEL_LIMIT + 1) as u32;
        (0..count).map(move |at| (start as i64 + i64::from(at) * step).max(0) as usize)
    }

    /// Whether this takes everything from any axis.
    fn takes_all(&self) -> bool {
        self.start == 0 && self.step == 1 && self.end >= i64::from(i32::MAX)
    }
}

/// First index and number of indices that a Slice takes from an axis. Bounds count from the end when negative and are
/// clamped; a negative step walks backwards.
pub fn taken(start: i64, end: i64, step: i64, extent: i64) -> (i64, i64) {
    // A broken file may count down to less than nothing.
    let extent = extent.max(0);
    let from_front = |bound: i64| if bound < 0 { bound.saturating_add(extent) } else { bound };
    let (first, last) = if step > 0 { (0, extent) } else { (-1, extent - 1) };
    let (start, end) = (from_front(start).clamp(first, last), from_front(end).clamp(first, last));
    let distance = if step > 0 { end - start } else { start - end };
    (start, distance.max(0).unsigned_abs().div_ceil(step.unsigned_abs().max(1)) as i64)
}

/// The axes a Slice names and what it takes; `None` when that is computed, or does not fit the rank.
fn spans(graph: &Graph, node: &Node, rank: usize) -> Option<Vec<Span>> {
    let (starts, ends) = (graph.ints(node, "starts", 1)?, graph.ints(node, "ends", 2)?);
    let or = |attribute, input, default: Vec<i64>| {
        let left_out = node.ints(attribute).is_none() && node.input(input).is_none();
        if left_out { Some(default) } else { graph.ints(node, attribute, input) }
    };
    let axes = or("axes", 3, (0..starts.len() as i64).collect())?;
    let steps = or("steps", 4, vec![1; starts.len()])?;
    if [ends.len(), axes.len(), steps.len()].iter().any(|&length| length != starts.len()) {
        return None;
    }
    let span = |place: usize| {
        let axis = resolve_axis(axes[place], rank)?;
        let (start, end, step) = (starts[place], ends[place], steps[place]);
        (step != 0).then_some(Span { axis, place, start, end, step })
    };
    let spans: Vec<Span> = (0..starts.len()).map(span).collect::<Option<_>>()?;
    distinct(spans.iter().map(|span| span.axis)).then_some(spans)
}

fn slice_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let Some(mut shape) = view.shape(0).map(<[Dim]>::to_vec) else { return view.like_first(None) };
    let Some(spans) = spans(view.graph, view.node, shape.len()) else {
        let unknown = shape.iter().map(|_| view.fresh()).collect();
        return view.like_first(Some(unknown));
    };
    for span in spans.iter().filter(|span| !span.takes_all()) {
        let taken = shape[span.axis].value().map(|extent| span.taken(extent));
        shape[span.axis] = taken.map_or_else(|| view.fresh(), |(_, count)| Dim::known(count));
    }
    view.like_first(Some(shape))
}

/// Lists of sizes, and small constants of any rank.
fn slice_fold(view: &FoldView) -> Option<Content> {
    let Some(list) = view.dims(0) else { return slice_constant(view) };
    let spans = spans(view.graph, view.node, 1)?;
    let [span] = &spans[..] else { return None };
    let (start, count) = span.taken(list.len() as i64);
    let taken = (0..count).map(|i| list.get(usize::try_from(start + i * span.step).ok()?).cloned());
    Some(Content::list(taken.collect::<Option<_>>()?))
}

fn slice_constant(view: &FoldView) -> Option<Content> {
    let mut shape = view.tensor(0)?.shape.clone();
    let mut from = vec![(0, 1); shape.len()];
    for span in spans(view.graph, view.node, shape.len())? {
        let (start, count) = span.taken(shape[span.axis] as i64);
        from[span.axis] = (start, span.step);
        shape[span.axis] = usize::try_from(count).ok()?;
    }
    let source = |(&at, &(start, step)): (&usize, &(i64, i64))| (start + at as i64 * step) as usize;
    view.rearranged(&shape, |index| index.iter().zip(&from).map(source).collect())
}

fn slice_lanes(view: &mut LaneView) {
    let Some(mut layout) = view.layout(0) else { return LaneView::opaque(view) };
    let Some(spans) = spans(view.graph, view.node(), layout.len()) else { return LaneView::opaque(view) };
    view.restates(1);
    view.restates(2);
    let is_alone = spans.iter().filter(|span| !span.takes_all()).count() == 1;
    for span in spans.iter().filter(|span| !span.takes_all()) {
        let Some(size) = view.size_of(0, span.axis) else { return LaneView::opaque(view) };
        let axis = layout[span.axis].clone();
        let taken = axis.extent().map(|extent| span.taken(extent as i64));
        layout[span.axis] = match taken.and_then(|(start, _)| usize::try_from(start).ok()) {
            Some(start) if span.step == 1 => part(view, &axis, start, size),
            Some(start) if is_alone && axis.holds_whole_blocks() => match view.picked(&axis, span.indices(start, size))
            {
                Some(picked) => picked,
                None => return LaneView::opaque(view),
            },
            _ => {
                view.fix(&axis);
                view.plain(size)
            }
        };
    }
    view.set(0, layout);
}

/// Bounds on a cut axis move to where the indices they named have gone.
fn slice_counts(resized: &Resized) -> Vec<Rewrite> {
    let (graph, node) = (resized.graph, resized.node);
    let dense = node.input(0).and_then(|value| graph.value(value).shape.as_ref());
    let lists = dense.and_then(|dense| {
        let (starts, ends) = (graph.ints(node, "starts", 1)?, graph.ints(node, "ends", 2)?);
        Some((dense, spans(graph, node, dense.len())?, starts, ends))
    });
    let Some((dense, spans, mut starts, mut ends)) = lists else { return Vec::new() };
    let mut moved = resized.moves(1) || resized.moves(2);
    for span in spans.iter().filter(|span| !span.takes_all()) {
        let taken = dense[span.axis].value().map(|extent| span.taken(extent));
        if let (Some(kept), Some((start, count))) = (resized.kept_in(0, span.axis), taken) {
            if span.step != 1 {
                let indices = (0..count).map(|at| start + at * span.step);
                return vec![Rewrite::Gather(span.axis, moved_to(indices, kept))];
            }
            let before = |bound: i64| kept.partition_point(|&index| (index as i64) < bound) as i64;
            (starts[span.place], ends[span.place]) = (before(start), before(start + count));
            moved = true;
        }
    }
    if moved { vec![resized.list("starts", 1, starts), resized.list("ends", 2, ends)] } else { Vec::new() }
}

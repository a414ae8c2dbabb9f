//! Changes of an image's size: Resize, Upsample.

use super::infer_view::{distinct, resolve_axis};
use super::row::{Fact, InferView, OpRow, Resized, Rewrite};
use super::says;
use crate::graph::{Dim, Graph, Node, Refusal, ValueId};
use crate::labels::{Axis, LaneView};

pub(super) const ROWS: &[OpRow] = &[
    OpRow::new("Resize", &[10], resize_infer, resize_lanes)
        .says(says::AXES)
        .notes("a region is resized to stated sizes, not scaled")
        .before(11),
    OpRow::new("Resize", &[11, 13, 18, 19], resize_infer, resize_lanes)
        .says(says::AXES)
        .notes("a region is resized to stated sizes, not scaled")
        .sizes(&[3])
        .counts(resize_counts),
    OpRow::new("Upsample", &[7, 9], resize_infer, resize_lanes).says(says::AXES).before(10),
];

/// What an axis becomes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wanted {
    /// This size.
    Size(i64),
    /// The old size times this, as [`scaled`] says.
    Scale(f64),
}

/// Where a node's inputs are: scales, and sizes. A form that takes no sizes takes no region either, so that its scales
/// come right after the data.
fn places(node: &Node) -> (usize, Option<usize>) {
    if node.inputs.len() > 2 { (2, Some(3)) } else { (1, None) }
}

/// How sizes are held in proportion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proportion {
    /// Not: every axis gets its own.
    Free,
    /// All axes are scaled alike, so that none gets larger than stated.
    Within,
    /// All axes are scaled alike, so that none gets smaller than stated.
    Covering,
}

impl Proportion {
    /// As a node says; `None` for a word that the standard does not have.
    pub fn of(node: &Node) -> Option<Self> {
        match node.text_or("keep_aspect_ratio_policy", "stretch").as_ref() {
            "stretch" => Some(Self::Free),
            "not_larger" => Some(Self::Within),
            "not_smaller" => Some(Self::Covering),
            _ => None,
        }
    }

    /// The one scale of axes with old and stated sizes; `None` where each has its own.
    pub fn scale(self, sizes: impl Iterator<Item = (i64, i64)>) -> Option<f64> {
        let scales = sizes.map(|(old, stated)| f64::from(stated as f32 / old as f32));
        match self {
            Self::Free => None,
            Self::Within => scales.reduce(f64::min),
            Self::Covering => scales.reduce(f64::max),
        }
    }
}

/// The size of an axis that is scaled in proportion, to the nearest.
pub fn scaled_to_nearest(size: i64, scale: f64) -> i64 {
    (size as f32 * scale as f32).round() as i64
}

/// Whether a region of the data is resized in place of all of it.
fn crops(node: &Node) -> bool {
    node.text_or("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
}

/// What every axis becomes; `None` where that is computed, or does not fit the rank.
fn wanted(graph: &Graph, node: &Node, rank: usize) -> Option<Vec<Wanted>> {
    let (scales, sizes) = places(node);
    let given = match sizes.and_then(|sizes| node.input(sizes)) {
        Some(_) => graph.ints(node, "sizes", sizes?)?.into_iter().map(Wanted::Size).collect(),
        None => listed(graph, node, scales)?.into_iter().map(Wanted::Scale).collect::<Vec<_>>(),
    };
    let Some(axes) = node.ints("axes") else { return (given.len() == rank).then_some(given) };
    let axes: Vec<usize> = axes.iter().map(|&axis| resolve_axis(axis, rank)).collect::<Option<_>>()?;
    if axes.len() != given.len() || !distinct(axes.iter().copied()) {
        return None;
    }
    let mut all = vec![Wanted::Scale(1.0); rank];
    axes.into_iter().zip(given).for_each(|(axis, wanted)| all[axis] = wanted);
    Some(all)
}

/// Scales, as an attribute before version 9 and an input since.
fn listed(graph: &Graph, node: &Node, input: usize) -> Option<Vec<f64>> {
    if let Some(scales) = node.proto.floats("scales") {
        return Some(scales.iter().map(|&scale| scale.into()).collect());
    }
    graph.numbers(node.input(input)?)
}

fn resize_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let proportion =
        Proportion::of(view.node).ok_or_else(|| view.unsupported("it keeps proportions in another way"))?;
    if crops(view.node) && places(view.node).1.is_none_or(|sizes| view.node.input(sizes).is_none()) {
        return Err(view.unsupported("it scales a region that it cuts out first"));
    }
    let Some(mut shape) = view.shape(0).map(<[Dim]>::to_vec) else { return view.like_first(None) };
    let Some(wanted) = wanted(view.graph, view.node, shape.len()) else {
        let stated = places(view.node).1.and_then(|sizes| view.dims(sizes)).filter(|sizes| sizes.len() == shape.len());
        let unknown = stated.unwrap_or_else(|| shape.iter().map(|_| view.fresh()).collect());
        return view.like_first(Some(unknown));
    };
    let batch = wanted.first().map(|wanted| *wanted == Wanted::Scale(1.0));
    if view.declared_batch.is_some() && batch != Some(true) {
        return Err(view.unsupported("its sizes may carry the batch"));
    }
    if proportion != Proportion::Free {
        return in_proportion(view, shape, &wanted, proportion);
    }
    for (size, wanted) in shape.iter_mut().zip(wanted) {
        *size = match (wanted, size.value()) {
            (Wanted::Size(new), _) => Dim::known(new),
            (Wanted::Scale(1.0), _) => continue,
            (Wanted::Scale(scale), Some(old)) => Dim::known(scaled(old, scale)),
            (Wanted::Scale(_), None) => view.fresh(),
        };
    }
    if shape.iter().any(|size| size.value().is_some_and(|size| size < 0)) {
        return Err(view.contradiction(format!("it has no size {}", view.show(&shape))));
    }
    view.like_first(Some(shape))
}

/// All axes of which sizes are stated get one scale.
fn in_proportion(
    view: &mut InferView,
    mut shape: Vec<Dim>,
    wanted: &[Wanted],
    proportion: Proportion,
) -> Result<Vec<Fact>, Box<Refusal>> {
    let stated = |(old, wanted): (&Dim, &Wanted)| match wanted {
        Wanted::Size(new) => Some(old.value().map(|old| (old, *new))),
        Wanted::Scale(_) => None,
    };
    let pairs: Option<Vec<(i64, i64)>> = shape.iter().zip(wanted).filter_map(stated).collect();
    let scale = pairs.and_then(|pairs| proportion.scale(pairs.into_iter()));
    let stated = wanted.iter().map(|wanted| matches!(wanted, Wanted::Size(_)));
    for (size, _) in shape.iter_mut().zip(stated).filter(|(_, stated)| *stated) {
        let known = size.value().zip(scale).map(|(old, scale)| Dim::known(scaled_to_nearest(old, scale)));
        *size = known.unwrap_or_else(|| view.fresh());
    }
    if shape.iter().any(|size| size.value().is_some_and(|size| size < 0)) {
        return Err(view.contradiction(format!("it has no size {}", view.show(&shape))));
    }
    view.like_first(Some(shape))
}

/// The size of a scaled axis as ONNX Runtime computes it: in single precision, rounded down. 10 × 0.7 is 7 there, and
/// slightly less in double precision.
pub fn scaled(size: i64, scale: f64) -> i64 {
    (size as f32 * scale as f32).floor() as i64
}

/// Axes that keep their size keep their lanes; between the indices of others new ones are made up.
fn resize_lanes(view: &mut LaneView) {
    let Some(mut layout) = view.layout(0) else { return LaneView::opaque(view) };
    let Some(wanted) = wanted(view.graph, view.node(), layout.len()) else { return LaneView::opaque(view) };
    // A region, or a common scale, moves what has the same size before and after.
    if crops(view.node()) || Proportion::of(view.node()) != Some(Proportion::Free) {
        return resize_some_lanes(view, layout, &wanted);
    }
    places(view.node()).1.into_iter().for_each(|sizes| view.restates(sizes));
    for (position, wanted) in wanted.into_iter().enumerate() {
        let Some(size) = view.size_of(0, position) else { return LaneView::opaque(view) };
        let same = layout[position].extent().is_some_and(|old| size.is(old as i64));
        let stays = wanted == Wanted::Scale(1.0) || (matches!(wanted, Wanted::Size(_)) && same);
        if !stays {
            view.fix(&layout[position].clone());
            layout[position] = view.plain(size);
        }
    }
    view.set(0, layout);
}

/// Axes of which no size is stated pass.
fn resize_some_lanes(view: &mut LaneView, mut layout: Vec<Axis>, wanted: &[Wanted]) {
    for (position, _) in wanted.iter().enumerate().filter(|(_, wanted)| **wanted != Wanted::Scale(1.0)) {
        let Some(size) = view.size_of(0, position) else { return LaneView::opaque(view) };
        view.fix(&layout[position].clone());
        layout[position] = view.plain(size);
    }
    view.set(0, layout);
}

/// Wanted sizes of cut axes follow the cut.
fn resize_counts(resized: &Resized) -> Vec<Rewrite> {
    let node = resized.node;
    let Some((input, mut sizes)) = places(node).1.and_then(|at| Some((at, resized.graph.ints(node, "sizes", at)?)))
    else {
        return Vec::new();
    };
    let old = sizes.clone();
    let axes: Vec<usize> = match node.ints("axes") {
        Some(axes) => axes.iter().filter_map(|&axis| resolve_axis(axis, rank(resized, node.output(0)))).collect(),
        None => (0..sizes.len()).collect(),
    };
    for (size, axis) in sizes.iter_mut().zip(axes) {
        if let Some(kept) = resized.kept_out(axis) {
            *size = kept.len() as i64;
        }
    }
    if sizes == old && !resized.moves(input) { Vec::new() } else { vec![Rewrite::Input(input, sizes)] }
}

fn rank(resized: &Resized, value: Option<ValueId>) -> usize {
    value.and_then(|value| resized.graph.value(value).shape.as_ref()).map_or(0, Vec::len)
}

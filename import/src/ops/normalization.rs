//! Normalisation by stored statistics or by the data's own, and dropout (the identity at inference).

use std::ops::Range;

use super::infer_view::resolve_axis;
use super::row::{Fact, Family, FoldView, InferView, OpRow, Resized, Rewrite, Role, Summary};
use super::says;
use crate::graph::{Dim, Node, Refusal};
use crate::labels::{Axis, Bucket, LaneView, PinCode};
use crate::tensor::DType;

pub(super) const ROWS: &[OpRow] = &[
    OpRow::new("BatchNormalization", &[1, 6, 7, 9, 14, 15], batch_infer, batch_lanes)
        .says("channels pass, with their parameters")
        .notes("not in training mode, nor by position")
        .parameters(&[(1, Role::Scale), (2, Role::Shift), (3, Role::Mean), (4, Role::Variance)])
        .compute(|view| view.normalised(view.node.float_or("epsilon", 1e-5).into()))
        .family(Family::Normalisation),
    OpRow::new("InstanceNormalization", &[1, 6, 22], same_infer, instance_lanes)
        .says("channels pass, with their parameters")
        .parameters(&[(1, Role::Scale), (2, Role::Shift)])
        .summary(Summary::Deviation { centred: true, scale: 1, axes: |_, rank| Some((2..rank).collect()) })
        .family(Family::Standardisation),
    OpRow::new("LayerNormalization", &[17], layer_infer, layer_lanes)
        .says(says::WHOLE)
        .parameters(&[(1, Role::Scale), (2, Role::Shift)])
        .summary(Summary::Deviation { centred: true, scale: 1, axes: last_axes })
        .family(Family::Standardisation),
    OpRow::new("RMSNormalization", &[23], layer_infer, layer_lanes)
        .says(says::WHOLE)
        .parameters(&[(1, Role::Scale)])
        .summary(Summary::Deviation { centred: false, scale: 1, axes: last_axes })
        .family(Family::Standardisation),
    // Before version 21 scale and shift hold a number per group.
    OpRow::new("GroupNormalization", &[18, 21], same_infer, group_lanes)
        .says("groups of channels go together; channels of one group are left out")
        .parameters(&[(1, Role::Scale), (2, Role::Shift)])
        .summary(Summary::Deviation { centred: true, scale: 1, axes: |_, rank| Some((1..rank).collect()) })
        .counts(group_counts)
        .family(Family::Standardisation),
    // Runtimes had it before the standard, with its axes in two switches.
    OpRow::new("MeanVarianceNormalization", &[1], same_infer, early_mean_variance_lanes)
        .says(says::AXES)
        .family(Family::Standardisation)
        .before(9),
    OpRow::new("MeanVarianceNormalization", &[9, 13], same_infer, mean_variance_lanes)
        .says(says::AXES)
        .family(Family::Standardisation),
    OpRow::new("LpNormalization", &[1, 22], same_infer, lp_lanes).says(says::WHOLE).summary(Summary::Neutral(0.0)),
    OpRow::new("LRN", &[1, 13], same_infer, neighbour_lanes).says(says::AXES),
    OpRow::new("Dropout", &[1, 6, 7, 10, 12, 13, 22], dropout_infer, dropout_lanes)
        .says(says::PASS)
        .fold(|view: &FoldView| view.content(0).cloned())
        .family(Family::Same),
];

fn batch_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    if view.node.int_or("training_mode", 0) != 0 {
        return Err(view.unsupported("it is in training mode"));
    }
    if view.node.int_or("spatial", 1) == 0 {
        return Err(view.unsupported("it normalises every position by itself (spatial=0)"));
    }
    same_infer(view)
}

fn same_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    view.like_first(view.shape(0).map(<[Dim]>::to_vec))
}

fn batch_lanes(view: &mut LaneView) {
    per_channel(view, 1..5);
}

/// Statistics over space, one pair for every channel of every sample.
fn instance_lanes(view: &mut LaneView) {
    let data = view.layout(0).unwrap_or_default();
    view.summarise(&data, &(2..data.len()).collect::<Vec<_>>());
    per_channel(view, 1..3);
}

/// Parameters hold one number per channel.
fn per_channel(view: &mut LaneView, parameters: Range<usize>) {
    let Some(data) = view.layout(0) else { return LaneView::opaque(view) };
    if let Some(channel) = data.get(1) {
        parameters.for_each(|input| view.unite_list(channel, input));
    }
    view.set(0, data);
}

/// The further outputs, statistics, are for training.
fn layer_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let mut facts = same_infer(view)?;
    facts.resize(view.node.outputs.len().max(1), Fact::default());
    Ok(facts)
}

/// The axes that statistics are taken over: the last ones, from one on.
fn last_axes(node: &Node, rank: usize) -> Option<Vec<usize>> {
    Some((resolve_axis(node.int_or("axis", -1), rank)?..rank).collect())
}

/// Statistics over the last axes, along which scale and shift lie.
fn layer_lanes(view: &mut LaneView) {
    let Some(data) = view.layout(0) else { return LaneView::opaque(view) };
    let Some(axes) = last_axes(view.node(), data.len()) else { return LaneView::opaque(view) };
    view.summarise(&data, &axes);
    for input in 1..3 {
        if view.node().input(input).is_none() {
            continue;
        }
        let Some(list) = view.layout(input).filter(|list| list.len() <= data.len()) else {
            axes.iter().for_each(|&axis| view.pin(&data[axis], PinCode::UncutPartner));
            continue;
        };
        let offset = data.len() - list.len();
        for (axis, list) in data.iter().skip(offset).zip(&list).filter(|(_, list)| !list.is_one()) {
            view.unite(axis, list);
        }
    }
    view.set(0, data);
}

/// Statistics over the channels of a group and space: whole groups are cut, or lanes of the only one.
fn group_lanes(view: &mut LaneView) {
    let Some(data) = view.layout(0).filter(|data| data.len() > 1) else { return LaneView::opaque(view) };
    let groups = usize::try_from(view.node().int_or("num_groups", 0)).unwrap_or(0);
    let channels = data[1].extent().filter(|channels| groups > 0 && channels.is_multiple_of(groups));
    let Some(channels) = channels else { return LaneView::opaque(view) };
    let each = channels / groups;
    match groups {
        1 => view.summarise(&data, &(1..data.len()).collect::<Vec<_>>()),
        _ => view.fix_from(&data, 2),
    }
    let lists: Vec<Axis> = (1..3).filter_map(|input| view.layout(input)?.into_iter().next()).collect();
    let (by_channel, by_group) = (|index: usize| index / each, |index: usize| index);
    match &lists[..] {
        [scale, shift] if groups == 1 => {
            [scale, shift].into_iter().filter(|list| !list.is_one()).for_each(|list| view.unite(&data[1], list));
        }
        [scale, shift] => {
            let bucket =
                |list: &Axis| -> Bucket { if list.extent() == Some(channels) { &by_channel } else { &by_group } };
            view.unite_by(&[(&data[1], &by_channel), (scale, bucket(scale)), (shift, bucket(shift))]);
        }
        _ => view.pin(&data[1], PinCode::UncutPartner),
    }
    view.set(0, data);
}

/// As many groups as are left.
fn group_counts(resized: &Resized) -> Vec<Rewrite> {
    let dense = resized.node.input(0).and_then(|data| resized.graph.value(data).shape.as_ref()?.get(1)?.value());
    let groups = resized.node.int_or("num_groups", 1);
    let (Some(kept), Some(dense)) = (resized.kept_in(0, 1), dense) else { return Vec::new() };
    match (kept.len() as i64).checked_mul(groups).and_then(|left| left.checked_div(dense)) {
        Some(left) if groups > 1 && left != groups => vec![Rewrite::Int("num_groups", left)],
        _ => Vec::new(),
    }
}

/// Statistics over some axes: all but the channels unless said.
fn mean_variance_lanes(view: &mut LaneView) {
    let Some(data) = view.layout(0) else { return LaneView::opaque(view) };
    let axes = view.node().ints("axes").unwrap_or(&[0, 2, 3]);
    for &axis in axes {
        match resolve_axis(axis, data.len()) {
            Some(axis) => view.fix(&data[axis]),
            None => return LaneView::opaque(view),
        }
    }
    view.set(0, data);
}

fn early_mean_variance_lanes(view: &mut LaneView) {
    let Some(data) = view.layout(0) else { return LaneView::opaque(view) };
    let across = view.node().int_or("across_channels", 0) != 0;
    view.fix_from(&data, if across { 1 } else { 2 });
    view.set(0, data);
}

/// Divided by the norm along an axis.
fn lp_lanes(view: &mut LaneView) {
    let rank = view.layout(0).map_or(0, |layout| layout.len());
    let (Some(data), Some(axis)) = (view.layout(0), resolve_axis(view.node().int_or("axis", -1), rank)) else {
        return LaneView::opaque(view);
    };
    view.summarise(&data, &[axis]);
    view.set(0, data);
}

/// A channel is divided by the size of its neighbours.
fn neighbour_lanes(view: &mut LaneView) {
    LaneView::along(view, 1);
}

fn dropout_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let shape = view.shape(0).map(<[Dim]>::to_vec);
    let data = Fact { dtype: view.dtype(0), shape: shape.clone() };
    Ok(vec![data, Fact { dtype: Some(DType::Bool), shape }])
}

/// The mask is laid out as the data.
fn dropout_lanes(view: &mut LaneView) {
    let Some(layout) = view.layout(0) else { return LaneView::opaque(view) };
    view.set(0, layout.clone());
    view.set(1, layout);
}

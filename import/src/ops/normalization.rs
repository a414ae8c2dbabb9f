//! Normalisation by stored statistics or by the data's own, and dropout (the identity at inference).

use std::ops::Range;

use super::infer_view::resolve_axis;
use super::row::{Fact, Family, FoldView, InferView, OpRow, Role};
use super::says;
use crate::graph::{Dim, Refusal};
use crate::labels::{LaneView, PinCode};
use crate::tensor::DType;

pub(super) const ROWS: &[OpRow] = &[
    OpRow::new("BatchNormalization", &[1, 6, 7, 9, 14, 15], batch_infer, batch_lanes)
        .says("channels pass, with their parameters")
        .notes("not in training mode, nor by position")
        .parameters(&[(1, Role::Scale), (2, Role::Shift), (3, Role::Mean), (4, Role::Variance)])
        .family(Family::Normalisation),
    OpRow::new("InstanceNormalization", &[1, 6, 22], same_infer, instance_lanes)
        .says("channels pass, with their parameters")
        .parameters(&[(1, Role::Scale), (2, Role::Shift)])
        .family(Family::Standardisation),
    OpRow::new("LayerNormalization", &[17], layer_infer, layer_lanes)
        .says(says::AXES)
        .parameters(&[(1, Role::Scale), (2, Role::Shift)])
        .family(Family::Standardisation),
    OpRow::new("RMSNormalization", &[23], layer_infer, layer_lanes)
        .says(says::AXES)
        .parameters(&[(1, Role::Scale)])
        .family(Family::Standardisation),
    // Before version 21 scale and shift hold a number per group.
    OpRow::new("GroupNormalization", &[18, 21], same_infer, group_lanes)
        .says("channels stay")
        .parameters(&[(1, Role::Scale), (2, Role::Shift)])
        .family(Family::Standardisation),
    // Runtimes had it before the standard, with its axes in two switches.
    OpRow::new("MeanVarianceNormalization", &[1], same_infer, early_mean_variance_lanes)
        .says(says::AXES)
        .family(Family::Standardisation)
        .before(9),
    OpRow::new("MeanVarianceNormalization", &[9, 13], same_infer, mean_variance_lanes)
        .says(says::AXES)
        .family(Family::Standardisation),
    OpRow::new("LpNormalization", &[1, 22], same_infer, lp_lanes).says(says::AXES),
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
    let space = view.layout(0).unwrap_or_default();
    view.fix_from(&space, 2);
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

/// Statistics over the last axes, whose lanes stay.
fn layer_lanes(view: &mut LaneView) {
    let Some(data) = view.layout(0) else { return LaneView::opaque(view) };
    let Some(first) = resolve_axis(view.node().int_or("axis", -1), data.len()) else { return LaneView::opaque(view) };
    view.fix_from(&data, first);
    for input in 1..3 {
        view.pin_input(input, PinCode::NoExactForm);
    }
    view.set(0, data);
}

/// Statistics over the channels of a group and space.
fn group_lanes(view: &mut LaneView) {
    let Some(data) = view.layout(0) else { return LaneView::opaque(view) };
    view.fix_from(&data, 1);
    for input in 1..3 {
        view.pin_input(input, PinCode::NoExactForm);
    }
    view.set(0, data);
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
    match resolve_axis(view.node().int_or("axis", -1), rank) {
        Some(axis) => LaneView::along(view, axis),
        None => LaneView::opaque(view),
    }
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

//! Pixels to channels and back, and sampling at given positions: DepthToSpace, SpaceToDepth, GridSample, RoiAlign.

use super::row::{CostView, Fact, InferView, OpRow};
use super::says;
use crate::graph::{Dim, Node, Refusal, product};
use crate::labels::{Axis, LaneView, PinCode};

pub(super) const ROWS: &[OpRow] = &[
    OpRow::new("DepthToSpace", &[1, 11, 13, 28], depth_infer, depth_lanes)
        .says("channels that make up one go together")
        .cost(CostView::free),
    OpRow::new("SpaceToDepth", &[1, 13, 28], space_infer, space_lanes)
        .says("channels made of one go together")
        .cost(CostView::free),
    OpRow::new("GridSample", &[16, 20, 22], sample_infer, sample_lanes).says(says::CHANNELS),
    // Of the preprocessing that converters wrote before the standard had a word for it.
    OpRow::new("ImageScaler", &[1], like_data, scaled_lanes).says("channels stay"),
    OpRow::new("Crop", &[1], crop_infer, crop_lanes).says(says::CHANNELS).cost(CostView::free),
    OpRow::new("AffineGrid", &[20], grid_infer, LaneView::opaque).says(says::STAY),
    OpRow::new("RoiAlign", &[10, 16, 22], regions_infer, regions_lanes).says(says::CHANNELS),
    OpRow::new("Col2Im", &[18], image_infer, LaneView::opaque).says(says::STAY),
];

/// The side of a block, which has to be known and positive.
fn side(view: &InferView) -> Result<i64, Box<Refusal>> {
    let side = view.node.int_or("blocksize", 0);
    let known = (1..=i64::from(i32::MAX)).contains(&side);
    known.then_some(side).ok_or_else(|| view.contradiction(format!("its blocks are {side} wide")))
}

/// `[N, C, H, W]` becomes `[N, C/b², H·b, W·b]`.
fn depth_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let by = Dim::known(side(view)?);
    let Some([batch, channels, height, width]) = view.shape(0) else { return view.like_first(None) };
    let fewer = by.times(&by).and_then(|square| channels.divide(&square));
    if fewer.is_none() && channels.value().is_some() {
        return Err(view.contradiction("its channels do not make up whole blocks"));
    }
    let sizes = [Some(batch.clone()), fewer, height.times(&by), width.times(&by)];
    known_or_fresh(view, sizes)
}

/// `[N, C, H, W]` becomes `[N, C·b², H/b, W/b]`.
fn space_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let by = Dim::known(side(view)?);
    let Some([batch, channels, height, width]) = view.shape(0) else { return view.like_first(None) };
    let more = by.times(&by).and_then(|square| channels.times(&square));
    let sizes = [Some(batch.clone()), more, height.divide(&by), width.divide(&by)];
    known_or_fresh(view, sizes)
}

fn known_or_fresh(view: &mut InferView, sizes: [Option<Dim>; 4]) -> Result<Vec<Fact>, Box<Refusal>> {
    let shape = sizes.into_iter().map(|size| size.unwrap_or_else(|| view.fresh())).collect();
    view.like_first(Some(shape))
}

/// A channel of the output takes the pixels of its blocks from b² channels, which go together.
fn depth_lanes(view: &mut LaneView) {
    let (Some(data), Some(mut output)) = (view.layout(0), view.plain_output()) else { return LaneView::opaque(view) };
    let by = usize::try_from(view.node().int_or("blocksize", 0)).unwrap_or(0);
    let counts = data
        .get(1)
        .and_then(Axis::extent)
        .zip(by.checked_mul(by))
        .filter(|(all, square)| *square > 0 && all.is_multiple_of(*square) && output.len() == 4);
    let Some((all, square)) = counts else { return LaneView::opaque(view) };
    let channels = all / square;
    // Block by block (DCR), a channel's pixels lie `channels` apart; channel by channel (CRD), side by side.
    let apart = view.node().text_or("mode", "DCR") != "CRD";
    view.fix_from(&data, 2);
    view.unite_by(&[(&data[1], &|index| if apart { index % channels } else { index / square })]);
    let firsts = (0..channels).map(|channel| if apart { channel } else { channel * square });
    let Some(picked) = view.picked(&data[1], firsts) else { return LaneView::opaque(view) };
    output[0] = data[0].clone();
    output[1] = picked;
    view.set(0, output);
}

/// Every channel is found in b² channels of the output, which go with it.
fn space_lanes(view: &mut LaneView) {
    let (Some(data), Some(mut output)) = (view.layout(0), view.plain_output()) else { return LaneView::opaque(view) };
    let by = usize::try_from(view.node().int_or("blocksize", 0)).unwrap_or(0);
    let sizes = data.get(1).and_then(Axis::extent).zip(by.checked_mul(by)).filter(|_| output.len() == 4);
    let all = sizes.and_then(|(channels, square)| Some((channels, square, channels.checked_mul(square)?)));
    let Some((channels, square, all)) = all else { return LaneView::opaque(view) };
    let apart = view.node().text_or("mode", "DCR") != "CRD";
    view.fix_from(&data, 2);
    let sources = (0..all).map(|index| if apart { index % channels } else { index / square });
    let Some(spread) = view.picked(&data[1], sources) else { return LaneView::opaque(view) };
    output[0] = data[0].clone();
    output[1] = spread;
    view.set(0, output);
}

/// `[N, C, …]` sampled at `[N, …, axes]` gives `[N, C, …]` of the grid's sizes.
fn sample_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let (Some(data), Some(grid)) = (view.shape(0), view.shape(1)) else { return view.like_first(None) };
    if data.len() < 3 || grid.len() != data.len() {
        return Err(view.contradiction(format!("data {} at positions {}", view.show(data), view.show(grid))));
    }
    let shape = [&data[..2], &grid[1..grid.len() - 1]].concat();
    view.like_first(Some(shape))
}

fn like_data(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    view.like_first(view.shape(0).map(<[Dim]>::to_vec))
}

/// Every channel is moved by a number of its own, which an attribute holds.
fn scaled_lanes(view: &mut LaneView) {
    LaneView::along(view, 1);
}

/// What a Crop takes from an image: the first row and column, and how many there are.
pub fn cropped(node: &Node, height: i64, width: i64) -> Option<[(i64, i64); 2]> {
    let [left, top, right, bottom] = node.ints("border")?[..] else { return None };
    let rest = |size: i64, before: i64, after: i64| size.checked_sub(before)?.checked_sub(after);
    let (rows, columns) = match node.ints("scale") {
        Some(&[rows, columns]) => (rows, columns),
        Some(_) => return None,
        None => (rest(height, top, bottom)?, rest(width, left, right)?),
    };
    let inside = |start: i64, count: i64, size: i64| {
        start >= 0 && count > 0 && start.checked_add(count).is_some_and(|end| end <= size)
    };
    (inside(top, rows, height) && inside(left, columns, width)).then_some([(top, rows), (left, columns)])
}

fn crop_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let Some([batch, channels, height, width]) = view.shape(0) else { return view.like_first(None) };
    let (batch, channels) = (batch.clone(), channels.clone());
    let (Some(height), Some(width)) = (height.value(), width.value()) else {
        let shape = vec![batch, channels, view.fresh(), view.fresh()];
        return view.like_first(Some(shape));
    };
    let [(_, rows), (_, columns)] = cropped(view.node, height, width)
        .ok_or_else(|| view.contradiction(format!("its border does not fit {height} rows of {width}")))?;
    view.like_first(Some(vec![batch, channels, Dim::known(rows), Dim::known(columns)]))
}

fn crop_lanes(view: &mut LaneView) {
    let (Some(data), Some(mut output)) = (view.layout(0), view.plain_output()) else { return LaneView::opaque(view) };
    view.fix_from(&data, 2);
    for (to, from) in output.iter_mut().zip(data).take(2) {
        *to = from;
    }
    view.set(0, output);
}

/// Sizes `[N, C, …]` give positions `[N, …, axes]`.
fn grid_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let shape = view.dims(1).filter(|sizes| sizes.len() > 2 && sizes.iter().all(Dim::is_size)).map(|sizes| {
        let axes = Dim::known(sizes.len() as i64 - 2);
        [&sizes[..1], &sizes[2..], &[axes]].concat()
    });
    view.like_first(shape)
}

fn sample_lanes(view: &mut LaneView) {
    let (Some(data), Some(mut output)) = (view.layout(0), view.plain_output()) else { return LaneView::opaque(view) };
    view.pin_input(1, PinCode::NoExactForm);
    view.fix_from(&data, 2);
    for (to, from) in output.iter_mut().zip(data).take(2) {
        *to = from;
    }
    view.set(0, output);
}

/// `[N, C, H, W]` in R regions gives `[R, C, …]` of the stated sizes.
fn regions_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let channels = view.shape(0).and_then(|data| data.get(1).cloned());
    let regions = [1, 2].into_iter().find_map(|input| view.shape(input)?.first().cloned());
    let mut or_fresh = |size: Option<Dim>| size.unwrap_or_else(|| view.fresh());
    let (regions, channels) = (or_fresh(regions), or_fresh(channels));
    let [height, width] = ["output_height", "output_width"].map(|name| view.node.int_or(name, 1));
    if height < 1 || width < 1 {
        return Err(view.contradiction(format!("its regions become {height} rows of {width}")));
    }
    view.like_first(Some(vec![regions, channels, Dim::known(height), Dim::known(width)]))
}

fn regions_lanes(view: &mut LaneView) {
    let (Some(data), Some(mut output)) = (view.layout(0), view.plain_output()) else { return LaneView::opaque(view) };
    let Some(channels) = data.get(1).cloned().filter(|_| output.len() == 4) else { return LaneView::opaque(view) };
    view.fix(&data[0]);
    view.fix_from(&data, 2);
    for input in 1..3 {
        view.pin_input(input, PinCode::NoExactForm);
    }
    output[1] = channels;
    view.set(0, output);
}

/// Windows `[N, C·k, L]` of an image.
fn image_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let (Some(data), Some(image), Some(block)) = (view.shape(0), view.dims(1), view.dims(2)) else {
        return view.like_first(None);
    };
    let channels = product(&block).and_then(|taps| data.get(1)?.divide(&taps));
    let shape = data.first().cloned().zip(channels).map(|(batch, channels)| [vec![batch, channels], image].concat());
    view.like_first(shape)
}

//! Convolution.

use super::pool::Window;
use super::row::{Contraction, Cost, CostView, Fact, InferView, OpRow, Resized, Rewrite, Role};
use crate::graph::{Dim, Node, Refusal, Shape};
use crate::labels::{Axis, LaneView, PinCode};

pub(super) const ROWS: &[OpRow] = &[OpRow::new("Conv", &[1, 11, 22], infer, lanes)
    .says("reads the weight's second axis, writes its first; groups go whole, or alike in all")
    .cost(cost)
    .parameters(&[(1, Role::Weight), (2, Role::Bias)])
    .fan_in(fan_in)
    .counts(counts)
    .contraction(contraction)];

/// A kernel [out, in, …] sums over everything but its first axis.
pub(super) fn fan_in(_: &Node, _: usize, shape: &[usize]) -> usize {
    shape.iter().skip(1).copied().fold(1, usize::saturating_mul)
}

/// Which inputs a convolution reads.
#[derive(Clone, Copy)]
pub(super) struct Reads {
    pub(super) data: usize,
    pub(super) weight: usize,
    pub(super) bias: Option<usize>,
    /// Whether a constant can stand in for a channel of the data, folded into the bias.
    pub(super) fillable: bool,
}

const PLAIN: Reads = Reads { data: 0, weight: 1, bias: Some(2), fillable: true };

fn infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let dtype = if view.shape(0).is_some() { view.dtype(0) } else { view.dtype(0).or(view.dtype(1)) };
    Ok(vec![Fact { dtype, shape: shape_of(view, PLAIN)? }])
}

/// Sizes of the output, when the weight's are known.
pub(super) fn shape_of(view: &mut InferView, reads: Reads) -> Result<Option<Shape>, Box<Refusal>> {
    let Some(weight) = view.shape(reads.weight).map(<[Dim]>::to_vec) else { return Ok(None) };
    let Some(data) = view.shape(reads.data).map(<[Dim]>::to_vec) else {
        return Ok(Some(behind_unknown(view, &weight)));
    };
    if data.len() < 3 || data.len() != weight.len() {
        let reason = format!("data {} against weight {}", view.show(&data), view.show(&weight));
        return Err(view.contradiction(reason));
    }
    check_channels(view, &data, &weight)?;
    let kernel = weight[2..].iter().map(Dim::value).collect();
    let window = Window::of(view.node, data.len() - 2, kernel)
        .ok_or_else(|| view.contradiction("the window attributes do not fit the input's rank"))?;
    let slid = window.slide(view, &data[2..])?;
    Ok(Some([&[data[0].clone(), weight[0].clone()], slid.as_slice()].concat()))
}

/// Behind a value of unknown rank the weight still tells the rank and the channels.
fn behind_unknown(view: &mut InferView, weight: &[Dim]) -> Shape {
    let mut shape: Vec<Dim> = weight.iter().map(|_| view.fresh()).collect();
    if let (Some(written), Some(channels)) = (shape.get_mut(1), weight.first()) {
        *written = channels.clone();
    }
    shape
}

fn check_channels(view: &InferView, data: &[Dim], weight: &[Dim]) -> Result<(), Box<Refusal>> {
    let groups = view.node.int_or("group", 1);
    if groups < 1 {
        return Err(view.contradiction(format!("it has {groups} groups")));
    }
    // Each of the two is known or not by itself: a file may leave its channels open.
    let reads = weight[1].value().map(|read| read.checked_mul(groups));
    let misread = matches!((reads, data[1].value()), (Some(all), Some(channels)) if all != Some(channels));
    let miswritten = weight[0].value().is_some_and(|written| written == 0 || written % groups != 0);
    if misread || reads == Some(None) || miswritten {
        let (data, weight) = (view.show(data), view.show(weight));
        return Err(view.contradiction(format!("data {data}, weight {weight}, {groups} groups")));
    }
    Ok(())
}

fn cost(view: &CostView) -> Cost {
    cost_of(view, PLAIN)
}

pub(super) fn cost_of(view: &CostView, reads: Reads) -> Cost {
    let Some(weight) = view.node.input(reads.weight) else { return Cost::default() };
    let read = (1..view.rank(weight).unwrap_or(1)).map(|axis| (weight, axis)).collect();
    view.contraction(read)
}

fn lanes(view: &mut LaneView) {
    lanes_of(view, PLAIN);
}

pub(super) fn lanes_of(view: &mut LaneView, reads: Reads) {
    let (Some(weight), Some(mut output)) = (view.layout(reads.weight), view.plain_output()) else {
        return LaneView::opaque(view);
    };
    if weight.len() < 3 || output.len() != weight.len() {
        return LaneView::opaque(view);
    }
    for kernel in weight.iter().skip(2) {
        view.pin(kernel, PinCode::Structure);
    }
    if let Some(bias) = reads.bias {
        view.unite_list(&weight[0], bias);
    }
    let groups = view.node().int_or("group", 1);
    let Some(data) = view.layout(reads.data) else {
        view.pin(&weight[1], PinCode::UncutPartner);
        if groups != 1 {
            view.pin(&weight[0], PinCode::UncutPartner);
        }
        output[1] = weight[0].clone();
        return view.set(0, output);
    };
    view.fix_from(&data, 2);
    match groups {
        1 => {
            view.unite(&data[1], &weight[1]);
            view.reader((reads.data, 1), (reads.weight, 1), reads.fillable);
        }
        groups => grouped(view, reads, &data[1], &weight, groups),
    }
    output[0] = data[0].clone();
    output[1] = weight[0].clone();
    view.set(0, output);
}

/// Whole groups are cut when there are at least as many groups as channels in one; otherwise every group loses the
/// same channels.
fn grouped(view: &mut LaneView, reads: Reads, data: &Axis, weight: &[Axis], groups: i64) {
    let sizes = usize::try_from(groups).ok().and_then(|groups| {
        let channels = data.extent().or_else(|| weight[1].extent()?.checked_mul(groups))?;
        let read = channels.checked_div(groups).filter(|&read| read > 0)?;
        let written = weight[0].extent()?.checked_div(groups).filter(|&written| written > 0)?;
        Some((groups, read, written))
    });
    let Some((groups, read, written)) = sizes else {
        view.pin(data, PinCode::NoExactForm);
        view.pin(&weight[0], PinCode::NoExactForm);
        view.pin(&weight[1], PinCode::NoExactForm);
        return;
    };
    if groups >= read {
        view.pin(&weight[1], PinCode::Structure);
        view.unite_by(&[(data, &|i| i / read), (&weight[0], &|o| o / written)]);
    } else {
        view.unite_by(&[(data, &|i| i % read), (&weight[1], &|i| i)]);
        view.unite_by(&[(&weight[0], &|o| o % written)]);
        view.reader((reads.data, 1), (reads.weight, 1), false);
    }
}

/// The number of groups follows the channels: what is left of the data over what one group reads.
fn counts(resized: &Resized) -> Vec<Rewrite> {
    counts_of(resized, PLAIN)
}

pub(super) fn counts_of(resized: &Resized, reads: Reads) -> Vec<Rewrite> {
    let old = resized.node.int_or("group", 1);
    if old == 1 {
        return Vec::new();
    }
    let size = |input: usize, axis: usize| resized.inputs.get(input)?.as_ref()?.get(axis)?.value();
    match (size(reads.data, 1), size(reads.weight, 1)) {
        (Some(channels), Some(read)) if read > 0 && channels / read != old => {
            vec![Rewrite::Int("group", channels / read)]
        }
        _ => Vec::new(),
    }
}

fn contraction(_: &Node, _: usize) -> Option<Contraction> {
    Some(Contraction {
        weight: 1,
        read_axis: 1,
        written_axis: 0,
        output_axis: 1,
        product_scale: 1.0,
        bias: Some(2),
        bias_scale: 1.0,
    })
}

//! Transposed convolution.

use super::cost_view::Product;
use super::pool::{Padding, Window};
use super::row::{Contraction, Cost, CostView, Fact, InferView, OpRow, Resized, Rewrite, Role};
use crate::graph::{Dim, Node, Refusal, Shape};
use crate::labels::{Axis, LaneView, PinCode};

pub(super) const ROWS: &[OpRow] = &[OpRow::new("ConvTranspose", &[1, 11, 22], infer, lanes)
    .says("reads the weight's first axis, writes its second; groups go whole, or alike in all")
    .cost(cost)
    .parameters(&[(1, Role::Weight), (2, Role::Bias)])
    .fan_in(fan_in)
    .counts(counts)
    .contraction(contraction)];

/// A window that spreads every position of the data over several of the output.
#[derive(Clone, Debug)]
pub struct Spread {
    /// The window and its padding, which takes from the output.
    pub window: Window,
    /// What is added at the end of every axis.
    pub added: Vec<i64>,
    /// Sizes that the file states, from which the padding follows.
    stated: Option<Vec<i64>>,
}

impl Spread {
    /// Reads a node's window over `rank` axes, with the weight's extents.
    pub fn of(node: &Node, rank: usize, kernel: Option<Vec<i64>>) -> Option<Self> {
        let window = Window::of(node, rank, kernel)?;
        let list = |name: &str| node.ints(name).filter(|list| !list.is_empty()).map(<[i64]>::to_vec);
        let added = list("output_padding").unwrap_or_else(|| vec![0; rank]);
        // Old files state batch and channels as well.
        let stated = list("output_shape").map(|sizes| sizes[sizes.len().saturating_sub(rank)..].to_vec());
        let fits = |list: &[i64]| list.len() == rank && list.iter().all(|&n| n >= 0);
        (fits(&added) && stated.as_deref().is_none_or(fits)).then_some(Self { window, added, stated })
    }

    /// The size of an axis before anything is taken from it.
    fn whole(&self, axis: usize, size: i64) -> Option<i64> {
        let Window { kernel, strides, dilations, .. } = &self.window;
        let reach = (kernel[axis] - 1).checked_mul(dilations[axis])?.checked_add(1)?;
        let steps = size.checked_sub(1)?.checked_mul(strides[axis])?;
        steps.checked_add(reach)?.checked_add(self.added[axis])
    }

    /// What is taken from the start and the end of an axis of the output, for data of this size.
    pub fn taken(&self, axis: usize, size: i64) -> Option<(i64, i64)> {
        let Window { pads, padding, strides, .. } = &self.window;
        let same = matches!(padding, Padding::SameUpper | Padding::SameLower);
        let wanted = match &self.stated {
            Some(sizes) => sizes[axis],
            None if same => size.checked_mul(strides[axis])?,
            None => return Some((pads[axis], pads[axis + self.added.len()])),
        };
        let taken = self.whole(axis, size)?.checked_sub(wanted)?.max(0);
        let (less, more) = (taken / 2, taken - taken / 2);
        Some(if *padding == Padding::SameUpper { (less, more) } else { (more, less) })
    }

    /// The output size of an axis; `None` when nothing is left.
    pub fn output_size(&self, axis: usize, size: i64) -> Option<i64> {
        if let Some(stated) = &self.stated {
            return Some(stated[axis]);
        }
        let (before, after) = self.taken(axis, size)?;
        self.whole(axis, size)?.checked_sub(before)?.checked_sub(after).filter(|&left| left > 0)
    }

    fn spread(&self, view: &mut InferView, sizes: &[Dim]) -> Result<Shape, Box<Refusal>> {
        let mut spread = Vec::with_capacity(sizes.len());
        for (axis, size) in sizes.iter().enumerate() {
            spread.push(match (&self.stated, size.value()) {
                (Some(stated), _) => Dim::known(stated[axis]),
                (None, Some(n)) => Dim::known(
                    self.output_size(axis, n)
                        .ok_or_else(|| view.contradiction(format!("its padding leaves nothing of an axis of {n}")))?,
                ),
                (None, None) => view.fresh(),
            });
        }
        Ok(spread)
    }
}

/// Data [N, C, …] with weight [C, O/groups, …] gives [N, O, …].
fn infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let (Some(weight), Some(data)) = (view.shape(1), view.shape(0)) else { return Ok(behind_unknown(view)) };
    let (weight, data) = (weight.to_vec(), data.to_vec());
    if data.len() < 3 || data.len() != weight.len() {
        let reason = format!("data {} against weight {}", view.show(&data), view.show(&weight));
        return Err(view.contradiction(reason));
    }
    check_channels(view, &data, &weight)?;
    let kernel = weight[2..].iter().map(Dim::value).collect();
    let spread = Spread::of(view.node, data.len() - 2, kernel)
        .ok_or_else(|| view.contradiction("its window attributes do not fit its data"))?
        .spread(view, &data[2..])?;
    let written = written(view, &weight);
    view.like_first(Some([&[data[0].clone(), written], spread.as_slice()].concat()))
}

/// The channels it writes: those of one group, times the groups.
fn written(view: &mut InferView, weight: &[Dim]) -> Dim {
    let groups = view.node.int_or("group", 1);
    let all = weight[1].value().and_then(|one| one.checked_mul(groups));
    match all {
        Some(all) => Dim::known(all),
        None if groups == 1 => weight[1].clone(),
        None => view.fresh(),
    }
}

/// Behind a value of unknown rank the weight still tells the rank and the channels.
fn behind_unknown(view: &mut InferView) -> Vec<Fact> {
    let shape = view.shape(1).map(<[Dim]>::to_vec).filter(|weight| weight.len() > 1).map(|weight| {
        let mut shape: Vec<Dim> = weight.iter().map(|_| view.fresh()).collect();
        shape[1] = written(view, &weight);
        shape
    });
    vec![Fact { dtype: view.dtype(0).or(view.dtype(1)), shape }]
}

fn check_channels(view: &InferView, data: &[Dim], weight: &[Dim]) -> Result<(), Box<Refusal>> {
    let groups = view.node.int_or("group", 1);
    if groups < 1 {
        return Err(view.contradiction(format!("it has {groups} groups")));
    }
    let misread = matches!((weight[0].value(), data[1].value()), (Some(read), Some(channels)) if read != channels);
    let uneven = weight[0].value().is_some_and(|read| read % groups != 0);
    let endless = weight[1].value().is_some_and(|one| one.checked_mul(groups).is_none());
    if misread || uneven || endless {
        let (data, weight) = (view.show(data), view.show(weight));
        return Err(view.contradiction(format!("data {data}, weight {weight}, {groups} groups")));
    }
    Ok(())
}

/// Every element of the data is multiplied with all that its channel's weight holds.
fn cost(view: &CostView) -> Cost {
    let (Some(data), Some(weight)) = (view.node.input(0), view.node.input(1)) else { return Cost::default() };
    let mut axes = view.all_axes(data);
    axes.extend(view.all_axes(weight).into_iter().skip(1));
    Cost { macs: vec![Product { coefficient: 1.0, axes }], elementwise: Vec::new() }
}

/// Taps that miss a position of the output for the stride are not summed there.
fn fan_in(node: &Node, _: usize, shape: &[usize]) -> usize {
    let all = |sizes: &[usize]| sizes.iter().copied().fold(1, usize::saturating_mul);
    let positive = |n: i64| usize::try_from(n).unwrap_or(1).max(1);
    let strides: Vec<usize> = node.ints("strides").unwrap_or_default().iter().map(|&n| positive(n)).collect();
    let groups = positive(node.int_or("group", 1));
    let read = shape.first().map_or(1, |channels| channels / groups);
    read.saturating_mul(all(shape.get(2..).unwrap_or_default())) / all(&strides)
}

fn lanes(view: &mut LaneView) {
    let (Some(weight), Some(data), Some(mut output)) = (view.layout(1), view.layout(0), view.plain_output()) else {
        return LaneView::opaque(view);
    };
    if weight.len() < 3 || output.len() != weight.len() || data.len() != weight.len() {
        return LaneView::opaque(view);
    }
    for kernel in weight.iter().skip(2) {
        view.pin(kernel, PinCode::Structure);
    }
    view.fix_from(&data, 2);
    // The index of a channel in the data is its index in the weight, whatever the groups.
    view.unite(&data[1], &weight[0]);
    let groups = view.node().int_or("group", 1);
    let written = if groups == 1 { Some(weight[1].clone()) } else { grouped(view, &data[1], &weight[1], groups) };
    let Some(written) = written else { return LaneView::opaque(view) };
    // Which taps meet at a position of the output differs from position to position: no one constant stands in.
    view.reader((0, 1), (1, 0), false);
    view.unite_list(&written, 2);
    output[0] = data[0].clone();
    output[1] = written;
    view.set(0, output);
}

/// The output's channels. Whole groups are cut when there are at least as many groups as channels in one; otherwise
/// every group loses the same channels.
fn grouped(view: &mut LaneView, data: &Axis, one: &Axis, groups: i64) -> Option<Axis> {
    let groups = usize::try_from(groups).ok()?;
    let read = data.extent()?.checked_div(groups).filter(|&read| read > 0)?;
    let written = one.extent().filter(|&written| written > 0)?;
    if groups >= read {
        view.pin(one, PinCode::Structure);
        view.unite_by(&[(data, &|i| i / read)]);
        return view.picked(data, (0..groups.checked_mul(written)?).map(|o| o / written * read));
    }
    view.unite_by(&[(data, &|i| i % read)]);
    view.picked(one, (0..groups.checked_mul(written)?).map(|o| o % written))
}

/// The number of groups follows the channels: all that are written over those of one group.
fn counts(resized: &Resized) -> Vec<Rewrite> {
    let old = resized.node.int_or("group", 1);
    let size = |shapes: &[Option<Shape>], at: usize| shapes.get(at)?.as_ref()?.get(1)?.value();
    match (size(&resized.outputs, 0), size(&resized.inputs, 1)) {
        (Some(all), Some(one)) if old != 1 && one > 0 && all / one != old => vec![Rewrite::Int("group", all / one)],
        _ => Vec::new(),
    }
}

fn contraction(_: &Node, _: usize) -> Option<Contraction> {
    Some(Contraction {
        weight: 1,
        read_axis: 0,
        written_axis: 1,
        output_axis: 1,
        product_scale: 1.0,
        bias: Some(2),
        bias_scale: 1.0,
    })
}

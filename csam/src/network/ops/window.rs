//! The padding of a sliding window on data of known size.

use import::graph::Refusal;
use import::ops::{Spread, Window};
use tch::{TchError, Tensor};

use crate::network::op::Torch;
use crate::network::view::View;

/// What a convolution's weight says of its window.
pub(super) struct Kernel {
    /// The number of spatial axes.
    pub(super) axes: usize,
    /// Their extents, where known.
    pub(super) extents: Option<Vec<i64>>,
    /// The number of groups.
    pub(super) groups: i64,
}

impl Kernel {
    /// Reads the weight at this input, or the rank of the data where the weight's is not known.
    pub(super) fn of(view: &View, weight: usize) -> Result<Self, Box<Refusal>> {
        let axes = view.rank(weight).or_else(|| view.rank(0)).and_then(|rank| rank.checked_sub(2));
        let axes = axes.ok_or_else(|| view.unsupported("the rank of its weight is not known"))?;
        let extents = view.shape(weight).and_then(|shape| Some(shape.get(2..)?.to_vec()));
        let groups = view.node.int_or("group", 1);
        if groups < 1 {
            return Err(view.contradiction(format!("`group` is {groups}")));
        }
        Ok(Self { axes, extents, groups })
    }
}

/// Reads a node's window over this many spatial axes.
pub(super) fn window(view: &View, axes: usize, kernel: Option<Vec<i64>>) -> Result<Window, Box<Refusal>> {
    if !(1..=3).contains(&axes) {
        return Err(view.unsupported(format!("a window over {axes} axes")));
    }
    let window = Window::of(view.node, axes, kernel).ok_or_else(|| unfit(view))?;
    if window.pads.iter().any(|&pad| pad < 0) {
        return Err(view.unsupported(format!("its padding {:?} crops", window.pads)));
    }
    Ok(window)
}

/// Reads the window by which a node spreads its data over this many spatial axes.
pub(super) fn spread(view: &View, axes: usize, kernel: Option<Vec<i64>>) -> Result<Spread, Box<Refusal>> {
    if !(1..=3).contains(&axes) {
        return Err(view.unsupported(format!("a window over {axes} axes")));
    }
    Spread::of(view.node, axes, kernel).ok_or_else(|| unfit(view))
}

fn unfit(view: &View) -> Box<Refusal> {
    view.contradiction("its window attributes do not fit its data")
}

/// Padding of one run: what the node asks for, and what rounding the output size up adds at the end.
pub(super) struct Placed {
    given: Vec<(i64, i64)>,
    overhang: Vec<i64>,
}

impl Placed {
    /// Places a window on data of shape `[N, C, …]`.
    pub(super) fn on(window: &Window, data: &Tensor) -> Torch<Self> {
        let shape = data.size();
        let unfit = || TchError::Shape(format!("a window of {:?} does not fit data of {shape:?}", window.kernel));
        let spatial = shape.get(2..).filter(|spatial| spatial.len() == window.kernel.len()).ok_or_else(unfit)?;
        let (mut given, mut overhang) = (Vec::new(), Vec::new());
        for (axis, &size) in spatial.iter().enumerate() {
            let pads = window.pads_for(axis, size).ok_or_else(unfit)?;
            let outputs = window.output_size(axis, size).ok_or_else(unfit)?;
            let reach = (window.kernel[axis] - 1) * window.dilations[axis] + 1;
            let needed = (outputs - 1) * window.strides[axis] + reach;
            given.push(pads);
            overhang.push((needed - size - pads.0 - pads.1).max(0));
        }
        Ok(Self { given, overhang })
    }

    /// One number per axis, when torch can pad by itself: both sides alike, and no larger than it allows.
    pub(super) fn symmetric(&self, largest: impl Fn(usize) -> i64) -> Option<Vec<i64>> {
        let alike = self.given.iter().enumerate().all(|(axis, (a, b))| a == b && *a <= largest(axis));
        let alike = alike && self.overhang.iter().all(|&n| n == 0);
        alike.then(|| self.given.iter().map(|(a, _)| *a).collect())
    }

    /// What the node pads before every axis.
    pub(super) fn before(&self) -> Vec<i64> {
        self.given.iter().map(|(before, _)| *before).collect()
    }

    /// The data with all its padding, overhang included.
    pub(super) fn pad(&self, data: &Tensor, filler: f64) -> Torch<Tensor> {
        self.pad_overhang(&self.pad_given(data, filler)?, filler)
    }

    /// The data with the padding that the node asks for.
    pub(super) fn pad_given(&self, data: &Tensor, filler: f64) -> Torch<Tensor> {
        fill(data, self.given.iter().map(|(before, after)| [*before, *after]).rev().flatten().collect(), filler)
    }

    /// The data with the overhang at its end.
    pub(super) fn pad_overhang(&self, data: &Tensor, filler: f64) -> Torch<Tensor> {
        fill(data, self.overhang.iter().map(|after| [0, *after]).rev().flatten().collect(), filler)
    }
}

/// Pads with a constant; torch counts axes from the last.
fn fill(data: &Tensor, pads: Vec<i64>, filler: f64) -> Torch<Tensor> {
    if pads.iter().all(|&n| n == 0) { Ok(data.shallow_clone()) } else { data.f_pad(&pads, "constant", filler) }
}

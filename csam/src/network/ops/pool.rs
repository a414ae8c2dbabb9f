//! Pooling over windows and over all positions.

use import::graph::Refusal;
use import::ops::Window;
use tch::Tensor;

use super::window::{Placed, window};
use super::{Lowered, Row};
use crate::network::op::{Torch, pure};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[
    Row::new("MaxPool", max_pool),
    Row::new("AveragePool", average_pool),
    Row::new("GlobalAveragePool", |_| Ok(pure(|x| x.at(0)?.f_mean_dim(positions(x.at(0)?), true, None)))),
    Row::new("GlobalMaxPool", |_| Ok(pure(|x| x.at(0)?.f_amax(positions(x.at(0)?), true)))),
];

/// The axes after batch and channels.
fn positions(data: &Tensor) -> Vec<i64> {
    (2..data.dim() as i64).collect()
}

fn pooling(view: &View) -> Result<Window, Box<Refusal>> {
    let axes = view.node.ints("kernel_shape").map_or(0, <[i64]>::len);
    window(view, axes, None)
}

fn max_pool(view: &View) -> Lowered {
    if view.node.output(1).is_some() {
        return Err(view.unsupported("the positions of the maxima are read"));
    }
    let window = pooling(view)?;
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let placed = Placed::on(&window, data)?;
        let zero = vec![0; window.kernel.len()];
        match placed.symmetric(|axis| window.kernel[axis] / 2) {
            Some(pads) => max(&window, data, &pads),
            None => max(&window, &placed.pad(data, f64::NEG_INFINITY)?, &zero),
        }
    }))
}

fn max(window: &Window, data: &Tensor, pads: &[i64]) -> Torch<Tensor> {
    let Window { kernel, strides, dilations, .. } = window;
    match kernel.len() {
        1 => data.f_max_pool1d(kernel, strides, pads, dilations, false),
        2 => data.f_max_pool2d(kernel, strides, pads, dilations, false),
        _ => data.f_max_pool3d(kernel, strides, pads, dilations, false),
    }
}

fn average_pool(view: &View) -> Lowered {
    let window = pooling(view)?;
    if window.dilations.iter().any(|&n| n != 1) {
        return Err(view.unsupported("it averages over a dilated window"));
    }
    let count_padding = view.node.int_or("count_include_pad", 0) != 0;
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let placed = Placed::on(&window, data)?;
        if let Some(pads) = placed.symmetric(|axis| window.kernel[axis] / 2) {
            return average(&window, data, &pads, count_padding);
        }
        // The mean over the whole window, corrected by the share of it that counts.
        let zero = vec![0; window.kernel.len()];
        let ones = data.f_narrow(0, 0, 1)?.f_narrow(1, 0, 1)?.f_ones_like()?;
        let counted = if count_padding {
            placed.pad_overhang(&placed.pad_given(&ones, 1.0)?, 0.0)?
        } else {
            placed.pad(&ones, 0.0)?
        };
        let share = average(&window, &counted, &zero, true)?;
        average(&window, &placed.pad(data, 0.0)?, &zero, true)?.f_div(&share)
    }))
}

fn average(window: &Window, data: &Tensor, pads: &[i64], count_padding: bool) -> Torch<Tensor> {
    let Window { kernel, strides, .. } = window;
    match kernel.len() {
        1 => data.f_avg_pool1d(kernel, strides, pads, false, count_padding),
        2 => data.f_avg_pool2d(kernel, strides, pads, false, count_padding, None),
        _ => data.f_avg_pool3d(kernel, strides, pads, false, count_padding, None),
    }
}

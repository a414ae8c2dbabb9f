//! Convolution.

use import::ops::Window;
use tch::Tensor;

use super::window::{Placed, window};
use super::{Lowered, Row};
use crate::network::op::{Frame, Inputs, Op, Torch, along};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[Row::new("Conv", conv)];

fn conv(view: &View) -> Lowered {
    let shape = view.shape(1);
    let axes = view.rank(1).or_else(|| view.rank(0)).and_then(|rank| rank.checked_sub(2));
    let axes = axes.ok_or_else(|| view.unsupported("the rank of its weight is not known"))?;
    let kernel = shape.and_then(|shape| Some(shape.get(2..)?.to_vec()));
    let groups = view.node.int_or("group", 1);
    if groups < 1 {
        return Err(view.contradiction(format!("`group` is {groups}")));
    }
    Ok(Box::new(Conv { window: window(view, axes, kernel)?, groups }))
}

/// `[N, C, …] ∗ [O, C/groups, …] + [O] → [N, O, …]`.
struct Conv {
    window: Window,
    groups: i64,
}

impl Op for Conv {
    fn run(&self, inputs: &mut Inputs, _: &Frame) -> Torch<Vec<Tensor>> {
        let (data, weight, bias) = (inputs.at(0)?, inputs.at(1)?, inputs.get(2));
        let Window { strides, dilations, .. } = &self.window;
        let placed = Placed::on(&self.window, data)?;
        let zero = vec![0; strides.len()];
        let run = |data: &Tensor, pads: &[i64]| {
            data.f_convolution(weight, bias, strides, pads, dilations, false, &zero, self.groups)
        };
        let out = match placed.symmetric(|_| i64::MAX) {
            Some(pads) => run(data, &pads)?,
            None => run(&placed.pad(data, 0.0)?, &zero)?,
        };
        Ok(vec![out])
    }

    fn fresh(&self) -> bool {
        true
    }

    fn folds(&self) -> bool {
        true
    }

    fn scale_weight(&self, weight: &Tensor, scale: &Tensor) -> Torch<Tensor> {
        weight.f_mul(&along(scale, 0, weight.dim())?)
    }

    /// Away from padded borders every tap of the window sees the mean. Only ungrouped readers are filled.
    fn fill(&self, weight: &Tensor, means: &Tensor) -> Torch<Tensor> {
        let taps = weight.f_flatten(2, -1)?.f_sum_dim_intlist(2, false, None)?;
        along(&taps.f_mv(means)?, 1, self.window.kernel.len() + 2)
    }
}

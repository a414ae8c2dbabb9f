//! Convolution.

use import::graph::Refusal;
use import::ops::Window;
use tch::Tensor;

use super::window::{Kernel, Placed, window};
use super::{Lowered, Row};
use crate::network::op::{Frame, Inputs, Op, Torch, along};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[Row::new("Conv", conv)];

fn conv(view: &View) -> Lowered {
    Ok(Box::new(Conv::of(view, 1)?))
}

/// `[N, C, …] ∗ [O, C/groups, …] + [O] → [N, O, …]`.
pub(super) struct Conv {
    window: Window,
    groups: i64,
}

impl Conv {
    /// A node's convolution, with its weight at this input.
    pub(super) fn of(view: &View, weight: usize) -> Result<Self, Box<Refusal>> {
        let Kernel { axes, extents, groups } = Kernel::of(view, weight)?;
        Ok(Self { window: window(view, axes, extents)?, groups })
    }

    /// The sums of products.
    pub(super) fn sums(&self, data: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Torch<Tensor> {
        let Window { strides, dilations, .. } = &self.window;
        let placed = Placed::on(&self.window, data)?;
        let zero = vec![0; strides.len()];
        let run = |data: &Tensor, pads: &[i64]| {
            data.f_convolution(weight, bias, strides, pads, dilations, false, &zero, self.groups)
        };
        match placed.symmetric(|_| i64::MAX) {
            Some(pads) => run(data, &pads),
            None => run(&placed.pad(data, 0.0)?, &zero),
        }
    }
}

impl Op for Conv {
    fn run(&self, inputs: &mut Inputs, _: &Frame) -> Torch<Vec<Tensor>> {
        Ok(vec![self.sums(inputs.at(0)?, inputs.at(1)?, inputs.get(2))?])
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

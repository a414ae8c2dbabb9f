//! Transposed convolution.

use import::ops::Spread;
use tch::{TchError, Tensor};

use super::window::{Kernel, spread};
use super::{Lowered, Row};
use crate::network::op::{Frame, Inputs, Op, Torch, along};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[Row::new("ConvTranspose", conv_transpose)];

fn conv_transpose(view: &View) -> Lowered {
    let Kernel { axes, extents, groups } = Kernel::of(view, 1)?;
    Ok(Box::new(ConvTranspose { spread: spread(view, axes, extents)?, groups }))
}

/// `[N, C, …]` spread by `[C, O/groups, …]`, `+ [O] → [N, O, …]`.
struct ConvTranspose {
    spread: Spread,
    groups: i64,
}

impl ConvTranspose {
    /// What is left of every spatial axis of the output: where it starts in the whole, and its size.
    fn left(&self, data: &Tensor) -> Torch<Vec<(i64, i64)>> {
        let shape = data.size();
        let spatial = shape.get(2..).unwrap_or_default().iter().enumerate();
        let left =
            spatial.map(|(axis, &size)| Some((self.spread.taken(axis, size)?.0, self.spread.output_size(axis, size)?)));
        let left = left.collect::<Option<Vec<_>>>().filter(|left| left.len() == self.spread.added.len());
        left.ok_or_else(|| TchError::Shape(format!("its window does not fit data of {shape:?}")))
    }
}

impl Op for ConvTranspose {
    /// The whole output is made and then cut: torch pads both sides alike only, and adds less than a stride.
    fn run(&self, inputs: &mut Inputs, _: &Frame) -> Torch<Vec<Tensor>> {
        let (data, weight, bias) = (inputs.at(0)?, inputs.at(1)?, inputs.get(2));
        let window = &self.spread.window;
        let zero = vec![0; window.strides.len()];
        let (strides, dilations) = (&window.strides, &window.dilations);
        let mut out =
            data.f_convolution(weight, None::<Tensor>, strides, &zero, dilations, true, &zero, self.groups)?;
        for (axis, (start, size)) in self.left(data)?.into_iter().enumerate() {
            let axis = axis as i64 + 2;
            let whole = out.size()[axis as usize];
            // Padding below zero, and what is added at the end, hold nothing but the bias.
            let (before, after) = ((-start).max(0), (start + size - whole).max(0));
            if before > 0 || after > 0 {
                let mut pads = vec![0; 2 * (out.dim() - 1 - axis as usize)];
                pads.extend([before, after]);
                out = out.f_constant_pad_nd(&pads)?;
            }
            out = out.f_narrow(axis, start.max(0), size)?;
        }
        Ok(vec![match bias {
            Some(bias) => out.f_add(&along(bias, 1, out.dim())?)?,
            None => out,
        }])
    }

    fn fresh(&self) -> bool {
        true
    }

    fn folds(&self) -> bool {
        true
    }

    fn scale_weight(&self, weight: &Tensor, scale: &Tensor) -> Torch<Tensor> {
        let shape = weight.size();
        let mut by_group = vec![self.groups, shape[0] / self.groups];
        by_group.extend(&shape[1..]);
        let mut scales = vec![1; by_group.len()];
        (scales[0], scales[2]) = (self.groups, shape[1]);
        weight.f_reshape(&by_group)?.f_mul(&scale.f_reshape(&scales)?)?.f_reshape(&shape)
    }
}

//! Reductions over axes, and softmax.

use tch::Tensor;

use super::{Lowered, Row};
use crate::network::op::{Ints, Torch, pure};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[
    Row::new("ReduceMean", |view| reduce(view, |x, axes, keep| x.f_mean_dim(axes, keep, None))),
    Row::new("ReduceSum", |view| reduce(view, |x, axes, keep| x.f_sum_dim_intlist(axes, keep, x.kind()))),
    Row::new("ReduceMax", |view| reduce(view, |x, axes, keep| x.f_amax(axes, keep))),
    Row::new("ReduceMin", |view| reduce(view, |x, axes, keep| x.f_amin(axes, keep))),
    Row::new("ReduceL1", |view| reduce(view, |x, axes, keep| x.f_abs()?.f_sum_dim_intlist(axes, keep, x.kind()))),
    Row::new("ReduceL2", |view| reduce(view, |x, axes, keep| sum_of_squares(x, axes, keep)?.f_sqrt())),
    Row::new("ReduceSumSquare", |view| reduce(view, sum_of_squares)),
    Row::new("Softmax", |view| softmax(view, probabilities)),
    Row::new("Softmax", |view| softmax_from(view, probabilities)).before(13),
    Row::new("LogSoftmax", |view| softmax(view, logarithms)),
    Row::new("LogSoftmax", |view| softmax_from(view, logarithms)).before(13),
];

type Over = fn(&Tensor, &[i64], bool) -> Torch<Tensor>;

fn reduce(view: &View, over: Over) -> Lowered {
    let axes = view.list("axes", 1)?.unwrap_or(Ints::Known(Vec::new()));
    let keep = view.node.int_or("keepdims", 1) != 0;
    let nothing_when_empty = view.node.int_or("noop_with_empty_axes", 0) != 0;
    Ok(pure(move |x| {
        let (data, axes) = (x.at(0)?, axes.get(x)?);
        match axes.is_empty() {
            // Every element is reduced by itself: what an L1 norm does to one number is still done.
            true if nothing_when_empty => over(&data.f_unsqueeze(-1)?, &[-1], false),
            true => over(data, &(0..data.dim() as i64).collect::<Vec<_>>(), keep),
            false => over(data, &axes, keep),
        }
    }))
}

fn sum_of_squares(x: &Tensor, axes: &[i64], keep: bool) -> Torch<Tensor> {
    x.f_square()?.f_sum_dim_intlist(axes, keep, x.kind())
}

type Along = fn(&Tensor, i64) -> Torch<Tensor>;

fn probabilities(data: &Tensor, axis: i64) -> Torch<Tensor> {
    data.f_softmax(axis, None)
}

fn logarithms(data: &Tensor, axis: i64) -> Torch<Tensor> {
    data.f_log_softmax(axis, None)
}

fn softmax(view: &View, along: Along) -> Lowered {
    let axis = view.node.int_or("axis", -1);
    Ok(pure(move |x| along(x.at(0)?, axis)))
}

/// The axes from `axis` on are taken together.
fn softmax_from(view: &View, along: Along) -> Lowered {
    let axis = view.node.int_or("axis", 1);
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let axis = if axis < 0 { axis + data.dim() as i64 } else { axis };
        let outer: i64 = data.size().iter().take(axis.max(0) as usize).product();
        along(&data.f_reshape([outer, -1])?, 1)?.f_reshape(data.size())
    }))
}

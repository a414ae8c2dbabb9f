//! Reductions over axes, and softmax.

use tch::Tensor;

use super::{Lowered, Row};
use crate::network::op::{Ints, Torch, extent, pure};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[
    Row::new("ReduceMean", |view| reduce(view, |x, axes, keep| x.f_mean_dim(axes, keep, None))),
    Row::new("ReduceSum", |view| reduce(view, |x, axes, keep| x.f_sum_dim_intlist(axes, keep, x.kind()))),
    Row::new("ReduceMax", |view| {
        reduce(view, |x, axes, keep| extreme(x, axes, keep, f64::NEG_INFINITY, |x, axes, keep| x.f_amax(axes, keep)))
    }),
    Row::new("ReduceMin", |view| {
        reduce(view, |x, axes, keep| extreme(x, axes, keep, f64::INFINITY, |x, axes, keep| x.f_amin(axes, keep)))
    }),
    Row::new("ReduceL1", |view| reduce(view, |x, axes, keep| x.f_abs()?.f_sum_dim_intlist(axes, keep, x.kind()))),
    Row::new("ReduceL2", |view| reduce(view, |x, axes, keep| sum_of_squares(x, axes, keep)?.f_sqrt())),
    Row::new("ReduceSumSquare", |view| reduce(view, sum_of_squares)),
    Row::new("ReduceProd", |view| reduce(view, product)),
    Row::new("ReduceLogSum", |view| reduce(view, |x, axes, keep| x.f_sum_dim_intlist(axes, keep, x.kind())?.f_log())),
    Row::new("ReduceLogSumExp", |view| reduce(view, |x, axes, keep| x.f_logsumexp(axes, keep))),
    Row::new("ArgMax", |view| place(view, |x, axis| x.f_argmax(axis, true))),
    Row::new("ArgMin", |view| place(view, |x, axis| x.f_argmin(axis, true))),
    Row::new("Hardmax", |view| softmax(view, hard)),
    Row::new("Hardmax", |view| softmax_from(view, hard)).before(13),
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

/// The largest or smallest element; of none, what every other would replace.
fn extreme(
    x: &Tensor,
    axes: &[i64],
    keep: bool,
    of_none: f64,
    over: fn(&Tensor, &[i64], bool) -> Torch<Tensor>,
) -> Torch<Tensor> {
    match x.numel() {
        0 => x.f_sum_dim_intlist(axes, keep, x.kind())?.f_full_like(of_none),
        _ => over(x, axes, keep),
    }
}

/// Torch multiplies along one axis at a time.
fn product(x: &Tensor, axes: &[i64], keep: bool) -> Torch<Tensor> {
    let mut axes: Vec<i64> = axes.iter().map(|&axis| if axis < 0 { axis + x.dim() as i64 } else { axis }).collect();
    axes.sort_unstable();
    axes.into_iter().rev().try_fold(x.shallow_clone(), |x, axis| x.f_prod_dim_int(axis, keep, x.kind()))
}

/// Where along an axis an element is; of equal ones the first, or the last.
fn place(view: &View, along: fn(&Tensor, i64) -> Torch<Tensor>) -> Lowered {
    let (axis, keep) = (view.node.int_or("axis", 0), view.node.int_or("keepdims", 1) != 0);
    let last = view.node.int_or("select_last_index", 0) != 0;
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let found = match last {
            false => along(data, axis)?,
            true => along(&data.f_flip([axis])?, axis)?.f_neg()?.f_add_scalar(extent(data, axis)? - 1)?,
        };
        if keep { Ok(found) } else { found.f_squeeze_dim(axis) }
    }))
}

/// One at the first of the largest elements, zero elsewhere.
fn hard(data: &Tensor, axis: i64) -> Torch<Tensor> {
    data.f_zeros_like()?.f_scatter_value(axis, &data.f_argmax(axis, true)?, 1.0)
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

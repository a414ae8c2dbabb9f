//! Quantised numbers, as runtimes compute with them: sums of integers are exact, and what is rounded is rounded to even.
//!
//! Rounding has no gradient, so what rounds is run but not trained. What turns numbers back into floats is both.

use import::DType;
use import::graph::Refusal;
use tch::{Kind, TchError, Tensor};

use super::conv::Conv;
use super::{Lowered, Row};
use crate::network::convert;
use crate::network::op::{Inputs, Torch, along, many, pure};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[
    Row::new("QuantizeLinear", quantize),
    Row::new("DequantizeLinear", dequantize),
    Row::new("DynamicQuantizeLinear", dynamic),
    Row::new("QLinearConv", quantised_conv),
    Row::new("ConvInteger", integer_conv),
    Row::new("QLinearMatMul", quantised_product),
    Row::new("MatMulInteger", integer_product),
];

/// Refuses to train what rounds.
fn only_run(view: &View) -> Result<(), Box<Refusal>> {
    if view.trainable {
        return Err(view.unsupported("it rounds to quantised numbers, which have no gradient"));
    }
    Ok(())
}

/// Integers of some type.
#[derive(Clone, Copy)]
struct Numbers {
    kind: Kind,
    least: f64,
    most: f64,
}

impl Numbers {
    /// Those of the node's first output.
    fn made_by(view: &View) -> Result<Self, Box<Refusal>> {
        let dtype = view.node.output(0).and_then(|output| view.graph.value(output).dtype);
        let (least, most) = match dtype {
            Some(DType::U8) => (0.0, f64::from(u8::MAX)),
            Some(DType::I8) => (f64::from(i8::MIN), f64::from(i8::MAX)),
            Some(DType::U16) => (0.0, f64::from(u16::MAX)),
            Some(DType::I16) => (f64::from(i16::MIN), f64::from(i16::MAX)),
            _ => return Err(view.unsupported("its numbers are of a type that torch does not have")),
        };
        let kind = dtype.and_then(convert::kind).unwrap_or(Kind::Int64);
        Ok(Self { kind, least, most })
    }

    /// Floats, already divided by the scale, as the numbers that stand for them.
    fn rounded(self, scaled: &Tensor, zero: Option<&Tensor>) -> Torch<Tensor> {
        let whole = scaled.f_round()?;
        let whole = match zero {
            Some(zero) => whole.f_add(&zero.f_to_kind(whole.kind())?)?,
            None => whole,
        };
        whole.f_clamp(self.least, self.most)?.f_to_kind(self.kind)
    }
}

/// A single number, or a list along an axis, as it meets numbers of `rank` axes.
fn spread(list: &Tensor, axis: i64, rank: usize) -> Torch<Tensor> {
    let at = if axis < 0 { axis + rank as i64 } else { axis };
    match (list.numel(), usize::try_from(at)) {
        (1, _) => list.f_reshape(Vec::<i64>::new()),
        (_, Ok(axis)) if list.dim() == 1 && axis < rank => along(list, axis, rank),
        _ => Err(TchError::Shape(format!("{:?} scales along axis {axis} of {rank}", list.size()))),
    }
}

fn axis(view: &View) -> Result<i64, Box<Refusal>> {
    if view.node.int_or("block_size", 0) != 0 {
        return Err(view.unsupported("its scales hold for blocks"));
    }
    Ok(view.node.int_or("axis", 1))
}

fn quantize(view: &View) -> Lowered {
    only_run(view)?;
    let (axis, numbers) = (axis(view)?, Numbers::made_by(view)?);
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let scaled = data.f_div(&spread(x.at(1)?, axis, data.dim())?)?;
        let zero = x.get(2).map(|zero| spread(zero, axis, data.dim())).transpose()?;
        numbers.rounded(&scaled, zero.as_ref())
    }))
}

fn dequantize(view: &View) -> Lowered {
    let axis = axis(view)?;
    Ok(pure(move |x| {
        let rank = x.at(0)?.dim();
        let scale = spread(x.at(1)?, axis, rank)?;
        let apart = centred(x, 0, Some(2), axis)?.f_to_kind(scale.kind())?;
        apart.f_mul(&scale)
    }))
}

/// How far numbers are from their zero point, in double precision, in which sums of them are exact.
fn centred(x: &Inputs, numbers: usize, zero: Option<usize>, axis: i64) -> Torch<Tensor> {
    let wide = x.at(numbers)?.f_to_kind(Kind::Double)?;
    match zero.and_then(|zero| x.get(zero)) {
        Some(zero) => wide.f_sub(&spread(&zero.f_to_kind(Kind::Double)?, axis, wide.dim())?),
        None => Ok(wide),
    }
}

/// Bytes that reach from the least element to the largest, 0 among them.
fn dynamic(view: &View) -> Lowered {
    only_run(view)?;
    let numbers = Numbers { kind: Kind::Uint8, least: 0.0, most: f64::from(u8::MAX) };
    Ok(many(move |x| {
        let data = x.at(0)?;
        let (least, most) = (data.f_min()?.f_clamp_max(0.0)?, data.f_max()?.f_clamp_min(0.0)?);
        let scale = most.f_sub(&least)?.f_div_scalar(numbers.most)?;
        let zero = numbers.rounded(&least.f_neg()?.f_div(&scale)?, None)?;
        let whole = numbers.rounded(&data.f_div(&scale)?, Some(&zero))?;
        Ok(vec![whole, scale, zero])
    }))
}

/// Sums of integers as numbers of the output's scale (inputs `at` and after); `scales` are the factors'.
fn rescaled(x: &Inputs, numbers: Numbers, sums: &Tensor, scales: &Tensor, at: usize) -> Torch<Tensor> {
    let by = scales.f_div(&x.at(at)?.f_reshape(Vec::<i64>::new())?)?;
    let zero = x.at(at + 1)?.f_reshape(Vec::<i64>::new())?;
    numbers.rounded(&sums.f_to_kind(Kind::Float)?.f_mul(&by)?, Some(&zero))
}

fn quantised_conv(view: &View) -> Lowered {
    only_run(view)?;
    let (conv, numbers) = (Conv::of(view, 3)?, Numbers::made_by(view)?);
    Ok(pure(move |x| {
        let bias = x.get(8).map(|bias| bias.f_to_kind(Kind::Double)).transpose()?;
        let sums = conv.sums(&centred(x, 0, Some(2), 1)?, &centred(x, 3, Some(5), 0)?, bias.as_ref())?;
        let scales = x.at(1)?.f_reshape(Vec::<i64>::new())?.f_mul(&spread(x.at(4)?, 1, sums.dim())?)?;
        rescaled(x, numbers, &sums, &scales, 6)
    }))
}

fn integer_conv(view: &View) -> Lowered {
    only_run(view)?;
    let conv = Conv::of(view, 1)?;
    Ok(pure(move |x| {
        let sums = conv.sums(&centred(x, 0, Some(2), 1)?, &centred(x, 1, Some(3), 0)?, None)?;
        sums.f_to_kind(Kind::Int)
    }))
}

fn quantised_product(view: &View) -> Lowered {
    only_run(view)?;
    let numbers = Numbers::made_by(view)?;
    Ok(pure(move |x| {
        let sums = centred(x, 0, Some(2), -2)?.f_matmul(&centred(x, 3, Some(5), -1)?)?;
        let rank = sums.dim();
        let scales = spread(x.at(1)?, -2, rank)?.f_mul(&spread(x.at(4)?, -1, rank)?)?;
        rescaled(x, numbers, &sums, &scales, 6)
    }))
}

fn integer_product(view: &View) -> Lowered {
    only_run(view)?;
    Ok(pure(|x| centred(x, 0, Some(2), -2)?.f_matmul(&centred(x, 1, Some(3), -1)?)?.f_to_kind(Kind::Int)))
}

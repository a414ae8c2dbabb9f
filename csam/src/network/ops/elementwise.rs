//! Operators that act element by element.

use import::graph::Node;
use import::ops::aligned_at;
use tch::Tensor;

use super::{Lowered, Row};
use crate::network::op::{Frame, Inputs, Op, Torch, along, is_float, pure};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[
    Row::new("Relu", |_| Ok(Box::new(Relu))),
    Row::new("Clip", clip),
    Row::new("LeakyRelu", |view| {
        let slope = f64::from(view.node.float_or("alpha", 0.01));
        Ok(pure(move |x| sloped(x.at(0)?, |negative| negative.f_mul_scalar(slope))))
    }),
    Row::new("PRelu", |_| Ok(pure(|x| sloped(x.at(0)?, |negative| negative.f_mul(x.at(1)?))))),
    Row::new("PRelu", |_| Ok(pure(prelu_by_channel))).before(7),
    Row::new("Elu", |view| {
        let alpha = f64::from(view.node.float_or("alpha", 1.0));
        Ok(pure(move |x| sloped(x.at(0)?, |negative| negative.f_expm1()?.f_mul_scalar(alpha))))
    }),
    Row::new("Sigmoid", |_| unary(Tensor::f_sigmoid)),
    Row::new("Tanh", |_| unary(Tensor::f_tanh)),
    Row::new("Softplus", |_| unary(Tensor::f_softplus)),
    Row::new("Erf", |_| unary(Tensor::f_erf)),
    Row::new("Exp", |_| unary(Tensor::f_exp)),
    Row::new("Log", |_| unary(Tensor::f_log)),
    Row::new("Sqrt", |_| unary(Tensor::f_sqrt)),
    Row::new("Neg", |_| unary(Tensor::f_neg)),
    Row::new("Abs", |_| unary(Tensor::f_abs)),
    Row::new("Reciprocal", |_| unary(Tensor::f_reciprocal)),
    Row::new("Selu", selu),
    Row::new("Celu", |view| {
        let alpha = f64::from(view.node.float_or("alpha", 1.0));
        Ok(pure(move |x| sloped(x.at(0)?, |n| n.f_div_scalar(alpha)?.f_expm1()?.f_mul_scalar(alpha))))
    }),
    Row::new("Softsign", |_| unary(|x| x.f_div(&x.f_abs()?.f_add_scalar(1.0)?))),
    Row::new("Mish", |_| unary(Tensor::f_mish)),
    Row::new("Floor", |_| unary(Tensor::f_floor)),
    Row::new("Ceil", |_| unary(Tensor::f_ceil)),
    Row::new("Sign", |_| unary(Tensor::f_sign)),
    Row::new("Round", |_| unary(Tensor::f_round)),
    Row::new("Sin", |_| unary(Tensor::f_sin)),
    Row::new("Cos", |_| unary(Tensor::f_cos)),
    Row::new("Tan", |_| unary(Tensor::f_tan)),
    Row::new("Asin", |_| unary(Tensor::f_asin)),
    Row::new("Acos", |_| unary(Tensor::f_acos)),
    Row::new("Atan", |_| unary(Tensor::f_atan)),
    Row::new("Sinh", |_| unary(Tensor::f_sinh)),
    Row::new("Cosh", |_| unary(Tensor::f_cosh)),
    Row::new("Asinh", |_| unary(Tensor::f_asinh)),
    Row::new("Acosh", |_| unary(Tensor::f_acosh)),
    Row::new("Atanh", |_| unary(Tensor::f_atanh)),
    Row::new("BitwiseNot", |_| unary(Tensor::f_bitwise_not)),
    Row::new("Swish", |view| {
        let alpha = f64::from(view.node.float_or("alpha", 1.0));
        Ok(pure(move |x| x.at(0)?.f_mul_scalar(alpha)?.f_sigmoid()?.f_mul(x.at(0)?)))
    }),
    Row::new("ThresholdedRelu", |view| {
        let alpha = f64::from(view.node.float_or("alpha", 1.0));
        Ok(pure(move |x| x.at(0)?.f_mul(&x.at(0)?.f_gt(alpha)?)))
    }),
    Row::new("Shrink", shrink),
    Row::new("Affine", |view| {
        let [scale, shift] =
            [("alpha", 1.0), ("beta", 0.0)].map(|(name, usual)| f64::from(view.node.float_or(name, usual)));
        Ok(pure(move |x| x.at(0)?.f_mul_scalar(scale)?.f_add_scalar(shift)))
    }),
    Row::new("HardSwish", |_| unary(Tensor::f_hardswish)),
    Row::new("HardSigmoid", |view| {
        let alpha = f64::from(view.node.float_or("alpha", 0.2));
        let beta = f64::from(view.node.float_or("beta", 0.5));
        Ok(pure(move |x| x.at(0)?.f_mul_scalar(alpha)?.f_add_scalar(beta)?.f_clamp(0.0, 1.0)))
    }),
    Row::new("Gelu", |view| {
        let form = view.node.text_or("approximate", "none").into_owned();
        Ok(pure(move |x| x.at(0)?.f_gelu(&form)))
    }),
    Row::new("Add", |_| broadcast(Binary::Add)),
    Row::new("Add", |view| aligned(view, Binary::Add)).before(7),
    Row::new("Sub", |_| broadcast(Binary::Sub)),
    Row::new("Sub", |view| aligned(view, Binary::Sub)).before(7),
    Row::new("Mul", |_| broadcast(Binary::Mul)),
    Row::new("Mul", |view| aligned(view, Binary::Mul)).before(7),
    Row::new("Div", |_| broadcast(Binary::Div)),
    Row::new("Div", |view| aligned(view, Binary::Div)).before(7),
    Row::new("Pow", |_| broadcast(Binary::Pow)),
    Row::new("Pow", |view| aligned(view, Binary::Pow)).before(7),
    Row::new("Mod", modulo),
    Row::new("BitShift", bit_shift),
    Row::new("BitwiseAnd", |_| joint(Tensor::f_bitwise_and_tensor)),
    Row::new("BitwiseOr", |_| joint(Tensor::f_bitwise_or_tensor)),
    Row::new("BitwiseXor", |_| joint(Tensor::f_bitwise_xor_tensor)),
    Row::new("Sum", |_| variadic(|a, b| a.f_add(b))),
    Row::new("Mean", mean),
    Row::new("Min", |_| variadic(|a, b| a.f_minimum(b))),
    Row::new("Max", |_| variadic(|a, b| a.f_maximum(b))),
];

fn unary(function: fn(&Tensor) -> Torch<Tensor>) -> Lowered {
    Ok(pure(move |x| function(x.at(0)?)))
}

fn joint(function: fn(&Tensor, &Tensor) -> Torch<Tensor>) -> Lowered {
    Ok(pure(move |x| function(x.at(0)?, x.at(1)?)))
}

/// Beyond a limit, moved towards zero; zero within.
fn shrink(view: &View) -> Lowered {
    let [bias, limit] = [("bias", 0.0), ("lambd", 0.5)].map(|(name, usual)| f64::from(view.node.float_or(name, usual)));
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let above = data.f_sub_scalar(bias)?.f_mul(&data.f_gt(limit)?)?;
        let below = data.f_add_scalar(bias)?.f_mul(&data.f_lt(-limit)?)?;
        above.f_add(&below)?.f_to_kind(data.kind())
    }))
}

/// The rest has the sign of the divisor, or with `fmod` that of the dividend.
fn modulo(view: &View) -> Lowered {
    joint(if view.node.int_or("fmod", 0) != 0 { Tensor::f_fmod_tensor } else { Tensor::f_remainder_tensor })
}

/// Unsigned numbers, some of which are computed in a wider type: what leaves their own is lost.
fn bit_shift(view: &View) -> Lowered {
    let left = view.node.text_or("direction", "") == "LEFT";
    let bits = view.node.input(0).and_then(|input| view.graph.value(input).dtype).map_or(64, |dtype| dtype.bits());
    Ok(pure(move |x| {
        let (data, by) = (x.at(0)?, x.at(1)?);
        if !left {
            return data.f_bitwise_right_shift(by);
        }
        let moved = data.f_bitwise_left_shift(by)?;
        if bits < 64 { moved.f_bitwise_and((1i64 << bits) - 1) } else { Ok(moved) }
    }))
}

struct Relu;

impl Op for Relu {
    fn run(&self, inputs: &mut Inputs, frame: &Frame) -> Torch<Vec<Tensor>> {
        Ok(vec![if frame.overwrite { inputs.first_mut()?.f_relu_()? } else { inputs.at(0)?.f_relu()? }])
    }

    fn overwrites(&self) -> bool {
        true
    }
}

/// A limit of Clip.
enum Limit {
    None,
    Known(f64),
    At(usize),
}

fn limit(view: &View, attribute: &str, input: usize) -> Limit {
    match (view.node.proto.float(attribute), view.constant_number(input)) {
        (Some(number), _) => Limit::Known(f64::from(number)),
        (None, Some(number)) => Limit::Known(number),
        (None, None) if view.has(input) => Limit::At(input),
        (None, None) => Limit::None,
    }
}

fn clip(view: &View) -> Lowered {
    let (low, high) = (limit(view, "min", 1), limit(view, "max", 2));
    Ok(pure(move |x| {
        let data = x.at(0)?;
        if let (Limit::Known(low), Limit::Known(high), true) = (&low, &high, is_float(data)) {
            return data.f_clamp(*low, *high);
        }
        let bound = |limit: &Limit| match limit {
            Limit::None => Ok(None),
            Limit::Known(number) => Tensor::f_full([] as [i64; 0], *number, (data.kind(), data.device())).map(Some),
            Limit::At(input) => x.at(*input).map(|bound| Some(bound.shallow_clone())),
        };
        // ONNX says that the upper limit wins when they cross, as torch does.
        match (bound(&low)?, bound(&high)?) {
            (None, None) => Ok(data.shallow_clone()),
            (low, high) => data.f_clamp_tensor(low, high),
        }
    }))
}

/// The positive part as it is, the negative part through a function that is zero at zero.
fn sloped(data: &Tensor, negative: impl Fn(&Tensor) -> Torch<Tensor>) -> Torch<Tensor> {
    data.f_relu()?.f_add(&negative(&data.f_clamp_max(0.0)?)?)
}

/// One slope for each channel, or one for all.
fn prelu_by_channel(x: &Inputs) -> Torch<Tensor> {
    let (data, slopes) = (x.at(0)?, x.at(1)?);
    let slopes = if slopes.numel() == 1 { slopes.f_reshape([1])? } else { along(slopes, 1, data.dim())? };
    sloped(data, |negative| negative.f_mul(&slopes))
}

/// The format's defaults are the constants of the self-normalising networks paper, and settable.
fn selu(view: &View) -> Lowered {
    let alpha = f64::from(view.node.float_or("alpha", 1.673_263_2));
    let gamma = f64::from(view.node.float_or("gamma", 1.050_701));
    Ok(pure(move |x| sloped(x.at(0)?, |n| n.f_expm1()?.f_mul_scalar(alpha))?.f_mul_scalar(gamma)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
}

fn broadcast(operation: Binary) -> Lowered {
    Ok(Box::new(Broadcast(operation)))
}

/// The second operand may start at a named axis of the first.
fn aligned(view: &View, operation: Binary) -> Lowered {
    Ok(Box::new(Aligned { operation: Broadcast(operation), node: view.node.clone() }))
}

struct Aligned {
    operation: Broadcast,
    node: Node,
}

impl Op for Aligned {
    fn run(&self, inputs: &mut Inputs, frame: &Frame) -> Torch<Vec<Tensor>> {
        let (first, second) = (inputs.at(0)?, inputs.at(1)?);
        if let Some(start) = aligned_at(&self.node, first.dim(), second.dim()) {
            let mut size = second.size();
            size.resize(first.dim() - start, 1);
            inputs.0[1] = Some(second.f_reshape(&size)?);
        }
        self.operation.run(inputs, frame)
    }
}

struct Broadcast(Binary);

impl Op for Broadcast {
    fn run(&self, inputs: &mut Inputs, frame: &Frame) -> Torch<Vec<Tensor>> {
        let b = inputs.at(1)?.shallow_clone();
        if frame.overwrite && self.0 == Binary::Add && inputs.at(0)?.size() == b.size() {
            return Ok(vec![inputs.first_mut()?.f_add_(&b)?]);
        }
        let a = inputs.at(0)?;
        Ok(vec![match self.0 {
            Binary::Add => a.f_add(&b)?,
            Binary::Sub => a.f_sub(&b)?,
            Binary::Mul => a.f_mul(&b)?,
            Binary::Div if is_float(a) => a.f_div(&b)?,
            Binary::Div => a.f_div_tensor_mode(&b, "trunc")?,
            Binary::Pow => a.f_pow(&b)?.f_to_kind(a.kind())?,
        }])
    }

    fn fresh(&self) -> bool {
        matches!(self.0, Binary::Add | Binary::Sub)
    }

    fn overwrites(&self) -> bool {
        self.0 == Binary::Add
    }
}

fn variadic(combine: fn(&Tensor, &Tensor) -> Torch<Tensor>) -> Lowered {
    Ok(pure(move |x| total(x, combine)))
}

fn total(x: &Inputs, combine: fn(&Tensor, &Tensor) -> Torch<Tensor>) -> Torch<Tensor> {
    let mut rest = x.present().skip(1);
    rest.try_fold(x.at(0)?.shallow_clone(), |all, operand| combine(&all, operand))
}

fn mean(view: &View) -> Lowered {
    let count = view.node.inputs.len() as f64;
    Ok(pure(move |x| total(x, |a, b| a.f_add(b))?.f_div_scalar(count)))
}

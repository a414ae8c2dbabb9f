//! Elementwise operators: one operand, or several with broadcasting.

use super::compute::{ComputeView, Elements};
use super::infer_view::resolve_axis;
use super::row::{Fact, Family, FoldView, InferView, OpRow, Role};
use super::says;
use crate::graph::{Content, Dim, Node, Refusal, Shape};
use crate::labels::{Axis, LaneView};

const fn unary(name: &'static str, revisions: &'static [i64]) -> OpRow {
    OpRow::new(name, revisions, unary_infer, LaneView::same_layout).says(says::PASS)
}

const fn joint(name: &'static str, revisions: &'static [i64]) -> OpRow {
    OpRow::new(name, revisions, joint_infer, joint_lanes).says(says::TOGETHER).family(Family::Pointwise)
}

const fn shifting(name: &'static str, revisions: &'static [i64]) -> OpRow {
    joint(name, revisions).parameters(&[(0, Role::Shift), (1, Role::Shift)]).family(Family::Addition)
}

const fn scaling(name: &'static str, revisions: &'static [i64]) -> OpRow {
    joint(name, revisions).parameters(&[(0, Role::Scale), (1, Role::Scale)])
}

/// A row of the revisions before version 7, in which an attribute may say at which axis of the first operand the second
/// one starts.
pub(super) const fn aligned(row: OpRow) -> OpRow {
    OpRow { infer: aligned_infer, lanes: aligned_lanes, before: 7, ..row }
}

pub(super) const ROWS: &[OpRow] = &[
    unary("Relu", &[1, 6, 13, 14]).compute(|view| view.each(|x| x.max(0.0))),
    unary("LeakyRelu", &[1, 6, 16]),
    unary("Elu", &[1, 6, 22]),
    unary("Selu", &[1, 6, 22]),
    unary("Celu", &[12, 28]),
    unary("Sigmoid", &[1, 6, 13]).compute(|view| view.each(|x| 1.0 / (1.0 + (-x).exp()))),
    unary("HardSigmoid", &[1, 6, 22]),
    unary("HardSwish", &[14, 22]),
    unary("Tanh", &[1, 6, 13]).compute(|view| view.each(f64::tanh)),
    unary("Softplus", &[1, 22]).compute(|view| view.each(|x| x.exp().ln_1p())),
    unary("Softsign", &[1, 22]),
    unary("Mish", &[18, 22]),
    unary("Gelu", &[20]),
    unary("Erf", &[9, 13]),
    unary("Exp", &[1, 6, 13]).compute(|view| view.each(f64::exp)),
    unary("Log", &[1, 6, 13]).compute(|view| view.each(f64::ln)),
    unary("Sqrt", &[1, 6, 13]).compute(|view| view.each(f64::sqrt)),
    unary("Reciprocal", &[1, 6, 13]).compute(|view| view.each(f64::recip)),
    unary("Neg", &[1, 6, 13]).compute(|view| view.each(|x| -x)),
    unary("Abs", &[1, 6, 13]).compute(|view| view.each(f64::abs)),
    unary("Floor", &[1, 6, 13]).compute(|view| view.each(f64::floor)),
    unary("Ceil", &[1, 6, 13]).compute(|view| view.each(f64::ceil)),
    unary("Sign", &[9, 13]),
    unary("Clip", &[1, 6, 11, 12, 13]),
    unary("Round", &[11, 22]),
    unary("ThresholdedRelu", &[1, 10, 22]),
    unary("Affine", &[1]),
    unary("Shrink", &[9]),
    unary("Swish", &[24]),
    unary("Sin", &[7, 22]),
    unary("Cos", &[7, 22]),
    unary("Tan", &[7, 22]),
    unary("Asin", &[7, 22]),
    unary("Acos", &[7, 22]),
    unary("Atan", &[7, 22]),
    unary("Sinh", &[9, 22]),
    unary("Cosh", &[9, 22]),
    unary("Asinh", &[9, 22]),
    unary("Acosh", &[9, 22]),
    unary("Atanh", &[9, 22]),
    unary("BitwiseNot", &[18]),
    aligned(shifting("Add", &[1, 6]).fold(sums)),
    shifting("Add", &[7, 13, 14]).fold(sums).compute(|view| view.joint(|a, b| a + b)),
    aligned(shifting("Sub", &[1, 6]).fold(differences)),
    shifting("Sub", &[7, 13, 14]).fold(differences).compute(|view| view.joint(|a, b| a - b)),
    aligned(scaling("Mul", &[1, 6]).fold(products)),
    scaling("Mul", &[7, 13, 14]).fold(products).compute(|view| view.joint(|a, b| a * b)),
    aligned(scaling("Div", &[1, 6]).fold(quotients)),
    scaling("Div", &[7, 13, 14]).fold(quotients).compute(divided),
    OpRow::new("PRelu", &[1, 6], unary_infer, by_channel_lanes)
        .says("pass, with their slopes")
        .parameters(&[(1, Role::Slope)])
        .before(7),
    OpRow::new("PRelu", &[7, 9, 16], joint_infer, joint_lanes)
        .says("pass, with their slopes")
        .parameters(&[(1, Role::Slope)]),
    joint("Sum", &[1, 6, 8, 13]).family(Family::Addition).compute(|view| view.joint(|a, b| a + b)),
    joint("Max", &[1, 6, 8, 12, 13]).compute(|view| view.joint(f64::max)),
    joint("Min", &[1, 6, 8, 12, 13]).compute(|view| view.joint(f64::min)),
    joint("Mean", &[1, 6, 8, 13]),
    aligned(joint("Pow", &[1])),
    joint("Pow", &[7, 12, 13, 15]).compute(|view| view.joint(f64::powf)),
    joint("Mod", &[10, 13, 28]).fold(remainders),
    joint("BitShift", &[11, 28]),
    joint("BitwiseAnd", &[18]),
    joint("BitwiseOr", &[18]),
    joint("BitwiseXor", &[18]),
];

/// Broadcast sizes of two operands; `None` when they cannot meet.
pub fn broadcast(a: &[Dim], b: &[Dim]) -> Option<Shape> {
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    let offset = long.len() - short.len();
    let mut shape = long.to_vec();
    for (size, other) in shape[offset..].iter_mut().zip(short) {
        *size = match (size.value(), other.value()) {
            (Some(1), _) => other.clone(),
            (_, Some(1)) => size.clone(),
            (Some(x), Some(y)) if x != y => return None,
            (None, Some(_)) => other.clone(),
            _ => size.clone(),
        };
    }
    Some(shape)
}

pub(super) fn unary_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    view.like_first(view.shape(0).map(<[Dim]>::to_vec))
}

/// A list that varies along the channels, or one number.
fn by_channel_lanes(view: &mut LaneView) {
    let Some(data) = view.layout(0) else { return LaneView::opaque(view) };
    let one = view.layout(1).is_some_and(|list| list.iter().all(Axis::is_one));
    if let Some(channels) = data.get(1).filter(|_| !one) {
        view.unite_list(channels, 1);
    }
    view.set(0, data);
}

/// The axis of the first operand at which the second one starts; `None` where they meet at the end.
pub fn aligned_at(node: &Node, first: usize, second: usize) -> Option<usize> {
    let axis = node.int("axis").filter(|_| node.int_or("broadcast", 0) != 0)?;
    resolve_axis(axis, first).filter(|axis| axis + second <= first)
}

/// The second operand is spread over the first.
pub(super) fn aligned_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    if view.node.int("axis").is_none() {
        return joint_infer(view);
    }
    view.like_first(view.shape(0).map(<[Dim]>::to_vec))
}

pub(super) fn aligned_lanes(view: &mut LaneView) {
    let (Some(first), Some(second)) = (view.layout(0), view.layout(1)) else { return LaneView::opaque(view) };
    let Some(start) = aligned_at(view.node(), first.len(), second.len()) else { return joint_lanes(view) };
    let mut output = first;
    for (axis, other) in output[start..].iter_mut().zip(second).filter(|(_, other)| !other.is_one()) {
        *axis = meet(view, axis.clone(), other);
    }
    view.set(0, output);
}

pub(super) fn joint_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let mut shape: Shape = Vec::new();
    for input in 0..view.node.inputs.len() {
        let Some(other) = view.shape(input) else { return view.like_first(None) };
        shape = broadcast(&shape, other).ok_or_else(|| {
            view.contradiction(format!("operands {} and {} do not broadcast", view.show(&shape), view.show(other)))
        })?;
    }
    view.like_first(Some(shape))
}

/// Shape arithmetic on lists of sizes.
pub(super) fn arithmetic(view: &FoldView, apply: impl Fn(&Dim, &Dim) -> Option<Dim>) -> Option<Content> {
    let (a, b) = (view.dims(0)?, view.dims(1)?);
    let scalar = view.content(0)?.is_scalar() && view.content(1)?.is_scalar();
    let count = a.len().max(b.len());
    if [a.len(), b.len()].iter().any(|&n| n != count && n != 1) {
        return None;
    }
    let at = |list: &[Dim], i: usize| list[if list.len() == 1 { 0 } else { i }].clone();
    let elements = (0..count).map(|i| apply(&at(&a, i), &at(&b, i)));
    Some(Content::Dims { scalar, elements: elements.collect::<Option<_>>()? })
}

fn sums(view: &FoldView) -> Option<Content> {
    arithmetic(view, |a, b| a.plus(b))
}

fn differences(view: &FoldView) -> Option<Content> {
    arithmetic(view, |a, b| a.plus(&b.times(&Dim::known(-1))?))
}

fn products(view: &FoldView) -> Option<Content> {
    arithmetic(view, |a, b| a.times(b))
}

fn quotients(view: &FoldView) -> Option<Content> {
    arithmetic(view, quotient)
}

/// Integers are divided without the remainder; unknown sizes only where there is none.
fn quotient(a: &Dim, b: &Dim) -> Option<Dim> {
    let numbers = || a.value()?.checked_div(b.value()?).map(Dim::known);
    a.divide(b).or_else(numbers)
}

/// Integers are divided towards zero.
fn divided(view: &ComputeView) -> Option<Elements> {
    match view.is_whole(0) {
        true => view.joint(|a, b| (a / b).trunc()),
        false => view.joint(|a, b| a / b),
    }
}

/// Integers as floor division leaves them; `fmod` works on other numbers.
fn remainders(view: &FoldView) -> Option<Content> {
    let floored = |a: &Dim, b: &Dim| {
        let (a, b) = (a.value()?, b.value()?);
        let rest = a.checked_rem(b)?;
        Some(Dim::known(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }))
    };
    (view.node.int_or("fmod", 0) == 0).then(|| arithmetic(view, floored)).flatten()
}

/// Operands go together index by index where none of them broadcasts.
pub(super) fn joint_lanes(view: &mut LaneView) {
    let Some(plain) = view.plain_output() else { return LaneView::opaque(view) };
    let mut met: Vec<Option<Axis>> = vec![None; plain.len()];
    for input in 0..view.node().inputs.len() {
        let (Some(layout), Some(shape)) = (view.layout(input), view.input_shape(input)) else {
            return LaneView::opaque(view);
        };
        // The file may declare fewer axes for an output of which not all operands are known.
        let Some(offset) = plain.len().checked_sub(layout.len()) else { return LaneView::opaque(view) };
        for (position, axis) in layout.into_iter().enumerate().filter(|(position, _)| !shape[*position].is(1)) {
            let output = &mut met[offset + position];
            *output = Some(match output.take() {
                None => axis,
                Some(other) => meet(view, other, axis),
            });
        }
    }
    view.set(0, met.into_iter().zip(plain).map(|(met, plain)| met.unwrap_or(plain)).collect());
}

/// Joins two operands' axes; the result is the one that says more.
fn meet(view: &mut LaneView, first: Axis, second: Axis) -> Axis {
    view.unite(&first, &second);
    let richer = second.has_labels() && (!first.has_labels() || second.0.len() > first.0.len());
    if richer { second } else { first }
}

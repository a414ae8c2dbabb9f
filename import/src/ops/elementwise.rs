//! Elementwise operators: one operand, or several with broadcasting.

use super::row::{Fact, FoldView, InferView, OpRow, Role};
use crate::graph::{Content, Dim, Refusal, Shape};
use crate::labels::{Axis, LaneView};

const fn unary(name: &'static str) -> OpRow {
    OpRow::new(name, unary_infer, LaneView::same_layout)
}

const fn joint(name: &'static str) -> OpRow {
    OpRow::new(name, joint_infer, joint_lanes)
}

const fn shifting(name: &'static str) -> OpRow {
    joint(name).parameters(&[(0, Role::Shift), (1, Role::Shift)])
}

const fn scaling(name: &'static str) -> OpRow {
    joint(name).parameters(&[(0, Role::Scale), (1, Role::Scale)])
}

pub(super) const ROWS: &[OpRow] = &[
    unary("Relu"),
    unary("LeakyRelu"),
    unary("Elu"),
    unary("Selu"),
    unary("Celu"),
    unary("Sigmoid"),
    unary("HardSigmoid"),
    unary("HardSwish"),
    unary("Tanh"),
    unary("Softplus"),
    unary("Softsign"),
    unary("Mish"),
    unary("Gelu"),
    unary("Erf"),
    unary("Exp"),
    unary("Log"),
    unary("Sqrt"),
    unary("Reciprocal"),
    unary("Neg"),
    unary("Abs"),
    unary("Floor"),
    unary("Ceil"),
    unary("Clip"),
    shifting("Add").fold(|view| arithmetic(view, |a, b| a.plus(b))),
    shifting("Sub").fold(|view| arithmetic(view, |a, b| a.plus(&b.times(&Dim::known(-1))?))),
    scaling("Mul").fold(|view| arithmetic(view, |a, b| a.times(b))),
    scaling("Div").fold(|view| arithmetic(view, quotient)),
    joint("PRelu").parameters(&[(1, Role::Slope)]),
    joint("Sum"),
    joint("Max"),
    joint("Min"),
    joint("Mean"),
    joint("Pow"),
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

fn unary_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    view.like_first(view.shape(0).map(<[Dim]>::to_vec))
}

fn joint_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    if view.node.opset < 7 && view.node.proto.attribute("axis").is_some() {
        return Err(view.unsupported("it broadcasts along a named axis, as before version 7"));
    }
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
fn arithmetic(view: &FoldView, apply: impl Fn(&Dim, &Dim) -> Option<Dim>) -> Option<Content> {
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

/// Integers are divided without the remainder; unknown sizes only where there is none.
fn quotient(a: &Dim, b: &Dim) -> Option<Dim> {
    let numbers = || a.value()?.checked_div(b.value()?).map(Dim::known);
    a.divide(b).or_else(numbers)
}

/// Operands go together index by index where none of them broadcasts.
fn joint_lanes(view: &mut LaneView) {
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

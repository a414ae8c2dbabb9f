//! Comparisons, logic, and choices by them.

use super::elementwise::{aligned, aligned_infer, arithmetic, joint_infer, joint_lanes, unary_infer};
use super::row::{Fact, FoldView, InferView, OpRow};
use super::says;
use crate::graph::{Content, Dim, Refusal};
use crate::labels::LaneView;
use crate::tensor::DType;

const fn compared(name: &'static str, revisions: &'static [i64]) -> OpRow {
    OpRow::new(name, revisions, truth_of_joint, joint_lanes).says(says::TOGETHER)
}

const fn compared_before_7(name: &'static str) -> OpRow {
    let row = aligned(OpRow::new(name, &[1], truth_of_aligned, joint_lanes).says(says::TOGETHER));
    OpRow { infer: truth_of_aligned, ..row }
}

const fn asked(name: &'static str, revisions: &'static [i64]) -> OpRow {
    OpRow::new(name, revisions, truth_of_one, LaneView::same_layout).says(says::PASS)
}

pub(super) const ROWS: &[OpRow] = &[
    compared_before_7("Equal").fold(equal),
    compared("Equal", &[7, 11, 13, 19]).fold(equal),
    compared_before_7("Less").fold(less),
    compared("Less", &[7, 9, 13]).fold(less),
    compared_before_7("Greater").fold(greater),
    compared("Greater", &[7, 9, 13]).fold(greater),
    compared("LessOrEqual", &[12, 16]).fold(|view| of_numbers(view, |a, b| a <= b)),
    compared("GreaterOrEqual", &[12, 16]).fold(|view| of_numbers(view, |a, b| a >= b)),
    compared_before_7("And").fold(both),
    compared("And", &[7]).fold(both),
    compared_before_7("Or").fold(either),
    compared("Or", &[7]).fold(either),
    compared_before_7("Xor").fold(one_alone),
    compared("Xor", &[7]).fold(one_alone),
    asked("Not", &[1]).fold(not),
    asked("IsNaN", &[9, 13, 20]),
    asked("IsInf", &[10, 20]),
    OpRow::new("Where", &[9, 16], chosen_infer, joint_lanes).says(says::TOGETHER).fold(chosen),
];

fn truths(facts: Vec<Fact>) -> Vec<Fact> {
    facts.into_iter().map(|fact| Fact { dtype: Some(DType::Bool), ..fact }).collect()
}

fn truth_of_joint(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    joint_infer(view).map(truths)
}

fn truth_of_aligned(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    aligned_infer(view).map(truths)
}

fn truth_of_one(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    unary_infer(view).map(truths)
}

/// The elements have the type of those that are chosen from.
fn chosen_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let dtype = view.dtype(1).or(view.dtype(2));
    let facts = joint_infer(view)?;
    Ok(facts.into_iter().map(|fact| Fact { dtype, ..fact }).collect())
}

/// Whether sizes are equal, as 1 or 0. A size is never negative, however little is known of it.
fn equal(view: &FoldView) -> Option<Content> {
    arithmetic(view, |a, b| {
        let known = a.value().zip(b.value()).map(|(a, b)| a == b);
        let negative = |size: &Dim| size.value().is_some_and(|size| size < 0);
        let apart = (negative(a) && b.is_size()) || (negative(b) && a.is_size());
        let same = (a == b).then_some(true).or(known).or(apart.then_some(false));
        Some(Dim::known(i64::from(same?)))
    })
}

/// Whether known integers, or truths, stand in a relation, as 1 or 0.
fn of_numbers(view: &FoldView, holds: fn(i64, i64) -> bool) -> Option<Content> {
    arithmetic(view, |a, b| Some(Dim::known(i64::from(holds(a.value()?, b.value()?)))))
}

fn less(view: &FoldView) -> Option<Content> {
    of_numbers(view, |a, b| a < b)
}

fn greater(view: &FoldView) -> Option<Content> {
    of_numbers(view, |a, b| a > b)
}

fn both(view: &FoldView) -> Option<Content> {
    of_numbers(view, |a, b| a != 0 && b != 0)
}

fn either(view: &FoldView) -> Option<Content> {
    of_numbers(view, |a, b| a != 0 || b != 0)
}

fn one_alone(view: &FoldView) -> Option<Content> {
    of_numbers(view, |a, b| (a != 0) != (b != 0))
}

fn not(view: &FoldView) -> Option<Content> {
    let turned = view.ints(0)?.into_iter().map(|truth| Dim::known(i64::from(truth == 0)));
    Some(Content::Dims { scalar: view.content(0)?.is_scalar(), elements: turned.collect() })
}

/// Sizes chosen by known truths.
fn chosen(view: &FoldView) -> Option<Content> {
    let (truths, yes, no) = (view.dims(0)?, view.dims(1)?, view.dims(2)?);
    let count = truths.len().max(yes.len()).max(no.len());
    if [&truths, &yes, &no].iter().any(|list| list.len() != 1 && list.len() != count) {
        return None;
    }
    let at = |list: &[Dim], place: usize| list[if list.len() == 1 { 0 } else { place }].clone();
    let one = |place| {
        let list = if at(&truths, place).value()? != 0 { &yes } else { &no };
        Some(at(list, place))
    };
    let scalar = (0..3).all(|input| view.content(input).is_some_and(Content::is_scalar));
    Some(Content::Dims { scalar, elements: (0..count).map(one).collect::<Option<_>>()? })
}

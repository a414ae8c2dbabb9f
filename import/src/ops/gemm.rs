//! Matrix products: Gemm, MatMul and Einsum.

use std::collections::BTreeMap;

use super::cost_view::Product;
use super::elementwise::broadcast;
use super::row::{Contraction, Cost, CostView, Fact, Family, InferView, OpRow, Role};
use super::says;
use crate::graph::{Dim, Node, Refusal, ValueId};
use crate::labels::{Axis, LaneView, PinCode};

pub(super) const ROWS: &[OpRow] = &[
    OpRow::new("Gemm", &[1, 6, 7, 9, 11, 13], gemm_infer, gemm_lanes)
        .says("reads one axis of the weight, writes the other")
        .cost(gemm_cost)
        .parameters(&[(0, Role::Weight), (1, Role::Weight), (2, Role::Bias)])
        .fan_in(gemm_fan_in)
        .contraction(gemm_contraction),
    OpRow::new("MatMul", &[1, 9, 13], matmul_infer, matmul_lanes)
        .says("reads the rows of a matrix, writes its columns; stacks go together")
        .cost(matmul_cost)
        .parameters(&[(0, Role::Weight), (1, Role::Weight)])
        .compute(|view| view.multiplied())
        .fan_in(matmul_fan_in)
        .contraction(matmul_contraction),
    OpRow::new("Einsum", &[12, 28], einsum_infer, LaneView::opaque)
        .says(says::STAY)
        .cost(einsum_cost)
        .family(Family::Contraction),
];

/// The contracted axes of a Gemm's two factors.
fn contracted(node: &Node) -> (usize, usize) {
    let first = usize::from(node.int_or("transA", 0) == 0);
    let second = usize::from(node.int_or("transB", 0) != 0);
    (first, second)
}

fn gemm_fan_in(node: &Node, input: usize, shape: &[usize]) -> usize {
    let (first, second) = contracted(node);
    shape.get(if input == 0 { first } else { second }).copied().unwrap_or(1)
}

/// The first factor is summed along its last axis, the second along the one before its last.
fn matmul_fan_in(_: &Node, input: usize, shape: &[usize]) -> usize {
    let axis = if input == 0 { shape.len().checked_sub(1) } else { Some(shape.len().saturating_sub(2)) };
    axis.and_then(|axis| shape.get(axis)).copied().unwrap_or(1)
}

fn gemm_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let (a, b) = (view.shape(0).map(<[Dim]>::to_vec), view.shape(1).map(<[Dim]>::to_vec));
    // A Gemm's factors are matrices, even where nothing else is known of them.
    let mut matrix = |known: Option<Vec<Dim>>| known.unwrap_or_else(|| vec![view.fresh(), view.fresh()]);
    let (a, b) = (&matrix(a), &matrix(b));
    if a.len() != 2 || b.len() != 2 {
        return Err(view.contradiction(format!("factors {} and {}", view.show(a), view.show(b))));
    }
    let (read, contracted) = contracted(view.node);
    check_sizes(view, a, b, &a[read], &b[contracted])?;
    view.like_first(Some(vec![a[1 - read].clone(), b[1 - contracted].clone()]))
}

fn check_sizes(view: &InferView, a: &[Dim], b: &[Dim], x: &Dim, y: &Dim) -> Result<(), Box<Refusal>> {
    match (x.value(), y.value()) {
        (Some(x), Some(y)) if x != y => {
            Err(view.contradiction(format!("factors {} and {}", view.show(a), view.show(b))))
        }
        _ => Ok(()),
    }
}

fn gemm_cost(view: &CostView) -> Cost {
    let Some(data) = view.node.input(0) else { return Cost::default() };
    view.contraction(vec![(data, contracted(view.node).0)])
}

fn gemm_lanes(view: &mut LaneView) {
    let (read, contracted) = contracted(view.node());
    let Some(mut output) = view.plain_output() else { return LaneView::opaque(view) };
    let (a, b) = (view.layout(0), view.layout(1));
    for (axis, written) in [(0, a.as_ref().map(|a| &a[1 - read])), (1, b.as_ref().map(|b| &b[1 - contracted]))] {
        output[axis] = written.unwrap_or(&output[axis]).clone();
    }
    add_bias(view, &output);
    match (a, b) {
        (Some(a), Some(b)) => contract(view, (0, read), (1, contracted), &a[read], &b[contracted]),
        (Some(one), None) => view.pin(&one[read], PinCode::UncutPartner),
        (None, Some(one)) => view.pin(&one[contracted], PinCode::UncutPartner),
        (None, None) => {}
    }
    view.set(0, output);
}

/// The bias broadcasts to the output; one of unknown rank pins it.
fn add_bias(view: &mut LaneView, output: &[Axis]) {
    let Some(bias) = view.layout(2) else {
        if view.node().input(2).is_some() {
            output.iter().for_each(|axis| view.pin(axis, PinCode::UncutPartner));
        }
        return;
    };
    let offset = output.len().saturating_sub(bias.len());
    for (axis, bias) in output.iter().skip(offset).zip(&bias).filter(|(_, bias)| !bias.is_one()) {
        view.unite(axis, bias);
    }
}

/// Contracts two axes; the constant side, if there is one, is the weight. A mean can stand in for lanes where the weight is
/// a matrix of its own.
fn contract(view: &mut LaneView, a_site: (usize, usize), b_site: (usize, usize), a: &Axis, b: &Axis) {
    if view.is_computed {
        return [a, b].into_iter().for_each(|axis| view.fix(axis));
    }
    view.unite(a, b);
    match (view.is_constant(a_site.0), view.is_constant(b_site.0)) {
        (false, true) => {
            let is_matrix = view.input_shape(b_site.0).is_some_and(|shape| shape.len() == 2);
            view.reader(a_site, b_site, is_matrix);
        }
        (true, false) => view.reader(b_site, a_site, false),
        _ => view.reader(a_site, b_site, false),
    }
}

fn matmul_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let (Some(a), Some(b)) = (view.shape(0), view.shape(1)) else { return view.like_first(None) };
    let (m, n) = (a.len(), b.len());
    if m == 0 || n == 0 {
        return Err(view.contradiction("a factor has no axes"));
    }
    check_sizes(view, a, b, &a[m - 1], &b[n.saturating_sub(2)])?;
    let leading = broadcast(&a[..m.saturating_sub(2)], &b[..n.saturating_sub(2)])
        .ok_or_else(|| view.contradiction(format!("factors {} and {}", view.show(a), view.show(b))))?;
    let rows = (m > 1).then(|| a[m - 2].clone());
    let columns = (n > 1).then(|| b[n - 1].clone());
    view.like_first(Some(leading.into_iter().chain(rows).chain(columns).collect()))
}

fn matmul_cost(view: &CostView) -> Cost {
    let Some(data) = view.node.input(0) else { return Cost::default() };
    match view.rank(data) {
        Some(rank) if rank > 0 => view.contraction(vec![(data, rank - 1)]),
        _ => Cost::default(),
    }
}

/// Products of vectors, matrices and stacks of them. A vector has no rows, or no columns; stacks meet as operands do.
fn matmul_lanes(view: &mut LaneView) {
    let (Some(a), Some(b), Some(output)) = (view.layout(0), view.layout(1), view.plain_output()) else {
        return LaneView::opaque(view);
    };
    let (Some(summed), Some(rows)) = (a.len().checked_sub(1), b.len().checked_sub(1)) else {
        return LaneView::opaque(view);
    };
    let read = rows.saturating_sub(1);
    let stacks = output.len().checked_sub(usize::from(a.len() > 1) + usize::from(b.len() > 1));
    let (above, beside) = (&a[..summed.saturating_sub(1)], &b[..read]);
    if stacks != Some(above.len().max(beside.len())) {
        return LaneView::opaque(view);
    }
    contract(view, (0, summed), (1, read), &a[summed], &b[read]);
    let mut met = output[..above.len().max(beside.len())].to_vec();
    for (position, met) in met.iter_mut().rev().enumerate() {
        let of = |operand: &[Axis]| operand.iter().rev().nth(position).filter(|axis| !axis.is_one()).cloned();
        match (of(above), of(beside)) {
            (Some(first), Some(second)) => {
                view.unite(&first, &second);
                *met = if first.has_labels() { first } else { second };
            }
            (one, other) => *met = one.or(other).unwrap_or_else(|| met.clone()),
        }
    }
    met.extend((a.len() > 1).then(|| a[summed - 1].clone()));
    met.extend((b.len() > 1).then(|| b[rows].clone()));
    view.set(0, met);
}

/// A Gemm multiplies its product by `alpha` and its bias by `beta`.
fn gemm_contraction(node: &Node, _: usize) -> Option<Contraction> {
    let beta = f64::from(node.float_or("beta", 1.0));
    let read_axis = contracted(node).1;
    Some(Contraction {
        weight: 1,
        read_axis,
        written_axis: 1 - read_axis,
        output_axis: 1,
        product_scale: node.float_or("alpha", 1.0).into(),
        bias: (beta != 0.0).then_some(2),
        bias_scale: beta,
    })
}

fn matmul_contraction(_: &Node, rank: usize) -> Option<Contraction> {
    let output_axis = rank.checked_sub(1)?;
    Some(Contraction {
        weight: 1,
        read_axis: 0,
        written_axis: 1,
        output_axis,
        product_scale: 1.0,
        bias: None,
        bias_scale: 1.0,
    })
}

/// One multiply-accumulate for every combination of indices.
fn einsum_cost(view: &CostView) -> Cost {
    let equation = view.node.text_or("equation", "");
    let operands = equation.split("->").next().unwrap_or_default().split(',');
    let mut axes: BTreeMap<char, (ValueId, usize)> = BTreeMap::new();
    for (operand, value) in operands.zip(view.node.inputs.iter().flatten()) {
        let letters = operand.chars().filter(|letter| !letter.is_whitespace());
        for (letter, axis) in letters.zip(view.all_axes(*value)) {
            axes.entry(letter).or_insert(axis);
        }
    }
    Cost { macs: vec![Product { coefficient: 1.0, axes: axes.into_values().collect() }], elementwise: Vec::new() }
}

/// Sizes by letter, where the equation names every axis of every operand and of the output.
fn einsum_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let equation: String = view.node.text_or("equation", "").chars().filter(|letter| !letter.is_whitespace()).collect();
    let Some((operands, output)) = equation.split_once("->").filter(|_| !equation.contains('.')) else {
        return view.like_first(None);
    };
    let mut sizes: BTreeMap<char, Dim> = BTreeMap::new();
    for (input, letters) in operands.split(',').enumerate() {
        let Some(shape) = view.shape(input) else { return view.like_first(None) };
        if letters.chars().count() != shape.len() {
            return Err(view.contradiction(format!("`{letters}` does not name the axes of {}", view.show(shape))));
        }
        for (letter, size) in letters.chars().zip(shape) {
            // An axis of one element meets any other.
            let known = sizes.entry(letter).or_insert_with(|| size.clone());
            if known.is(1) {
                *known = size.clone();
            }
        }
    }
    let shape = output.chars().map(|letter| sizes.get(&letter).cloned()).collect();
    view.like_first(shape)
}

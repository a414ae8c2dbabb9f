//! Quantised numbers: integers that stand for `scale · (n − zero point)`.
//!
//! Scales and zero points are single numbers, or lists with an element per channel, which go with their channels.

use super::conv::{self, Reads};
use super::elementwise::broadcast;
use super::infer_view::resolve_axis;
use super::quantization::Quantised;
use super::row::{Cost, CostView, Fact, Family, InferView, OpRow, Resized, Rewrite};
use super::says;
use crate::graph::{Dim, Node, Refusal};
use crate::labels::{Axis, LaneView, PinCode};
use crate::tensor::DType;

pub(super) const ROWS: &[OpRow] = &[
    OpRow::new("QuantizeLinear", &[10, 13, 19, 21, 23, 24, 25], quantize_infer, scaled_lanes)
        .says("pass, with their scales and zero points")
        .notes("run, not trained; no scales for blocks")
        .quantised(&[Quantised { numbers: None, scale: Some(1), zero_point: Some(2), axis: named_axis }]),
    OpRow::new("DequantizeLinear", &[10, 13, 19, 21, 23, 24, 25], dequantize_infer, scaled_lanes)
        .says("pass, with their scales and zero points")
        .notes("no scales for blocks")
        .quantised(&[Quantised { numbers: Some(0), scale: Some(1), zero_point: Some(2), axis: named_axis }]),
    OpRow::new("DynamicQuantizeLinear", &[11], dynamic_infer, LaneView::opaque)
        .says(says::STAY)
        .notes("run, not trained")
        .quantised(&[Quantised { numbers: None, scale: None, zero_point: None, axis: none }]),
    OpRow::new("QLinearConv", &[10], |view| conv_infer(view, SCALED, Some(7)), |view| conv_lanes(view, SCALED))
        .says("as a convolution's, with their scales and zero points")
        .notes("run, not trained")
        .cost(|view| conv::cost_of(view, SCALED))
        .counts(|resized| conv_counts(resized, SCALED))
        .family(Family::Contraction)
        .quantised(&[
            Quantised { numbers: Some(0), scale: Some(1), zero_point: Some(2), axis: none },
            Quantised { numbers: Some(3), scale: Some(4), zero_point: Some(5), axis: first },
            Quantised { numbers: None, scale: Some(6), zero_point: Some(7), axis: none },
            Quantised { numbers: Some(8), scale: None, zero_point: None, axis: none },
        ]),
    OpRow::new("ConvInteger", &[10], |view| conv_infer(view, WHOLE, None), |view| conv_lanes(view, WHOLE))
        .says("as a convolution's, with their zero points")
        .notes("run, not trained")
        .cost(|view| conv::cost_of(view, WHOLE))
        .counts(|resized| conv_counts(resized, WHOLE))
        .family(Family::Contraction)
        .quantised(&[
            Quantised { numbers: Some(0), scale: None, zero_point: Some(2), axis: none },
            Quantised { numbers: Some(1), scale: None, zero_point: Some(3), axis: first },
        ]),
    OpRow::new("QLinearMatMul", &[10, 21], |view| product_infer(view, 3, Some(7)), |view| product_lanes(view, 3))
        .says("as a product's, with their scales and zero points")
        .notes("run, not trained")
        .cost(product_cost)
        .family(Family::Contraction)
        .quantised(&[
            Quantised { numbers: Some(0), scale: Some(1), zero_point: Some(2), axis: rows },
            Quantised { numbers: Some(3), scale: Some(4), zero_point: Some(5), axis: columns },
            Quantised { numbers: None, scale: Some(6), zero_point: Some(7), axis: none },
        ]),
    OpRow::new("MatMulInteger", &[10], |view| product_infer(view, 1, None), |view| product_lanes(view, 1))
        .says("as a product's, with their zero points")
        .notes("run, not trained")
        .cost(product_cost)
        .family(Family::Contraction)
        .quantised(&[
            Quantised { numbers: Some(0), scale: None, zero_point: Some(2), axis: rows },
            Quantised { numbers: Some(1), scale: None, zero_point: Some(3), axis: columns },
        ]),
];

fn none(_: &Node, _: usize) -> Option<usize> {
    None
}

fn first(_: &Node, _: usize) -> Option<usize> {
    Some(0)
}

fn rows(_: &Node, rank: usize) -> Option<usize> {
    rank.checked_sub(2)
}

fn columns(_: &Node, rank: usize) -> Option<usize> {
    rank.checked_sub(1).filter(|_| rank > 1)
}

fn named_axis(node: &Node, rank: usize) -> Option<usize> {
    resolve_axis(node.int_or("axis", 1), rank)
}

const SCALED: Reads = Reads { data: 0, weight: 3, bias: Some(8), fillable: false };
const WHOLE: Reads = Reads { data: 0, weight: 1, bias: None, fillable: false };

fn stated(node: &Node, attribute: &str) -> Option<DType> {
    node.int(attribute).and_then(|code| i32::try_from(code).ok()).and_then(DType::from_code)
}

fn like_data(view: &InferView, dtype: Option<DType>) -> Vec<Fact> {
    vec![Fact { dtype, shape: view.shape(0).map(<[Dim]>::to_vec) }]
}

/// The numbers have the zero point's type; without one they are bytes, unless said.
fn quantize_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let usual = stated(view.node, "output_dtype").unwrap_or(DType::U8);
    let dtype = if view.node.input(2).is_some() { view.dtype(2) } else { Some(usual) };
    Ok(like_data(view, dtype))
}

fn dequantize_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let dtype = stated(view.node, "output_dtype").or(view.dtype(1));
    Ok(like_data(view, dtype))
}

/// The numbers, their scale and their zero point.
fn dynamic_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let single = |dtype| Fact { dtype: Some(dtype), shape: Some(Vec::new()) };
    let mut facts = like_data(view, Some(DType::U8));
    facts.extend([single(DType::F32), single(DType::U8)]);
    Ok(facts)
}

fn scaled_lanes(view: &mut LaneView) {
    let Some(data) = view.layout(0) else { return LaneView::opaque(view) };
    for input in 1..3 {
        if !goes_along(view, input, named_axis(view.node(), data.len()).map(|axis| &data[axis])) {
            return LaneView::opaque(view);
        }
    }
    view.set(0, data);
}

/// Scales or zero points at an input go with an axis, where they are a list; says whether they are no more than that.
fn goes_along(view: &mut LaneView, input: usize, axis: Option<&Axis>) -> bool {
    if view.node().input(input).is_none() {
        return true;
    }
    match (view.layout(input).as_deref(), axis) {
        (Some([]), _) => true,
        (Some([one]), _) if one.is_one() => true,
        (Some([list]), Some(axis)) => {
            view.unite(axis, list);
            true
        }
        _ => false,
    }
}

/// Quantised sums have the type of the output's zero point; sums of integers are 32 bits wide.
fn sum_type(view: &InferView, zero_point: Option<usize>) -> Option<DType> {
    zero_point.map_or(Some(DType::I32), |input| view.dtype(input))
}

fn conv_infer(view: &mut InferView, reads: Reads, zero_point: Option<usize>) -> Result<Vec<Fact>, Box<Refusal>> {
    let shape = conv::shape_of(view, reads)?;
    Ok(vec![Fact { dtype: sum_type(view, zero_point), shape }])
}

fn conv_lanes(view: &mut LaneView, reads: Reads) {
    let written = view.layout(reads.weight).and_then(|weight| weight.first().cloned());
    let lists = if reads.bias.is_some() { [reads.weight + 1, reads.weight + 2] } else { [3, 3] };
    if !lists.into_iter().all(|input| goes_along(view, input, written.as_ref())) {
        return LaneView::opaque(view);
    }
    conv::lanes_of(view, reads);
}

fn conv_counts(resized: &Resized, reads: Reads) -> Vec<Rewrite> {
    conv::counts_of(resized, reads)
}

fn product_infer(view: &mut InferView, second: usize, zero_point: Option<usize>) -> Result<Vec<Fact>, Box<Refusal>> {
    let dtype = sum_type(view, zero_point);
    let (Some(a), Some(b)) = (view.shape(0), view.shape(second)) else { return Ok(vec![Fact { dtype, shape: None }]) };
    let (m, n) = (a.len(), b.len());
    if m < 2 || n < 2 {
        return Ok(vec![Fact { dtype, shape: None }]);
    }
    let unfit = || view.contradiction(format!("factors {} and {}", view.show(a), view.show(b)));
    let meet = !matches!((a[m - 1].value(), b[n - 2].value()), (Some(x), Some(y)) if x != y);
    let mut shape = broadcast(&a[..m - 2], &b[..n - 2]).filter(|_| meet).ok_or_else(unfit)?;
    shape.extend([a[m - 2].clone(), b[n - 1].clone()]);
    Ok(vec![Fact { dtype, shape: Some(shape) }])
}

/// Products of a value with a matrix; stacks of matrices are left alone.
fn product_lanes(view: &mut LaneView, second: usize) {
    let (Some(a), Some(b), Some(mut output)) = (view.layout(0), view.layout(second), view.plain_output()) else {
        return LaneView::opaque(view);
    };
    if a.len() < 2 || b.len() != 2 || output.len() != a.len() {
        return LaneView::opaque(view);
    }
    let last = a.len() - 1;
    let (of_rows, of_columns) = match second {
        1 => (vec![2], vec![3]),
        _ => (vec![1, 2], vec![4, 5]),
    };
    let rows = of_rows.into_iter().all(|input| goes_along(view, input, Some(&a[last - 1])));
    let columns = of_columns.into_iter().all(|input| goes_along(view, input, Some(&b[1])));
    if !(rows && columns) {
        return LaneView::opaque(view);
    }
    view.unite(&a[last], &b[0]);
    match view.is_constant(second) {
        true => view.reader((0, last), (second, 0), false),
        false => view.pin(&a[last], PinCode::ActivationProduct),
    }
    for (to, from) in output.iter_mut().zip(&a).take(last) {
        *to = from.clone();
    }
    output[last] = b[1].clone();
    view.set(0, output);
}

fn product_cost(view: &CostView) -> Cost {
    let Some(data) = view.node.input(0) else { return Cost::default() };
    match view.rank(data).and_then(|rank| rank.checked_sub(1)) {
        Some(last) => view.contraction(vec![(data, last)]),
        None => Cost::default(),
    }
}

//! The operator table: one row per operator, one file per operator family.
//!
//! A row says which revisions are understood and gives four functions: `infer` (types and shapes), `fold` (elements of
//! small constants), `cost` (work as products of sizes) and `lanes` (which indices go together).
//! Nothing outside this folder, and the lowering folders named like it, looks at an operator's name.

mod beyond;
mod compute;
mod contraction;
mod conv;
mod conv_transpose;
mod cost_view;
mod deform_conv;
mod elementwise;
mod family;
mod fold_view;
mod gemm;
mod indexed;
mod infer_view;
mod join;
mod layout;
mod logic;
mod normalization;
mod pad;
mod part;
mod pool;
mod quantization;
mod quantize;
mod random;
mod reduce;
mod resize;
mod role;
mod row;
mod says;
mod shape;
mod space;
mod summary;

use std::sync::LazyLock;

pub use beyond::{may_contract, may_hold_parameters};
pub use compute::{Compute, ComputeView, Elements};
pub use contraction::{Contraction, ContractionOf};
pub use conv_transpose::Spread;
pub use cost_view::{Cost, CostView, Product};
pub use elementwise::{aligned_at, broadcast};
pub use family::Family;
pub use fold_view::FoldView;
pub use infer_view::{BatchConstant, Fact, InferView};
pub use layout::permutation;
pub use part::taken;
pub use pool::{Padding, Window};
pub use quantization::Quantised;
pub use random::draws_random;
pub use reduce::reduced_axes;
pub use resize::{Proportion, scaled, scaled_to_nearest};
pub use role::{FanIn, Role};
pub use row::{CostOf, Counts, Fold, Infer, KeptOn, LanesOf, NEWEST_OPSET, OpRow, Resized, Rewrite};
pub use shape::{Constant, constant_value};
pub use space::cropped;
pub use summary::{StatisticAxes, Summary};

use crate::graph::{Graph, Node, RowId};

/// The table: a row's place in it is its [`RowId`].
static TABLE: LazyLock<Vec<&'static OpRow>> = LazyLock::new(|| {
    let families = [
        conv::ROWS,
        conv_transpose::ROWS,
        deform_conv::ROWS,
        gemm::ROWS,
        normalization::ROWS,
        elementwise::ROWS,
        pool::ROWS,
        reduce::ROWS,
        resize::ROWS,
        layout::ROWS,
        join::ROWS,
        part::ROWS,
        pad::ROWS,
        logic::ROWS,
        space::ROWS,
        indexed::ROWS,
        quantize::ROWS,
        shape::ROWS,
    ];
    families.into_iter().flatten().collect()
});

/// All rows, family by family.
pub fn rows() -> impl Iterator<Item = &'static OpRow> {
    TABLE.iter().copied()
}

/// The rows of an operator by name, one for each run of versions in which it means the same.
pub fn rows_named(domain: &str, op: &str) -> impl Iterator<Item = (RowId, &'static OpRow)> {
    let domain = if domain == "ai.onnx" { "" } else { domain };
    let numbered = TABLE.iter().enumerate().map(|(place, &row)| (RowId(place as u32), row));
    numbered.filter(move |(_, row)| row.name == op && row.domain == domain)
}

/// How a node multiplies its data, at this input, with a weight and sums.
pub fn contraction_of(graph: &Graph, node: &Node, data: usize) -> Option<Contraction> {
    let rank = graph.value(node.input(data)?).shape.as_ref().map_or(0, Vec::len);
    (row_of(node)?.contraction)(node, rank)
}

/// What the numbers at an input stand for, where they are quantised.
pub fn quantised_at(node: &Node, input: usize) -> Option<&'static Quantised> {
    row_of(node)?.quantised.iter().find(|it| it.numbers == Some(input))
}

/// Whether the integers at an input are laid out as channels are: quantised numbers and zero points.
pub fn holds_quantised(node: &Node, input: usize) -> bool {
    let holds = |it: &Quantised| it.numbers == Some(input) || it.zero_point == Some(input);
    row_of(node).is_some_and(|row| row.quantised.iter().any(holds))
}

/// Whether a node rounds what it computes to quantised numbers.
pub fn rounds_to_quantised(node: &Node) -> bool {
    row_of(node).is_some_and(|row| row.quantised.iter().any(|it| it.numbers.is_none()))
}

/// Whether an input says what quantised numbers stand for.
pub fn scales_quantised(node: &Node, input: usize) -> bool {
    let says = |it: &Quantised| it.scale == Some(input) || it.zero_point == Some(input);
    row_of(node).is_some_and(|row| row.quantised.iter().any(says))
}

/// The row that says what a node means; `None` for an opaque one.
pub fn row_of(node: &Node) -> Option<&'static OpRow> {
    TABLE.get(node.row?.0 as usize).copied()
}

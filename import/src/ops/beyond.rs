//! What can be said of a node that no row covers.

use crate::graph::Node;
use crate::tensor::DType;

/// Operators of the standard's own domain that multiply and accumulate, whether or not the table has a row of theirs:
/// a row may not cover the revision or the form.
const CONTRACTING: &[&str] = &[
    "Attention",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "DFT",
    "DeformConv",
    "Det",
    "Einsum",
    "GRU",
    "Gemm",
    "LSTM",
    "MatMul",
    "MatMulInteger",
    "QLinearConv",
    "QLinearMatMul",
    "RNN",
    "STFT",
];

/// Whether a node without a row may multiply and accumulate: it is known to, or nothing is known of it.
pub fn may_contract(node: &Node) -> bool {
    !node.domain.is_empty() || has_subgraph(node) || CONTRACTING.contains(&node.op.as_str())
}

/// Whether a node without a row may hold parameters elsewhere than in its inputs.
pub fn may_hold_parameters(node: &Node) -> bool {
    let is_float = |code: i32| DType::from_code(code).is_some_and(DType::is_float);
    let mut tensors = node.proto.attribute.iter().filter_map(|attribute| attribute.t.as_ref());
    has_subgraph(node) || tensors.any(|tensor| tensor.data_type.is_some_and(is_float))
}

fn has_subgraph(node: &Node) -> bool {
    node.proto.attribute.iter().any(|attribute| attribute.g.is_some() || !attribute.graphs.is_empty())
}

//! Normalisation by stored statistics, and dropout (the identity at inference).

use super::{Fact, FoldView, InferView, OpRow};
use crate::graph::{Dim, Refusal};
use crate::lanes::LaneView;
use crate::tensor::DType;

pub(super) const ROWS: &[OpRow] = &[
    OpRow::new("BatchNormalization", batch_infer, batch_lanes).learnable(&[1, 2]).statistics(&[3, 4]),
    OpRow::new("Dropout", dropout_infer, LaneView::same_layout).fold(|view: &FoldView| view.content(0).cloned()),
];

fn batch_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    if view.node.int_or("training_mode", 0) != 0 {
        return Err(view.unsupported("it is in training mode"));
    }
    if view.node.int_or("spatial", 1) == 0 {
        return Err(view.unsupported("it normalises every position by itself (spatial=0)"));
    }
    view.like_first(view.shape(0).map(<[Dim]>::to_vec))
}

fn batch_lanes(view: &mut LaneView) {
    let Some(data) = view.layout(0) else { return LaneView::opaque(view) };
    for input in 1..5 {
        let parameter = view.layout(input).and_then(|axes| axes.into_iter().next());
        if let (Some(channel), Some(parameter)) = (data.get(1), parameter) {
            view.unite(channel, &parameter);
        }
    }
    view.set(0, data);
}

fn dropout_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let shape = view.shape(0).map(<[Dim]>::to_vec);
    let data = Fact { dtype: view.dtype(0), shape: shape.clone() };
    Ok(vec![data, Fact { dtype: Some(DType::Bool), shape }])
}

//! Joining values along an axis: Concat.

use super::infer_view::resolve_axis;
use super::row::{CostView, Fact, FoldView, InferView, OpRow};
use crate::graph::{Content, Refusal, Shape};
use crate::labels::{Axis, LaneView, PinCode};

pub(super) const ROWS: &[OpRow] = &[OpRow::new("Concat", &[1, 4, 11, 13], concat_infer, concat_lanes)
    .says("lie end to end; other axes go together")
    .fold(concat_fold)
    .compute(|view| view.concatenated(view.node.int_or("axis", 1)))
    .cost(CostView::free)];

fn concat_infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let mut joined: Option<Shape> = None;
    for input in 0..view.node.inputs.len() {
        let Some(shape) = view.shape(input).map(<[_]>::to_vec) else { return view.like_first(None) };
        let axis = view.axis(view.node.int_or("axis", 1), shape.len())?;
        joined = Some(match joined {
            None => shape,
            Some(joined) if joined.len() != shape.len() => {
                return Err(view.contradiction(format!("{} beside {}", view.show(&joined), view.show(&shape))));
            }
            Some(mut joined) => {
                joined[axis] = joined[axis].plus(&shape[axis]).unwrap_or_else(|| view.fresh());
                joined
            }
        });
    }
    view.like_first(joined)
}

fn concat_fold(view: &FoldView) -> Option<Content> {
    let parts = (0..view.node.inputs.len()).map(|input| view.dims(input));
    Some(Content::list(parts.collect::<Option<Vec<_>>>()?.concat()))
}

fn concat_lanes(view: &mut LaneView) {
    let inputs: Option<Vec<_>> = (0..view.node().inputs.len()).map(|input| view.layout(input)).collect();
    let Some(inputs) = inputs.filter(|inputs| !inputs.is_empty()) else { return LaneView::opaque(view) };
    let Some(along) = resolve_axis(view.node().int_or("axis", 1), inputs[0].len()) else {
        return LaneView::opaque(view);
    };
    let mut output = inputs[0].clone();
    for input in &inputs[1..] {
        for axis in (0..output.len()).filter(|&axis| axis != along) {
            view.unite(&output[axis], &input[axis]);
        }
    }
    let parts: Vec<&Axis> = inputs.iter().map(|input| &input[along]).collect();
    output[along] = match view.concatenate(&parts) {
        Some(axis) => axis,
        None => {
            parts.iter().for_each(|part| view.pin(part, PinCode::LayoutTooMixed));
            match view.output_shape() {
                Some(shape) => view.plain(&shape[along]),
                None => return LaneView::opaque(view),
            }
        }
    };
    view.set(0, output);
}

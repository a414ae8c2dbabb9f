//! Stored tensors: replaced where the plan brings new elements, sliced where it removes lanes.

use import::{
    Tensor,
    graph::StoredId,
    lanes::{Plan, PlanError, TensorShape},
};

use super::{CutAxis, slice::take};
use crate::{
    draft::Draft,
    error::ExportError,
    places::Places,
    tensors::{Tensors, in_type},
};

/// Puts in the new elements that have the dense shape.
pub(super) fn replace_dense(draft: &mut Draft<'_>, plan: &Plan, tensors: &Tensors) -> Result<(), ExportError> {
    for stored in replaced(draft, plan, TensorShape::Dense)? {
        let shape = draft.model.graph.stored(stored).tensor.shape.clone();
        replace(draft, stored, tensors, shape)?;
    }
    Ok(())
}

/// Puts in the new elements that have the slim shape.
pub(super) fn replace_slim(
    draft: &mut Draft<'_>,
    plan: &Plan,
    tensors: &Tensors,
    places: &Places,
) -> Result<(), ExportError> {
    for stored in replaced(draft, plan, TensorShape::Slim)? {
        let entry = draft.model.graph.stored(stored);
        let mut shape = entry.tensor.shape.clone();
        for (axis, kept) in places.of_value(entry.value) {
            shape[axis] = kept.len();
        }
        replace(draft, stored, tensors, shape)?;
    }
    Ok(())
}

/// Takes the removed indices out of every stored tensor.
pub(super) fn slice(draft: &mut Draft<'_>, places: &Places) -> Result<Vec<CutAxis>, ExportError> {
    let mut record = Vec::new();
    for position in 0..draft.model.graph.stored.len() {
        let stored = StoredId(position as u32);
        let value = draft.model.graph.stored(stored).value;
        if !places.is_cut(value) {
            continue;
        }
        let mut tensor = draft.tensor(stored)?;
        for (axis, kept) in places.of_value(value) {
            record.push(CutAxis {
                tensor: draft.model.graph.stored_name(stored).to_owned(),
                axis,
                dense: tensor.shape[axis],
                kept: kept.to_vec(),
            });
            tensor = take(&tensor, axis, kept);
        }
        draft.set_tensor(stored, &tensor);
    }
    Ok(record)
}

/// The stored tensors the plan replaces in one of the two shapes.
fn replaced(draft: &Draft<'_>, plan: &Plan, shape: TensorShape) -> Result<Vec<StoredId>, ExportError> {
    let wanted = plan.tensors.iter().filter(|it| it.shape == shape);
    wanted
        .map(|it| {
            let unknown = PlanError::UnknownTensor { tensor: it.name.clone(), nearest: None };
            let found = draft.model.graph.find_stored(&it.name);
            found.ok_or(ExportError::Plan(unknown))
        })
        .collect()
}

fn replace(
    draft: &mut Draft<'_>,
    stored: StoredId,
    tensors: &Tensors,
    expected: Vec<usize>,
) -> Result<(), ExportError> {
    let name = draft.model.graph.stored_name(stored);
    let new = tensors.get(name)?;
    if new.shape != expected {
        return Err(ExportError::WrongShape { tensor: name.to_owned(), expected, found: new.shape.clone() });
    }
    let new: Tensor = in_type(new, draft.model.graph.stored(stored).tensor.dtype)?;
    draft.set_tensor(stored, &new);
    Ok(())
}

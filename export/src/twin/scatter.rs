//! The plan's new elements in the twin's dense tensors: slim ones go back to the kept indices.

use import::{
    Tensor,
    lanes::{Plan, TensorShape},
};

use crate::{
    draft::Draft,
    error::ExportError,
    places::Places,
    tensors::{Tensors, in_type},
};

/// Puts the plan's new elements into the stored tensors.
pub(super) fn replace(
    draft: &mut Draft<'_>,
    plan: &Plan,
    tensors: &Tensors,
    places: &Places,
) -> Result<(), ExportError> {
    for replacement in &plan.tensors {
        let graph = &draft.model.graph;
        let Some(stored) = graph.find_stored(&replacement.name) else {
            continue;
        };
        let dense = &graph.stored(stored).tensor;
        let new = in_type(tensors.get(&replacement.name)?, dense.dtype)?;
        let new = match replacement.shape {
            TensorShape::Dense => new,
            TensorShape::Slim => {
                let value = graph.stored(stored).value;
                let kept: Vec<_> = (0..dense.shape.len()).map(|axis| places.on(value, axis)).collect();
                scattered(dense, &new, &kept)
            }
        };
        draft.set_tensor(stored, &new);
    }
    Ok(())
}

/// `dense` with the elements of `slim` at the kept indices of each axis.
fn scattered(dense: &Tensor, slim: &Tensor, kept: &[Option<&[usize]>]) -> Tensor {
    let size = dense.dtype.bits() / 8;
    let mut data = dense.data.to_vec();
    for (flat, element) in slim.data.chunks_exact(size).enumerate() {
        let (mut rest, mut to, mut stride) = (flat, 0, 1);
        for axis in (0..dense.shape.len()).rev() {
            let index = rest % slim.shape[axis];
            rest /= slim.shape[axis];
            to += stride * kept[axis].map_or(index, |kept| kept[index]);
            stride *= dense.shape[axis];
        }
        data[to * size..(to + 1) * size].copy_from_slice(element);
    }
    Tensor { data: data.into(), ..dense.clone() }
}

//! Parameters moved by about as much as rounding does: a network that computes the same but for noise.

use import::{DType, Tensor, lanes::trainable};

use super::poison::splitmix;
use crate::{draft::Draft, error::ExportError};

/// Of so many elements one moves up and one down: half a unit on average, as rounding is.
const ONE_OF: u64 = 8;

/// Moves some elements of every trainable tensor up or down.
pub(super) fn spread(draft: &mut Draft<'_>, seed: u64) -> Result<(), ExportError> {
    for stored in trainable(&draft.model.graph) {
        let tensor = draft.tensor(stored)?;
        let Some(unit) = unit(tensor.dtype) else { continue };
        let mut state = seed ^ u64::from(stored.0);
        let step = |draw: u64| match draw % ONE_OF {
            0 => unit,
            1 => -unit,
            _ => 0.0,
        };
        let moved = |value: f64| value * (1.0 + step(splitmix(&mut state)));
        let values: Vec<f64> = tensor.to_f64()?.into_iter().map(moved).collect();
        draft.set_tensor(stored, &Tensor::from_floats(tensor.dtype, &tensor.shape, &values)?);
    }
    Ok(())
}

/// How far an element is moved, relative to itself. Long sums of singles and doubles round more often than any one of
/// their terms is moved; sums of halves are kept in singles, and round once.
fn unit(dtype: DType) -> Option<f64> {
    match dtype {
        DType::F64 => Some(16.0 * f64::EPSILON),
        DType::F32 => Some(16.0 * f64::from(f32::EPSILON)),
        DType::F16 => Some(2f64.powi(-10)),
        DType::BF16 => Some(2f64.powi(-7)),
        _ => None,
    }
}

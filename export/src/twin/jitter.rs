//! Parameters moved by about as much as rounding does: a network that computes the same but for noise.

use import::{DType, lanes::trainable};

use super::poison::splitmix;
use crate::{draft::Draft, error::ExportError};

/// Of so many elements one moves up and one down: half a unit on average, as rounding is.
const ONE_OF: u64 = 8;

/// Moves some elements of every trainable tensor up or down.
pub(super) fn spread(draft: &mut Draft<'_>, seed: u64) -> Result<(), ExportError> {
    for stored in trainable(&draft.model.graph) {
        let Some(unit) = unit(draft.model.graph.stored(stored).tensor.dtype) else { continue };
        draft.change_later(stored, move |floats| {
            let mut state = seed ^ u64::from(stored.0);
            floats.map(|value| value * (1.0 + unit * step(splitmix(&mut state))))
        })?;
    }
    Ok(())
}

/// Up, down, or not at all.
fn step(draw: u64) -> f64 {
    match draw % ONE_OF {
        0 => 1.0,
        1 => -1.0,
        _ => 0.0,
    }
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

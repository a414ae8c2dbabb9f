//! Other finite numbers in every stored element the cut drops: what writes removed lanes.

use std::collections::HashSet;

use import::{
    Tensor,
    graph::{StoredId, ValueId},
};

use crate::{draft::Draft, error::ExportError, places::Places};

/// Poison is positive, so that variances stay variances, and of the size of usual weights.
const RANGE: (f64, f64) = (0.25, 2.0);

/// Overwrites what the cut drops from floating-point tensors. `spared` axes of values stay: they hold masks.
pub(super) fn spread(
    draft: &mut Draft<'_>,
    places: &Places,
    spared: &HashSet<(ValueId, usize)>,
    seed: u64,
) -> Result<(), ExportError> {
    for position in 0..draft.model.graph.stored.len() {
        let stored = StoredId(position as u32);
        let value = draft.model.graph.stored(stored).value;
        if !places.is_cut(value) || !draft.model.graph.stored(stored).tensor.dtype.is_float() {
            continue;
        }
        let tensor = draft.tensor(stored)?;
        let mut dropped: Vec<Vec<bool>> = tensor.shape.iter().map(|&n| vec![false; n]).collect();
        for (axis, kept) in places.of_value(value).filter(|&(axis, _)| !spared.contains(&(value, axis))) {
            dropped[axis] = vec![true; tensor.shape[axis]];
            kept.iter().for_each(|&index| dropped[axis][index] = false);
        }
        let new = poisoned(&tensor, &dropped, seed ^ position as u64)?;
        draft.set_tensor(stored, &new);
    }
    Ok(())
}

/// The tensor with poison wherever an index is dropped on some axis.
fn poisoned(tensor: &Tensor, dropped: &[Vec<bool>], seed: u64) -> Result<Tensor, ExportError> {
    let mut values = tensor.to_f64()?;
    let mut state = seed;
    for (flat, value) in values.iter_mut().enumerate() {
        let mut rest = flat;
        let mut any = false;
        for axis in dropped.iter().rev() {
            any |= axis[rest % axis.len()];
            rest /= axis.len();
        }
        if any {
            let unit = splitmix(&mut state) as f64 / u64::MAX as f64;
            *value = RANGE.0 + (RANGE.1 - RANGE.0) * unit;
        }
    }
    Ok(Tensor::from_floats(tensor.dtype, &tensor.shape, &values)?)
}

/// The next number of the SplitMix64 generator (Steele, Lea and Flood, 2014).
pub(super) fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

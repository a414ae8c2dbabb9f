//! Other finite numbers in every stored element the cut drops: what writes removed lanes.

use std::collections::HashSet;

use import::{
    Tensor,
    graph::{StoredId, ValueId},
    lanes::Lanes,
    tensor::Floats,
};

use crate::{draft::Draft, error::ExportError, places::Places};

/// Poison is positive, so that variances stay variances, and of the size of usual weights.
const RANGE: (f64, f64) = (0.25, 2.0);

/// Overwrites what the cut drops from floating-point tensors. `spared` axes of values stay: they hold masks.
pub(super) fn spread(
    draft: &mut Draft<'_>,
    lanes: &Lanes,
    places: &Places,
    spared: &HashSet<(ValueId, usize)>,
    seed: u64,
) -> Result<(), ExportError> {
    let held = held(lanes, places);
    for position in 0..draft.model.graph.stored.len() {
        let stored = StoredId(position as u32);
        let value = draft.model.graph.stored(stored).value;
        if !places.is_cut(value) || held.contains(&value) || !draft.model.graph.stored(stored).tensor.dtype.is_float() {
            continue;
        }
        let shape = &draft.model.graph.stored(stored).tensor.shape;
        // Nothing to overwrite, and its other sizes may be any.
        if shape.contains(&0) {
            continue;
        }
        let mut dropped: Vec<Vec<bool>> = shape.iter().map(|&n| vec![false; n]).collect();
        for (axis, kept) in places.of_value(value).filter(|&(axis, _)| !spared.contains(&(value, axis))) {
            dropped[axis] = vec![true; shape[axis]];
            kept.iter().for_each(|&index| dropped[axis][index] = false);
        }
        let seed = seed ^ position as u64;
        draft.change_later(stored, move |floats| poisoned(floats, &dropped, seed))?;
    }
    Ok(())
}

/// Values that constants are made from which the cut holds as they were: poison there would spread over all of those.
fn held(lanes: &Lanes, places: &Places) -> HashSet<ValueId> {
    let is_cut = |&(value, axis): &(ValueId, usize)| places.on(value, axis).is_some();
    let frozen = lanes.frozen.iter().filter(|frozen| frozen.sites.iter().any(is_cut));
    frozen.flat_map(|frozen| frozen.sites.iter().map(|&(value, _)| value)).collect()
}

/// The tensor with poison wherever an index is dropped on some axis.
fn poisoned(floats: Floats<'_>, dropped: &[Vec<bool>], seed: u64) -> Tensor {
    let mut state = seed;
    let mut at = At::new(dropped);
    floats.map(|value| {
        if !at.next_is_dropped() {
            return value;
        }
        let unit = splitmix(&mut state) as f64 / u64::MAX as f64;
        RANGE.0 + (RANGE.1 - RANGE.0) * unit
    })
}

/// A walk over a tensor's elements, row-major. Elements that differ on the last axes alone, of which nothing is dropped,
/// share their fate; what the outer axes say is looked up once for each of their indices.
struct At<'a> {
    outer: &'a [Vec<bool>],
    outer_index: Vec<usize>,
    outer_is_dropped: bool,
    axis: &'a [bool],
    index: usize,
    /// Elements at one index of `axis`, and how many of them have passed.
    inner: usize,
    passed: usize,
}

impl<'a> At<'a> {
    fn new(dropped: &'a [Vec<bool>]) -> Self {
        let last = dropped.iter().rposition(|axis| axis.contains(&true));
        let (outer, axis): (&[Vec<bool>], &[bool]) =
            last.map_or((&[], &[false]), |last| (&dropped[..last], &dropped[last]));
        let inner = dropped[last.map_or(0, |last| last + 1)..].iter().map(Vec::len).product();
        let mut at = Self {
            outer,
            outer_index: vec![0; outer.len()],
            outer_is_dropped: false,
            axis,
            index: 0,
            inner,
            passed: 0,
        };
        at.look();
        at
    }

    fn look(&mut self) {
        self.outer_is_dropped = self.outer.iter().zip(&self.outer_index).any(|(axis, &index)| axis[index]);
    }

    fn next_is_dropped(&mut self) -> bool {
        let dropped = self.outer_is_dropped || self.axis[self.index];
        self.passed += 1;
        if self.passed == self.inner {
            (self.passed, self.index) = (0, self.index + 1);
        }
        if self.index == self.axis.len() {
            self.index = 0;
            self.advance();
        }
        dropped
    }

    /// Goes on to the next index of the outer axes.
    fn advance(&mut self) {
        for (index, axis) in self.outer_index.iter_mut().zip(self.outer).rev() {
            *index += 1;
            if *index < axis.len() {
                break;
            }
            *index = 0;
        }
        self.look();
    }
}

/// The next number of the SplitMix64 generator (Steele, Lea and Flood, 2014).
pub(super) fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_dropped_where_an_index_of_theirs_is() {
        let flags = |text: &str| text.bytes().map(|byte| byte == b'x').collect::<Vec<bool>>();
        for axes in [["..", "...", ".."], [".x", ".x.", ".."], ["..", "x..", ".x"], ["x.", "...", ".."]] {
            let dropped = axes.map(flags);
            let mut at = At::new(&dropped);
            for flat in 0..12 {
                let expected = dropped[0][flat / 6] || dropped[1][flat / 2 % 3] || dropped[2][flat % 2];
                assert_eq!(at.next_is_dropped(), expected, "{axes:?}, element {flat}");
            }
        }
    }
}

//! Smooth random texture: value noise of two octaves.

use crate::draw;
use rand_chacha::ChaCha8Rng;

/// Grid cells across the picture in the coarse octave; the fine one has twice as many.
const CELLS: usize = 4;

/// A random smooth function on the unit square with values in [−1, 1].
pub(super) struct Texture {
    coarse: Vec<f32>,
    fine: Vec<f32>,
}

impl Texture {
    pub(super) fn new(rng: &mut ChaCha8Rng) -> Self {
        let mut octave = |cells: usize| (0..(cells + 1).pow(2)).map(|_| draw::uniform(rng, -1.0, 1.0)).collect();
        Self { coarse: octave(CELLS), fine: octave(2 * CELLS) }
    }

    /// The value at `(x, y)`, both in [0, 1).
    pub(super) fn at(&self, x: f32, y: f32) -> f32 {
        (2.0 * at_octave(&self.coarse, CELLS, x, y) + at_octave(&self.fine, 2 * CELLS, x, y)) / 3.0
    }
}

fn at_octave(values: &[f32], cells: usize, x: f32, y: f32) -> f32 {
    let (x, y) = (x * cells as f32, y * cells as f32);
    let (left, top) = ((x as usize).min(cells - 1), (y as usize).min(cells - 1));
    let (s, t) = (smooth(x - left as f32), smooth(y - top as f32));
    let value = |dy: usize, dx: usize| values[(top + dy) * (cells + 1) + left + dx];
    let upper = value(0, 0) + s * (value(0, 1) - value(0, 0));
    let lower = value(1, 0) + s * (value(1, 1) - value(1, 0));
    upper + t * (lower - upper)
}

/// Hermite step: no crease at the grid lines.
fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

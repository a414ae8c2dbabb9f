//! Gaussian noise.

use crate::{Pixels, draw};
use rand_chacha::ChaCha8Rng;

/// x + sigma·n with independent standard normal n, clipped to [0, 1].
pub fn add_noise(pixels: &Pixels, sigma: f32, rng: &mut ChaCha8Rng) -> Pixels {
    let mut out = pixels.clone();
    for pair in out.data.chunks_mut(2) {
        let (first, second) = draw::normal_pair(rng);
        for (value, n) in pair.iter_mut().zip([first, second]) {
            *value = (*value + sigma * n).clamp(0.0, 1.0);
        }
    }
    out
}

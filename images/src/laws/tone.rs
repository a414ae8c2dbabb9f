//! Brightness and contrast.

use crate::Pixels;

/// x + change, clipped to [0, 1].
pub fn brighten(pixels: &Pixels, change: f32) -> Pixels {
    mapped(pixels, |v| v + change)
}

/// factor · x, clipped to [0, 1]; no mean is subtracted, as in CC-Cert's code.
pub fn scale_contrast(pixels: &Pixels, factor: f32) -> Pixels {
    mapped(pixels, |v| factor * v)
}

fn mapped(pixels: &Pixels, f: impl Fn(f32) -> f32) -> Pixels {
    let data = pixels.data.iter().map(|v| f(*v).clamp(0.0, 1.0)).collect();
    Pixels { data, ..*pixels }
}

//! Laws over transformations: what "robust to rotation by up to 10°" means, exactly.
//!
//! A law is a probability distribution over one transformation's parameter. Forms follow CC-Cert (Pautov et al., AAAI
//! 2022): independent uniform parameters, values clipped to [0, 1] at the end. Pixel centres lie at i + ½, nothing is
//! quantised again, and everything acts on pictures before scale, mean and deviation.

mod blur;
mod noise;
mod rotation;
mod tone;

use crate::{Pixels, draw};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

pub use blur::blur;
pub use noise::add_noise;
pub use rotation::rotate;
pub use tone::{brighten, scale_contrast};

/// A distribution over one transformation's parameter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Law {
    /// By an angle from U(−degrees, degrees) about the centre, bilinear, zero outside.
    Rotation {
        /// Largest angle.
        degrees: f32,
    },
    /// x + b with b from U(−delta, delta).
    Brightness {
        /// Largest change.
        delta: f32,
    },
    /// c·x with c from U(1 − delta, 1 + delta).
    Contrast {
        /// Largest change of the factor.
        delta: f32,
    },
    /// Gaussian blur with its deviation from U(0, sigma) pixels, reflected border.
    Blur {
        /// Largest deviation in pixels.
        sigma: f32,
    },
    /// x + σ·n with n standard normal, independent for every value.
    Noise {
        /// Deviation.
        sigma: f32,
    },
}

/// Why a text is no law.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a law; write NAME or NAME=SIZE with a size above 0 and NAME one of rotation (at most 180), brightness, contrast (at most 1), blur (at most 100), noise"
)]
pub struct LawError {
    /// What was written.
    pub text: String,
}

impl Law {
    /// The law's one-word name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rotation { .. } => "rotation",
            Self::Brightness { .. } => "brightness",
            Self::Contrast { .. } => "contrast",
            Self::Blur { .. } => "blur",
            Self::Noise { .. } => "noise",
        }
    }

    /// The number after the name: degrees, change, factor or deviation.
    pub fn size(&self) -> f32 {
        match *self {
            Self::Rotation { degrees } => degrees,
            Self::Brightness { delta } | Self::Contrast { delta } => delta,
            Self::Blur { sigma } | Self::Noise { sigma } => sigma,
        }
    }

    /// All five laws with the default sizes for pictures whose shorter side is `side`.
    ///
    /// Sizes are fixed for 32 and 224 pixels, interpolated between and constant outside.
    pub fn defaults(side: usize) -> Vec<Law> {
        let t = ((side as f32 - 32.0) / 192.0).clamp(0.0, 1.0);
        let between = |small: f32, large: f32| small + (large - small) * t;
        vec![
            Self::Rotation { degrees: between(10.0, 15.0) },
            Self::Brightness { delta: 0.3 },
            Self::Contrast { delta: 0.4 },
            Self::Blur { sigma: between(1.0, 3.0) },
            Self::Noise { sigma: between(0.04, 0.08) },
        ]
    }

    /// Reads `NAME=SIZE`, or `NAME` alone for the default size at `side`.
    ///
    /// # Errors
    /// The name is none of the five, or the size is not a number in its range.
    pub fn parse(text: &str, side: usize) -> Result<Self, LawError> {
        match text.split_once('=') {
            Some(_) => text.parse(),
            None => Self::defaults(side)
                .into_iter()
                .find(|law| law.name() == text.trim())
                .ok_or_else(|| LawError { text: text.to_owned() }),
        }
    }

    /// What is drawn and done, in the words a certificate needs.
    pub fn describe(&self) -> String {
        let size = self.size();
        match self {
            Self::Rotation { .. } => {
                format!("rotation about the centre by U(-{size}, {size}) degrees, bilinear, zero outside")
            }
            Self::Brightness { .. } => format!("x + b with b ~ U(-{size}, {size}), clipped to [0, 1]"),
            Self::Contrast { .. } => {
                format!("c x with c ~ U({}, {}), clipped to [0, 1]", 1.0 - size, 1.0 + size)
            }
            Self::Blur { .. } => {
                format!("Gaussian blur with deviation U(0, {size}) pixels, cut at 3 deviations, border reflected")
            }
            Self::Noise { .. } => format!("x + {size} n with n standard normal, clipped to [0, 1]"),
        }
    }

    /// One random copy of a picture; a function of the picture and the generator alone.
    pub fn apply(&self, pixels: &Pixels, rng: &mut ChaCha8Rng) -> Pixels {
        match *self {
            Self::Rotation { degrees } => rotate(pixels, draw::uniform(rng, -degrees, degrees)),
            Self::Brightness { delta } => brighten(pixels, draw::uniform(rng, -delta, delta)),
            Self::Contrast { delta } => scale_contrast(pixels, draw::uniform(rng, 1.0 - delta, 1.0 + delta)),
            Self::Blur { sigma } => blur(pixels, draw::uniform(rng, 0.0, sigma)),
            Self::Noise { sigma } => add_noise(pixels, sigma, rng),
        }
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name(), self.size())
    }
}

impl FromStr for Law {
    type Err = LawError;

    fn from_str(text: &str) -> Result<Self, LawError> {
        let refused = || LawError { text: text.to_owned() };
        let (name, size) = text.split_once('=').ok_or_else(refused)?;
        let size: f32 = size.trim().parse().map_err(|_| refused())?;
        let (law, largest) = match name.trim() {
            "rotation" => (Self::Rotation { degrees: size }, 180.0),
            "brightness" => (Self::Brightness { delta: size }, f32::MAX),
            "contrast" => (Self::Contrast { delta: size }, 1.0),
            "blur" => (Self::Blur { sigma: size }, 100.0),
            "noise" => (Self::Noise { sigma: size }, f32::MAX),
            _ => return Err(refused()),
        };
        // Not a number fails both comparisons.
        if size > 0.0 && size <= largest { Ok(law) } else { Err(refused()) }
    }
}

impl TryFrom<String> for Law {
    type Error = LawError;

    fn try_from(text: String) -> Result<Self, LawError> {
        text.parse()
    }
}

impl From<Law> for String {
    fn from(law: Law) -> Self {
        law.to_string()
    }
}

//! From a picture's size to the network's.

use super::PreprocessError;
use crate::Picture;
use image::{ImageBuffer, Luma, Pixel, Rgb, imageops};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// How a picture of another size becomes `height` × `width`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Resize {
    /// It does not: such a picture is refused.
    None,
    /// The middle is cut out.
    Crop,
    /// Both sides are resized, whatever the aspect ratio.
    Exact,
    /// The shorter side is resized to this, then the middle is cut out.
    Shorter(usize),
}

impl Resize {
    /// Brings a picture to a network's size.
    pub(super) fn apply(self, picture: Picture, height: usize, width: usize) -> Result<Picture, PreprocessError> {
        if (picture.height, picture.width) == (height, width) {
            return Ok(picture);
        }
        match self {
            Self::Exact => Ok(resized(picture, height, width)),
            Self::Crop if picture.height >= height && picture.width >= width => Ok(cropped(&picture, height, width)),
            Self::Shorter(side) => {
                let (rows, columns) = shorter(picture.height, picture.width, side);
                Ok(cropped(&resized(picture, rows, columns), height, width))
            }
            Self::None | Self::Crop => Err(PreprocessError::Size {
                width: picture.width,
                height: picture.height,
                wanted_width: width,
                wanted_height: height,
            }),
        }
    }
}

/// Bilinear, with the filter widened where the picture shrinks.
fn resized(picture: Picture, height: usize, width: usize) -> Picture {
    let channels = picture.channels;
    let data = if channels == 1 {
        resampled::<Luma<f32>>(picture, height, width)
    } else {
        resampled::<Rgb<f32>>(picture, height, width)
    };
    Picture { channels, height, width, data }
}

fn resampled<P>(picture: Picture, height: usize, width: usize) -> Vec<f32>
where
    P: Pixel<Subpixel = f32> + 'static,
{
    let (from_width, from_height) = (picture.width as u32, picture.height as u32);
    let Some(buffer) = ImageBuffer::<P, Vec<f32>>::from_raw(from_width, from_height, picture.data) else {
        unreachable!("a picture holds height * width * channels values");
    };
    imageops::resize(&buffer, width as u32, height as u32, imageops::FilterType::Triangle).into_raw()
}

/// A resized picture has no longer side than this, whatever its aspect ratio.
const LONGEST: usize = 1 << 15;

/// The size with the shorter side at `side` and the aspect ratio kept, rounded down as torchvision does.
fn shorter(height: usize, width: usize, side: usize) -> (usize, usize) {
    let scaled = |longer: usize, shorter: usize| (longer.saturating_mul(side) / shorter).min(LONGEST);
    if height <= width { (side, scaled(width, height)) } else { (scaled(height, width), side) }
}

fn cropped(picture: &Picture, height: usize, width: usize) -> Picture {
    let (top, left) = ((picture.height - height) / 2, (picture.width - width) / 2);
    let row = |y: usize| {
        let start = ((top + y) * picture.width + left) * picture.channels;
        &picture.data[start..start + width * picture.channels]
    };
    let data = (0..height).flat_map(row).copied().collect();
    Picture { channels: picture.channels, height, width, data }
}

impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Crop => f.write_str("crop"),
            Self::Exact => f.write_str("exact"),
            Self::Shorter(side) => write!(f, "shorter={side}"),
        }
    }
}

impl FromStr for Resize {
    type Err = PreprocessError;

    fn from_str(text: &str) -> Result<Self, PreprocessError> {
        let side = || text.strip_prefix("shorter=").and_then(|side| side.parse().ok());
        match text {
            "none" => Ok(Self::None),
            "crop" => Ok(Self::Crop),
            "exact" => Ok(Self::Exact),
            _ => side().map(Self::Shorter).ok_or_else(|| PreprocessError::Range {
                key: "resize",
                value: text.to_owned(),
                wanted: "none, crop, exact or shorter=SIDE",
            }),
        }
    }
}

impl TryFrom<String> for Resize {
    type Error = PreprocessError;

    fn try_from(text: String) -> Result<Self, PreprocessError> {
        text.parse()
    }
}

impl From<Resize> for String {
    fn from(resize: Resize) -> Self {
        resize.to_string()
    }
}

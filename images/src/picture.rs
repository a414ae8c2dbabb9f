//! The two forms of a picture: as it was stored, and as a network sees it.

use crate::jpeg;
use image::{DynamicImage, ImageDecoder, ImageReader, metadata::Orientation};
use std::io::{BufRead, Cursor, Seek};

/// A decoded picture at its own size: rows of pixels with their channels side by side (HWC), values in [0, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `height * width * channels` values.
    pub data: Vec<f32>,
}

/// A picture at a network's size: planes of channels (CHW), RGB or grey, values in [0, 1].
///
/// Transformations and augmentations act on this form, before scale, mean and deviation are applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Pixels {
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `channels * height * width` values.
    pub data: Vec<f32>,
}

/// Why encoded bytes are no picture.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PictureError {
    /// The decoder refused them.
    #[error("it cannot be decoded ({0}); get the file again, or use JPEG, PNG, WebP, GIF, BMP, TIFF or PNM files")]
    Undecodable(String),
    /// It ends too early.
    #[error("it is cut off: the end of the JPEG data is missing; get the file again, or remove it")]
    CutOff,
    /// No rows or no columns.
    #[error("it has no pixels")]
    Empty,
}

impl Picture {
    /// Makes a picture of 8-bit values in HWC order; a value v becomes v / 255.
    pub fn from_bytes(channels: usize, height: usize, width: usize, bytes: &[u8]) -> Self {
        let data = bytes.iter().map(|v| f32::from(*v) / 255.0).collect();
        Self { channels, height, width, data }
    }

    /// Decodes JPEG, PNG, WebP, GIF, BMP, TIFF or PNM bytes; of several frames the first. Grey stays grey, transparency
    /// is dropped. An orientation that the file states is not applied, as torchvision does not apply it.
    ///
    /// # Errors
    /// The bytes are no whole picture of these forms.
    pub fn decode(encoded: &[u8]) -> Result<Self, PictureError> {
        Self::decoded(encoded, false)
    }

    /// As [`decode`](Self::decode), turned and mirrored as the file's EXIF orientation says.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_upright(encoded: &[u8]) -> Result<Self, PictureError> {
        Self::decoded(encoded, true)
    }

    fn decoded(encoded: &[u8], upright: bool) -> Result<Self, PictureError> {
        if jpeg::is_cut_off(encoded) {
            return Err(PictureError::CutOff);
        }
        let mut decoded = reader(Cursor::new(encoded))
            .and_then(ImageReader::decode)
            .map_err(|error| PictureError::Undecodable(error.to_string()))?;
        if upright {
            decoded.apply_orientation(orientation(Cursor::new(encoded)));
        }
        let (width, height) = (decoded.width() as usize, decoded.height() as usize);
        if width == 0 || height == 0 {
            return Err(PictureError::Empty);
        }
        Ok(Self::from_decoded(&decoded, height, width))
    }

    fn from_decoded(decoded: &DynamicImage, height: usize, width: usize) -> Self {
        let grey = !decoded.color().has_color();
        let wide = decoded.color().bytes_per_pixel() > decoded.color().channel_count();
        let channels = if grey { 1 } else { 3 };
        if wide {
            let samples = if grey { decoded.to_luma16().into_raw() } else { decoded.to_rgb16().into_raw() };
            let data = samples.into_iter().map(|v| f32::from(v) / 65535.0).collect();
            return Self { channels, height, width, data };
        }
        let samples = if grey { decoded.to_luma8().into_raw() } else { decoded.to_rgb8().into_raw() };
        Self::from_bytes(channels, height, width, &samples)
    }

    /// The values as bytes, rounded; exact for what was stored with 8 bits.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.data.iter().map(|v| (v * 255.0).round() as u8).collect()
    }
}

/// The orientation that an encoded picture states; what cannot be read states none.
fn orientation(encoded: impl BufRead + Seek) -> Orientation {
    let stated = reader(encoded).and_then(ImageReader::into_decoder).and_then(|mut decoder| decoder.orientation());
    stated.unwrap_or(Orientation::NoTransforms)
}

/// Whether an encoded picture states an orientation other than upright.
pub(crate) fn is_turned(encoded: impl BufRead + Seek) -> bool {
    orientation(encoded) != Orientation::NoTransforms
}

fn reader<R: BufRead + Seek>(encoded: R) -> image::ImageResult<ImageReader<R>> {
    ImageReader::new(encoded).with_guessed_format().map_err(image::ImageError::IoError)
}

impl Pixels {
    /// A black picture.
    pub fn zeros(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width, data: vec![0.0; channels * height * width] }
    }

    /// The number of pixels of one channel.
    pub fn plane(&self) -> usize {
        self.height * self.width
    }
}

//! Pictures that training may see, ready to be read in any order many times.

use std::ops::Range;

use images::{
    Pixels,
    data::{ForTraining, ImageSet},
    intake::{Input, Intake},
    preprocess::Preprocess,
    values::Values,
};

use crate::CsamError;

/// Decoded pictures are kept in memory up to this size; larger sets are decoded each time.
const KEPT_BYTES: usize = 4 << 30;
/// Pictures that are decoded together.
const CHUNK: usize = 1024;

/// Samples as the network takes them, pictures at its size, with their labels.
#[derive(Debug)]
pub struct Samples {
    set: ImageSet,
    intake: Intake,
    labels: Option<Vec<u32>>,
    decoded: Option<Decoded>,
}

/// 8-bit values of all pictures, CHW. Exact for 8-bit pictures of the network's own size; resized ones are rounded.
#[derive(Debug)]
struct Decoded {
    shape: [usize; 3],
    bytes: Vec<u8>,
}

impl Samples {
    /// Reads pictures that training may see. Labels are left out where `labels` is false.
    ///
    /// # Errors
    /// A picture cannot be decoded or does not fit the network.
    pub fn load(set: &impl ForTraining, intake: &Intake, labels: bool) -> Result<Self, CsamError> {
        let mut samples = Self::when_asked(set, intake, labels)?;
        let Some(preprocess) = intake.picture() else { return Ok(samples) };
        let set = set.pictures();
        if let Some(size) = preprocess.len().checked_mul(set.len()).filter(|size| *size <= KEPT_BYTES) {
            samples.decoded = Some(Decoded::load(set, preprocess, size)?);
        }
        Ok(samples)
    }

    /// A split whose pictures are decoded only when they are asked for.
    ///
    /// # Errors
    /// The labels cannot be read.
    pub fn when_asked(set: &impl ForTraining, intake: &Intake, labels: bool) -> Result<Self, CsamError> {
        let set = set.pictures();
        let labels = if labels && set.has_labels() { Some(set.labels()?) } else { None };
        Ok(Self { set: set.clone(), intake: intake.clone(), labels, decoded: None })
    }

    /// The number of pictures.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether there are no pictures.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What each input of the network is fed.
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// All labels, where there are any.
    pub fn labels(&self) -> Option<&[u32]> {
        self.labels.as_deref()
    }

    /// Picture number `index`.
    ///
    /// # Errors
    /// It cannot be decoded.
    pub fn pixels(&self, index: usize, preprocess: &Preprocess) -> Result<Pixels, CsamError> {
        match &self.decoded {
            Some(decoded) => Ok(decoded.pixels(index)),
            None => Ok(self.set.pixels(index, preprocess)?),
        }
    }

    /// What sample number `index` feeds to an input.
    ///
    /// # Errors
    /// It cannot be read, or does not fit the network.
    pub fn values(&self, index: usize, input: &Input) -> Result<Values, CsamError> {
        Ok(input.values(&self.set, index)?)
    }
}

impl Decoded {
    fn load(set: &ImageSet, preprocess: &Preprocess, size: usize) -> Result<Self, CsamError> {
        let shape = [preprocess.channels(), preprocess.height, preprocess.width];
        let mut bytes = Vec::with_capacity(size);
        for start in (0..set.len()).step_by(CHUNK) {
            let range: Range<usize> = start..(start + CHUNK).min(set.len());
            for pixels in set.pixels_all(preprocess, range)? {
                bytes.extend(pixels.data.iter().map(|value| (value * 255.0).round() as u8));
            }
        }
        Ok(Self { shape, bytes })
    }

    fn pixels(&self, index: usize) -> Pixels {
        let [channels, height, width] = self.shape;
        let size = channels * height * width;
        let data = self.bytes[index * size..][..size].iter().map(|value| f32::from(*value) / 255.0).collect();
        Pixels { channels, height, width, data }
    }
}

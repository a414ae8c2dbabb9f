//! Pictures that lie in memory as one array.

use super::{DataError, Source};
use crate::Picture;
use std::path::PathBuf;

/// The values of a [`Raw`] array.
pub(super) enum Values {
    /// 0..255.
    Bytes(Vec<u8>),
    /// [0, 1].
    Floats(Vec<f32>),
}

/// Pictures of one size, one after the other.
pub(super) struct Raw {
    /// The files it was read from, the first one standing for all in messages.
    pub(super) files: Vec<PathBuf>,
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    /// True for CHW, false for HWC.
    pub(super) planes: bool,
    pub(super) values: Values,
}

impl Raw {
    /// Whole pictures held. No side is zero: readers refuse such arrays.
    pub(super) fn len(&self) -> usize {
        let values = match &self.values {
            Values::Bytes(values) => values.len(),
            Values::Floats(values) => values.len(),
        };
        values / self.size()
    }

    fn size(&self) -> usize {
        self.channels * self.height * self.width
    }
}

impl Source for Raw {
    fn picture(&self, index: usize) -> Result<Picture, DataError> {
        let (channels, height, width) = (self.channels, self.height, self.width);
        let range = index * self.size()..(index + 1) * self.size();
        let stored = match &self.values {
            Values::Bytes(values) => Picture::from_bytes(channels, height, width, &values[range]),
            Values::Floats(values) => Picture { channels, height, width, data: values[range].to_vec() },
        };
        Ok(if self.planes { interleaved(&stored) } else { stored })
    }

    fn name(&self, index: usize) -> String {
        let file = self.files.first().map(|file| file.display().to_string()).unwrap_or_default();
        format!("{file} picture {index}")
    }

    fn files(&self, _positions: &[usize]) -> Vec<PathBuf> {
        self.files.clone()
    }
}

/// CHW values to HWC.
fn interleaved(planes: &Picture) -> Picture {
    let pixels = planes.height * planes.width;
    let data = (0..pixels)
        .flat_map(|pixel| (0..planes.channels).map(move |channel| planes.data[channel * pixels + pixel]))
        .collect();
    Picture { data, ..*planes }
}

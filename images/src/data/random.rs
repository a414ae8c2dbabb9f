//! Samples that are nothing but a number, for networks whose inputs are all drawn.

use super::{DataError, Dataset, ImageSet, Kind, LeftOut, Role, Source};
use crate::Picture;
use std::{path::Path, sync::Arc};

/// The word that opens random samples where no such path exists; `random:N` for so many.
pub const RANDOM: &str = "random";

/// Samples where nobody says how many.
const USUAL: usize = 1024;

struct Numbered;

impl Source for Numbered {
    fn picture(&self, index: usize) -> Result<Picture, DataError> {
        Err(DataError::NoPicture { name: self.name(index) })
    }

    fn name(&self, index: usize) -> String {
        format!("random sample {index}")
    }
}

/// So many of them.
#[must_use]
pub fn random(count: usize) -> Dataset {
    let set = ImageSet::new(Role::Whole.name(), Role::Whole, Arc::new(Numbered), count, None);
    Dataset { kind: Kind::Random, classes: Vec::new(), splits: vec![set], left_out: LeftOut::default() }
}

/// How many a word asks for.
pub(super) fn count(word: &Path) -> Option<usize> {
    let word = word.to_str()?;
    if word == RANDOM {
        return Some(USUAL);
    }
    word.strip_prefix("random:")?.parse().ok()
}

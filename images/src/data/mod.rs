//! Image sets: opened by what they contain, split by what their files are called.
//!
//! One file per form. Each finds its files in a listing, checks what can be checked without decoding, and gives
//! [`ImageSet`]s whose pictures are decoded when they are asked for. [`Dataset::divide`] decides which of them are
//! trained on and which are measured.

mod arrays;
mod cifar;
mod classes;
mod division;
mod error;
mod folder;
mod idx;
mod left_out;
mod listing;
mod npy;
mod pairs;
mod parquet;
mod random;
mod raw;
mod set;
mod split;

use crate::intake::Intake;
use crate::procedural;
use listing::Listing;
use std::path::Path;

pub use division::{Choice, Division, ForTraining, MeasureSet, TrainSet, Training, ValidationSet};
pub use error::DataError;
pub use left_out::{LeftOut, Reason};
pub use npy::Array;
pub use random::{RANDOM, random};
pub use set::{Digest, ImageSet, Source};
pub use split::Role;

/// The name that opens the built-in procedural set where no such path exists.
pub const PROCEDURAL: &str = "procedural";

/// The form in which a data set was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Parquet files as on the Hugging Face hub.
    Parquet,
    /// Folders of JPEG, PNG, WebP, GIF, BMP, TIFF or PNM files.
    Folder,
    /// CIFAR-10's binary batches.
    Cifar,
    /// MNIST's IDX files.
    Idx,
    /// Pairs of NumPy arrays.
    Npy,
    /// NumPy arrays that are no pictures.
    Npz,
    /// Drawn by this program.
    Procedural,
    /// Samples that are nothing but a number, for inputs that are drawn.
    Random,
}

impl Kind {
    /// The form in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Folder => "image folder",
            Self::Cifar => "CIFAR-10 binary batches",
            Self::Idx => "IDX",
            Self::Npy => "NumPy arrays",
            Self::Npz => "NumPy arrays of any kind",
            Self::Procedural => "procedural",
            Self::Random => "random",
        }
    }
}

/// A data set: its classes and its splits.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// How it was stored.
    pub kind: Kind,
    /// Class names in label order; empty where the set has no labels.
    pub classes: Vec<String>,
    /// Training first, then validation, test, and unnamed ones.
    pub splits: Vec<ImageSet>,
    /// What else lies with the pictures.
    pub left_out: LeftOut,
}

/// Opens the data set that feeds a network: arrays where it takes any, else pictures, or numbers of random samples.
///
/// # Errors
/// As [`open`], and where arrays are not what the network takes.
pub fn open_for(path: &Path, intake: &Intake) -> Result<Dataset, DataError> {
    let wanted: Vec<(&str, usize)> = intake.arrays().collect();
    if wanted.is_empty() { open(path) } else { arrays::open(path, &wanted) }
}

/// Whether a path holds arrays: some that can be no pictures, or some that may be.
///
/// # Errors
/// It cannot be read.
pub fn arrays_at(path: &Path) -> Result<Option<Kind>, DataError> {
    if is_word(path) {
        return Ok(None);
    }
    let kinds: Vec<Kind> = Listing::of(path)?.kinds().collect();
    Ok([Kind::Npz, Kind::Npy].into_iter().find(|kind| kinds.contains(kind)))
}

/// Whether this is a word that opens a data set that lies nowhere.
#[must_use]
pub fn is_word(path: &Path) -> bool {
    (path == Path::new(PROCEDURAL) && !path.exists()) || is_random(path)
}

/// Whether this is the word that opens samples that are nothing but a number.
#[must_use]
pub fn is_random(path: &Path) -> bool {
    random::count(path).is_some() && !path.exists()
}

/// Opens a data set: a folder or a file of one of the forms, or one of the words [`PROCEDURAL`] and [`RANDOM`].
///
/// # Errors
/// The path holds no pictures, several forms at once, or files that contradict each other.
pub fn open(path: &Path) -> Result<Dataset, DataError> {
    if path == Path::new(PROCEDURAL) && !path.exists() {
        return Ok(procedural::dataset(procedural::SEED));
    }
    if let Some(count) = random::count(path).filter(|_| !path.exists()) {
        return Ok(random(count));
    }
    let listing = Listing::of(path)?;
    let mut found = listing.kinds();
    let dataset = match (found.next(), found.next()) {
        (None, _) => {
            let beside = listing.left_out.describe().map(|text| format!(" ({text})")).unwrap_or_default();
            return Err(DataError::NoPictures { path: path.into(), beside });
        }
        (Some(first), Some(second)) => return Err(DataError::Mixed { path: path.into(), first, second }),
        (Some(Kind::Parquet), None) => parquet::open(&listing),
        (Some(Kind::Cifar), None) => cifar::open(&listing),
        (Some(Kind::Idx), None) => idx::open(&listing),
        (Some(Kind::Npy), None) => npy::open(&listing),
        (Some(Kind::Npz), None) => return Err(DataError::OnlyArrays { path: path.into() }),
        (Some(Kind::Folder | Kind::Procedural | Kind::Random), None) => folder::open(&listing),
    }?;
    Ok(Dataset { left_out: listing.left_out, ..dataset.in_order() })
}

impl Dataset {
    /// The split of this name, or of the role the name stands for (`val`, `validation`, `test`, …).
    ///
    /// # Errors
    /// There is none; the message lists those there are.
    pub fn split(&self, name: &str) -> Result<&ImageSet, DataError> {
        self.splits
            .iter()
            .find(|set| set.name() == name)
            .or_else(|| Role::of(name).and_then(|role| self.role(role)))
            .ok_or_else(|| DataError::NoSplit { name: name.to_owned(), there: self.split_names() })
    }

    /// The split with this role.
    pub fn role(&self, role: Role) -> Option<&ImageSet> {
        self.splits.iter().find(|set| set.role() == role)
    }

    fn split_names(&self) -> String {
        self.splits.iter().map(ImageSet::name).collect::<Vec<_>>().join(", ")
    }

    fn in_order(mut self) -> Self {
        self.splits.sort_by(|a, b| (a.role(), a.name()).cmp(&(b.role(), b.name())));
        self
    }
}

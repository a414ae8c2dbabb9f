//! Why an image set cannot be opened or read: one sentence each.

use super::Kind;
use crate::{PictureError, preprocess::PreprocessError};
use std::path::{Path, PathBuf};

/// Why an image set cannot be opened or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DataError {
    /// The operating system refused.
    #[error("{}: cannot be read ({reason})", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// No file of a known form.
    #[error("{}: holds no pictures{beside}; give a folder of JPEG, PNG, WebP, GIF, BMP, TIFF or PNM files, Hugging Face parquet, CIFAR-10 .bin, IDX or .npy files, or the word `procedural`", path.display())]
    NoPictures {
        /// What was opened.
        path: PathBuf,
        /// What is there instead, in brackets.
        beside: String,
    },
    /// Arrays where pictures are wanted.
    #[error("{}: holds arrays, which are no pictures; say which input they feed with --input NAME=array", path.display())]
    OnlyArrays {
        /// What was opened.
        path: PathBuf,
    },
    /// No arrays where some are wanted.
    #[error("{}: holds no arrays of samples; give an .npy or .npz file, or a folder of either", path.display())]
    NoArrays {
        /// What was opened.
        path: PathBuf,
    },
    /// A sample that is no picture.
    #[error(
        "{name}: is no picture; say what the network's inputs are fed with --input NAME=array or --input NAME=normal"
    )]
    NoPicture {
        /// The sample.
        name: String,
    },
    /// A sample without an array of this name.
    #[error("{name}: has no array `{key}`; give an .npz file with one, or say --input NAME=normal")]
    NoArray {
        /// The sample.
        name: String,
        /// The array's name.
        key: String,
    },
    /// An array that an input does not take.
    #[error("{name}: the array `{key}` is {found}, and the network takes {wanted}; save it as that")]
    Array {
        /// The sample.
        name: String,
        /// The array's name.
        key: String,
        /// Its type and shape.
        found: String,
        /// The input's.
        wanted: String,
    },
    /// Two forms in one place.
    #[error("{}: holds both {} and {} files; give a folder with one form of pictures", path.display(), first.describe(), second.describe())]
    Mixed {
        /// What was opened.
        path: PathBuf,
        /// One form.
        first: Kind,
        /// Another form.
        second: Kind,
    },
    /// Folders whose meaning is unclear.
    #[error("{}: {problem}; use SPLIT/CLASS/PICTURE, CLASS/PICTURE or pictures alone", path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// What is unclear.
        problem: String,
    },
    /// A class folder that the training split does not have.
    #[error("{}: is a class that `{known_in}` does not have; the splits need the same class folders", path.display())]
    UnknownClass {
        /// The folder.
        path: PathBuf,
        /// The split that defines the classes.
        known_in: String,
    },
    /// A file that contradicts its own form.
    #[error("{}: is damaged or of another form ({problem}); get the file again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// A file of a known form with contents that are not supported.
    #[error("{}: {problem}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is not supported, and what is.
        problem: String,
    },
    /// One of several files is not there.
    #[error("{}: {missing} is missing; get the whole data set", path.display())]
    Incomplete {
        /// The folder.
        path: PathBuf,
        /// What is not there.
        missing: String,
    },
    /// As many labels as pictures, or none.
    #[error("{}: has {labels} labels for {pictures} pictures; the two must be equal", path.display())]
    LabelCount {
        /// The file of labels, or of both.
        path: PathBuf,
        /// Labels found.
        labels: usize,
        /// Pictures found.
        pictures: usize,
    },
    /// Labels are needed and there are none.
    #[error("the split `{split}` has no labels; give a folder with one sub-folder per class, or another data set")]
    NoLabels {
        /// The split.
        split: String,
    },
    /// No split of that name.
    #[error("the data set has no split `{name}`, only {there}; name one of these, or add the pictures")]
    NoSplit {
        /// What was asked for.
        name: String,
        /// What there is.
        there: String,
    },
    /// One split for two purposes.
    #[error(
        "the split `{split}` would be both trained on and measured; name another one with --train-split or --measure-split"
    )]
    TrainedAndMeasured {
        /// The split.
        split: String,
    },
    /// Nothing is left to measure on.
    #[error("the split `{split}` has no pictures to measure on; add some, or name another with --measure-split")]
    NothingToMeasure {
        /// The split.
        split: String,
    },
    /// Too few pictures to train on some, to watch the training by others and to measure yet others.
    #[error(
        "no pictures are left in `{split}`: training needs at least one to fit, another to be watched by, and others to measure on; add pictures"
    )]
    NothingToTrain {
        /// The part that came out empty.
        split: String,
    },
    /// A number beyond the end.
    #[error("the split `{split}` has {len} pictures, so there is no number {index}")]
    OutOfRange {
        /// The split.
        split: String,
        /// Its size.
        len: usize,
        /// What was asked for.
        index: usize,
    },
    /// One picture cannot be decoded.
    #[error("{name}: {reason}")]
    Picture {
        /// File name, or file and row.
        name: String,
        /// Why not.
        reason: PictureError,
    },
    /// One picture does not fit the network.
    #[error("{name}: {reason}")]
    Preprocess {
        /// File name, or file and row.
        name: String,
        /// Why not.
        reason: PreprocessError,
    },
}

impl DataError {
    pub(super) fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Self {
        move |error| Self::Unreadable { path: path.into(), reason: error.to_string() }
    }

    pub(super) fn damaged(path: &Path, problem: impl ToString) -> Self {
        Self::Damaged { path: path.into(), problem: problem.to_string() }
    }
}

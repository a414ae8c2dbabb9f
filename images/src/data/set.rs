//! One split: pictures that are decoded when asked for, and their labels.

use super::{Array, DataError, Role};
use crate::{Picture, Pixels, preprocess::Preprocess};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use std::{
    fmt,
    fs::File,
    io::Read,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Pictures decoded together while a digest is taken: enough to keep every thread busy, few enough to hold.
const DIGEST_CHUNK: usize = 512;

/// Where the pictures of one split come from.
pub trait Source: Send + Sync {
    /// Decodes picture `index`, which is below the number of pictures the set was made with.
    ///
    /// # Errors
    /// It cannot be read or decoded; the error names it.
    fn picture(&self, index: usize) -> Result<Picture, DataError>;

    /// Decodes picture `index`, turned as its file says it should be looked at; by default as it is stored.
    ///
    /// # Errors
    /// As [`picture`](Self::picture).
    fn upright(&self, index: usize) -> Result<Picture, DataError> {
        self.picture(index)
    }

    /// The array of this name of sample `index`, of a set of arrays.
    ///
    /// # Errors
    /// There is none, or it cannot be read; the error names it.
    fn array(&self, index: usize, key: &str) -> Result<Array, DataError> {
        Err(DataError::NoArray { name: self.name(index), key: key.to_owned() })
    }

    /// Whether the file of picture `index` states an orientation other than upright.
    fn is_turned(&self, _index: usize) -> bool {
        false
    }

    /// What a message calls picture `index`: a file, or a file and a number.
    fn name(&self, index: usize) -> String;

    /// What tells picture `index` from the others of its split, wherever the data set lies: by default its number.
    fn key(&self, index: usize) -> String {
        index.to_string()
    }

    /// The files that the pictures at these positions are stored in, each once, in a fixed order; none for pictures
    /// that are computed.
    fn files(&self, _positions: &[usize]) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// One split of a data set, or a selection from one. Cheap to clone; pictures are decoded when asked for.
#[derive(Clone)]
pub struct ImageSet {
    name: String,
    role: Role,
    source: Arc<dyn Source>,
    labels: Option<Arc<[u32]>>,
    /// Positions in the source.
    indices: Arc<[usize]>,
}

/// SHA-256 of a split's contents, as lower-case hexadecimal text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Of all decoded pixels: every picture's rows of 8-bit values with channels side by side, in order.
    pub pixels: String,
    /// Of all labels, one byte each (four, little-endian, where one is above 255).
    pub labels: Option<String>,
}

impl ImageSet {
    /// A whole split of `len` pictures. `labels`, where there are any, has `len` entries.
    pub fn new(name: &str, role: Role, source: Arc<dyn Source>, len: usize, labels: Option<Vec<u32>>) -> Self {
        debug_assert!(labels.as_ref().is_none_or(|labels| labels.len() == len));
        Self { name: name.to_owned(), role, source, labels: labels.map(Arc::from), indices: (0..len).collect() }
    }

    /// The split's name as stored (`train`, `val`, …), or `all` for an unsplit set.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the split is for.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The number of pictures.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// True when there are no pictures.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// True when every picture has a label.
    pub fn has_labels(&self) -> bool {
        self.labels.is_some()
    }

    /// The same samples with labels, one for each in the data set.
    pub(super) fn labelled(&self, labels: Vec<u32>) -> Self {
        Self { labels: Some(labels.into()), ..self.clone() }
    }

    /// The same pictures without their labels.
    #[must_use]
    pub fn without_labels(&self) -> Self {
        Self { labels: None, ..self.clone() }
    }

    /// The label of picture `index`, where the set has labels and the picture exists.
    pub fn label(&self, index: usize) -> Option<u32> {
        let position = *self.indices.get(index)?;
        self.labels.as_ref()?.get(position).copied()
    }

    /// All labels in order.
    ///
    /// # Errors
    /// The set has none.
    pub fn labels(&self) -> Result<Vec<u32>, DataError> {
        let labels = self.labels.as_ref().ok_or_else(|| DataError::NoLabels { split: self.name.clone() })?;
        Ok(self.indices.iter().map(|position| labels[*position]).collect())
    }

    /// Decodes picture `index`.
    ///
    /// # Errors
    /// There is no such picture, or it cannot be decoded.
    pub fn picture(&self, index: usize) -> Result<Picture, DataError> {
        self.source.picture(self.position(index)?)
    }

    /// What a message calls picture `index`.
    pub fn picture_name(&self, index: usize) -> String {
        self.position(index).map_or_else(|_| format!("number {index}"), |position| self.source.name(position))
    }

    /// What tells picture `index` from the others of its split, wherever the data set lies; empty where there is none.
    pub fn key(&self, index: usize) -> String {
        self.position(index).map_or_else(|_| String::new(), |position| self.source.key(position))
    }

    /// The array of this name of sample `index`.
    ///
    /// # Errors
    /// There is no such sample or array, or it cannot be read.
    pub fn array(&self, index: usize, key: &str) -> Result<Array, DataError> {
        self.source.array(self.position(index)?, key)
    }

    /// The number of sample `index` in the data set, whatever selection this is.
    pub fn number(&self, index: usize) -> usize {
        self.indices.get(index).copied().unwrap_or(index)
    }

    /// Decodes picture `index` for a network.
    ///
    /// # Errors
    /// As [`picture`](Self::picture), and when it has a size that the preprocessing refuses.
    pub fn pixels(&self, index: usize, preprocess: &Preprocess) -> Result<Pixels, DataError> {
        let position = self.position(index)?;
        let picture = if preprocess.orient { self.source.upright(position) } else { self.source.picture(position) };
        preprocess.pixels(&picture?).map_err(|reason| DataError::Preprocess { name: self.picture_name(index), reason })
    }

    /// Decodes a range of pictures for a network, on all threads, in order.
    ///
    /// # Errors
    /// As [`pixels`](Self::pixels).
    pub fn pixels_all(&self, preprocess: &Preprocess, range: Range<usize>) -> Result<Vec<Pixels>, DataError> {
        range.into_par_iter().map(|index| self.pixels(index, preprocess)).collect()
    }

    /// How many files state an orientation other than upright. All of them are opened.
    pub fn turned(&self) -> usize {
        self.indices.par_iter().filter(|position| self.source.is_turned(**position)).count()
    }

    /// The first `n` pictures, or all where there are fewer.
    pub fn take(&self, n: usize) -> Self {
        Self { indices: self.indices.iter().copied().take(n).collect(), ..self.clone() }
    }

    /// The pictures at these positions, in this order; positions beyond the end are left out.
    pub fn select(&self, indices: &[usize]) -> Self {
        let indices = indices.iter().filter_map(|index| self.indices.get(*index).copied()).collect();
        Self { indices, ..self.clone() }
    }

    /// The same pictures under another name, for another purpose.
    pub(super) fn called(self, name: &str, role: Role) -> Self {
        Self { name: name.to_owned(), role, ..self }
    }

    /// Digests of the decoded pixels and of the labels.
    ///
    /// # Errors
    /// A picture cannot be decoded.
    pub fn digest(&self) -> Result<Digest, DataError> {
        let mut hasher = Sha256::new();
        for start in (0..self.len()).step_by(DIGEST_CHUNK) {
            let end = (start + DIGEST_CHUNK).min(self.len());
            let chunk: Vec<Vec<u8>> = (start..end)
                .into_par_iter()
                .map(|index| Ok(self.picture(index)?.to_bytes()))
                .collect::<Result<_, DataError>>()?;
            chunk.iter().for_each(|bytes| hasher.update(bytes));
        }
        let labels = self.labels().ok().map(|labels| hex(&Sha256::digest(label_bytes(&labels))));
        Ok(Digest { pixels: hex(&hasher.finalize()), labels })
    }

    /// SHA-256 of all that decides the pictures, as lower-case hexadecimal text: their keys and labels, and the bytes of
    /// the files that hold them. Nothing is decoded, and where the files lie does not matter.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn digest_files(&self) -> Result<String, DataError> {
        let mut hasher = Sha256::new();
        hasher.update(format!("{}\0", self.name));
        for index in 0..self.len() {
            hasher.update(format!("{}\0{:?}\0", self.key(index), self.label(index)));
        }
        let files = self.source.files(&self.indices);
        let digests: Vec<_> = files.par_iter().map(|file| digest_file(file)).collect::<Result<_, DataError>>()?;
        digests.iter().for_each(|digest| hasher.update(digest));
        Ok(hex(&hasher.finalize()))
    }

    fn position(&self, index: usize) -> Result<usize, DataError> {
        self.indices.get(index).copied().ok_or_else(|| DataError::OutOfRange {
            split: self.name.clone(),
            len: self.len(),
            index,
        })
    }
}

impl fmt::Debug for ImageSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageSet")
            .field("name", &self.name)
            .field("role", &self.role)
            .field("len", &self.len())
            .field("labels", &self.has_labels())
            .finish_non_exhaustive()
    }
}

/// SHA-256 of a file's bytes.
fn digest_file(path: &Path) -> Result<[u8; 32], DataError> {
    let unreadable = DataError::unreadable(path);
    let mut file = File::open(path).map_err(&unreadable)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer).map_err(&unreadable)? {
            0 => return Ok(hasher.finalize().into()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

fn label_bytes(labels: &[u32]) -> Vec<u8> {
    match labels.iter().map(|label| u8::try_from(*label)).collect() {
        Ok(bytes) => bytes,
        Err(_) => labels.iter().flat_map(|label| label.to_le_bytes()).collect(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

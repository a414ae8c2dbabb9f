//! A model: the file as it is, and its graph.

use std::path::Path;

use bytes::Bytes;

use crate::build::{BuildError, InputSizes, build};
use crate::graph::{Graph, Refusal, StoredId};
use crate::inline::{InlineError, Inlined, inline};
use crate::proto::splice::SpliceError;
use crate::proto::{ModelFile, ProtoError};

/// A model file with its resolved graph.
#[derive(Clone, Debug)]
pub struct Model {
    /// The file; where something was written out in place, the one that came of it.
    pub file: ModelFile,
    /// What was written out.
    pub inlined: Inlined,
    /// The main graph.
    pub graph: Graph,
    /// Nodes that are opaque, and why.
    pub refusals: Vec<Refusal>,
}

/// Why a file is not a usable model.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The bytes.
    #[error(transparent)]
    File(#[from] ProtoError),
    /// The graph.
    #[error(transparent)]
    Graph(#[from] BuildError),
    /// Functions and branches.
    #[error(transparent)]
    Inline(#[from] InlineError),
    /// Changes to the file.
    #[error(transparent)]
    Splice(#[from] SpliceError),
}

impl Model {
    /// Opens a file.
    ///
    /// # Errors
    /// When the file cannot be read, is no ONNX model, or its graph is broken. Unknown operators are no error: see
    /// [`Model::refusals`].
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        Self::from_file(ModelFile::open(path)?, &InputSizes::default())
    }

    /// Reads a model from memory.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn from_bytes(bytes: Bytes) -> Result<Self, ImportError> {
        Self::from_file(ModelFile::from_bytes(bytes)?, &InputSizes::default())
    }

    /// Builds the graph of a decoded file, reading its input sizes as told. Calls of the model's own functions are written
    /// out first, and an `If` of known condition gives way to its branch.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn from_file(file: ModelFile, sizes: &InputSizes) -> Result<Self, ImportError> {
        let (file, inlined) = inline(file)?;
        let built = build(&file, sizes)?;
        Ok(Self { graph: built.graph, refusals: built.refusals, file, inlined })
    }

    /// Whether it was cut from another model: it has stored tensors of the same names, at least one of them with fewer
    /// indices on an axis and none with more.
    pub fn is_cut_from(&self, dense: &Self) -> bool {
        let mut is_smaller = false;
        for (position, stored) in self.graph.stored.iter().enumerate() {
            let name = self.graph.stored_name(StoredId(position as u32));
            let Some(theirs) = dense.graph.find_stored(name) else { continue };
            let (ours, theirs) = (&stored.tensor.shape, &dense.graph.stored(theirs).tensor.shape);
            if ours.len() != theirs.len() || ours.iter().zip(theirs).any(|(ours, theirs)| ours > theirs) {
                return false;
            }
            is_smaller |= ours != theirs && stored.tensor.dtype.is_float();
        }
        is_smaller
    }
}

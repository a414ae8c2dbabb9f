//! A model: the file as it is, and its graph.

use std::path::Path;

use bytes::Bytes;

use crate::build::{BuildError, InputSizes, build};
use crate::graph::{Graph, Refusal};
use crate::proto::splice::SpliceError;
use crate::proto::{ModelFile, ProtoError};

/// A model file with its resolved graph.
#[derive(Clone, Debug)]
pub struct Model {
    /// The file.
    pub file: ModelFile,
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

    /// Builds the graph of a decoded file, reading its input sizes as told.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn from_file(file: ModelFile, sizes: &InputSizes) -> Result<Self, ImportError> {
        let built = build(&file, sizes)?;
        Ok(Self { graph: built.graph, refusals: built.refusals, file })
    }
}

//! Runtimes that execute an ONNX file: one trait, one file each.

pub mod batch;
pub mod child;
pub mod ort;
pub mod pieces;
pub mod tract;
pub mod values;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use self::batch::{Batch, Output};
pub use self::pieces::Pieces;
pub use self::values::{Element, Values};
use crate::error::CertifyError;

/// The runtimes that evidence may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// ONNX Runtime, CPU provider.
    Ort,
    /// tract, pure Rust, CPU.
    Tract,
    /// libtorch, through `espalier-torch`.
    Torch,
}

impl Kind {
    /// The name used on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ort => "ort",
            Self::Tract => "tract",
            Self::Torch => "torch",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Ort, Self::Tract, Self::Torch].into_iter().find(|kind| kind.name() == name)
    }
}

/// What executed a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The runtime's name.
    pub runtime: String,
    /// Its version.
    pub version: String,
    /// The device that ran.
    pub device: String,
}

/// How a session is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Threads inside one operator; tract uses one whatever is asked.
    pub threads: usize,
    /// Whether the runtime may rewrite the graph for speed.
    pub optimise: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: 1, optimise: true }
    }
}

/// A loaded model.
pub trait Session: Send {
    /// Runs a batch of any size; a model whose batch is fixed is run as often as it takes.
    ///
    /// # Errors
    /// When the runtime fails, or its outputs cannot be read as numbers.
    fn run(&mut self, batch: &Batch) -> Result<Vec<Output>, CertifyError>;

    /// The input's shape as the file declares it; `None` for an axis of any size.
    fn input_shape(&self) -> &[Option<usize>];

    /// What executes the model.
    fn identity(&self) -> Identity;

    /// The batch size the file fixes, if it does.
    fn fixed_batch(&self) -> Option<usize> {
        self.input_shape().first().copied().flatten()
    }
}

/// Loads a model file into a runtime of this process.
///
/// # Errors
/// When the runtime refuses the file, or is torch, which lives in another process.
pub fn load(kind: Kind, model: &Path, options: Options) -> Result<Box<dyn Session>, CertifyError> {
    match kind {
        Kind::Ort => Ok(Box::new(ort::OrtSession::load(model, options)?)),
        Kind::Tract => Ok(Box::new(tract::TractSession::load(model, options)?)),
        Kind::Torch => Err(CertifyError::NotInProcess { runtime: kind.name() }),
    }
}

//! Runtimes that execute an ONNX file: one trait, one file each, and one list of them ([`Kind::ALL`]).
//!
//! A further runtime, or another device of one that is here, is a file with its [`Runtime`] and, where it works in this
//! process, its [`Session`]; and its line in the list.

pub mod batch;
pub mod child;
mod kind;
pub mod ort;
pub mod pieces;
mod torch;
pub mod tract;
pub mod values;

use serde::{Deserialize, Serialize};

pub use self::batch::{Batch, Output};
pub use self::kind::{Home, Kind, Runtime, different, load};
pub use self::pieces::Pieces;
pub use self::values::{Element, Values};
use crate::error::CertifyError;

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

    /// The runtime.
    fn kind(&self) -> Kind;

    /// The version that runs.
    fn version(&self) -> &str;

    /// The device that runs.
    fn device(&self) -> &str {
        self.kind().device
    }

    /// What executes the model.
    fn identity(&self) -> Identity {
        let [runtime, version, device] = [self.kind().name, self.version(), self.device()].map(str::to_owned);
        Identity { runtime, version, device }
    }

    /// The batch size the file fixes, if it does.
    fn fixed_batch(&self) -> Option<usize> {
        self.input_shape().first().copied().flatten()
    }
}

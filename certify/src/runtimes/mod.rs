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

pub use images::values::{self, Element, Values};
use serde::{Deserialize, Serialize};

pub use self::batch::{Batch, Declared, Fed, Feed, Output};
pub use self::kind::{Home, Kind, Runtime, different, load, named_once};
pub use self::pieces::Pieces;
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
    /// Runs the model once, on these tensors.
    ///
    /// # Errors
    /// When an input is fed nothing, the runtime fails, or its outputs cannot be read as numbers.
    fn feed(&mut self, inputs: &[Fed<'_>]) -> Result<Vec<Output>, CertifyError>;

    /// The inputs as the file declares them.
    fn inputs(&self) -> &[Declared];

    /// Runs a batch of any size; a model whose batch is fixed is run as often as it takes.
    ///
    /// # Errors
    /// As [`feed`](Self::feed), and when the outputs of several runs do not fit each other.
    fn run(&mut self, batch: &Batch) -> Result<Vec<Output>, CertifyError> {
        match self.at_once(batch) {
            Some(size) => Pieces::Exactly(size).run(batch, |piece| self.feed(&piece.fed()?)),
            None => self.feed(&batch.fed()?),
        }
    }

    /// How many samples like these the file takes in one run, where it fixes that.
    fn at_once(&self, batch: &Batch) -> Option<usize> {
        if batch.is_one_by_one() {
            return Some(1);
        }
        let inputs = self.inputs();
        batch.feeds().iter().find_map(|feed| {
            let only = || inputs.first().filter(|_| inputs.len() == 1);
            let declared = inputs.iter().find(|input| input.name == feed.name).or_else(only)?;
            declared.shape.get(feed.axis?).copied().flatten()
        })
    }

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
}

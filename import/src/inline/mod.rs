//! A model in one graph of plain nodes: calls of its own functions are written out in place, and an `If` whose condition
//! is known before any run gives way to its branch.
//!
//! What comes out is a model file of its own, spliced from the bytes of the one that was read; everything after starts
//! from it. A file with neither keeps its bytes.

mod branches;
mod functions;
mod names;

use crate::build::{BuildError, InputSizes, build};
use crate::proto::splice::{Edits, SpliceError};
use crate::proto::{ModelFile, ProtoError};

/// A branch may hold calls, and a function an `If`: so often one is looked for inside the other.
const ROUNDS: usize = 16;

/// What was written out in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inlined {
    /// Calls of functions of the model's own.
    pub calls: usize,
    /// `If` nodes that gave way to a branch.
    pub branches: usize,
}

impl Inlined {
    /// What is to be said of it; `None` when the file is as it was read.
    pub fn note(self) -> Option<String> {
        let calls =
            (self.calls > 0).then(|| format!("{} calls of the model's own functions are written out", self.calls));
        let branches =
            (self.branches > 0).then(|| format!("{} `If` of known condition are their branch", self.branches));
        let parts: Vec<String> = calls.into_iter().chain(branches).collect();
        (!parts.is_empty()).then(|| format!("{}, in place: a cut starts from that form", parts.join(" and ")))
    }
}

/// Why a file could not be written out.
#[derive(Debug, thiserror::Error)]
pub enum InlineError {
    /// The graph around an `If`.
    #[error(transparent)]
    Graph(#[from] BuildError),
    /// The new file.
    #[error(transparent)]
    Splice(#[from] SpliceError),
    /// The new file as messages.
    #[error(transparent)]
    File(#[from] ProtoError),
}

/// Writes out what can be.
///
/// # Errors
/// When the graph is broken, or stored in a way that cannot be edited.
pub(crate) fn inline(mut file: ModelFile) -> Result<(ModelFile, Inlined), InlineError> {
    let mut inlined = Inlined::default();
    for _ in 0..ROUNDS {
        if let Some((edits, calls)) = functions::written_out(&file) {
            file = edited(&file, edits)?;
            inlined.calls += calls;
        }
        if !branches::has_any(&file) {
            break;
        }
        // Sizes that somebody gives say nothing of the file, which is cut for every size.
        let declared = build(&file, &InputSizes::default())?;
        let Some((edits, branches)) = branches::taken(&file, &declared.graph) else { break };
        file = edited(&file, edits)?;
        inlined.branches += branches;
    }
    Ok((file, inlined))
}

fn edited(file: &ModelFile, edits: Edits) -> Result<ModelFile, InlineError> {
    let new = ModelFile::from_bytes(edits.splice(&file.bytes)?.to_bytes())?;
    Ok(ModelFile { path: file.path.clone(), read: file.read.clone(), ..new })
}

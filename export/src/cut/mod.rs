//! The cut: every stored tensor loses the removed lanes' indices, whatever counts lanes counts
//! anew, and the rest of the file stays as it is.

mod counts;
mod declared;
mod fills;
mod frozen;
mod slice;
mod stored;

use std::path::Path;

use bytes::Bytes;
use import::{
    Model,
    lanes::{Lanes, Plan},
    proto::splice::Spliced,
};

use crate::{
    draft::Draft,
    error::ExportError,
    note::Note,
    output,
    places::Places,
    settle::{Dead, settle},
    tensors::Tensors,
    unnamed,
};

/// The slim file, not yet written.
pub struct SlimFile {
    spliced: Spliced,
    /// Axes of stored tensors that lost indices.
    pub record: Vec<CutAxis>,
    /// What the file says otherwise, beside that.
    pub notes: Vec<Note>,
}

/// What one axis of a stored tensor lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutAxis {
    /// The stored tensor.
    pub tensor: String,
    /// Its axis.
    pub axis: usize,
    /// Its size before the cut.
    pub dense: usize,
    /// The indices that stayed, in order.
    pub kept: Vec<usize>,
}

/// Makes the slim file of a plan. A plan that asks for nothing gives the model's own bytes.
///
/// With `lossy`, touched elements may lose fields this program does not know; without it such a
/// plan is refused.
///
/// # Errors
/// When the plan does not fit the model, or the file cannot be spliced.
pub fn cut(model: &Model, lanes: &Lanes, plan: &Plan, tensors: &Tensors, lossy: bool) -> Result<SlimFile, ExportError> {
    let Slim { draft, record, notes } = Slim::of(model, lanes, plan, tensors)?;
    Ok(SlimFile { spliced: settle(draft, lossy)?, record, notes })
}

/// The cut as a draft.
pub(crate) struct Slim<'a> {
    pub(crate) draft: Draft<'a>,
    record: Vec<CutAxis>,
    notes: Vec<Note>,
}

impl<'a> Slim<'a> {
    pub(crate) fn of(model: &'a Model, lanes: &Lanes, plan: &Plan, tensors: &Tensors) -> Result<Self, ExportError> {
        let places = Places::of(model, lanes, plan)?;
        let mut draft = Draft::new(model);
        stored::replace_dense(&mut draft, plan, tensors)?;
        let biases = fills::biases(&draft, lanes, plan, &places)?;
        let values = frozen::dense_values(&draft, lanes, &places)?;
        let mut record = stored::slice(&mut draft, &places)?;
        stored::replace_slim(&mut draft, plan, tensors, &places)?;
        for bias in biases {
            fills::add(&mut draft, &places, bias)?;
        }
        let frozen = frozen::put(&mut draft, &places, values);
        counts::rewrite(&mut draft, lanes, &places)?;
        declared::follow(&mut draft, &places);
        if let Some(graph) = draft.graph() {
            let dead = Dead::after(graph, &draft.changes);
            record.retain(|cut| !dead.has(cut.tensor.as_bytes()));
        }
        let mut notes = draft.densified();
        notes.extend(frozen);
        if !draft.changes.is_empty() {
            notes.extend(unnamed::name(&mut draft));
        }
        Ok(Self { draft, record, notes })
    }
}

impl SlimFile {
    /// The file's size in bytes, external data not counted.
    pub fn len(&self) -> u64 {
        self.spliced.len()
    }

    /// Whether the file has no bytes.
    pub fn is_empty(&self) -> bool {
        self.spliced.is_empty()
    }

    /// The file in memory.
    pub fn to_bytes(&self) -> Bytes {
        self.spliced.to_bytes()
    }

    /// Writes the file whole or not at all; data files that it still needs are copied beside it, and what is too large
    /// for one file becomes a data file.
    ///
    /// # Errors
    /// When something cannot be written; then no model file appears.
    pub fn write(&self, model: &Model, path: &Path) -> Result<(), ExportError> {
        output::write(&self.spliced, &model.file, path)
    }
}

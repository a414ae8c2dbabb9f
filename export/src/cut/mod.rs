//! The cut: every stored tensor loses the removed lanes' indices, whatever counts lanes counts
//! anew, and the rest of the file stays as it is.

mod counts;
mod declared;
mod fills;
mod slice;
mod stored;

use std::path::Path;

use bytes::Bytes;
use import::{
    Model,
    lanes::{Lanes, Plan},
    proto::splice::Spliced,
};

use crate::{draft::Draft, error::ExportError, output, places::Places, settle::settle, tensors::Tensors};

/// The slim file, not yet written.
pub struct SlimFile {
    spliced: Spliced,
    /// Axes of stored tensors that lost indices.
    pub record: Vec<CutAxis>,
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
    let (draft, record) = slim_draft(model, lanes, plan, tensors)?;
    Ok(SlimFile { spliced: settle(draft, lossy)?, record })
}

/// The cut as a draft, and what it took.
pub(crate) fn slim_draft<'a>(
    model: &'a Model,
    lanes: &Lanes,
    plan: &Plan,
    tensors: &Tensors,
) -> Result<(Draft<'a>, Vec<CutAxis>), ExportError> {
    let places = Places::of(model, lanes, plan)?;
    let mut draft = Draft::new(model);
    stored::replace_dense(&mut draft, plan, tensors)?;
    let biases = fills::biases(&draft, lanes, plan, &places)?;
    let record = stored::slice(&mut draft, &places)?;
    stored::replace_slim(&mut draft, plan, tensors, &places)?;
    for bias in biases {
        fills::add(&mut draft, &places, bias)?;
    }
    counts::rewrite(&mut draft, lanes, &places)?;
    declared::follow(&mut draft, &places);
    Ok((draft, record))
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

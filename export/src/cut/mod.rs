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
    DType, Model,
    lanes::{Lanes, Plan},
    proto::{ModelFile, copy_external, external_files, splice::Spliced, write_atomic},
};

use crate::{draft::Draft, error::ExportError, places::Places, settle::settle, tensors::Tensors};

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
    cut_with_taps(model, lanes, plan, tensors, lossy, &[])
}

/// The cut, with further values as outputs.
pub(crate) fn cut_with_taps(
    model: &Model,
    lanes: &Lanes,
    plan: &Plan,
    tensors: &Tensors,
    lossy: bool,
    taps: &[(String, DType)],
) -> Result<SlimFile, ExportError> {
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
    for (name, dtype) in taps {
        draft.tap(name, *dtype);
    }
    let spliced = settle(draft, lossy)?;
    Ok(SlimFile { spliced, record })
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

    /// Writes the file whole or not at all; data files that it still needs are copied beside it.
    ///
    /// # Errors
    /// When something cannot be written; then no model file appears.
    pub fn write(&self, model: &Model, path: &Path) -> Result<(), ExportError> {
        let needed = external_files(&ModelFile::from_bytes(self.to_bytes())?.proto)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        copy_external(&needed, model.file.folder(), folder)?;
        write_atomic(path, |writer| self.spliced.write_to(writer))?;
        Ok(())
    }
}

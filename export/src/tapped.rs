//! A model that also gives values on the way to its outputs.

use std::path::Path;

use import::Model;

use crate::{draft::Draft, error::ExportError, output, settle::settle};

/// Writes a model whose values of these names are outputs too, behind its own, to a folder that nobody else sees, with
/// the data files it needs beside it.
///
/// # Errors
/// When the file cannot be spliced or written.
pub fn write_tapped(model: &Model, values: &[String], path: &Path) -> Result<(), ExportError> {
    let mut draft = Draft::new(model);
    for value in model.graph.values.iter().filter(|value| values.contains(&value.name)) {
        draft.tap(&value.name, value.dtype);
    }
    output::write_scratch(&settle(draft, true)?, &model.file, path)
}

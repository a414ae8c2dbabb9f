//! Where a command writes its model: settled before any work, so that nothing that is needed is written over.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use import::external::external_files;
use import::proto::{ModelFile, destination, is_standard_output};

/// Refuses to write a model over a file that the command reads, or over one that is no model.
///
/// `source` is the model that is read; `read` are further files.
///
/// # Errors
/// When `target` is one of these or of the model's data files, is no file, or holds something else than a model.
pub(crate) fn check(source: &Path, read: &[&Path], target: &Path) -> Result<()> {
    if is_standard_output(target) {
        return Ok(());
    }
    let end = destination(target)?;
    let shown = target.display();
    let is_end = |path: &Path| path.canonicalize().is_ok_and(|path| path == end);
    if is_end(source) {
        return Err(anyhow!("`{shown}` is the model itself, which is never changed; choose another --out"));
    }
    let model = ModelFile::open(source)?;
    if data_files(&model)?.iter().any(|file| is_end(file)) {
        return Err(anyhow!("`{shown}` holds weights of the model, which is never changed; choose another --out"));
    }
    if read.iter().any(|file| is_end(file)) {
        return Err(anyhow!("`{shown}` is read by this command; choose another --out"));
    }
    let is_empty = end.metadata().is_ok_and(|found| found.len() == 0);
    if end.exists() && !is_empty && ModelFile::open(&end).is_err() {
        return Err(anyhow!("`{shown}` exists and is no model, so it is not written over; choose another --out"));
    }
    Ok(())
}

fn data_files(model: &ModelFile) -> Result<Vec<PathBuf>> {
    let files = external_files(&model.proto)?;
    Ok(files.iter().map(|file| model.folder().join(file)).collect())
}

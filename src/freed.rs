//! Files with a fixed batch: a copy that takes any batch serves measurements, once it says what the file says.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use certify::agreement::compare::compare;
use certify::runtimes::{Batch, Kind, Options, Output, load};
use import::Model;
use import::graph::batch::{Freed, free};
use import::proto::{copy_external, external_files, write_atomic};

use crate::pictures::Pictures;
use crate::progress::Progress;
use crate::subject::Subject;

/// Pictures on which the copy has to equal the file.
pub(crate) const PICTURES: usize = 8;
/// How far apart they may be: the same arithmetic, in kernels for another batch.
const TOLERANCE: f64 = 1e-5;

/// What measurements run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Runnable {
    /// The file, or the copy.
    pub(crate) path: PathBuf,
    /// Whether it is a copy with a free batch axis.
    pub(crate) freed: bool,
}

/// The file itself where it takes any batch; else a copy in `folder`, where there is one that equals it.
///
/// # Errors
/// When the copy cannot be written, or the file does not run.
pub(crate) fn runnable(
    subject: &Subject,
    pictures: &Pictures,
    folder: &Path,
    threads: usize,
    progress: &Progress,
) -> Result<Runnable> {
    let file = Runnable { path: subject.path.clone(), freed: false };
    let shown = subject.path.display();
    let (bytes, batch) = match free(&subject.model.file, true)? {
        Freed::Already => return Ok(file),
        Freed::Stuck { batch } => {
            progress.note(&format!("{shown} fixes its batch at {batch} for good, so it is measured {batch} at a time"));
            return Ok(file);
        }
        Freed::Copy { bytes, batch } => (bytes, batch),
    };
    let stem = subject.path.file_stem().unwrap_or_default().to_string_lossy();
    let copy = folder.join(format!("{stem}.free.onnx"));
    let inputs = pictures.batch(PICTURES.max(usize::try_from(batch).unwrap_or(PICTURES)))?;
    if equals_as(&copy, &bytes, &subject.path, &subject.model, &inputs, threads)? {
        return Ok(Runnable { path: copy, freed: true });
    }
    progress.note(&format!("{shown} with a free batch says something else, so it is measured {batch} at a time"));
    Ok(file)
}

/// Refuses a model of which [`ship`] cannot make a copy.
///
/// # Errors
/// When there is no such copy.
pub(crate) fn must_be_free(model: &Model) -> Result<()> {
    any_batch(model).map(drop)
}

/// Writes a copy of the candidate that takes any batch to `target`, once it says what the candidate says.
///
/// # Errors
/// When there is no such copy, it says something else, or it cannot be written.
pub(crate) fn ship(candidate: &Path, target: &Path, inputs: &Batch, threads: usize) -> Result<()> {
    let model = Model::open(candidate)?;
    let bytes = any_batch(&model)?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder; check TMPDIR")?;
    if !equals_as(&folder.path().join("free.onnx"), &bytes, candidate, &model, inputs, threads)? {
        return Err(anyhow!(
            "with a free batch the model says something else; leave out --free-batch, and report this"
        ));
    }
    let beside = target.parent().unwrap_or(Path::new(""));
    copy_external(&external_files(&model.file.proto)?, model.file.folder(), beside)?;
    Ok(write_atomic(target, |writer| writer.write_all(&bytes))?)
}

/// The model's bytes with a free batch axis, every untouched field kept.
fn any_batch(model: &Model) -> Result<Bytes> {
    match free(&model.file, false)? {
        Freed::Already => Ok(model.file.bytes.clone()),
        Freed::Copy { bytes, .. } => Ok(bytes),
        Freed::Stuck { batch } => {
            Err(anyhow!("the model fixes its batch at {batch} by more than declarations; leave out --free-batch"))
        }
    }
}

/// Writes a changed model to `copy`, and says whether it answers what the file answers.
fn equals_as(copy: &Path, bytes: &[u8], file: &Path, model: &Model, inputs: &Batch, threads: usize) -> Result<bool> {
    let folder = copy.parent().unwrap_or(Path::new(""));
    copy_external(&external_files(&model.file.proto)?, model.file.folder(), folder)?;
    std::fs::write(copy, bytes)
        .map_err(|error| anyhow!("cannot write `{}` ({error}); free some space", copy.display()))?;
    Ok(equal(&answers(file, inputs, threads)?, &answers(copy, inputs, threads)?))
}

fn answers(path: &Path, inputs: &Batch, threads: usize) -> Result<Vec<Output>> {
    Ok(load(Kind::Ort, path, Options { threads, optimise: true })?.run(inputs)?)
}

fn equal(file: &[Output], copy: &[Output]) -> bool {
    let close = |(a, b)| compare(a, b, TOLERANCE).is_ok_and(|agreement| agreement.passed);
    file.len() == copy.len() && file.iter().zip(copy).all(close)
}

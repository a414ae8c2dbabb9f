//! Files with a fixed batch: a copy that takes any batch serves measurements, once it says what the file says.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use certify::agreement::compare::compare;
use certify::agreement::twin::noise_like;
use certify::runtimes::{Batch, Kind, Options, Output, load};
use import::Model;
use import::batch::{Freed, free};
use import::external::{copy_external, copy_external_beside, external_files};
use import::proto::write_atomic;

use crate::pictures::Pictures;
use crate::progress::Progress;
use crate::subject::Subject;

/// Samples on which the copy has to equal the file, at least; unequal ones, so that a network that mixes the samples of
/// a batch is found.
pub(crate) const SAMPLES: usize = 8;
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
    let inputs = unequal(&pictures.batch(enough(batch))?, batch)?;
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
    let declared = model.graph.batch().and_then(|batch| batch.value()).unwrap_or(1);
    let inputs = unequal(inputs, declared)?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder; check TMPDIR")?;
    if !equals_as(&folder.path().join("free.onnx"), &bytes, candidate, &model, &inputs, threads)? {
        return Err(anyhow!(
            "with a free batch the model says something else; leave out --free-batch, and report this"
        ));
    }
    copy_external_beside(&external_files(&model.file.proto)?, model.file.folder(), target)?;
    Ok(write_atomic(target, |writer| writer.write_all(&bytes))?)
}

/// At least eight samples, and at least two whole batches of the declared size.
fn enough(declared: i64) -> usize {
    let declared = usize::try_from(declared).unwrap_or(1).max(1);
    SAMPLES.max(2 * declared).next_multiple_of(declared)
}

/// [`enough`] samples of which no two are equal: those given, and with seeded noise where these are too few or repeat.
fn unequal(inputs: &Batch, declared: i64) -> Result<Batch> {
    let wanted = enough(declared);
    let mut distinct = inputs.distinct();
    distinct.truncate(wanted);
    let some = inputs.select(&distinct);
    if distinct.len() == wanted {
        return Ok(some);
    }
    let filling = noise_like(&some, wanted - distinct.len(), 0)?;
    some.then(filling).ok_or_else(|| anyhow!("samples and noise are of different kinds; report this"))
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

/// Whether a model that was written out in place answers what its file answers, on these samples.
///
/// # Errors
/// When one of them does not run.
pub(crate) fn inlined_equals(subject: &Subject, inputs: &Batch, threads: usize) -> Result<bool> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder; check TMPDIR")?;
    let model = &subject.model;
    equals_as(&folder.path().join("inlined.onnx"), &model.file.bytes, &subject.path, model, inputs, threads)
}

/// Writes a changed model to `copy`, and says whether it answers what the file answers.
fn equals_as(copy: &Path, bytes: &[u8], file: &Path, model: &Model, inputs: &Batch, threads: usize) -> Result<bool> {
    let folder = copy.parent().unwrap_or(Path::new(""));
    copy_external(&external_files(&model.file.proto)?, model.file.folder(), folder)?;
    std::fs::write(copy, bytes)
        .map_err(|error| anyhow!("cannot write `{}` ({error}); free some space", copy.display()))?;
    Ok(equal(&answers(file, inputs, threads)?, &answers(copy, inputs, threads)?, inputs.len()))
}

fn answers(path: &Path, inputs: &Batch, threads: usize) -> Result<Vec<Output>> {
    Ok(load(Kind::ORT, path, Options { threads, optimise: true })?.run(inputs)?)
}

/// Whether all outputs are the same, at least one of them being another from sample to sample.
fn equal(file: &[Output], copy: &[Output], samples: usize) -> bool {
    let compared = file.iter().zip(copy).map(|(a, b)| compare(a, b, samples, TOLERANCE).ok());
    let Some(compared) = compared.collect::<Option<Vec<_>>>() else { return false };
    let varies = compared.iter().any(|output| output.proves_nothing.is_none());
    file.len() == copy.len() && varies && compared.iter().all(|output| output.passed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn output(data: &[f32]) -> Output {
        Output { name: "y".into(), shape: vec![data.len()], values: data.to_vec().into() }
    }

    fn same(file: &[f32], copy: &[f32]) -> bool {
        equal(&[output(file)], &[output(copy)], file.len())
    }

    #[test]
    fn a_copy_must_say_the_same_of_samples_that_differ() {
        assert!(same(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]));
        assert!(!same(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.1]));
        // One sample less its own mean is 0; in a larger batch it is not.
        assert!(!same(&[0.0, 0.0, 0.0], &[-1.0, 0.0, 1.0]));
        assert!(!same(&[0.0, 0.0, 0.0], &[0.0, 0.0, 0.0]));
        assert!(!same(&[f32::NAN, f32::NAN], &[f32::NAN, f32::NAN]));
    }

    #[test]
    fn equal_samples_are_replaced() {
        let repeated = Batch::new(vec![9, 2], [1.0, 2.0].repeat(9)).unwrap();
        for (declared, wanted) in [(1, 8), (3, 9), (8, 16)] {
            let batch = unequal(&repeated, declared).unwrap();
            assert_eq!((batch.len(), batch.distinct().len()), (wanted, wanted));
            assert_eq!(batch.samples(0, 1), repeated.samples(0, 1));
        }
    }
}

//! The gate after every cut: the slim file computes what the masked twin computes, on ONNX Runtime.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use certify::agreement::twin::{Tap, Twin, TwinReport, TwinTolerance, check, noise};
use certify::runtimes::Batch;
use export::{Tensors, twin};
use import::lanes::Plan;

use crate::evidence::usual_tolerance;
use crate::numbers::small;
use crate::pictures::{Pictures, input_shape};
use crate::subject::Subject;

/// Seeded noise pictures.
const PROBES: usize = 4;
/// Real pictures beside them, where there are any.
const PICTURES: usize = 32;
/// Sides that a model leaves open are probed at this size.
const OPEN_SIDE: usize = 64;

/// Checks the cut that a plan asks for. Passed reports come back; a failed check is an error that names the culprit.
///
/// # Errors
/// When the twin cannot be made or run, or a check does not hold.
pub(crate) fn pass(
    subject: &Subject,
    plan: &Plan,
    tensors: &Tensors,
    pictures: Option<&Pictures>,
    seed: u64,
    threads: usize,
) -> Result<TwinReport> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder for the masked twin; check TMPDIR")?;
    let twin = written(subject, plan, tensors, seed, folder.path())?;
    let tolerance = TwinTolerance { relative: usual_tolerance(&subject.model), ..TwinTolerance::default() };
    let report = check(&twin, &inputs(subject, pictures, PROBES, seed)?, tolerance, threads)?;
    match &report.culprit {
        None => Ok(report),
        Some(worst) => {
            let found = worst.relative.map_or_else(|| "a value that is not finite".to_owned(), small);
            Err(anyhow!(
                "the cut is not exact at `{}` (relative difference {found} on sample {}), so nothing was written; \
                 report this with the model",
                worst.site,
                worst.sample
            ))
        }
    }
}

/// What passed, in one line.
pub(crate) fn line(report: &TwinReport) -> String {
    let largest = report.worst.iter().filter_map(|worst| worst.relative).fold(0.0, f64::max);
    format!(
        "slim equals the masked twin on {} samples (largest relative difference {})",
        report.samples,
        small(largest)
    )
}

/// The files of the check. Their bytes are gone from memory before any of them is loaded.
fn written(subject: &Subject, plan: &Plan, tensors: &Tensors, seed: u64, folder: &Path) -> Result<Twin> {
    let graph = &subject.model.graph;
    let made = twin(&subject.model, &subject.lanes, plan, tensors, seed)?;
    let files = made.write(&subject.model, folder)?;
    Ok(Twin {
        twin: files.masked,
        slim: files.slim,
        poison: files.poisoned,
        outputs: graph.outputs.iter().map(|&output| graph.value(output).name.clone()).collect(),
        taps: made.taps.into_iter().map(as_tap).collect(),
    })
}

/// A tap in the terms of the check.
fn as_tap(tap: export::Tap) -> Tap {
    Tap { site: tap.node, twin_output: tap.masked, slim_output: tap.slim, axis: tap.axis as i64, kept: tap.kept }
}

/// Real pictures, then seeded noise.
pub(crate) fn inputs(subject: &Subject, pictures: Option<&Pictures>, probes: usize, seed: u64) -> Result<Batch> {
    let real = pictures.map(|pictures| pictures.batch(PICTURES)).transpose()?;
    let sample: Vec<usize> = match &real {
        Some(real) => real.shape[1..].to_vec(),
        None => {
            let shape = input_shape(&subject.model.graph)?;
            shape.iter().skip(1).map(|size| size.unwrap_or(OPEN_SIDE)).collect()
        }
    };
    let noise = noise(&sample, probes, 1.0, seed)?;
    let Some(mut all) = real else { return Ok(noise) };
    all.shape[0] += probes;
    all.data.extend(noise.data);
    Ok(all)
}

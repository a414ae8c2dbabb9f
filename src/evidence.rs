//! Asking `certify` for evidence, with its progress shown.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use certify::agreement::verify::{Agreement, Tolerance, verify};
use certify::latency::{Effort, Latency, latency};
use certify::runtimes::child::{Launcher, Program};
use certify::runtimes::{Batch, Kind};
use import::{DType, Model};

use crate::numbers;
use crate::progress::{Meter, Progress};
use crate::settings::Settings;
use crate::torch::Torch;

/// A runtime that takes longer is ended.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Pictures that runtimes are compared on, unless set.
const SAMPLES: usize = 64;
/// Pictures in one run of a runtime, unless set.
const AT_ONCE: usize = 16;
const SINGLE: f64 = 1e-4;
const HALF: f64 = 1e-2;

/// Shows what `certify` says while it works.
pub(crate) fn shown<'a>(progress: &'a Progress, name: &'a str) -> impl FnMut(certify::Progress) + 'a {
    let mut meter: Option<Meter> = None;
    move |said| match said {
        certify::Progress::Step { done, total, .. } => {
            meter.get_or_insert_with(|| progress.begin(name)).count(done, total);
        }
        certify::Progress::Estimate { seconds, evaluations } => progress.note(&format!(
            "{name}: at most {} ({} evaluations)",
            numbers::duration(seconds),
            numbers::count(evaluations as f64)
        )),
        certify::Progress::Note(text) => progress.note(&text),
    }
}

/// How many pictures runtimes are compared on.
pub(crate) fn samples(settings: &Settings) -> usize {
    settings.verify.samples.unwrap_or(SAMPLES).max(1)
}

/// Compares the runtimes on one model.
///
/// # Errors
/// When the processes cannot be fed. Runtimes that fail are findings in the result.
pub(crate) fn agreement(
    path: &Path,
    model: &Model,
    inputs: &Batch,
    settings: &Settings,
    progress: &Progress,
) -> Result<Agreement> {
    let all = [Kind::Ort, Kind::Tract, Kind::Torch];
    let kinds = settings.verify.runtimes.as_deref().unwrap_or(&all);
    let relative = settings.verify.tolerance.unwrap_or_else(|| usual_tolerance(model));
    let tolerance = Tolerance { relative, ..Tolerance::default() };
    let launcher = launcher(settings.threads()?)?;
    let at_once = settings.verify.at_once.unwrap_or(AT_ONCE).max(1);
    Ok(verify(path, kinds, inputs, at_once, &launcher, &tolerance, &mut shown(progress, "verify"))?)
}

/// The relative difference that is still agreement: half precision gets a hundred times as much.
pub(crate) fn usual_tolerance(model: &Model) -> f64 {
    let half = |dtype| matches!(dtype, DType::F16 | DType::BF16);
    let halves = model.graph.stored.iter().any(|stored| half(stored.tensor.dtype));
    if halves { HALF } else { SINGLE }
}

fn launcher(threads: usize) -> Result<Launcher> {
    let own = std::env::current_exe().context("cannot find the path of this program; start it by its full path")?;
    let program = |path, verb: &str| Program { path, arguments: vec![OsString::from(verb)] };
    Ok(Launcher {
        own: program(own, "runtime"),
        torch: Torch::find().map(|torch| program(torch.path, "run")),
        threads,
        timeout: TIMEOUT,
    })
}

/// How fast a model is on ONNX Runtime and tract, one picture at a time. A runtime that cannot run it is left out, and
/// a note says why.
pub(crate) fn latencies(path: &Path, sample_shape: &[usize], threads: usize, progress: &Progress) -> Vec<Latency> {
    let effort = Effort { threads, ..Effort::default() };
    let measure = |kind: Kind| match latency(kind, path, sample_shape, effort) {
        Ok(latency) => Some(latency),
        Err(error) => {
            progress.note(&format!("the latency on {} was not measured: {error}", kind.name()));
            None
        }
    };
    [Kind::Ort, Kind::Tract].into_iter().filter_map(measure).collect()
}

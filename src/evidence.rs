//! Asking `certify` for evidence, with its progress shown.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use certify::agreement::across::{Across, Fed};
use certify::agreement::verify::{Agreement, Asked, HALF, Tolerance, verify};
use certify::answers::Kind as Answered;
use certify::latency::{Compared, Effort, compare};
use certify::runtimes::child::{Launcher, Program};
use certify::runtimes::{Batch, Kind, Pieces};
use import::graph::ValueId;
use import::ops::rounds_to_quantised;
use import::{DType, Graph, Model, is_series};

use crate::numbers;
use crate::progress::{Meter, Progress};
use crate::settings::Settings;
use crate::subject::Subject;
use crate::torch::Torch;

/// A runtime that takes longer is ended.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Pictures that runtimes are compared on, unless set.
const SAMPLES: usize = 64;
/// Pictures in one run of a runtime, unless set.
const AT_ONCE: usize = 16;

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

/// What outputs are where the graph tells and their numbers do not: a series of one channel is no row of class scores.
pub(crate) fn kinds(graph: &Graph) -> BTreeMap<String, Answered> {
    let series = graph.outputs.iter().filter(|&&output| {
        let row = graph
            .value(output)
            .shape
            .as_ref()
            .is_some_and(|shape| shape.iter().skip(1).filter(|size| !size.is(1)).count() == 1);
        row && is_series(graph, output)
    });
    series.map(|&output| (graph.value(output).name.clone(), Answered::Values)).collect()
}

/// How many pictures runtimes are compared on.
pub(crate) fn samples(settings: &Settings) -> usize {
    settings.verify.samples.unwrap_or(SAMPLES).max(1)
}

/// Compares the runtimes on one model; each is held against itself where `noise` is set, and where two differ.
///
/// # Errors
/// When the processes cannot be fed. Runtimes that fail are findings in the result.
pub(crate) fn agreement(
    path: &Path,
    model: &Model,
    inputs: &Batch,
    settings: &Settings,
    noise: bool,
    progress: &Progress,
) -> Result<Agreement> {
    let named = settings.verify.runtimes.as_deref();
    let asked = Asked { kinds: named.unwrap_or(&Kind::ALL), by_name: named.is_some(), noise };
    let tolerance = Tolerance { relative: settings.verify.tolerance, outputs: half_outputs(model, settings) };
    let launcher = launcher(settings.threads())?;
    let pieces = pieces(model, inputs, settings);
    Ok(verify(path, asked, inputs, pieces, &launcher, &tolerance, &mut shown(progress, "verify"))?)
}

/// Compares two files on each runtime, on the same samples.
///
/// # Errors
/// When the processes cannot be fed. Runtimes that fail are findings in the result.
pub(crate) fn across(files: [(&Subject, &Batch); 2], settings: &Settings, progress: &Progress) -> Result<Across> {
    let named = settings.verify.runtimes.as_deref();
    let asked = Asked { kinds: named.unwrap_or(&Kind::ALL), by_name: named.is_some(), noise: false };
    let halves = files.iter().flat_map(|(subject, _)| half_outputs(&subject.model, settings));
    let tolerance = Tolerance { relative: settings.verify.tolerance, outputs: halves.collect() };
    let [reference, candidate] = files.map(|(subject, inputs)| {
        let pieces = pieces(&subject.model, inputs, settings);
        Fed { model: &subject.path, inputs, pieces }
    });
    let launcher = launcher(settings.threads())?;
    Ok(certify::agreement::across::across(
        reference,
        candidate,
        asked,
        &launcher,
        &tolerance,
        &mut shown(progress, "verify"),
    )?)
}

/// How many samples run at once: as many as a file declares, else as set.
fn pieces(model: &Model, inputs: &Batch, settings: &Settings) -> Pieces {
    let declared = model.graph.batch().and_then(|batch| batch.value()).and_then(|batch| usize::try_from(batch).ok());
    let at_once = settings.verify.at_once.unwrap_or(AT_ONCE).max(1);
    let one_by_one = inputs.is_one_by_one().then_some(1);
    one_by_one.or(declared).map_or(Pieces::AtMost(at_once), Pieces::Exactly)
}

/// Outputs of another type that half precision or quantised numbers compute all the same, with what is allowed for it: a
/// file may take and give single precision around a network that is not. Tensors that are merely stored so do not count.
fn half_outputs(model: &Model, settings: &Settings) -> BTreeMap<String, f64> {
    if settings.verify.tolerance.is_some() {
        return BTreeMap::new();
    }
    let graph = &model.graph;
    let mut half: HashSet<ValueId> = HashSet::new();
    let mut computed: HashSet<ValueId> = graph.inputs.iter().copied().collect();
    let is_half = |value: ValueId| matches!(graph.value(value).dtype, Some(DType::F16 | DType::BF16));
    for node in &graph.nodes {
        let inputs: Vec<ValueId> = node.inputs.iter().flatten().chain(&node.captures).copied().collect();
        if !inputs.iter().any(|value| computed.contains(value)) {
            continue;
        }
        let from_half = inputs.iter().any(|value| half.contains(value));
        for output in node.outputs.iter().flatten() {
            computed.insert(*output);
            if from_half || is_half(*output) || rounds_to_quantised(node) {
                half.insert(*output);
            }
        }
    }
    let float = |value: &ValueId| graph.value(*value).dtype.is_none_or(DType::is_float);
    let outputs = graph.outputs.iter().filter(|value| half.contains(value) && float(value));
    outputs.map(|value| (graph.value(*value).name.clone(), HALF)).collect()
}

/// How runtime processes are started.
///
/// # Errors
/// When this program's own path is not known.
pub(crate) fn launcher(threads: usize) -> Result<Launcher> {
    let own = std::env::current_exe().context("cannot find the path of this program; start it by its full path")?;
    let program = |path, verb: &str| Program { path, arguments: vec![OsString::from(verb)] };
    Ok(Launcher {
        own: program(own, "runtime"),
        torch: Torch::find().map(|torch| program(torch.path, "run")),
        threads,
        timeout: TIMEOUT,
    })
}

/// How fast two models are on the runtimes of this program, one picture at a time, measured in turns. A runtime that cannot run
/// both is left out, and a note says why.
pub(crate) fn latencies(
    dense: &Path,
    slim: &Path,
    inputs: &Batch,
    threads: usize,
    progress: &Progress,
) -> Vec<Compared> {
    let effort = Effort { threads, ..Effort::default() };
    let measure = |kind: Kind| match compare(kind, dense, slim, inputs, effort) {
        Ok(compared) => Some(compared),
        Err(error) => {
            progress.note(&format!("the latency on {} was not measured: {error}", kind.name()));
            None
        }
    };
    Kind::here().filter_map(measure).collect()
}

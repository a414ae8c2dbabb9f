//! The gate after every cut: the slim file computes what the masked twin computes, on ONNX Runtime in a child process.

mod effort;
mod need;
mod probes;
mod retry;
mod suspects;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use certify::agreement::twin::{Job, Precision, Tap, Twin, TwinReport, Worst, check_in_child, noise_like};
use certify::runtimes::child::Fault;
use certify::runtimes::child::exchange::write_inputs;
use certify::runtimes::{Batch, Pieces};
use export::{Form, Part, Tensors, twin};
use import::DType;
use import::graph::Graph;
use import::lanes::Plan;

use self::effort::{Way, ways};
use self::need::Need;
pub(crate) use self::retry::{Exact, Left};
use crate::evidence::launcher;
use crate::freed;
use crate::inputs::{OPEN_SIDE, drawn};
use crate::numbers::{bytes, small};
use crate::pictures::Pictures;
use crate::settings::Settings;
use crate::subject::Subject;

/// Real pictures beside the probes, where there are any.
const PICTURES: usize = 32;
/// Pictures in one run, where the model takes any batch.
const AT_ONCE: usize = 4;

/// How cuts are checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    seed: u64,
    threads: usize,
    /// Bytes that a check may take.
    memory: u64,
}

impl Gate {
    /// As the settings say.
    ///
    /// # Errors
    /// When threads or memory are impossible.
    pub(crate) fn of(settings: &Settings) -> Result<Self> {
        Ok(Self { seed: settings.seed(), threads: settings.threads(), memory: settings.memory()? })
    }

    /// What the check finds, in the first way that the network takes.
    fn check(
        self,
        subject: &Subject,
        plan: &Plan,
        tensors: &Tensors,
        pictures: Option<&Pictures>,
    ) -> Result<TwinReport> {
        let graph = &subject.model.graph;
        let need = Need::of(graph, subject.lanes(), OPEN_SIDE);
        let cut = Cut { subject, plan, tensors };
        let inlined = self.check_inlined(subject, pictures)?;
        let mut stopped = None;
        for way in ways(graph, &need, macs(subject), self.memory as f64)? {
            match self.by(&cut, &way, pictures.filter(|_| !way.is_smaller()))? {
                Ok(mut report) => {
                    report.notes.extend(inlined);
                    return Ok(report);
                }
                // A size that a network declares may be one that it needs.
                Err(fault) => stopped = Some(fault),
            }
        }
        let fault = stopped.unwrap_or_default();
        Err(anyhow!("the cut cannot be checked, so nothing was written: {fault}"))
    }

    /// What is to be said of functions and branches that were written out in place, once the model answers the same
    /// without them.
    fn check_inlined(self, subject: &Subject, pictures: Option<&Pictures>) -> Result<Option<String>> {
        let Some(note) = subject.model.inlined.note() else { return Ok(None) };
        let equals = |side: usize| -> Result<bool> {
            let inputs = inputs_of(subject, pictures, freed::SAMPLES, self.seed, side)?;
            freed::inlined_equals(subject, &inputs, self.threads)
        };
        // A size that is left open may be one that the network cannot take; the first that it takes decides.
        let mut sides = probes::sides();
        let first = sides.next().unwrap_or(OPEN_SIDE);
        let equal = sides.fold(equals(first), |found, side| found.or_else(|stopped| equals(side).map_err(|_| stopped)));
        match equal? {
            true => Ok(Some(note)),
            false => Err(anyhow!(
                "`{}` answers something else with its functions and branches written out in place, so nothing was written; \
                 report this, or inline them with another tool",
                subject.path.display()
            )),
        }
    }

    /// Checks in one way, reading sites part by part; what stops the check comes back in words.
    fn by(&self, cut: &Cut<'_>, way: &Way, pictures: Option<&Pictures>) -> Result<Result<TwinReport, String>> {
        let mut whole: Option<TwinReport> = None;
        for index in 0..way.effort.groups {
            let part = (way.effort.groups > 1).then_some(Part { index, of: way.effort.groups });
            let report = match self.part(cut, way, part, pictures)? {
                Ok(report) => report,
                Err(fault) => return Ok(Err(fault)),
            };
            let failed = refusal(&report).is_some();
            whole = Some(match whole {
                None => report,
                Some(whole) => whole.with(report),
            });
            if failed {
                break;
            }
        }
        let mut report = whole.unwrap_or_default();
        if way.is_smaller() {
            report.notes.push(format!(
                "checked at {} instead of the declared size, which would take too long or more than {} of memory",
                report.probes.first().cloned().unwrap_or_default(),
                bytes(self.memory)
            ));
        }
        Ok(Ok(report))
    }

    fn part(
        &self,
        cut: &Cut<'_>,
        way: &Way,
        part: Option<Part>,
        pictures: Option<&Pictures>,
    ) -> Result<Result<TwinReport, String>> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder; check TMPDIR")?;
        let probes = way.probes.clone();
        let sizes = probes.sizes.first().into_iter().flatten().map(|feed| (feed.name.clone(), feed.shape.clone()));
        let sizes = if way.is_smaller() { sizes.collect() } else { BTreeMap::new() };
        let job = Job {
            twin: cut.written(&Form { seed: self.seed, sizes, part }, folder.path())?,
            sizes: probes.sizes,
            sizes_wanted: probes.wanted,
            ranges: probes.ranges,
            pictures: pictures.map(|pictures| real(cut.subject, pictures, folder.path())).transpose()?,
            precision: precision(&cut.subject.model.graph),
            seed: self.seed,
            threads: self.threads,
            optimise: false,
            memory: Some(self.memory),
        };
        let launcher = launcher(self.threads)?;
        let mut found = check_in_child(&launcher, &job, folder.path())?;
        if matches!(found, Err(Fault::Crashed { .. })) {
            // Some files only run once the runtime has simplified them.
            let simplified = Job { optimise: true, ..job };
            found = check_in_child(&launcher, &simplified, folder.path())?.or(found);
        }
        Ok(found.map_err(|fault| match fault {
            Fault::Failed { message } => message,
            fault => fault.of("ONNX Runtime"),
        }))
    }
}

/// A cut to be checked.
struct Cut<'a> {
    subject: &'a Subject,
    plan: &'a Plan,
    tensors: &'a Tensors,
}

impl Cut<'_> {
    /// The files of the check. Their bytes are gone from memory before any of them is loaded.
    fn written(&self, form: &Form, folder: &Path) -> Result<Twin> {
        let (model, lanes) = (&self.subject.model, self.subject.lanes());
        let made = twin(model, lanes, self.plan, self.tensors, form)?;
        let files = made.write(model, folder)?;
        Ok(Twin {
            masked: files.masked,
            slim: files.slim,
            jittered: files.jittered,
            poisoned: files.poisoned,
            outputs: made.outputs,
            taps: made.taps.into_iter().map(as_tap).collect(),
        })
    }
}

/// Multiply-accumulates of one sample, open sides at their usual size.
fn macs(subject: &Subject) -> f64 {
    let cost = subject.cost();
    let open = if cost.unsized_nodes > 0 { (OPEN_SIDE * OPEN_SIDE) as f64 } else { 1.0 };
    cost.macs * open
}

/// Why a report is no proof.
fn refusal(report: &TwinReport) -> Option<String> {
    if let Some(fault) = &report.fault {
        return Some(format!("the slim file does not run where the model does ({fault})"));
    }
    if let Some(worst) = &report.culprit {
        return Some(format!("the cut is not exact at `{}` ({})", worst.site, found(worst)));
    }
    (!report.passed()).then(|| {
        format!(
            "the cut cannot be proved: nothing in the network varies on any probe ({}); give pictures with --data",
            report.probes.join(", ")
        )
    })
}

fn found(worst: &Worst) -> String {
    match (&worst.shapes, worst.relative) {
        (Some((twin, other)), _) => format!("sizes {twin:?} on one side and {other:?} on the other"),
        (None, Some(relative)) => format!("relative difference {} on sample {}", small(relative), worst.sample),
        (None, None) => format!("zeros, or values that are not finite, on one side alone, on sample {}", worst.sample),
    }
}

/// What passed, in one line.
pub(crate) fn line(report: &TwinReport) -> String {
    if report.samples == 0 {
        return "nothing was cut or replaced".to_owned();
    }
    let largest = report.worst.iter().filter_map(|worst| worst.relative).fold(0.0, f64::max);
    let mut line = format!(
        "slim equals the masked twin on {} samples (largest relative difference {}; {} of {} channels varied)",
        report.samples,
        small(largest),
        report.seen,
        report.channels
    );
    if !report.within_noise.is_empty() {
        let sites: Vec<&str> = report.within_noise.iter().map(|worst| worst.site.as_str()).collect();
        line.push_str(&format!("; not to be told apart from rounding at {}", listed(&sites)));
    }
    if !report.blind.is_empty() {
        let sites: Vec<&str> = report.blind.iter().map(String::as_str).collect();
        line.push_str(&format!("; constant or not comparable, so without proof: {}", listed(&sites)));
    }
    report.notes.iter().for_each(|note| line.push_str(&format!("; {note}")));
    line
}

/// The first few of several names.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A tap in the terms of the check.
fn as_tap(tap: export::Tap) -> Tap {
    Tap { site: tap.node, twin_output: tap.masked, slim_output: tap.slim, axis: tap.axis, kept: tap.kept }
}

/// The coarsest floating-point type that a network computes in.
fn precision(graph: &Graph) -> Precision {
    let of = |dtype: DType| match dtype {
        DType::F64 => Some(Precision::Double),
        DType::F32 => Some(Precision::Single),
        DType::F16 => Some(Precision::Half),
        DType::BF16 => Some(Precision::Brain),
        _ => None,
    };
    graph.values.iter().filter_map(|value| of(value.dtype?)).max().unwrap_or(Precision::Single)
}

/// Writes real samples for the check.
fn real(subject: &Subject, pictures: &Pictures, folder: &Path) -> Result<PathBuf> {
    let path = folder.join("pictures.safetensors");
    let batch = pictures.batch(PICTURES)?;
    let fixed = subject.model.graph.batch().and_then(|batch| batch.extent());
    let size = if batch.is_one_by_one() { 1 } else { fixed.unwrap_or(AT_ONCE) };
    write_inputs(&path, &Pieces::Exactly(size).cut(&batch))?;
    Ok(path)
}

/// Real samples, then seeded noise.
pub(crate) fn inputs(subject: &Subject, pictures: Option<&Pictures>, probes: usize, seed: u64) -> Result<Batch> {
    inputs_of(subject, pictures, probes, seed, OPEN_SIDE)
}

/// The same, drawn where there are no pictures with sizes that the model leaves open at `side`.
fn inputs_of(subject: &Subject, pictures: Option<&Pictures>, probes: usize, seed: u64, side: usize) -> Result<Batch> {
    let Some(pictures) = pictures else {
        let intake = drawn(&subject.model.graph, side, seed)?;
        let chosen: Vec<usize> = (0..probes).collect();
        let set = &images::data::random(probes).splits[0];
        return Ok(Batch::of_samples(&intake, intake.values_all(set, &chosen)?)?);
    };
    let real = pictures.batch(PICTURES)?;
    let noise = noise_like(&real, probes, seed)?;
    real.then(noise).ok_or_else(|| anyhow!("samples and noise are of different kinds; report this"))
}

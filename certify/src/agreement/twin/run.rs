//! Runs the files of a check one after another, so that only one is in memory, and compares each with the twin.

use std::path::Path;

use ort::session::{OutputSelector, RunOptions, Session};

use super::probes::{Fed, Range, drawn, fed, moved};
use super::shown::Shown;
use super::tally::{Against, Place, Verdict};
use super::{Job, Tap};
use crate::error::CertifyError;
use crate::runtimes::Options;
use crate::runtimes::child::exchange::read_inputs;
use crate::runtimes::ort as onnx_runtime;

/// Real pictures on which taps are compared too; on the others only outputs are.
const TAPPED_PICTURES: usize = 4;

/// Further draws of rounding where one of them does not explain a difference.
const MORE_DRAWS: u64 = 6;

/// Everything seen at the places of a twin.
pub(super) struct Seen {
    pub(super) taps: Vec<Place>,
    pub(super) outputs: Vec<Place>,
    pub(super) poison: Vec<Place>,
    pub(super) samples: usize,
    /// What was fed, one line per kind of probe.
    pub(super) probes: Vec<String>,
    pub(super) notes: Vec<String>,
    /// Outputs of which there is nothing to compare.
    pub(super) silent: Vec<String>,
    /// Why the slim file did not run where the twin did.
    pub(super) fault: Option<String>,
}

/// One run of the twin.
struct Run {
    /// The kind of probe, counted from 0.
    part: usize,
    start: usize,
    inputs: Vec<Fed>,
    tapped: bool,
    /// What the twin showed: taps, then outputs.
    taps: Vec<Option<Shown>>,
    outputs: Vec<Option<Shown>>,
}

/// Runs all files of a job.
pub(super) fn all(job: &Job) -> Result<Seen, CertifyError> {
    let mut seen = Seen::new(job);
    let runs = twin_runs(job, &mut seen)?;
    seen.places(job, &runs);
    noise_runs(job, &runs, &mut seen, 0);
    if let Err(reason) = slim_runs(job, &runs, &mut seen) {
        seen.fault = Some(reason);
        return Ok(seen);
    }
    if seen.differs(job) {
        (1..=MORE_DRAWS).for_each(|draw| noise_runs(job, &runs, &mut seen, draw));
    }
    poison_runs(job, &runs, &mut seen)?;
    Ok(seen)
}

/// The twin moved by rounding, on every probe; what stops it is noted.
fn noise_runs(job: &Job, runs: &[Run], seen: &mut Seen, draw: u64) {
    let mut stopped = None;
    match load(job, &job.twin.jittered, "the twin moved by rounding") {
        Err(error) => stopped = Some(error.to_string()),
        Ok(mut session) => {
            for (number, run) in runs.iter().enumerate() {
                let inputs = moved(&session, &run.inputs, job.precision, job.seed ^ ((draw << 32) | number as u64));
                match shown(&mut session, job, &inputs, run.tapped, Side::Twin) {
                    Ok((taps, outputs)) => seen.compare(run, &taps, &outputs, Against::Noise),
                    Err(reason) => stopped = Some(reason),
                }
            }
        }
    }
    if let Some(reason) = stopped {
        seen.notes.push(format!("rounding noise was not measured on every probe ({reason})"));
    }
}

/// The twin's own runs, on every probe it takes.
fn twin_runs(job: &Job, seen: &mut Seen) -> Result<Vec<Run>, CertifyError> {
    let mut session = load(job, &job.twin.masked, "the masked twin")?;
    let mut runs = Vec::new();
    let mut refused = None;
    if let Some(path) = &job.pictures {
        pictures(job, path, &mut session, &mut runs, seen)?;
    }
    let mut sizes = 0;
    for feeds in &job.sizes {
        // A further size is for what depends on sizes; the ranges were seen at the first.
        let counted = |&(range, count): &(Range, usize)| (range, if sizes == 0 { count } else { 1 });
        let before = runs.len();
        for (range, count) in job.ranges.iter().map(counted) {
            match draws(job, &mut session, feeds, range, count, runs.len(), seen) {
                Ok(new) => runs.extend(new),
                Err(reason) => refused = Some(reason),
            }
        }
        sizes += usize::from(runs.len() > before);
        if sizes == job.sizes_wanted {
            break;
        }
    }
    match refused {
        Some(reason) if runs.is_empty() => Err(CertifyError::Twin { reason }),
        Some(reason) if sizes == 0 => {
            seen.notes.push(format!("drawn probes were left out, since the twin does not take them ({reason})"));
            Ok(runs)
        }
        _ => Ok(runs),
    }
}

/// Runs of one kind of probe: one size, one range.
fn draws(
    job: &Job,
    session: &mut Session,
    feeds: &[super::Feed],
    range: Range,
    count: usize,
    number: usize,
    seen: &mut Seen,
) -> Result<Vec<Run>, String> {
    let samples = feeds.first().and_then(|feed| feed.shape.first()).copied().unwrap_or(1);
    let part = seen.probes.len();
    let mut runs = Vec::new();
    for run in 0..count {
        let inputs = drawn(session, feeds, range, job.seed, (number + run) as u64)?;
        let (taps, outputs) = shown(session, job, &inputs, true, Side::Twin)?;
        runs.push(Run { part, start: seen.samples + run * samples, inputs, tapped: true, taps, outputs });
    }
    seen.samples += samples * count;
    let shapes: Vec<String> = feeds.iter().map(|feed| numbers(&feed.shape)).collect();
    seen.probes.push(format!("{count} × {} ({})", shapes.join(", "), range.name()));
    Ok(runs)
}

/// Runs on real pictures.
fn pictures(
    job: &Job,
    path: &Path,
    session: &mut Session,
    runs: &mut Vec<Run>,
    seen: &mut Seen,
) -> Result<(), CertifyError> {
    let only = session.inputs().first().map(|input| input.name().to_owned()).unwrap_or_default();
    let mut start = 0;
    for feds in read_inputs(path)? {
        let samples = feds.first().and_then(|fed| fed.shape.first()).copied().unwrap_or(1);
        let name = |name: &str| if name.is_empty() { only.clone() } else { name.to_owned() };
        let inputs = feds
            .into_iter()
            .map(|fed| Fed { name: name(&fed.name), values: fed.values.to_f64(), shape: fed.shape })
            .collect::<Vec<_>>();
        let tapped = start < TAPPED_PICTURES;
        let run = shown(session, job, &inputs, tapped, Side::Twin).map_err(|reason| CertifyError::Twin { reason })?;
        runs.push(Run { part: 0, start, inputs, tapped, taps: run.0, outputs: run.1 });
        start += samples;
    }
    seen.samples += start;
    seen.probes.push(format!("{start} pictures"));
    Ok(())
}

/// The slim file on every probe; what stops it is the finding.
fn slim_runs(job: &Job, runs: &[Run], seen: &mut Seen) -> Result<(), String> {
    let mut session = load(job, &job.twin.slim, "the slim file").map_err(|error| error.to_string())?;
    for run in runs {
        let (taps, outputs) = shown(&mut session, job, &run.inputs, run.tapped, Side::Slim)?;
        seen.compare(run, &taps, &outputs, Against::Slim);
    }
    Ok(())
}

/// The poisoned twin on every probe.
fn poison_runs(job: &Job, runs: &[Run], seen: &mut Seen) -> Result<(), CertifyError> {
    let mut session = load(job, &job.twin.poisoned, "the poisoned twin")?;
    for run in runs {
        let shown = shown(&mut session, job, &run.inputs, false, Side::Twin);
        let (_, outputs) = shown.map_err(|reason| CertifyError::Twin { reason })?;
        for ((place, twin), other) in seen.poison.iter_mut().zip(&run.outputs).zip(&outputs) {
            if let (Some(twin), Some(other)) = (twin, other) {
                place.add(run.part, twin, other, run.start, Against::Slim);
            }
        }
    }
    Ok(())
}

impl Seen {
    fn new(job: &Job) -> Self {
        let tap = |tap: &Tap| Place::new(vec![tap.axis]);
        Self {
            taps: job.twin.taps.iter().map(tap).collect(),
            outputs: Vec::new(),
            poison: Vec::new(),
            samples: 0,
            probes: Vec::new(),
            notes: Vec::new(),
            silent: Vec::new(),
            fault: None,
        }
    }

    /// Makes the places of outputs, whose ranks are known once the twin has run.
    fn places(&mut self, job: &Job, runs: &[Run]) {
        for (position, name) in job.twin.outputs.iter().enumerate() {
            let known = runs.iter().find_map(|run| run.outputs[position].as_ref());
            let axes = Place::usual_axes(known.map_or(0, |shown| shown.shape.len()));
            self.outputs.push(Place::new(axes.clone()));
            self.poison.push(Place::new(axes));
            if known.is_none() {
                self.silent.push(name.clone());
            }
        }
    }

    /// Whether something differs by more than the noise that was seen.
    fn differs(&self, job: &Job) -> bool {
        let limits = job.precision.limits();
        self.taps.iter().chain(&self.outputs).any(|place| place.judge(limits).verdict == Verdict::Differs)
    }

    fn compare(&mut self, run: &Run, taps: &[Option<Shown>], outputs: &[Option<Shown>], against: Against) {
        let places = self.taps.iter_mut().zip(&run.taps).zip(taps);
        let outputs = self.outputs.iter_mut().zip(&run.outputs).zip(outputs);
        for ((place, twin), other) in places.chain(outputs) {
            if let (Some(twin), Some(other)) = (twin, other) {
                place.add(run.part, twin, other, run.start, against);
            }
        }
    }
}

/// Whose taps are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Twin,
    Slim,
}

type Values = (Vec<Option<Shown>>, Vec<Option<Shown>>);

/// Runs a file, and gives what it shows at taps (of the twin: on the indices that stay) and outputs.
fn shown(session: &mut Session, job: &Job, inputs: &[Fed], tapped: bool, side: Side) -> Result<Values, String> {
    let taps = if tapped { job.twin.taps.as_slice() } else { &[] };
    let tap_name = |tap: &Tap| if side == Side::Twin { tap.twin_output.clone() } else { tap.slim_output.clone() };
    let tap_names: Vec<String> = taps.iter().map(tap_name).collect();
    let fault = |error: ort::Error| error.to_string();
    let known = |name: &&String| session.outputs().iter().any(|output| output.name() == name.as_str());
    let names: Vec<&String> = tap_names.iter().chain(&job.twin.outputs).collect();
    if let Some(missing) = names.iter().find(|name| !known(name)) {
        return Err(format!("there is no output `{missing}`"));
    }
    if names.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let selected = names.iter().fold(OutputSelector::no_default(), |all, name| all.with(name.as_str()));
    let options = RunOptions::new().map_err(fault)?.with_outputs(selected);
    let inputs = fed(session, inputs)?;
    let given = session.run_with_options(inputs, &options).map_err(fault)?;
    let of = |name: &String| given.get(name).map_or(Ok(None), Shown::of).map_err(fault);
    let tapped = taps.iter().zip(&tap_names).map(|(tap, name)| match (of(name)?, side) {
        (Some(shown), Side::Twin) => {
            let missing = || format!("`{}` has not the axes that were cut", tap.site);
            shown.gathered(&tap.kept).map(Some).ok_or_else(missing)
        }
        (shown, _) => Ok(shown),
    });
    let tapped = tapped.collect::<Result<_, String>>()?;
    let outputs = job.twin.outputs.iter().map(of).collect::<Result<_, _>>()?;
    Ok((tapped, outputs))
}

/// Loads a file; an error calls it by its part in the check, since its path is gone when somebody reads that.
fn load(job: &Job, path: &Path, part: &str) -> Result<Session, CertifyError> {
    let options = Options { threads: job.threads, optimise: job.optimise };
    onnx_runtime::open(path, options).map_err(|error| {
        let said = error.to_string().replace(&path.display().to_string(), part);
        CertifyError::Twin { reason: format!("ONNX Runtime does not load {part}: {said}") }
    })
}

fn numbers(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    if sizes.is_empty() { "1".to_owned() } else { sizes.join("×") }
}

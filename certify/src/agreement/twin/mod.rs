//! The checks of a cut: does the slim file compute what the dense one computes without the removed lanes?
//!
//! (a) The *masked twin*, the dense network with the removed lanes selected away, gives the slim network's outputs.
//! (b) At every tapped reading site the twin gives what the slim network has there, on the indices that were kept; the
//!     first site that differs names the culprit.
//! (c) *Poison*: the twin with other values in the writers of the removed lanes gives the twin's own outputs. So the
//!     twin really ignores those lanes, and (a) compares with the right thing.
//!
//! What is the same proves something only where it varies: a channel that is constant over all probes, or not finite,
//! is counted as unseen. [`probes`] says what is fed, [`tally`] what counts as the same, [`run`] orders the runs,
//! [`child`] puts all of it into a process of its own.

mod child;
mod probes;
mod run;
mod shown;
mod tally;

use std::path::PathBuf;

use images::draw;
use serde::{Deserialize, Serialize};

pub use self::child::{ARGUMENT, check_in_child, serve};
pub use self::probes::{Feed, Range};
use self::tally::{Judged, Limits, Place, Verdict};
use crate::error::CertifyError;
use crate::runtimes::{self, Batch, Values};

/// The files of the checks, all with the same inputs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Twin {
    /// The masked twin; its taps are graph outputs after the network's own.
    pub masked: PathBuf,
    /// The slim network, tapped likewise.
    pub slim: PathBuf,
    /// The tapped twin with every parameter moved by rounding.
    pub jittered: PathBuf,
    /// The masked twin with poisoned writers; taps are not read.
    pub poisoned: PathBuf,
    /// The names of the outputs to compare, the same in all files.
    pub outputs: Vec<String>,
    /// Reading sites, in the order of the graph.
    pub taps: Vec<Tap>,
}

/// One reading site.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tap {
    /// What to call it when it is the culprit.
    pub site: String,
    /// The output of the twin that shows it, dense.
    pub twin_output: String,
    /// The output of the slim file that shows it.
    pub slim_output: String,
    /// The axis that is contracted: its indices are judged one by one.
    pub axis: usize,
    /// Axes that were cut, and the indices kept on each, in the slim file's order.
    pub kept: Vec<(usize, Vec<usize>)>,
}

/// What to check, and on what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The files.
    pub twin: Twin,
    /// Sizes that the network may take, the likeliest first.
    pub sizes: Vec<Vec<Feed>>,
    /// So many of the sizes that it does take are probed.
    pub sizes_wanted: usize,
    /// Ranges that probes are drawn from, and how many runs of each at the first size.
    pub ranges: Vec<(Range, usize)>,
    /// A tensor file of real pictures for the only input, as [`exchange`](crate::runtimes::child::exchange) writes it.
    pub pictures: Option<PathBuf>,
    /// The coarsest type that the network computes in.
    pub precision: Precision,
    /// What every draw is a function of.
    pub seed: u64,
    /// Threads of ONNX Runtime.
    pub threads: usize,
    /// Whether ONNX Runtime may rewrite the graphs.
    pub optimise: bool,
    /// Bytes that the process of the check may take; it is ended where it asks for more.
    pub memory: Option<u64>,
}

/// A floating-point type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 64 bits.
    Double,
    /// 32 bits.
    Single,
    /// 16 bits, 11 of them significant.
    Half,
    /// 16 bits, 8 of them significant.
    Brain,
}

impl Precision {
    /// How far inputs are moved to see what rounding does, relative to themselves. Long sums of singles and doubles
    /// round more often than any one of their terms is moved; sums of halves are kept in singles, and round once.
    #[must_use]
    pub fn unit(self) -> f64 {
        match self {
            Self::Double => 16.0 * f64::EPSILON,
            Self::Single => 16.0 * f64::from(f32::EPSILON),
            Self::Half => 2f64.powi(-10),
            Self::Brain => 2f64.powi(-7),
        }
    }

    /// What may differ of the largest number of a channel before it is held against the twin's own noise: the same
    /// terms are added in another order.
    #[must_use]
    pub fn tolerance(self) -> f64 {
        match self {
            Self::Double => 1e-12,
            Self::Single => 1e-5,
            Self::Half => 2f64.powi(-10),
            Self::Brain => 2f64.powi(-7),
        }
    }
}

impl Precision {
    /// What may differ.
    fn limits(self) -> Limits {
        // Halves round as coarsely as they are moved; of the others, far more than rounding is still next to nothing.
        let noise = if self >= Self::Half { 3.0 } else { 8.0 };
        Limits { tolerance: self.tolerance(), noise }
    }
}

/// Which of the three checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// (a) at the network's outputs.
    Outputs,
    /// (b) at a reading site.
    Taps,
    /// (c) poisoned against plain twin.
    Poison,
}

/// What was found at one place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worst {
    /// The check.
    pub check: Check,
    /// The site or output.
    pub site: String,
    /// Its relative difference; absent when a value is not finite on one side, or shapes differ.
    pub relative: Option<f64>,
    /// The sample, counted from 0.
    pub sample: usize,
    /// The twin's shape and the other one, where they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shapes: Option<(Vec<usize>, Vec<usize>)>,
}

/// What the checks found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TwinReport {
    /// Samples compared.
    pub samples: usize,
    /// What was fed.
    pub probes: Vec<String>,
    /// What may differ of the largest number of a channel without asking for the twin's own noise.
    pub tolerance: f64,
    /// The worst place of each check.
    pub worst: Vec<Worst>,
    /// Channels at taps and outputs.
    pub channels: usize,
    /// Those of them that varied, and so prove something.
    pub seen: usize,
    /// Sites and outputs of which nothing varied, or nothing can be compared: they prove nothing.
    pub blind: Vec<String>,
    /// Places that differ by more than the tolerance, and by no more than rounding noise.
    pub within_noise: Vec<Worst>,
    /// What else is to be known.
    pub notes: Vec<String>,
    /// Where it went wrong: the first site past its tolerance, inner sites before outputs.
    pub culprit: Option<Worst>,
    /// Why the slim file did not run where the twin did.
    pub fault: Option<String>,
}

impl TwinReport {
    /// Whether all three checks hold, and something was seen.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.culprit.is_none() && self.fault.is_none() && self.seen > 0
    }

    /// Both reports, of other reading sites of the same files.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.channels += other.channels;
        self.seen += other.seen;
        self.worst.extend(other.worst);
        self.blind.extend(other.blind);
        self.within_noise.extend(other.within_noise);
        self.notes.extend(other.notes);
        self.culprit = self.culprit.or(other.culprit);
        self.fault = self.fault.or(other.fault);
        self
    }
}

/// `count` standard normal samples of the input's own shape, scaled to `scale`; seeded.
///
/// # Errors
/// When the shape has no elements.
pub fn noise(sample_shape: &[usize], count: usize, scale: f32, seed: u64) -> Result<Batch, CertifyError> {
    let stride: usize = sample_shape.iter().product();
    let mut data = Vec::with_capacity(count * stride);
    for sample in 0..count {
        let mut rng = draw::rng(seed, "twin noise", 0, sample as u64);
        let mut pairs = std::iter::repeat_with(|| draw::normal_pair(&mut rng)).flat_map(|(a, b)| [a, b]);
        data.extend(pairs.by_ref().take(stride).map(|value| value * scale));
    }
    Batch::new([&[count], sample_shape].concat(), data)
}

/// `count` samples for the same inputs as these: standard normal in place of floats, seeded; anything else is theirs.
///
/// # Errors
/// When there are no samples.
pub fn noise_like(batch: &Batch, count: usize, seed: u64) -> Result<Batch, CertifyError> {
    let places: Vec<usize> = (0..count).map(|place| place % batch.len()).collect();
    let theirs = batch.select(&places);
    let drawn = theirs.feeds().iter().enumerate().map(|(input, feed)| {
        let element = feed.values.element();
        if !element.is_float() {
            return feed.clone();
        }
        let mut rng = draw::rng(seed, "noise like", input as u64, 0);
        let pairs = std::iter::repeat_with(|| draw::normal_pair(&mut rng)).flat_map(|(a, b)| [a, b]);
        let values: Vec<f32> = pairs.take(feed.values.len()).collect();
        runtimes::Feed { values: Values::from(values).cast(element).into_owned(), ..feed.clone() }
    });
    Batch::of(count, drawn.collect())
}

/// Runs the checks on ONNX Runtime in this process.
///
/// # Errors
/// When the twin does not load, or runs on none of the probes. What the slim file does is in the report.
pub fn check(job: &Job) -> Result<TwinReport, CertifyError> {
    let seen = run::all(job)?;
    let limits = job.precision.limits();
    let sites = job.twin.taps.iter().map(|tap| &tap.site);
    let named = |check, names: Vec<&String>, places: &[Place]| -> Vec<(Worst, Judged)> {
        let judged = places.iter().map(|place| place.judge(limits));
        let pairs = names.into_iter().cloned().zip(judged);
        pairs.map(|(site, judged)| (worst(check, site, &judged), judged)).collect()
    };
    let taps = named(Check::Taps, sites.collect(), &seen.taps);
    let outputs = named(Check::Outputs, job.twin.outputs.iter().collect(), &seen.outputs);
    let poison = named(Check::Poison, job.twin.outputs.iter().collect(), &seen.poison);
    let compared = || taps.iter().chain(&outputs);
    let all = || compared().chain(&poison);
    let of = |verdict: Verdict| all().filter(move |(_, judged)| judged.verdict == verdict).map(|(worst, _)| worst);
    let blind = compared().filter(|(_, judged)| judged.seen == 0).map(|(worst, _)| worst.site.clone());
    Ok(TwinReport {
        samples: seen.samples,
        probes: seen.probes,
        tolerance: limits.tolerance,
        worst: [&outputs, &taps, &poison].into_iter().filter_map(|places| largest(places)).collect(),
        channels: compared().map(|(_, judged)| judged.channels).sum(),
        seen: compared().map(|(_, judged)| judged.seen).sum(),
        blind: blind.collect(),
        within_noise: of(Verdict::WithinNoise).cloned().collect(),
        notes: seen.notes,
        culprit: of(Verdict::Differs).next().cloned().filter(|_| seen.fault.is_none()),
        fault: seen.fault,
    })
}

fn worst(check: Check, site: String, judged: &Judged) -> Worst {
    Worst { check, site, relative: judged.relative, sample: judged.sample, shapes: judged.shapes.clone() }
}

fn largest(places: &[(Worst, Judged)]) -> Option<Worst> {
    let rank = |worst: &Worst| worst.relative.unwrap_or(f64::INFINITY);
    places.iter().map(|(worst, _)| worst).max_by(|a, b| rank(a).total_cmp(&rank(b))).cloned()
}

//! How long one inference takes.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::agreement::twin::noise;
use crate::error::CertifyError;
use crate::runtimes::{Identity, Kind, Options, load};

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Runs that count, at most.
    pub runs: usize,
    /// Runs before them that do not.
    pub warm_up: usize,
    /// No further run is begun after this, once three have been counted.
    pub at_most: Duration,
    /// Threads of the runtime; tract uses one.
    pub threads: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Self { runs: 50, warm_up: 5, at_most: Duration::from_secs(5), threads: 1 }
    }
}

/// Milliseconds of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// What ran.
    #[serde(flatten)]
    pub identity: Identity,
    /// Samples of a run: 1, or what the file fixes.
    pub batch: usize,
    /// Threads asked for.
    pub threads: usize,
    /// Runs counted.
    pub runs: usize,
    /// The middle of all runs.
    pub median_ms: f64,
    /// One run in ten is faster.
    pub p10_ms: f64,
    /// One run in ten is slower.
    pub p90_ms: f64,
}

/// Runs left to count before time may end the measurement.
const FEWEST: usize = 3;

/// Measures a model on a runtime of this process, on seeded noise. `sample_shape` is the input's without the batch.
///
/// # Errors
/// When the runtime refuses or fails.
pub fn latency(kind: Kind, model: &Path, sample_shape: &[usize], effort: Effort) -> Result<Latency, CertifyError> {
    let mut session = load(kind, model, Options { threads: effort.threads, optimise: true })?;
    let batch = session.fixed_batch().unwrap_or(1);
    let input = noise(sample_shape, batch, 1.0, 0)?;
    let begun = Instant::now();
    for _ in 0..effort.warm_up.max(1) {
        session.run(&input)?;
    }
    let mut times = Vec::with_capacity(effort.runs);
    while times.len() < effort.runs.max(1) && (times.len() < FEWEST || begun.elapsed() < effort.at_most) {
        let start = Instant::now();
        session.run(&input)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(Latency {
        identity: session.identity(),
        batch,
        threads: if kind == Kind::Tract { 1 } else { effort.threads },
        runs: times.len(),
        median_ms: quantile(&times, 0.5),
        p10_ms: quantile(&times, 0.1),
        p90_ms: quantile(&times, 0.9),
    })
}

/// The quantile of sorted values, linear between neighbours. `sorted` is not empty.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!([0.0, 0.1, 0.5, 1.0].map(|q| quantile(&values, q)), [1.0, 1.4, 3.0, 5.0]);
        assert_eq!(quantile(&[7.0], 0.9), 7.0);
    }
}

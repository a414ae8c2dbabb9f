//! How long one inference takes, and how two networks compare.
//!
//! A machine is not equally fast all the time, and a session keeps the memory it happened to get. So two networks are
//! measured in turns, each time in a fresh session: dense, slim, slim, dense, … Every turn of both gives one ratio; the
//! median of the ratios and its distribution-free interval are what is said.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::CertifyError;
use crate::runtimes::{Batch, Identity, Kind, Options, Session, load};
use crate::statistics::binomial::at_most;

/// Turns that are taken whatever the time: six ratios are the fewest whose least and largest are a 95 % interval.
const FEWEST_TURNS: usize = 6;
/// The two-sided error of the ratio's interval.
const ALPHA: f64 = 0.05;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Turns of both networks, at most.
    pub turns: usize,
    /// Runs that count in one turn of one network, at most.
    pub runs: usize,
    /// Runs before them that do not.
    pub warm_up: usize,
    /// No turn past the sixth is begun after this, and turns are shortened to fit.
    pub at_most: Duration,
    /// Threads of the runtime; tract uses one.
    pub threads: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Self { turns: 15, runs: 20, warm_up: 3, at_most: Duration::from_secs(20), threads: 1 }
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
    /// Runs counted, over all sessions.
    pub runs: usize,
    /// The middle of all runs.
    pub median_ms: f64,
    /// One run in ten is faster.
    pub p10_ms: f64,
    /// One run in ten is slower.
    pub p90_ms: f64,
}

/// Two networks on one runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// The large network.
    pub dense: Latency,
    /// The small one.
    pub slim: Latency,
    /// How many times as fast the small one is.
    pub speedup: Speedup,
}

/// The large network's time over the small one's, turn by turn, for one sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speedup {
    /// The median of the turns' ratios.
    pub ratio: f64,
    /// Lower limit of the median.
    pub lower: f64,
    /// Upper limit.
    pub upper: f64,
    /// Two-sided confidence of the limits, at least 95 %.
    pub confidence: f64,
    /// Turns.
    pub turns: usize,
}

/// Measures two networks on a runtime of this process, on as many of these samples as a run takes.
///
/// # Errors
/// When the runtime refuses either, or fails.
pub fn compare(
    kind: Kind,
    dense: &Path,
    slim: &Path,
    inputs: &Batch,
    effort: Effort,
) -> Result<Compared, CertifyError> {
    let begun = Instant::now();
    let turns = effort.turns.max(FEWEST_TURNS);
    let measure =
        |model| Turns::begin(Stand { kind, model, inputs, effort, share: effort.at_most / (2 * turns as u32) });
    let (mut large, mut small) = (measure(dense)?, measure(slim)?);
    for turn in 1..turns {
        if turn >= FEWEST_TURNS && begun.elapsed() >= effort.at_most {
            break;
        }
        // Who goes first changes, so that a machine that slows down is no advantage to either.
        let order = if turn % 2 == 0 { [&mut large, &mut small] } else { [&mut small, &mut large] };
        for network in order {
            network.take()?;
        }
    }
    let ratios = large.per_sample().zip(small.per_sample()).map(|(dense, slim)| dense / slim);
    let speedup = Speedup::of(ratios.collect());
    Ok(Compared { dense: large.latency(), slim: small.latency(), speedup })
}

impl Speedup {
    /// The median of ratios, of which there are at least six, and the narrowest pair of order statistics that holds it
    /// with 95 %: `[x₍ₖ₎, x₍ₙ₊₁₋ₖ₎]` misses it with probability `2 P[Bin(n, ½) < k]`.
    fn of(mut ratios: Vec<f64>) -> Self {
        ratios.sort_by(f64::total_cmp);
        let n = ratios.len();
        let misses = |k: usize| 2.0 * at_most(k as u64 - 1, n as u64, 0.5);
        let k = (1..=n.div_ceil(2)).rev().find(|k| misses(*k) <= ALPHA).unwrap_or(1);
        Self {
            ratio: quantile(&ratios, 0.5),
            lower: ratios[k - 1],
            upper: ratios[n - k],
            confidence: 1.0 - misses(k),
            turns: n,
        }
    }
}

/// What is measured, and how.
#[derive(Clone, Copy)]
struct Stand<'a> {
    kind: Kind,
    model: &'a Path,
    inputs: &'a Batch,
    effort: Effort,
    /// The time of one turn, about.
    share: Duration,
}

/// The turns of one network.
struct Turns<'a> {
    stand: Stand<'a>,
    identity: Identity,
    batch: usize,
    /// Milliseconds, turn by turn.
    times: Vec<Vec<f64>>,
}

impl<'a> Turns<'a> {
    /// Takes the first turn.
    fn begin(stand: Stand<'a>) -> Result<Self, CertifyError> {
        let mut session = stand.session()?;
        let batch = session.at_once(stand.inputs).unwrap_or(1);
        let times = vec![stand.times(session.as_mut(), batch)?];
        Ok(Self { stand, identity: session.identity(), batch, times })
    }

    /// Takes another turn, in a session of its own.
    fn take(&mut self) -> Result<(), CertifyError> {
        let mut session = self.stand.session()?;
        self.times.push(self.stand.times(session.as_mut(), self.batch)?);
        Ok(())
    }

    /// The median of each turn, for one sample.
    fn per_sample(&self) -> impl Iterator<Item = f64> {
        self.times.iter().map(|times| {
            let mut times = times.clone();
            times.sort_by(f64::total_cmp);
            quantile(&times, 0.5) / self.batch as f64
        })
    }

    /// All turns together.
    fn latency(self) -> Latency {
        let Stand { kind, effort, .. } = self.stand;
        let mut times: Vec<f64> = self.times.into_iter().flatten().collect();
        times.sort_by(f64::total_cmp);
        Latency {
            identity: self.identity,
            batch: self.batch,
            threads: if kind.one_thread { 1 } else { effort.threads },
            runs: times.len(),
            median_ms: quantile(&times, 0.5),
            p10_ms: quantile(&times, 0.1),
            p90_ms: quantile(&times, 0.9),
        }
    }
}

impl Stand<'_> {
    fn session(&self) -> Result<Box<dyn Session>, CertifyError> {
        load(self.kind, self.model, Options { threads: self.effort.threads, optimise: true })
    }

    /// Milliseconds of each run that counts.
    fn times(&self, session: &mut dyn Session, batch: usize) -> Result<Vec<f64>, CertifyError> {
        let input = self.inputs.piece(0, batch);
        let begun = Instant::now();
        for run in 0..self.effort.warm_up.max(1) {
            if run > 0 && begun.elapsed() > self.share / 4 {
                break;
            }
            session.run(&input)?;
        }
        let mut times = Vec::with_capacity(self.effort.runs);
        while times.is_empty() || (times.len() < self.effort.runs && begun.elapsed() < self.share) {
            let start = Instant::now();
            session.run(&input)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(times)
    }
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
    use images::draw;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!([0.0, 0.1, 0.5, 1.0].map(|q| quantile(&values, q)), [1.0, 1.4, 3.0, 5.0]);
        assert_eq!(quantile(&[7.0], 0.9), 7.0);
    }

    #[test]
    fn the_interval_is_of_the_medians_own_order_statistics() {
        let of = |n: u8| Speedup::of((1..=n).map(f64::from).collect());
        assert_eq!((of(6).lower, of(6).upper), (1.0, 6.0));
        // Tables of the sign test: the 4th of 15 and its opposite hold the median with 96.5 %.
        assert_eq!((of(15).lower, of(15).ratio, of(15).upper), (4.0, 8.0, 12.0));
        assert!((of(15).confidence - 0.9648).abs() < 1e-4);
    }

    /// A machine whose speed drifts and jumps, and two networks that are equally fast.
    #[test]
    fn equal_networks_are_rarely_told_apart() {
        let mut apart = 0;
        for trial in 0..400 {
            let mut rng = draw::rng(5, "machine", 0, trial);
            let ratios = (0..15).map(|_| f64::from(0.3 * draw::normal_pair(&mut rng).0).exp());
            let found = Speedup::of(ratios.collect());
            apart += u32::from(found.lower > 1.0 || found.upper < 1.0);
        }
        assert!(apart <= 28, "{apart} of 400");
    }
}

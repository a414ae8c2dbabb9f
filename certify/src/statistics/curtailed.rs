//! The fixed-size binomial test, stopped as soon as its verdict is settled.
//!
//! Stopping costs nothing: the verdict is that of all `n` draws, whatever the draws not made would have been.

use super::binomial::allowed_failures;

/// What a test says so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More draws are needed.
    Open,
    /// The failure probability is at most ε, with error at most α.
    Certified,
    /// Not shown.
    Refused,
}

/// A running test of `draws` draws of which at most `allowed` may fail.
#[derive(Clone, Debug)]
pub struct Curtailed {
    draws: u64,
    allowed: u64,
    made: u64,
    failures: u64,
}

impl Curtailed {
    /// A test that certifies failure probability `epsilon` at error `alpha`; `None` when `draws` can never do so.
    #[must_use]
    pub fn new(draws: u64, epsilon: f64, alpha: f64) -> Option<Self> {
        let allowed = allowed_failures(draws, epsilon, alpha)?;
        Some(Self { draws, allowed, made: 0, failures: 0 })
    }

    /// Counts one draw and says where the test stands. Draws past the last one are not counted.
    pub fn count(&mut self, failed: bool) -> Verdict {
        if self.made < self.draws {
            self.made += 1;
            self.failures += u64::from(failed);
        }
        self.verdict()
    }

    /// Where the test stands: refused at failure `allowed + 1`, certified once even failing draws to the end would
    /// leave no more than `allowed`.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.failures > self.allowed {
            Verdict::Refused
        } else if self.failures + (self.draws - self.made) <= self.allowed {
            Verdict::Certified
        } else {
            Verdict::Open
        }
    }

    /// Failures counted.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Draws counted.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.made
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::binomial::certifies;
    use super::*;
    use images::draw;

    /// Runs one curtailed and one full test on the same draws; returns both verdicts and the draws the first made.
    fn both(draws: u64, epsilon: f64, alpha: f64, rate: f64, sample: u64) -> (Verdict, bool, u64) {
        let mut rng = draw::rng(7, "curtailed", 0, sample);
        let failed: Vec<bool> = (0..draws).map(|_| f64::from(draw::unit(&mut rng)) < rate).collect();
        let mut test = Curtailed::new(draws, epsilon, alpha).unwrap();
        for &f in &failed {
            if test.count(f) != Verdict::Open {
                break;
            }
        }
        let failures = failed.iter().filter(|f| **f).count() as u64;
        (test.verdict(), certifies(failures, draws, epsilon, alpha), test.made())
    }

    #[test]
    fn stopping_early_never_changes_the_verdict() {
        for rate in [0.0, 0.001, 0.02, 0.03, 0.05, 0.3] {
            let mut seen = 0;
            for sample in 0..400 {
                let (curtailed, full, made) = both(200, 0.05, 0.01, rate, sample);
                assert_eq!(curtailed == Verdict::Certified, full);
                assert_ne!(curtailed, Verdict::Open);
                seen += made;
            }
            assert!(seen < 400 * 200, "nothing was saved at rate {rate}");
        }
    }

    #[test]
    fn false_certificates_stay_within_alpha() {
        let (epsilon, alpha, paths) = (0.05, 0.01, 20_000u64);
        let false_certificates =
            (0..paths).filter(|&path| both(200, epsilon, alpha, epsilon, path).0 == Verdict::Certified).count();
        // Four standard deviations above the largest allowed rate.
        let limit = paths as f64 * alpha + 4.0 * (paths as f64 * alpha).sqrt();
        assert!((false_certificates as f64) < limit, "{false_certificates} of {paths}");
        assert!(false_certificates > 0, "the test is never on the edge");
    }

    #[test]
    fn too_few_draws_make_no_test() {
        assert!(Curtailed::new(100, 0.01, 0.001).is_none());
    }
}

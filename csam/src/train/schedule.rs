//! Learning rates as functions of the step, so that nothing has to be remembered.

use std::f64::consts::PI;

/// A linear rise, then a cosine to zero or a constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Highest rate.
    pub rate: f64,
    /// Steps of the rise; at most a fifth of all steps are used for it.
    pub warm_up: u64,
    /// All steps.
    pub total: u64,
    /// Fall to zero along a cosine after the rise.
    pub falls: bool,
}

impl Schedule {
    /// The rate for step number `step`, from 0.
    pub fn at(&self, step: u64) -> f64 {
        let warm_up = self.warm_up.min(self.total / 5);
        if step < warm_up {
            return self.rate * (step + 1) as f64 / warm_up as f64;
        }
        if !self.falls {
            return self.rate;
        }
        let done = (step - warm_up) as f64 / (self.total - warm_up).max(1) as f64;
        self.rate * 0.5 * (1.0 + (PI * done.min(1.0)).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_and_falls() {
        let schedule = Schedule { rate: 2.0, warm_up: 10, total: 110, falls: true };
        assert_eq!(schedule.at(0), 0.2);
        assert_eq!(schedule.at(9), 2.0);
        assert_eq!(schedule.at(10), 2.0);
        assert!((schedule.at(60) - 1.0).abs() < 1e-12);
        assert!(schedule.at(109) < 0.001);
        assert!((10..109).all(|step| schedule.at(step) >= schedule.at(step + 1)));
    }

    #[test]
    fn a_short_run_still_has_a_highest_rate() {
        let schedule = Schedule { rate: 1.0, warm_up: 100, total: 10, falls: true };
        assert_eq!(schedule.at(1), 1.0);
        let constant = Schedule { falls: false, ..schedule };
        assert_eq!(constant.at(9), 1.0);
    }
}

//! Comparisons of two models on the same images: McNemar's test and intervals for the difference.
//!
//! `b` counts the cases where only the first is right, `c` those where only the second is.

use serde::{Deserialize, Serialize};

use super::binomial::{at_most, ln_pmf, lower_limit, upper_limit};

/// How two models fared on the same cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Both right.
    pub both: u64,
    /// Only the first right.
    pub first_only: u64,
    /// Only the second right.
    pub second_only: u64,
    /// Neither right.
    pub neither: u64,
}

/// McNemar's test that neither model is better.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Exact two-sided p-value.
    pub p: f64,
    /// Mid-p value: less conservative, not guaranteed.
    pub mid_p: f64,
}

/// An interval for `share(first) − share(second)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The difference seen.
    pub difference: f64,
    /// Lower limit.
    pub lower: f64,
    /// Upper limit.
    pub upper: f64,
}

impl Table {
    /// Counts one case.
    pub fn count(&mut self, first: bool, second: bool) {
        match (first, second) {
            (true, true) => self.both += 1,
            (true, false) => self.first_only += 1,
            (false, true) => self.second_only += 1,
            (false, false) => self.neither += 1,
        }
    }

    /// Cases counted.
    #[must_use]
    pub fn cases(&self) -> u64 {
        self.both + self.first_only + self.second_only + self.neither
    }

    /// Exact test: `p = min(1, 2 F(min(b, c); b + c, ½))`; the mid-p form takes the probability at `min(b, c)` off.
    #[must_use]
    pub fn mcnemar(&self) -> McNemar {
        let (b, c) = (self.first_only, self.second_only);
        if b == c {
            return McNemar { p: 1.0, mid_p: 1.0 };
        }
        let (fewer, discordant) = (b.min(c), b + c);
        let p = (2.0 * at_most(fewer, discordant, 0.5)).min(1.0);
        McNemar { p, mid_p: p - ln_pmf(fewer, discordant, 0.5).exp() }
    }

    /// The guaranteed interval at level `1 − alpha`: `[L(b) − U(c), U(b) − L(c)]`, each a two-sided Clopper–Pearson
    /// limit at `1 − alpha/2`; `None` without cases.
    #[must_use]
    pub fn guaranteed(&self, alpha: f64) -> Option<Interval> {
        let n = self.cases();
        let limits = |count| (lower_limit(count, n, alpha / 4.0), upper_limit(count, n, alpha / 4.0));
        let ((b_low, b_high), (c_low, c_high)) = (limits(self.first_only), limits(self.second_only));
        Some(Interval { difference: self.difference()?, lower: b_low - c_high, upper: b_high - c_low })
    }

    /// Newcombe's paired score interval, for display: narrower, its coverage approximate. `z` is the normal quantile
    /// (1.96 for 95 %).
    #[must_use]
    pub fn newcombe(&self, z: f64) -> Option<Interval> {
        let difference = self.difference()?;
        let n = self.cases() as f64;
        let (first, second) = ((self.both + self.first_only) as f64, (self.both + self.second_only) as f64);
        let (l1, u1) = wilson(first, n, z);
        let (l2, u2) = wilson(second, n, z);
        let (p1, p2) = (first / n, second / n);
        let phi = self.correlation();
        let reach = |one: f64, two: f64| (one * one - 2.0 * phi * one * two + two * two).max(0.0).sqrt();
        Some(Interval {
            difference,
            lower: difference - reach(p1 - l1, u2 - p2),
            upper: difference + reach(u1 - p1, p2 - l2),
        })
    }

    fn difference(&self) -> Option<f64> {
        let n = self.cases();
        (n > 0).then(|| (self.first_only as f64 - self.second_only as f64) / n as f64)
    }

    /// The φ coefficient of the 2×2 table, 0 when a margin is empty.
    fn correlation(&self) -> f64 {
        let [a, b, c, d] = [self.both, self.first_only, self.second_only, self.neither].map(|count| count as f64);
        let margins = (a + b) * (c + d) * (a + c) * (b + d);
        if margins > 0.0 { (a * d - b * c) / margins.sqrt() } else { 0.0 }
    }
}

/// Wilson's score limits of `count` out of `n`.
fn wilson(count: f64, n: f64, z: f64) -> (f64, f64) {
    let (p, z2) = (count / n, z * z);
    let centre = p + z2 / (2.0 * n);
    let reach = z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    (((centre - reach) / scale).max(0.0), ((centre + reach) / scale).min(1.0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn table(both: u64, first_only: u64, second_only: u64, neither: u64) -> Table {
        Table { both, first_only, second_only, neither }
    }

    #[test]
    fn mcnemar_matches_the_table() {
        for (b, c, p, mid_p) in
            [(2, 10, 0.038_574, 0.022_461), (5, 15, 0.041_389, 0.026_604), (0, 6, 0.031_250, 0.015_625)]
        {
            for test in [table(50, b, c, 3).mcnemar(), table(50, c, b, 3).mcnemar()] {
                assert!((test.p - p).abs() < 5e-7 && (test.mid_p - mid_p).abs() < 5e-7, "{test:?}");
            }
        }
        assert_eq!(table(9, 4, 4, 1).mcnemar(), McNemar { p: 1.0, mid_p: 1.0 });
        assert_eq!(table(9, 0, 0, 1).mcnemar().p, 1.0);
    }

    #[test]
    fn the_guaranteed_interval_holds_newcombe_and_the_difference() {
        let table = table(150, 20, 8, 22);
        let (wide, narrow) = (table.guaranteed(0.05).unwrap(), table.newcombe(1.959_964).unwrap());
        assert!((wide.difference - 0.06).abs() < 1e-12);
        assert!(wide.lower < narrow.lower && narrow.lower < 0.06);
        assert!(0.06 < narrow.upper && narrow.upper < wide.upper);
    }

    #[test]
    fn exchanging_the_models_mirrors_the_intervals() {
        let (one, other) = (table(36, 12, 2, 5), table(36, 2, 12, 5));
        for (a, b) in [
            (one.guaranteed(0.05).unwrap(), other.guaranteed(0.05).unwrap()),
            (one.newcombe(1.96).unwrap(), other.newcombe(1.96).unwrap()),
        ] {
            assert!((a.lower + b.upper).abs() < 1e-12 && (a.upper + b.lower).abs() < 1e-12);
        }
    }

    #[test]
    fn the_guaranteed_interval_covers() {
        // First right 0.8, second right 0.7, independently: the true difference is 0.1.
        let missed = (0..2000).filter(|&trial| {
            let mut rng = images::draw::rng(3, "paired", 0, trial);
            let mut table = Table::default();
            for _ in 0..100 {
                table.count(images::draw::unit(&mut rng) < 0.8, images::draw::unit(&mut rng) < 0.7);
            }
            let interval = table.guaranteed(0.1).unwrap();
            interval.lower > 0.1 || interval.upper < 0.1
        });
        assert!(missed.count() < 200);
    }

    #[test]
    fn no_cases_have_no_interval() {
        assert!(Table::default().guaranteed(0.05).is_none());
        assert!(Table::default().newcombe(1.96).is_none());
    }
}

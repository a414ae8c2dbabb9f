//! The Chernoff–Cramér figure of CC-Cert (Pautov et al., AAAI 2022, arXiv 2109.10696).
//!
//! For `Z = ‖p(x) − p(x_T)‖_∞` and the margin `d = (p₁ − p₂)/2`, `P[Z ≥ d] ≤ E e^{tZ} / e^{td}` for every `t > 0`.
//! The figure puts a sample mean in place of the expectation: `R(t) = (1/n) Σ e^{t(Z_j − d)}`, least over a grid of `t`,
//! largest over `k` groups of draws, divided by δ. It is an estimate, not a certificate (the mean and the minimum come
//! from the same draws), and is only ever reported beside the exact binomial one.

use serde::{Deserialize, Serialize};

/// How the figure is computed; the defaults are those of the authors' script.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chernoff {
    /// Groups of draws, `k`.
    pub groups: usize,
    /// The deflation δ of a sample mean, in (0, 1].
    pub delta: f64,
}

impl Default for Chernoff {
    fn default() -> Self {
        Self { groups: 10, delta: 0.9 }
    }
}

/// The grid of `t`: this many equally spaced points from `FIRST` to `LAST`.
const POINTS: usize = 500;
const FIRST: f64 = 1e-4;
const LAST: f64 = 1e4;

impl Chernoff {
    /// The figure for the gaps `Z_j − d`, in draw order, clipped at 1; `None` when there are fewer draws than groups.
    #[must_use]
    pub fn figure(&self, gaps: &[f64]) -> Option<f64> {
        if self.groups == 0 || gaps.len() < self.groups {
            return None;
        }
        let worst = (0..self.groups)
            .map(|group| least_ln_ratio(&gaps[self.group(group, gaps.len())]))
            .fold(f64::NEG_INFINITY, f64::max);
        Some((worst - self.delta.ln()).exp().min(1.0))
    }

    /// A floor of the figure over `draws` draws of which only these `gaps` are known: in a group of `m` draws,
    /// `f` gaps at or above zero alone make `R(t) ≥ f/m` for every `t`.
    #[must_use]
    pub fn floor(&self, gaps: &[f64], draws: usize) -> f64 {
        let worst = (0..self.groups)
            .map(|group| {
                let range = self.group(group, draws);
                let known = gaps.get(range.start..range.end.min(gaps.len())).unwrap_or_default();
                known.iter().filter(|gap| **gap >= 0.0).count() as f64 / range.len().max(1) as f64
            })
            .fold(0.0, f64::max);
        (worst / self.delta).min(1.0)
    }

    /// The draws of one group: contiguous, sizes differing by at most one.
    fn group(&self, index: usize, draws: usize) -> std::ops::Range<usize> {
        index * draws / self.groups..(index + 1) * draws / self.groups
    }
}

/// `min_t ln R(t)` over the grid. `ln R` is convex in `t`, so on an equally spaced grid its differences change sign
/// once and bisection finds the minimum.
fn least_ln_ratio(gaps: &[f64]) -> f64 {
    let (mut low, mut high) = (0, POINTS - 1);
    while low < high {
        let middle = (low + high) / 2;
        if ln_ratio(gaps, grid(middle)) <= ln_ratio(gaps, grid(middle + 1)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    ln_ratio(gaps, grid(low))
}

fn grid(index: usize) -> f64 {
    FIRST + (LAST - FIRST) * index as f64 / (POINTS - 1) as f64
}

/// `ln R(t) = logsumexp_j(t·gap_j) − ln n`; the naive form overflows at the grid's end.
fn ln_ratio(gaps: &[f64], t: f64) -> f64 {
    let largest = gaps.iter().copied().fold(f64::NEG_INFINITY, f64::max) * t;
    let sum: f64 = gaps.iter().map(|gap| (t * gap - largest).exp()).sum();
    largest + sum.ln() - (gaps.len() as f64).ln()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn logs_equal_the_naive_form(gaps in prop::collection::vec(-1.0f64..1.0, 1..60), t in 1e-4f64..50.0) {
            let naive = gaps.iter().map(|gap| (t * gap).exp()).sum::<f64>() / gaps.len() as f64;
            prop_assert!((ln_ratio(&gaps, t) - naive.ln()).abs() < 1e-12 * (1.0 + naive.ln().abs()));
        }

        #[test]
        fn bisection_finds_the_least_of_the_grid(gaps in prop::collection::vec(-0.5f64..0.02, 1..40)) {
            let all = (0..POINTS).map(|i| ln_ratio(&gaps, grid(i))).fold(f64::INFINITY, f64::min);
            prop_assert!((least_ln_ratio(&gaps) - all).abs() < 1e-9 * (1.0 + all.abs()));
        }

        #[test]
        fn one_failed_draw_keeps_the_figure_up(mut gaps in prop::collection::vec(-1.0f64..-0.1, 100), at in 0usize..100) {
            gaps[at] = 0.0;
            let figure = Chernoff::default().figure(&gaps).unwrap();
            prop_assert!(figure >= 1.0 / (0.9 * 10.0) - 1e-12);
            prop_assert!(figure >= Chernoff::default().floor(&gaps, 100) - 1e-12);
            prop_assert!(figure >= Chernoff::default().floor(&gaps[..at + 1], 100) - 1e-12);
        }
    }

    #[test]
    fn clean_draws_with_a_gap_go_far_below_what_they_support() {
        let figure = Chernoff::default().figure(&[-0.3; 1000]).unwrap();
        assert!(figure < 1e-100);
    }

    #[test]
    fn fewer_draws_than_groups_have_no_figure() {
        assert_eq!(Chernoff::default().figure(&[-0.1; 9]), None);
    }
}

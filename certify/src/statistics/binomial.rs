//! Exact binomial tails, and the Clopper–Pearson limits that come from them.
//!
//! Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
//! Biometrika 26 (1934). The tails are summed term by term from the largest one outwards, so that a tail of
//! probability 1e-9 is as accurate, relatively, as one of a half.

use serde::{Deserialize, Serialize};
use statrs::function::gamma::ln_gamma;

/// A further term below this share of the sum changes nothing a double can hold.
const NEGLIGIBLE: f64 = 1e-18;

/// A proportion with its limits, all three in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proportion {
    /// Successes.
    pub count: u64,
    /// Trials.
    pub of: u64,
    /// `count / of`.
    pub share: f64,
    /// Lower limit.
    pub lower: f64,
    /// Upper limit.
    pub upper: f64,
    /// Two-sided confidence of the limits.
    pub confidence: f64,
}

impl Proportion {
    /// `count` out of `of` with its two-sided Clopper–Pearson limits; `None` when nothing was tried.
    #[must_use]
    pub fn of(count: u64, of: u64, confidence: f64) -> Option<Self> {
        if of == 0 || count > of {
            return None;
        }
        let tail = (1.0 - confidence) / 2.0;
        Some(Self {
            count,
            of,
            share: count as f64 / of as f64,
            lower: lower_limit(count, of, tail),
            upper: upper_limit(count, of, tail),
            confidence,
        })
    }
}

/// `F(s; n, p) = P[X ≤ s]` for `X ~ Bin(n, p)`.
#[must_use]
pub fn at_most(s: u64, n: u64, p: f64) -> f64 {
    if s >= n || p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 {
        return 0.0;
    }
    if s as f64 <= n as f64 * p { lower_tail(s, n, p) } else { 1.0 - upper_tail(s + 1, n, p) }
}

/// `P[X ≥ s]` for `X ~ Bin(n, p)`.
#[must_use]
pub fn at_least(s: u64, n: u64, p: f64) -> f64 {
    if s == 0 || p >= 1.0 {
        return 1.0;
    }
    if p <= 0.0 || s > n {
        return 0.0;
    }
    if s as f64 >= n as f64 * p { upper_tail(s, n, p) } else { 1.0 - lower_tail(s - 1, n, p) }
}

/// The upper Clopper–Pearson limit `U(s, n, α)`: the largest probability under which at most `s` of `n` still
/// happens with probability `alpha`. Rounded up, so the limit never claims more than it may.
#[must_use]
pub fn upper_limit(s: u64, n: u64, alpha: f64) -> f64 {
    if s >= n {
        return 1.0;
    }
    bisect_log(|p| at_most(s, n, p) > alpha).1
}

/// The lower Clopper–Pearson limit `L(s, n, α)`, rounded down.
#[must_use]
pub fn lower_limit(s: u64, n: u64, alpha: f64) -> f64 {
    if s == 0 || s > n {
        return 0.0;
    }
    bisect_log(|p| at_least(s, n, p) < alpha).0
}

/// The test form of the certificate: do `failures` among `draws` show a failure probability of at most `epsilon`
/// with error at most `alpha`? The same verdict as `upper_limit(failures, draws, alpha) ≤ epsilon`, without an inverse.
#[must_use]
pub fn certifies(failures: u64, draws: u64, epsilon: f64, alpha: f64) -> bool {
    failures < draws && at_most(failures, draws, epsilon) <= alpha
}

/// The fewest draws that can certify `epsilon` at `alpha`, all of them succeeding: `⌈ln α / ln(1 − ε)⌉`.
#[must_use]
pub fn draws_needed(epsilon: f64, alpha: f64) -> u64 {
    (alpha.ln() / (-epsilon).ln_1p()).ceil() as u64
}

/// The largest number of failures among `draws` that still certifies; `None` when not even zero does.
#[must_use]
pub fn allowed_failures(draws: u64, epsilon: f64, alpha: f64) -> Option<u64> {
    if !certifies(0, draws, epsilon, alpha) {
        return None;
    }
    let (mut certified, mut refused) = (0, draws);
    while refused - certified > 1 {
        let middle = certified + (refused - certified) / 2;
        if certifies(middle, draws, epsilon, alpha) {
            certified = middle;
        } else {
            refused = middle;
        }
    }
    Some(certified)
}

/// `P[X ≤ s]` summed downwards from `s`; the terms fall when `s ≤ n p`.
fn lower_tail(s: u64, n: u64, p: f64) -> f64 {
    let odds = (1.0 - p) / p;
    let (mut term, mut sum) = (1.0, 1.0);
    for k in (1..=s).rev() {
        term *= k as f64 / (n - k + 1) as f64 * odds;
        sum += term;
        if term < NEGLIGIBLE * sum {
            break;
        }
    }
    (ln_pmf(s, n, p).exp() * sum).min(1.0)
}

/// `P[X ≥ s]` summed upwards from `s`; the terms fall when `s ≥ n p`.
fn upper_tail(s: u64, n: u64, p: f64) -> f64 {
    let odds = p / (1.0 - p);
    let (mut term, mut sum) = (1.0, 1.0);
    for k in s..n {
        term *= (n - k) as f64 / (k + 1) as f64 * odds;
        sum += term;
        if term < NEGLIGIBLE * sum {
            break;
        }
    }
    (ln_pmf(s, n, p).exp() * sum).min(1.0)
}

/// `ln P[X = k]` for `0 < p < 1`, `k ≤ n`.
pub(crate) fn ln_pmf(k: u64, n: u64, p: f64) -> f64 {
    let rest = n - k;
    let ways = if k == 0 || rest == 0 {
        0.0
    } else {
        ln_gamma(n as f64 + 1.0) - ln_gamma(k as f64 + 1.0) - ln_gamma(rest as f64 + 1.0)
    };
    ways + k as f64 * p.ln() + rest as f64 * (-p).ln_1p()
}

/// Bisects `ln p` over (0, 1): the last `p` where `below` holds and the first where it does not.
fn bisect_log(below: impl Fn(f64) -> bool) -> (f64, f64) {
    let (mut low, mut high) = (f64::MIN_POSITIVE.ln(), 0.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if below(middle.exp()) {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low.exp(), high.exp())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() <= 1e-9, "{value} is not {expected}");
    }

    #[test]
    fn upper_limits_match_the_tables() {
        for (s, n, alpha, expected) in [
            (0, 100, 0.001, 0.066_745_699),
            (0, 1000, 0.001, 0.006_883_952),
            (0, 10_000, 0.001, 0.000_690_537),
            (5, 1000, 0.001, 0.016_360_751),
            (50, 10_000, 0.001, 0.007_584_335),
            (0, 1000, 0.05, 0.002_991_250),
            (1, 100, 0.05, 0.046_559_811),
            (3, 10, 0.025, 0.652_452_850),
        ] {
            close(upper_limit(s, n, alpha), expected);
        }
        close(upper_limit(7, 7, 0.01), 1.0);
    }

    #[test]
    fn without_failures_the_limit_has_a_closed_form() {
        for n in [1u64, 10, 1000, 1_000_000] {
            let expected = -(0.001f64.ln() / n as f64).exp_m1();
            assert!((upper_limit(0, n, 0.001) / expected - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn draws_needed_match_the_table() {
        for (epsilon, expected) in [
            (0.1, [29, 44, 66]),
            (0.05, [59, 90, 135]),
            (0.01, [299, 459, 688]),
            (0.001, [2995, 4603, 6905]),
            (1e-4, [29_956, 46_050, 69_075]),
        ] {
            assert_eq!([0.05, 0.01, 0.001].map(|alpha| draws_needed(epsilon, alpha)), expected);
        }
    }

    #[test]
    fn draws_needed_are_enough_and_one_fewer_is_not() {
        for (epsilon, alpha) in [(0.1, 0.05), (0.01, 0.001), (0.001, 0.01)] {
            let needed = draws_needed(epsilon, alpha);
            assert!(certifies(0, needed, epsilon, alpha));
            assert!(!certifies(0, needed - 1, epsilon, alpha));
        }
    }

    #[test]
    fn allowed_failures_match_the_table() {
        for (n, epsilon, alpha, expected) in [
            (1000, 0.01, 0.001, 1),
            (1000, 0.05, 0.001, 29),
            (2000, 0.01, 0.001, 7),
            (10_000, 0.01, 0.001, 70),
            (10_000, 0.001, 0.001, 1),
            (500, 0.05, 0.05, 16),
        ] {
            assert_eq!(allowed_failures(n, epsilon, alpha), Some(expected));
        }
        assert_eq!(allowed_failures(687, 0.01, 0.001), None);
    }

    #[test]
    fn nothing_tried_is_no_proportion() {
        assert_eq!(Proportion::of(0, 0, 0.95), None);
    }

    proptest! {
        #[test]
        fn tails_are_complementary(n in 1u64..3000, share in 0.0f64..1.0, p in 1e-6f64..0.999) {
            let s = (share * n as f64) as u64;
            let whole = at_most(s, n, p) + at_least(s + 1, n, p);
            prop_assert!((whole - 1.0).abs() < 1e-10);
        }

        #[test]
        fn the_test_and_the_limit_agree(s in 0u64..40, n in 50u64..4000, epsilon in 0.001f64..0.3, alpha in 1e-4f64..0.2) {
            let limit = upper_limit(s, n, alpha);
            prop_assume!((limit - epsilon).abs() > 1e-9);
            prop_assert_eq!(certifies(s, n, epsilon, alpha), limit <= epsilon);
        }

        #[test]
        fn limits_surround_the_share(s in 0u64..200, extra in 0u64..2000) {
            let n = s + extra + 1;
            let proportion = Proportion::of(s, n, 0.95).unwrap();
            prop_assert!(proportion.lower <= proportion.share && proportion.share <= proportion.upper);
        }
    }
}

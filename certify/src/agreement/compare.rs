//! The difference between two values of one output, sample by sample.
//!
//! *Relative* is the largest |a − b| of a sample over the largest |a| of that sample, a being the reference. A sample
//! of zeros is measured against the largest |a| of the whole batch instead, so that noise on a dead output is not an
//! infinite error. Integers and truth values are compared without rounding.

use serde::{Deserialize, Serialize};

use crate::error::CertifyError;
use crate::runtimes::{Element, Output, Values};

/// How far a candidate is from a reference, for one output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputAgreement {
    /// The output's name in the reference.
    pub output: String,
    /// The type of its elements in the reference.
    pub element: Element,
    /// Samples compared.
    pub samples: usize,
    /// Largest |a − b| over places where both are finite.
    pub largest_absolute: f64,
    /// Largest relative error of a sample; absent when it has no bound (all of the reference is zero, or a place is
    /// finite on one side only).
    pub largest_relative: Option<f64>,
    /// Cosine of the two outputs as one long vector; absent when either is zero or not finite.
    pub cosine: Option<f64>,
    /// Places where one side is NaN or infinite and the other is not the same.
    pub unlike_specials: usize,
    /// For outputs of one score per class.
    pub top1: Option<TopOne>,
    /// The relative error that was allowed.
    pub tolerance: f64,
    /// The least tolerance that would have passed; absent when none would.
    pub least_tolerance: Option<f64>,
    /// Why the comparison proves nothing, where it does not.
    pub proves_nothing: Option<Nothing>,
    /// How far the runtimes themselves are apart when nothing changes, relative; where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    /// Whether it is further apart than allowed, but not further than the runtimes are from themselves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub within_noise: bool,
    /// The largest |a − b| over the reference's own spread over samples; absent where it has none.
    #[serde(default)]
    pub of_spread: Option<f64>,
    /// The share of places that are further apart than allowed.
    #[serde(default)]
    pub outside: f64,
    /// Whether the output agrees; one that is constant may, and proves nothing all the same.
    pub passed: bool,
}

/// Why two outputs that are the same say nothing of the networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nothing {
    /// No sample, or no element.
    Empty,
    /// A sample of the reference has no finite element.
    NotFinite,
    /// The reference gives the same for every sample, or zeros for a single one.
    Constant,
}

impl std::fmt::Display for Nothing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "it has no elements",
            Self::NotFinite => "a sample of it has no finite value",
            Self::Constant => "it is the same for every sample",
        })
    }
}

/// Agreement on the largest score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopOne {
    /// Samples whose margin is at most twice the allowed error: an error within tolerance could decide them either way.
    pub ties: usize,
    /// Samples outside ties with the same class on both sides.
    pub same: usize,
    /// Samples outside ties with another class.
    pub other: usize,
}

/// Compares one output of a candidate with the reference's, both for a batch of so many samples.
///
/// # Errors
/// When the shapes differ, or one side holds integers and the other does not.
pub fn compare(
    reference: &Output,
    candidate: &Output,
    samples: usize,
    tolerance: f64,
) -> Result<OutputAgreement, CertifyError> {
    comparable(reference, candidate)?;
    let whole = largest_finite(&reference.values.to_f64());
    let rule = Rule { whole, tolerance, scores: is_scores(&reference.shape) };
    let mut errors = Errors::default();
    for (a, b) in reference.samples(samples).zip(candidate.samples(samples)) {
        errors.sample(&a, &b, &rule);
    }
    let relative = (errors.unlike_specials == 0 && errors.relative.is_finite()).then_some(errors.relative);
    let proves_nothing = nothing(reference, samples);
    let comparable = matches!(proves_nothing, None | Some(Nothing::Constant));
    Ok(OutputAgreement {
        output: reference.name.clone(),
        element: reference.values.element(),
        samples,
        largest_absolute: errors.absolute,
        largest_relative: relative,
        cosine: cosine(&reference.values.to_f64(), &candidate.values.to_f64()),
        unlike_specials: errors.unlike_specials,
        top1: rule.scores.then_some(errors.top1),
        tolerance,
        least_tolerance: relative.filter(|_| comparable),
        proves_nothing,
        floor: None,
        within_noise: false,
        of_spread: spread(reference, samples).map(|spread| errors.absolute / spread),
        outside: errors.outside as f64 / (reference.values.len().max(1)) as f64,
        passed: comparable && relative.is_some_and(|relative| relative <= tolerance),
    })
}

/// Refuses outputs that cannot be compared element by element.
fn comparable(reference: &Output, candidate: &Output) -> Result<(), CertifyError> {
    if reference.shape != candidate.shape || reference.values.len() != candidate.values.len() {
        return Err(CertifyError::Shapes {
            site: reference.name.clone(),
            left: reference.shape.clone(),
            right: candidate.shape.clone(),
        });
    }
    let (left, right) = (reference.values.element(), candidate.values.element());
    if left.is_float() != right.is_float() {
        return Err(CertifyError::Elements { site: reference.name.clone(), left, right });
    }
    Ok(())
}

/// Why this reference proves nothing whatever it is compared with.
fn nothing(reference: &Output, samples: usize) -> Option<Nothing> {
    if reference.values.is_empty() || samples == 0 {
        return Some(Nothing::Empty);
    }
    let mut samples = reference.samples(samples);
    let first = samples.next()?;
    let has_finite = |sample: &Values| sample.to_f64().iter().any(|value| value.is_finite());
    let (mut finite, mut alone, mut constant) = (has_finite(&first), true, true);
    for sample in samples {
        finite &= has_finite(&sample);
        alone = false;
        constant &= sample == first;
    }
    if alone {
        constant = first.to_f64().iter().all(|value| *value == 0.0);
    }
    if finite { constant.then_some(Nothing::Constant) } else { Some(Nothing::NotFinite) }
}

/// How far an output moves over samples: the root of its elements' mean variance.
fn spread(output: &Output, samples: usize) -> Option<f64> {
    let rows: Vec<Vec<f64>> = output.samples(samples).map(|sample| sample.to_f64()).collect();
    let count = rows.len() as f64;
    let length = rows.first().map_or(0, Vec::len);
    let variance = |at: usize| {
        let mean = rows.iter().map(|row| row[at]).sum::<f64>() / count;
        rows.iter().map(|row| (row[at] - mean).powi(2)).sum::<f64>() / count
    };
    let spread = ((0..length).map(variance).sum::<f64>() / length.max(1) as f64).sqrt();
    (spread.is_finite() && spread > 0.0).then_some(spread)
}

/// What samples are measured by.
struct Rule {
    /// The largest finite |a| of all samples.
    whole: f64,
    tolerance: f64,
    /// Whether a sample is one score per class.
    scores: bool,
}

/// Running figures over samples.
#[derive(Default)]
struct Errors {
    absolute: f64,
    relative: f64,
    unlike_specials: usize,
    /// Places further apart than allowed.
    outside: usize,
    top1: TopOne,
}

impl Errors {
    fn sample(&mut self, a: &Values, b: &Values, rule: &Rule) {
        let (exact, [a, b]) = (largest_integer_difference(a, b), [a, b].map(Values::to_f64));
        let mut absolute = 0.0f64;
        for (a, b) in a.iter().zip(&b) {
            if a.is_finite() && b.is_finite() {
                absolute = absolute.max((a - b).abs());
            } else if a != b && !(a.is_nan() && b.is_nan()) {
                self.unlike_specials += 1;
            }
        }
        let absolute = exact.unwrap_or(absolute);
        let largest = largest_finite(&a);
        let allowed = rule.tolerance * if largest > 0.0 { largest } else { rule.whole };
        // What is no number on one side is outside too.
        let inside = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= allowed;
        self.outside += a.iter().zip(&b).filter(|(a, b)| !inside(**a, **b)).count();
        self.absolute = self.absolute.max(absolute);
        self.relative = self.relative.max(relative(absolute, largest, rule.whole));
        if rule.scores {
            self.top1.count(&a, &b, 2.0 * rule.tolerance * largest);
        }
    }
}

impl TopOne {
    fn count(&mut self, a: &[f64], b: &[f64], undecided: f64) {
        let (class, margin) = winner(a);
        if margin <= undecided {
            self.ties += 1;
        } else if winner(b).0 == class {
            self.same += 1;
        } else {
            self.other += 1;
        }
    }
}

/// Largest |a − b| of integers, not rounded before the difference is known; none for floats.
fn largest_integer_difference(a: &Values, b: &Values) -> Option<f64> {
    let (a, b) = (a.integers_in(0..a.len())?, b.integers_in(0..b.len())?);
    a.iter().zip(&b).map(|(a, b)| a.abs_diff(*b)).max().map(|largest| largest as f64)
}

/// `absolute` over the sample's scale, or over the whole output's where the sample is all zeros.
pub(crate) fn relative(absolute: f64, sample: f64, whole: f64) -> f64 {
    let scale = if sample > 0.0 { sample } else { whole };
    if absolute == 0.0 { 0.0 } else { absolute / scale }
}

pub(crate) fn largest_finite(values: &[f64]) -> f64 {
    values.iter().filter(|v| v.is_finite()).fold(0.0, |largest, v| v.abs().max(largest))
}

/// The cosine of two vectors, each first scaled to a largest element of one, so that squares do not overflow.
pub(crate) fn cosine(a: &[f64], b: &[f64]) -> Option<f64> {
    let scaled = |values: &[f64]| {
        let largest = largest_finite(values);
        values.iter().map(|value| value / largest).collect::<Vec<f64>>()
    };
    let (a, b) = (scaled(a), scaled(b));
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let cosine = dot(&a, &b) / (dot(&a, &a).sqrt() * dot(&b, &b).sqrt());
    cosine.is_finite().then_some(cosine)
}

/// Whether a shape is `[n, classes]`, trailing ones aside, with at least two classes.
pub(crate) fn is_scores(shape: &[usize]) -> bool {
    matches!(shape, [_, classes, rest @ ..] if *classes >= 2 && rest.iter().all(|extent| *extent == 1))
}

/// The class of the largest score (the first of equals; NaN never wins) and its lead over the second.
pub(crate) fn winner(scores: &[f64]) -> (usize, f64) {
    let (mut class, mut best, mut second) = (0, f64::NEG_INFINITY, f64::NEG_INFINITY);
    for (index, score) in scores.iter().enumerate() {
        if *score > best {
            (class, second, best) = (index, best, *score);
        } else if *score > second {
            second = *score;
        }
    }
    let margin = best - second;
    (class, if margin.is_nan() { 0.0 } else { margin })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn typed<T>(shape: &[usize], data: &[T]) -> Output
    where
        T: Clone,
        Values: From<Vec<T>>,
    {
        Output { name: "y".into(), shape: shape.to_vec(), values: data.to_vec().into() }
    }

    fn output(shape: &[usize], data: &[f32]) -> Output {
        typed(shape, data)
    }

    fn compared(a: &Output, b: &Output, tolerance: f64) -> OutputAgreement {
        compare(a, b, a.shape[0], tolerance).unwrap()
    }

    #[test]
    fn errors_are_relative_to_each_sample() {
        let a = output(&[2, 2], &[100.0, 1.0, 0.1, 0.2]);
        let b = output(&[2, 2], &[100.5, 1.0, 0.1, 0.202]);
        let found = compared(&a, &b, 1e-2);
        assert!((found.largest_absolute - 0.5).abs() < 1e-6);
        assert!((found.largest_relative.unwrap() - 0.01).abs() < 1e-6);
        assert_eq!(found.least_tolerance, found.largest_relative);
        assert!(compared(&a, &b, 0.011).passed && !compared(&a, &b, 0.009).passed);
    }

    #[test]
    fn specials_equal_only_their_like() {
        let data = [f32::NAN, f32::INFINITY, 1.0, 2.0];
        let a = output(&[1, 4], &data);
        assert!(compared(&a, &a, 1e-4).passed);
        for place in 0..4 {
            let mut other = data;
            other[place] = f32::NEG_INFINITY;
            let found = compared(&a, &output(&[1, 4], &other), 1e9);
            assert_eq!((found.unlike_specials, found.passed, found.least_tolerance), (1, false, None));
        }
    }

    #[test]
    fn a_changed_class_counts_only_outside_ties() {
        let a = output(&[3, 2], &[1.0, 0.0, 1.0, 0.999, 0.0, 1.0]);
        let b = output(&[3, 2], &[0.0, 1.0, 0.999, 1.0, 0.0, 1.0]);
        assert_eq!(compared(&a, &b, 1e-2).top1, Some(TopOne { ties: 1, same: 1, other: 1 }));
        assert_eq!(compared(&output(&[1, 1], &[1.0]), &output(&[1, 1], &[1.0]), 1e-2).top1, None);
    }

    #[test]
    fn a_zero_sample_is_measured_against_the_batch() {
        let a = output(&[2, 1], &[0.0, 2.0]);
        let b = output(&[2, 1], &[1e-6, 2.0]);
        assert!(compared(&a, &b, 1e-5).passed);
        let zero = output(&[1, 1], &[0.0]);
        assert_eq!(compared(&zero, &output(&[1, 1], &[1e-6]), 1.0).largest_relative, None);
    }

    #[test]
    fn what_is_empty_constant_or_not_finite_proves_nothing() {
        let found = |shape: &[usize], data: &[f32]| compared(&output(shape, data), &output(shape, data), 1e-4);
        let zeros = found(&[8, 2], &[0.0; 16]);
        assert_eq!((zeros.proves_nothing, zeros.top1.unwrap().same), (Some(Nothing::Constant), 0));
        let nans = found(&[8, 2], &[f32::NAN; 16]);
        assert_eq!((nans.proves_nothing, nans.passed), (Some(Nothing::NotFinite), false));
        let one_dead = found(&[2, 2], &[1.0, 2.0, f32::NAN, f32::NAN]);
        assert_eq!((one_dead.proves_nothing, one_dead.passed), (Some(Nothing::NotFinite), false));
        let empty = found(&[2, 0], &[]);
        assert_eq!((empty.proves_nothing, empty.passed), (Some(Nothing::Empty), false));
        assert_eq!(found(&[2, 2], &[1.0, 2.0, 1.0, 2.0]).proves_nothing, Some(Nothing::Constant));
        assert_eq!(found(&[2, 2], &[1.0, 2.0, 1.0, 3.0]).proves_nothing, None);
        assert_eq!(found(&[1, 2], &[1.0, 1.0]).proves_nothing, None);
    }

    #[test]
    fn doubles_stay_doubles() {
        let a = typed(&[2, 1], &[1e300, 1.0]);
        let found = compared(&a, &typed(&[2, 1], &[2e300, 1.0]), 1e-2);
        assert_eq!((found.passed, found.largest_relative, found.unlike_specials), (false, Some(1.0), 0));
        assert!(compared(&a, &a, 0.0).cosine.unwrap() > 0.999);
    }

    #[test]
    fn integers_are_compared_exactly() {
        let a = typed(&[2, 1], &[i64::MAX, 0]);
        let found = compared(&a, &typed(&[2, 1], &[i64::MAX - 1, 0]), 0.0);
        assert!(!found.passed && found.largest_absolute == 1.0);
        assert!(compared(&a, &a, 0.0).passed);
        let bytes = typed(&[2, 1], &[-7i8, 3]);
        assert!(compared(&bytes, &typed(&[2, 1], &[-7i64, 3]), 0.0).passed);
        assert!(matches!(compare(&bytes, &output(&[2, 1], &[-7.0, 3.0]), 2, 0.0), Err(CertifyError::Elements { .. })));
    }

    #[test]
    fn a_batch_on_another_axis_is_found() {
        // Two samples on axis 1, the second of them small.
        let a = output(&[3, 2, 1], &[100.0, 0.1, 100.0, 0.2, 100.0, 0.3]);
        let b = output(&[3, 2, 1], &[100.0, 0.1, 100.0, 0.2, 100.0, 0.33]);
        let found = compare(&a, &b, 2, 1e-2).unwrap();
        assert!((found.largest_relative.unwrap() - 0.1).abs() < 1e-5 && !found.passed, "{found:?}");
    }

    #[test]
    fn other_shapes_are_an_error() {
        assert!(compare(&output(&[1, 2], &[0.0; 2]), &output(&[2, 1], &[0.0; 2]), 1, 1.0).is_err());
    }
}

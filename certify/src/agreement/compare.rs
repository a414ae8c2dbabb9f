//! The difference between two values of one output, sample by sample.
//!
//! *Relative* is the largest |a − b| of a sample over the largest |a| of that sample, a being the reference. A sample
//! of zeros is measured against the largest |a| of the whole batch instead, so that noise on a dead output is not an
//! infinite error.

use serde::{Deserialize, Serialize};

use crate::error::CertifyError;
use crate::runtimes::Output;

/// How far a candidate is from a reference, for one output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputAgreement {
    /// The output's name in the reference.
    pub output: String,
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
    /// Whether the output agrees.
    pub passed: bool,
}

/// Agreement on the largest score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopOne {
    /// Samples whose margin is below twice the allowed error: an error within tolerance could decide them either way.
    pub ties: usize,
    /// Samples outside ties with the same class on both sides.
    pub same: usize,
    /// Samples outside ties with another class.
    pub other: usize,
}

/// Compares one output of a candidate with the reference's.
///
/// # Errors
/// When the shapes differ.
pub fn compare(reference: &Output, candidate: &Output, tolerance: f64) -> Result<OutputAgreement, CertifyError> {
    if reference.shape != candidate.shape || reference.data.len() != candidate.data.len() {
        return Err(CertifyError::Shapes {
            site: reference.name.clone(),
            left: reference.shape.clone(),
            right: candidate.shape.clone(),
        });
    }
    let samples = reference.shape.first().copied().unwrap_or(1);
    let stride = (reference.data.len() / samples.max(1)).max(1);
    let whole = largest_finite(&reference.data);
    let mut errors = Errors::default();
    for (a, b) in reference.data.chunks(stride).zip(candidate.data.chunks(stride)) {
        errors.sample(a, b, whole);
    }
    let relative = (errors.unlike_specials == 0 && errors.relative.is_finite()).then_some(errors.relative);
    Ok(OutputAgreement {
        output: reference.name.clone(),
        samples,
        largest_absolute: errors.absolute,
        largest_relative: relative,
        cosine: cosine(&reference.data, &candidate.data),
        unlike_specials: errors.unlike_specials,
        top1: is_scores(&reference.shape).then(|| top_one(reference, candidate, stride, tolerance)),
        tolerance,
        least_tolerance: relative,
        passed: relative.is_some_and(|relative| relative <= tolerance),
    })
}

/// Running maxima over samples.
#[derive(Default)]
struct Errors {
    absolute: f64,
    relative: f64,
    unlike_specials: usize,
}

impl Errors {
    fn sample(&mut self, a: &[f32], b: &[f32], whole: f64) {
        let mut absolute = 0.0f64;
        for (a, b) in a.iter().zip(b) {
            if a.is_finite() && b.is_finite() {
                absolute = absolute.max((f64::from(*a) - f64::from(*b)).abs());
            } else if a != b && !(a.is_nan() && b.is_nan()) {
                self.unlike_specials += 1;
            }
        }
        self.absolute = self.absolute.max(absolute);
        self.relative = self.relative.max(relative(absolute, largest_finite(a), whole));
    }
}

/// `absolute` over the sample's scale, or over the whole output's where the sample is all zeros.
pub(crate) fn relative(absolute: f64, sample: f64, whole: f64) -> f64 {
    let scale = if sample > 0.0 { sample } else { whole };
    if absolute == 0.0 { 0.0 } else { absolute / scale }
}

pub(crate) fn largest_finite(values: &[f32]) -> f64 {
    values.iter().filter(|v| v.is_finite()).fold(0.0, |largest, v| f64::from(v.abs()).max(largest))
}

fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let cosine = dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt());
    cosine.is_finite().then_some(cosine)
}

/// Whether a shape is `[n, classes]`, trailing ones aside, with at least two classes.
pub(crate) fn is_scores(shape: &[usize]) -> bool {
    matches!(shape, [_, classes, rest @ ..] if *classes >= 2 && rest.iter().all(|extent| *extent == 1))
}

fn top_one(reference: &Output, candidate: &Output, stride: usize, tolerance: f64) -> TopOne {
    let mut top = TopOne::default();
    for (a, b) in reference.data.chunks(stride).zip(candidate.data.chunks(stride)) {
        let (class, margin) = winner(a);
        if margin < 2.0 * tolerance * largest_finite(a) {
            top.ties += 1;
        } else if winner(b).0 == class {
            top.same += 1;
        } else {
            top.other += 1;
        }
    }
    top
}

/// The class of the largest score (the first of equals; NaN never wins) and its lead over the second.
pub(crate) fn winner(scores: &[f32]) -> (usize, f64) {
    let (mut class, mut best, mut second) = (0, f32::NEG_INFINITY, f32::NEG_INFINITY);
    for (index, score) in scores.iter().enumerate() {
        if *score > best {
            (class, second, best) = (index, best, *score);
        } else if *score > second {
            second = *score;
        }
    }
    let margin = f64::from(best) - f64::from(second);
    (class, if margin.is_nan() { 0.0 } else { margin })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn output(shape: &[usize], data: &[f32]) -> Output {
        Output { name: "y".into(), shape: shape.to_vec(), data: data.to_vec() }
    }

    #[test]
    fn errors_are_relative_to_each_sample() {
        let a = output(&[2, 2], &[100.0, 1.0, 0.1, 0.2]);
        let b = output(&[2, 2], &[100.5, 1.0, 0.1, 0.202]);
        let found = compare(&a, &b, 1e-2).unwrap();
        assert!((found.largest_absolute - 0.5).abs() < 1e-6);
        assert!((found.largest_relative.unwrap() - 0.01).abs() < 1e-6);
        assert_eq!(found.least_tolerance, found.largest_relative);
        assert!(compare(&a, &b, 0.011).unwrap().passed && !compare(&a, &b, 0.009).unwrap().passed);
    }

    #[test]
    fn specials_equal_only_their_like() {
        let a = output(&[1, 4], &[f32::NAN, f32::INFINITY, 1.0, 2.0]);
        assert!(compare(&a, &a, 1e-4).unwrap().passed);
        for place in 0..4 {
            let mut b = a.clone();
            b.data[place] = f32::NEG_INFINITY;
            let found = compare(&a, &b, 1e9).unwrap();
            assert_eq!((found.unlike_specials, found.passed, found.least_tolerance), (1, false, None));
        }
    }

    #[test]
    fn a_changed_class_counts_only_outside_ties() {
        let a = output(&[3, 2], &[1.0, 0.0, 1.0, 0.999, 0.0, 1.0]);
        let b = output(&[3, 2], &[0.0, 1.0, 0.999, 1.0, 0.0, 1.0]);
        assert_eq!(compare(&a, &b, 1e-2).unwrap().top1, Some(TopOne { ties: 1, same: 1, other: 1 }));
        assert_eq!(compare(&output(&[1, 1], &[1.0]), &output(&[1, 1], &[1.0]), 1e-2).unwrap().top1, None);
    }

    #[test]
    fn a_zero_sample_is_measured_against_the_batch() {
        let a = output(&[2, 1], &[0.0, 2.0]);
        let b = output(&[2, 1], &[1e-6, 2.0]);
        assert!(compare(&a, &b, 1e-5).unwrap().passed);
        let zero = output(&[1, 1], &[0.0]);
        assert_eq!(compare(&zero, &output(&[1, 1], &[1e-6]), 1.0).unwrap().largest_relative, None);
        assert!(compare(&zero, &zero, 0.0).unwrap().passed);
    }

    #[test]
    fn other_shapes_are_an_error() {
        assert!(compare(&output(&[1, 2], &[0.0; 2]), &output(&[2, 1], &[0.0; 2]), 1.0).is_err());
    }
}

//! A classifier's output: one score per class, and what certificates read from it.

use std::path::Path;

use crate::agreement::compare::{is_scores, winner};
use crate::error::CertifyError;
use crate::runtimes::{Batch, Output, Session};

/// Scores closer than this to a sum of one are taken for probabilities.
const SUMS_TO_ONE: f64 = 1e-3;

/// The scores of a batch, `[n, classes]`.
pub(crate) struct Scores {
    data: Vec<f64>,
    classes: usize,
}

impl Scores {
    /// Runs a batch and reads the first output.
    pub(crate) fn of(session: &mut dyn Session, model: &Path, batch: &Batch) -> Result<Self, CertifyError> {
        let first = session.run(batch)?.into_iter().next();
        let output = first.ok_or_else(|| CertifyError::NoOutput { model: model.to_path_buf(), output: "0".into() })?;
        Self::read(output, model, batch.len())
    }

    fn read(output: Output, model: &Path, batch: usize) -> Result<Self, CertifyError> {
        if !is_scores(&output.shape) || output.shape[0] != batch {
            return Err(CertifyError::NotAClassifier { model: model.to_path_buf(), shape: output.shape, batch });
        }
        Ok(Self { classes: output.shape[1], data: output.values.to_f64() })
    }

    /// Scores per sample.
    pub(crate) fn classes(&self) -> usize {
        self.classes
    }

    /// The scores, sample by sample.
    pub(crate) fn samples(&self) -> impl Iterator<Item = &[f64]> {
        self.data.chunks_exact(self.classes)
    }

    /// Whether every sample is a probability distribution already.
    pub(crate) fn are_probabilities(&self) -> bool {
        self.samples().all(|scores| {
            scores.iter().all(|score| *score >= 0.0) && (scores.iter().sum::<f64>() - 1.0).abs() < SUMS_TO_ONE
        })
    }
}

/// The predicted class; none where a score is not a number, or infinitely large. One may be minus infinity: the logarithm
/// of a probability of zero.
pub(crate) fn predicted(scores: &[f64]) -> Option<usize> {
    (!scores.iter().any(|score| score.is_nan() || *score == f64::INFINITY)).then(|| winner(scores).0)
}

/// `softmax(scores)`, or the scores themselves where they are probabilities.
pub(crate) fn probabilities(scores: &[f64], already: bool) -> Vec<f64> {
    if already {
        return scores.to_vec();
    }
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// The margin `d = (p₁ − p₂)/2` between the two largest probabilities.
pub(crate) fn margin(p: &[f64]) -> f64 {
    let (mut first, mut second) = (0.0, 0.0);
    for &value in p {
        if value > first {
            (first, second) = (value, first);
        } else if value > second {
            second = value;
        }
    }
    (first - second) / 2.0
}

/// The discrepancy `Z = ‖p − q‖_∞`; 1, the largest there is, where a probability is not a number.
pub(crate) fn discrepancy(p: &[f64], q: &[f64]) -> f64 {
    let differences = p.iter().zip(q).map(|(p, q)| (p - q).abs());
    differences.fold(0.0, |largest: f64, d| if d.is_nan() { 1.0 } else { largest.max(d) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn softmax_survives_large_scores_and_leaves_probabilities_alone() {
        assert_eq!(probabilities(&[1000.0, 1000.0], false), vec![0.5, 0.5]);
        assert_eq!(probabilities(&[0.25, 0.75], true), vec![0.25, 0.75]);
    }

    #[test]
    fn what_is_not_a_number_is_no_prediction() {
        assert_eq!(predicted(&[0.0, f64::NAN]), None);
        assert_eq!(predicted(&[0.0, f64::INFINITY]), None);
        assert_eq!(predicted(&[f64::NEG_INFINITY, 2.0, 2.0]), Some(1));
        assert_eq!(discrepancy(&[0.5, 0.5], &[f64::NAN, 0.5]), 1.0);
    }

    proptest! {
        /// Every rival gains less than d and the winner loses less than d: no class overtakes while Z < d.
        #[test]
        fn a_discrepancy_below_the_margin_keeps_the_class(
            a in prop::collection::vec(-4.0f64..4.0, 5),
            b in prop::collection::vec(-0.5f64..0.5, 5),
        ) {
            let moved: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
            let (p, q) = (probabilities(&a, false), probabilities(&moved, false));
            prop_assume!(discrepancy(&p, &q) < margin(&p));
            prop_assert_eq!(predicted(&a), predicted(&moved));
        }
    }
}

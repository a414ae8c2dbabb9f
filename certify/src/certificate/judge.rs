//! One image under one law through one model: the binomial test and the Chernoff figure, draw by draw.

use super::result::ImageVerdict;
use super::settings::Settings;
use crate::scores::{discrepancy, margin, predicted, probabilities};
use crate::statistics::binomial::upper_limit;
use crate::statistics::curtailed::{Curtailed, Verdict};

/// A model's answer to the untransformed image.
#[derive(Clone, Debug)]
pub(super) struct Clean {
    /// The class predicted; none where a score is not a number.
    pub(super) class: Option<usize>,
    probabilities: Vec<f64>,
    already: bool,
}

impl Clean {
    /// Reads the scores; `already` says that they are probabilities.
    pub(super) fn new(scores: &[f64], already: bool) -> Self {
        Self { class: predicted(scores), probabilities: probabilities(scores, already), already }
    }
}

/// Counts the draws of one image.
pub(super) struct Judge<'a> {
    settings: &'a Settings,
    clean: &'a Clean,
    class: usize,
    margin: f64,
    test: Curtailed,
    gaps: Vec<f64>,
}

impl<'a> Judge<'a> {
    /// A judge of whether `class` survives; none when the clean prediction is another.
    pub(super) fn new(settings: &'a Settings, clean: &'a Clean, class: usize) -> Option<Self> {
        if clean.class != Some(class) {
            return None;
        }
        let test = Curtailed::new(settings.draws, settings.epsilon, settings.alpha)?;
        Some(Self { settings, clean, class, margin: margin(&clean.probabilities), test, gaps: Vec::new() })
    }

    /// Whether another draw could still tell something.
    pub(super) fn open(&self) -> bool {
        self.test.made() < self.settings.draws && (self.test.verdict() == Verdict::Open || self.figure_open())
    }

    /// Counts the scores of the next draw.
    pub(super) fn count(&mut self, scores: &[f64]) {
        self.test.count(predicted(scores) != Some(self.class));
        if self.settings.chernoff.is_some() {
            let moved = probabilities(scores, self.clean.already);
            self.gaps.push(discrepancy(&self.clean.probabilities, &moved) - self.margin);
        }
    }

    /// What was found.
    pub(super) fn verdict(&self, image: usize) -> ImageVerdict {
        let whole = self.test.made() == self.settings.draws;
        let figure = self.settings.chernoff.filter(|_| whole).and_then(|chernoff| chernoff.figure(&self.gaps));
        let below = self.settings.chernoff.map(|_| figure.is_some_and(|figure| figure < self.settings.epsilon));
        let upper = whole.then(|| upper_limit(self.test.failures(), self.settings.draws, self.settings.alpha));
        ImageVerdict {
            image,
            right: true,
            certified: self.test.verdict() == Verdict::Certified,
            draws: self.test.made(),
            failures: self.test.failures(),
            upper,
            chernoff: figure,
            chernoff_below: below,
        }
    }

    /// The figure is wanted, and the draws so far do not yet hold it at ε or above.
    fn figure_open(&self) -> bool {
        let draws = usize::try_from(self.settings.draws).unwrap_or(usize::MAX);
        self.settings.chernoff.is_some_and(|chernoff| chernoff.floor(&self.gaps, draws) < self.settings.epsilon)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::settings::Preset;
    use super::*;
    use images::draw;

    /// Two-class scores: right with a wide margin, or wrong.
    fn scores(failed: bool) -> [f64; 2] {
        if failed { [0.0, 4.0] } else { [5.0, 0.0] }
    }

    fn judged(settings: &Settings, failed: &[bool]) -> ImageVerdict {
        let clean = Clean::new(&[5.0, 0.0], false);
        let mut judge = Judge::new(settings, &clean, 0).unwrap();
        for failed in failed {
            if !judge.open() {
                break;
            }
            judge.count(&scores(*failed));
        }
        assert!(!judge.open());
        judge.verdict(0)
    }

    #[test]
    fn the_figure_changes_neither_verdict_and_stopping_changes_no_figure_verdict() {
        let with = Settings { draws: 400, ..Preset::Quick.settings(32).unwrap() };
        let without = Settings { chernoff: None, ..with.clone() };
        let (mut certified, mut below) = (0, 0);
        for trial in 0..600 {
            let rate = [0.0, 0.01, 0.03, 0.2][trial as usize % 4];
            let mut rng = draw::rng(1, "judge", 0, trial);
            let failed: Vec<bool> = (0..400).map(|_| draw::unit(&mut rng) < rate).collect();
            let (a, b) = (judged(&with, &failed), judged(&without, &failed));
            assert_eq!(a.certified, b.certified);
            assert!(b.draws <= a.draws && b.chernoff.is_none() && b.chernoff_below.is_none());
            let gaps: Vec<f64> = failed.iter().map(|failed| if *failed { 0.4 } else { -0.4 }).collect();
            let full = with.chernoff.unwrap().figure(&gaps).unwrap() < with.epsilon;
            assert_eq!(a.chernoff_below, Some(full));
            certified += usize::from(a.certified);
            below += usize::from(full);
        }
        assert!(certified > below && below > 0 && certified < 600);
    }

    #[test]
    fn a_wrong_clean_prediction_is_not_judged() {
        let settings = Preset::Quick.settings(32).unwrap();
        assert!(Judge::new(&settings, &Clean::new(&[5.0, 0.0], false), 1).is_none());
        assert!(Judge::new(&settings, &Clean::new(&[f64::NAN, 0.0], false), 0).is_none());
    }

    #[test]
    fn what_was_not_measured_is_absent() {
        let settings = Preset::Quick.settings(32).unwrap();
        let refused = judged(&settings, &[true; 200]);
        assert!(refused.draws < 200 && refused.upper.is_none() && refused.chernoff.is_none());
        assert_eq!(refused.chernoff_below, Some(false));
        let held = judged(&settings, &[false; 200]);
        assert!(held.certified && held.upper.unwrap() <= settings.epsilon && held.chernoff.unwrap() < 1e-9);
    }
}

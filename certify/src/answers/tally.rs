//! One output of one candidate, added up picture by picture.

use std::collections::BTreeMap;

use super::collapse;
use super::kind::{Form, Kind};
use super::result::{Measure, OutputAnswers};
use crate::agreement::compare::winner;
use crate::certificate::proportion;
use crate::error::CertifyError;

/// A channel below this share of the large network's variance is dead.
const DEAD: f64 = 1e-2;

/// Running sums. Everything that is finished from them is in [`Tally::finish`].
pub(super) struct Tally {
    form: Form,
    pictures: usize,
    incomparable: Option<String>,
    not_finite: u64,
    dense: Moments,
    slim: Moments,
    /// Σ a·b.
    product: f64,
    /// Σ (a − b)².
    error: f64,
    elements: u64,
    /// The class of each picture, the large network's first.
    classes: Vec<(Option<i64>, Option<i64>)>,
    regions: Regions,
}

/// Sums over pictures, enough for the variance over pictures of each channel.
#[derive(Default)]
struct Moments {
    /// Of each element.
    sums: Vec<f64>,
    /// Of the squares of each channel's elements.
    squares: Vec<f64>,
}

/// Pixels by class.
#[derive(Default)]
struct Regions {
    same: u64,
    pixels: u64,
    /// In both networks' answers, in the large one's, in the candidate's.
    classes: BTreeMap<i64, [u64; 3]>,
}

impl Tally {
    pub(super) fn new(form: &Form) -> Self {
        Self {
            form: form.clone(),
            pictures: 0,
            incomparable: None,
            not_finite: 0,
            dense: Moments::default(),
            slim: Moments::default(),
            product: 0.0,
            error: 0.0,
            elements: 0,
            classes: Vec::new(),
            regions: Regions::default(),
        }
    }

    /// From now on the output has no figures, for this reason.
    pub(super) fn give_up(&mut self, reason: String) {
        self.incomparable.get_or_insert(reason);
    }

    /// Adds the answers to one picture.
    pub(super) fn add(&mut self, dense: &[f64], slim: &[f64]) {
        if self.pictures > 0 && self.dense.sums.len() != dense.len() {
            self.give_up("its size varies from picture to picture".to_owned());
        }
        if self.incomparable.is_some() {
            return;
        }
        self.pictures += 1;
        self.elements += dense.len() as u64;
        for (a, b) in dense.iter().zip(slim) {
            self.not_finite += u64::from(a.is_finite() && !b.is_finite());
            let both = if a.is_finite() && b.is_finite() { [*a, *b] } else { [0.0, 0.0] };
            self.product += both[0] * both[1];
            self.error += (both[0] - both[1]).powi(2);
        }
        self.dense.add(dense, &self.form);
        self.slim.add(slim, &self.form);
        match self.form.kind {
            Kind::Classes => self.classes.push((class(dense, self.form.labels), class(slim, self.form.labels))),
            Kind::Map | Kind::Mask => {
                let (a, b) = (pixels(dense, &self.form), pixels(slim, &self.form));
                a.into_iter().zip(b).for_each(|(a, b)| self.regions.add(a, b));
            }
            Kind::Image | Kind::Values => {}
        }
    }

    /// The figures of all pictures.
    pub(super) fn finish(self, output: String) -> Result<OutputAnswers, CertifyError> {
        let (dense, slim) =
            (self.dense.variances(self.pictures, &self.form), self.slim.variances(self.pictures, &self.form));
        let varies = |variance: &&f64| **variance > 0.0;
        let dead = dense.iter().zip(&slim).filter(|(a, b)| **a > 0.0 && **b < DEAD * **a).count();
        let usable = self.not_finite == 0 && self.incomparable.is_none();
        let collapse = usable.then(|| match self.form.kind {
            Kind::Classes => collapse::one_class(&self.classes),
            _ => collapse::constant(dense.iter().sum(), slim.iter().sum()),
        });
        Ok(OutputAnswers {
            output,
            kind: self.form.kind,
            because: self.form.because.clone(),
            measure: if usable { Some(self.measure(dense.iter().sum())?) } else { None },
            incomparable: self.incomparable,
            not_finite: self.not_finite,
            collapse: collapse.flatten(),
            dead_channels: dead,
            channels: dense.iter().filter(varies).count(),
        })
    }

    fn measure(&self, variance: f64) -> Result<Measure, CertifyError> {
        let (a, b): (f64, f64) = (self.dense.squares.iter().sum(), self.slim.squares.iter().sum());
        Ok(match self.form.kind {
            Kind::Classes => {
                Measure::Classes { same: proportion(self.classes.iter().map(|(a, b)| a.is_some() && a == b))? }
            }
            Kind::Map | Kind::Mask => self.regions.measure(),
            Kind::Image => {
                let mean = self.error / self.elements.max(1) as f64;
                let psnr = (mean > 0.0).then(|| 10.0 * (self.form.peak.powi(2) / mean).log10());
                Measure::Image { psnr, peak: self.form.peak }
            }
            Kind::Values => Measure::Values {
                relative_error: (a > 0.0).then(|| (self.error / a).sqrt()),
                cosine: (a > 0.0 && b > 0.0).then(|| self.product / (a * b).sqrt()),
                explained_variance: (variance > 0.0).then(|| 1.0 - self.error / variance),
            },
        })
    }
}

impl Moments {
    fn add(&mut self, sample: &[f64], form: &Form) {
        self.sums.resize(sample.len(), 0.0);
        self.squares.resize(form.channels.count.max(1), 0.0);
        for (element, value) in sample.iter().enumerate().filter(|(_, value)| value.is_finite()) {
            self.sums[element] += value;
            self.squares[form.channels.of(element)] += value * value;
        }
    }

    /// Σ (x − x̄)² over the elements of each channel; 0 where rounding could account for it.
    fn variances(&self, pictures: usize, form: &Form) -> Vec<f64> {
        let mut means = vec![0.0; self.squares.len()];
        for (element, sum) in self.sums.iter().enumerate() {
            means[form.channels.of(element)] += sum * sum / pictures.max(1) as f64;
        }
        let variance = |(square, mean): (&f64, f64)| {
            let variance = square - mean;
            if variance > 1e-12 * square { variance } else { 0.0 }
        };
        self.squares.iter().zip(means).map(variance).collect()
    }
}

impl Regions {
    fn add(&mut self, dense: Option<i64>, slim: Option<i64>) {
        let same = dense.is_some() && dense == slim;
        self.pixels += 1;
        self.same += u64::from(same);
        if let Some(class) = dense {
            let counts = self.classes.entry(class).or_default();
            counts[0] += u64::from(same);
            counts[1] += 1;
        }
        if let Some(class) = slim {
            self.classes.entry(class).or_default()[2] += 1;
        }
    }

    fn measure(&self) -> Measure {
        let overlap = |[both, dense, slim]: &[u64; 3]| *both as f64 / (dense + slim - both) as f64;
        let sum: f64 = self.classes.values().map(overlap).sum();
        Measure::Map {
            same: self.same as f64 / self.pixels.max(1) as f64,
            mean_iou: sum / self.classes.len().max(1) as f64,
        }
    }
}

/// The class of one place; none where a score is not a number.
fn class(scores: &[f64], labels: bool) -> Option<i64> {
    match scores {
        [label] if labels => Some(*label as i64),
        _ => (!scores.iter().any(|score| score.is_nan())).then(|| winner(scores).0 as i64),
    }
}

/// The class of every pixel.
fn pixels(sample: &[f64], form: &Form) -> Vec<Option<i64>> {
    match form.kind {
        Kind::Mask => {
            sample.iter().map(|value| (!value.is_nan()).then(|| i64::from(*value > form.threshold))).collect()
        }
        _ => form.channels.places(sample).map(|scores| class(&scores, form.labels)).collect(),
    }
}

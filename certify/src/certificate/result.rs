//! What a certificate run found.

use images::laws::Law;
use serde::{Deserialize, Serialize};

use super::settings::Settings;
use crate::answers::Collapse;
use crate::statistics::binomial::Proportion;
use crate::statistics::paired::{Interval, McNemar, Table};

/// All models under all laws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// What was asked.
    pub settings: Settings,
    /// Whether classes are the images' labels; otherwise they are the first model's clean predictions, and certificates
    /// speak of stability alone.
    pub labelled: bool,
    /// Images evaluated: fewer than asked when the set is smaller or time ran out.
    pub images: usize,
    /// Clean predictions that are right, model by model.
    pub clean: Vec<SubjectClean>,
    /// Clean predictions of each further model against the first's.
    pub clean_paired: Vec<Paired>,
    /// One per law, in the order asked.
    pub laws: Vec<LawResult>,
    /// Seconds the run took.
    pub seconds: f64,
    /// Sentences that belong to the figures.
    pub notes: Vec<String>,
}

/// A model's clean accuracy on the images evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubjectClean {
    /// The model's name.
    pub name: String,
    /// Right predictions, with their 95 % interval.
    pub right: Proportion,
    /// Different classes among the clean predictions.
    #[serde(default)]
    pub distinct: usize,
    /// Images with a score that is not a number.
    #[serde(default)]
    pub not_finite: usize,
    /// Whether the model gives one class whatever it sees: its answers are stable, and that is no merit. Judged against
    /// the labels, or without any against the first model.
    #[serde(default)]
    pub collapse: Option<Collapse>,
}

impl SubjectClean {
    /// Why this model's certificates must not be taken for robustness; none where they may.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let Self { name, not_finite, collapse, .. } = self;
        match (not_finite, collapse) {
            (0, None) => None,
            (0, Some(collapse)) => Some(format!("{name} {collapse}; that its answers are stable is no merit.")),
            (images, _) => {
                Some(format!("{name} gives scores that are not numbers for {images} images, which count as wrong."))
            }
        }
    }
}

/// All models under one law.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LawResult {
    /// The law.
    pub law: Law,
    /// What a certified image means, in full.
    pub statement: String,
    /// One per model.
    pub subjects: Vec<SubjectResult>,
    /// Certified images of each further model against the first's.
    pub paired: Vec<Paired>,
}

/// One model under one law.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubjectResult {
    /// The model's name.
    pub name: String,
    /// Certified images, with the 95 % interval of the share.
    pub certified: Proportion,
    /// Images with a right clean prediction and a Chernoff–Cramér figure below ε; absent when not asked for.
    pub chernoff_below: Option<Proportion>,
    /// Draws made.
    pub draws: u64,
    /// Image by image.
    pub images: Vec<ImageVerdict>,
}

/// One image under one law through one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageVerdict {
    /// Its index in the set.
    pub image: usize,
    /// Whether the clean prediction is right; no draws are made otherwise.
    pub right: bool,
    /// Whether the exact binomial certificate holds.
    pub certified: bool,
    /// Draws made: fewer than asked where the rest could not change a verdict.
    pub draws: u64,
    /// Draws with another class.
    pub failures: u64,
    /// Clopper–Pearson upper limit of the failure probability at level 1 − α; absent unless all draws were made.
    pub upper: Option<f64>,
    /// The Chernoff–Cramér figure; absent unless asked for and all draws were made.
    pub chernoff: Option<f64>,
    /// Whether that figure is below ε, which may be known to be false before all draws are made.
    pub chernoff_below: Option<bool>,
}

/// Two models on the same images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// The first model's name.
    pub first: String,
    /// The second's.
    pub second: String,
    /// On how many images which of them holds.
    pub table: Table,
    /// Test of no difference.
    pub mcnemar: McNemar,
    /// Guaranteed 95 % interval of share(first) − share(second).
    pub guaranteed: Interval,
    /// Newcombe's 95 % interval of the same, for display.
    pub newcombe: Interval,
}

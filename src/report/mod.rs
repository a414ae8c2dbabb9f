//! What a run found, in one structure, and how it is shown. What was not measured is absent, never zero.

mod answers;
mod markdown;
mod rows;
mod table;
mod verdict;

use certify::agreement::twin::TwinReport;
use certify::agreement::verify::Agreement;
use certify::answers::Answers;
use certify::certificate::Certificate;
use certify::latency::Compared;
use certify::statistics::binomial::Proportion;
use certify::statistics::paired::Interval;
use images::intake::Intake;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use answers::answers;
pub(crate) use markdown::markdown;
pub(crate) use table::{across, grid, outputs, text};
pub(crate) use verdict::Verdict;

use crate::machine::Machine;
use crate::pictures::DataDigest;
use crate::run::{Again, StageTime};
use crate::subject::{Cost, Reached};

/// Everything that `prune` found, and what it takes to do it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// All of it in one line.
    pub(crate) verdict: Verdict,
    /// Whether the slim network answers as the dense one does, on pictures that nothing was trained on: before tuning and
    /// after it.
    pub(crate) answers: Vec<Answers>,
    /// Accuracy lost, picture by picture (dense − slim), with Newcombe's 95 % interval; where there are labels.
    pub(crate) lost: Option<Interval>,
    /// How to do it again.
    pub(crate) again: Again,
    /// Flags and file together.
    pub(crate) settings: Value,
    /// What every random number was a function of.
    pub(crate) seed: u64,
    /// What each input is fed.
    pub(crate) inputs: Intake,
    /// What was read and what came out.
    pub(crate) digests: Digests,
    /// What is to be known about the pictures, one sentence each.
    #[serde(default)]
    pub(crate) remarks: Vec<String>,
    /// What did the work.
    pub(crate) machine: Machine,
    /// Versions and devices of espalier-torch.
    pub(crate) torch: Map<String, Value>,
    /// What was asked for and what was reached.
    pub(crate) budgets: Vec<Reached>,
    /// The model as given.
    pub(crate) dense: Figures,
    /// The model as made.
    pub(crate) slim: Figures,
    /// Slim against masked twin, right after the cut.
    pub(crate) twin: TwinReport,
    /// The slim model across runtimes.
    pub(crate) agreement: Agreement,
    /// Certificates of both.
    pub(crate) certificates: Option<Certificate>,
    /// Times of both, runtime by runtime; one that could not run them is not here.
    pub(crate) latency: Vec<Compared>,
    /// What was not measured, and why, one sentence each.
    pub(crate) skipped: Vec<String>,
    /// Image-copies (one forward and backward of one image) of search and tuning.
    pub(crate) copies: Option<u64>,
    /// Time per stage.
    pub(crate) stages: Vec<StageTime>,
}

/// SHA-256 of what was read and what came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Digests {
    /// The model file.
    pub(crate) model: String,
    /// The slim file.
    pub(crate) slim: String,
    /// The pictures that were measured and trained on.
    pub(crate) data: DataDigest,
    /// The preprocessing, as JSON.
    pub(crate) preprocessing: String,
}

/// Figures of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Top-1 accuracy, where there are labels.
    pub(crate) accuracy: Option<Proportion>,
    /// Whether accuracy and certificates were measured on a copy with a free batch axis.
    pub(crate) freed_copy: bool,
    /// What it costs.
    pub(crate) cost: Cost,
}

impl Report {
    /// The verdict on such figures.
    pub(crate) fn verdict(
        [dense, slim]: [&Figures; 2],
        answers: &Answers,
        lost: Option<Interval>,
        latency: &[Compared],
    ) -> Verdict {
        let macs = slim.cost.macs / dense.cost.macs.max(1.0);
        Verdict::of(&verdict::Figures { macs, lost, answers, latency })
    }

    fn latency_on(&self, runtime: &str) -> Option<&Compared> {
        self.latency.iter().find(|compared| compared.dense.identity.runtime == runtime)
    }
}

#[cfg(test)]
pub(crate) mod sample;

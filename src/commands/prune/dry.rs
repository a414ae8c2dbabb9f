//! What can be said before any work: whether the budgets can be met, what is pinned, what will be read.

use std::collections::BTreeMap;

use anyhow::Result;
use images::data::ForTraining as _;
use import::lanes::{Budget, allocate, score};
use serde::Serialize;

use crate::pictures::Pictures;
use crate::settings::Settings;
use crate::subject::{Cost, Reached, Subject};

/// What `prune` would do.
#[derive(Debug, Serialize)]
pub(super) struct Forecast {
    /// What a cut by magnitude reaches, lane by lane as exact as any other.
    budgets: Vec<Reached>,
    dense: Cost,
    groups: usize,
    lanes: usize,
    /// Indices that stay, by reason.
    pinned: BTreeMap<&'static str, usize>,
    /// Operators that are worked around, and why.
    opaque: Vec<String>,
    split: String,
    /// How many pictures are measured, which of all they are, in words, and how many are trained on.
    pictures: usize,
    /// What they are called.
    #[serde(skip)]
    called: &'static str,
    measured: String,
    trained: usize,
    remarks: Vec<String>,
    labels: bool,
    input: String,
}

/// Looks ahead.
///
/// # Errors
/// When a budget cannot be met.
pub(super) fn forecast(
    subject: &Subject,
    settings: &Settings,
    budgets: &[Budget],
    pictures: &Pictures,
    remarks: &[String],
) -> Result<Forecast> {
    subject.has_lanes()?;
    let lanes = subject.lanes();
    let graph = &subject.model.graph;
    let scores = score::of(graph, lanes, &settings.search.magnitude)?;
    let kept = allocate(lanes, &scores, budgets, &settings.search.ranking(graph, lanes)?)?;
    let mut pinned = BTreeMap::new();
    lanes.pins.iter().for_each(|pin| *pinned.entry(pin.reason.code.as_str()).or_default() += pin.count);
    Ok(Forecast {
        budgets: subject.reached(budgets, &kept.as_numbers()),
        dense: subject.cost(),
        groups: lanes.groups.len(),
        lanes: lanes.lanes.len(),
        pinned,
        opaque: subject.model.refusals.iter().map(ToString::to_string).collect(),
        split: pictures.set.name().to_owned(),
        pictures: pictures.set.len(),
        called: pictures.inputs.samples_called(),
        measured: pictures.set.describe(pictures.inputs.samples_called()),
        remarks: remarks.to_vec(),
        trained: pictures.training()?.train.pictures().len(),
        labels: settings.labels() && pictures.set.has_labels(),
        input: pictures.inputs.describe(),
    })
}

impl Forecast {
    pub(super) fn text(&self) -> String {
        let mut text = "The budget can be met.\n".to_owned();
        self.budgets.iter().for_each(|budget| text.push_str(&format!("  {}\n", budget.line())));
        text.push_str(&format!("dense: {} MACs, {} parameters\n", self.dense.macs_text(), self.dense.params_text()));
        self.dense.caveat().iter().for_each(|caveat| text.push_str(&format!("note: {caveat}\n")));
        text.push_str(&format!("lanes: {} in {} groups\n", self.lanes, self.groups));
        for (reason, count) in &self.pinned {
            text.push_str(&format!("pinned: {count} indices, {reason}\n"));
        }
        self.opaque.iter().for_each(|reason| text.push_str(&format!("opaque: {reason}\n")));
        let labels = if self.labels { "with labels" } else { "without labels" };
        text.push_str(&format!("figures on: {}, {labels}\n", self.measured));
        self.remarks.iter().for_each(|remark| text.push_str(&format!("{remark}\n")));
        text.push_str(&format!("trained on: {} {}\n", self.trained, self.called));
        text.push_str(&format!("input: {}\n", self.input));
        text
    }
}

//! What is tried before any work: one batch through the model as it is measured, and a rehearsal of the training.
//!
//! What would fail after hours fails here; what cannot apply is skipped, and said.

use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use certify::certificate::Preset;
use certify::runtimes::{Kind, Options, Output, load};
use images::data::ImageSet;
use serde::Serialize;
use serde_json::{Map, Value};

use super::dry::Forecast;
use crate::numbers::duration;
use crate::pictures::Pictures;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::subject::Subject;
use crate::torch::Torch;

/// Pictures of the trial batch.
const PICTURES: usize = 4;

/// What one batch through the model says of the stages to come.
pub(super) struct Ahead {
    /// Whether the first output is class scores, which accuracy and certificates need.
    pub(super) classifies: bool,
    /// What will not be done, and why, one sentence each.
    pub(super) skipped: Vec<String>,
    /// How long the stages of this program take.
    pub(super) times: Times,
}

/// Seconds of the stages, at most, as far as they can be told.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Times {
    search: Option<f64>,
    tune: Option<f64>,
    /// Accuracy of both models; absent where it is not measured.
    eval: Option<f64>,
    /// Certificates of both models; absent where there are none.
    certify: Option<f64>,
}

/// What a dry run tells.
#[derive(Debug, Serialize)]
pub(super) struct Rehearsed {
    #[serde(flatten)]
    pub(super) forecast: Forecast,
    pub(super) skipped: Vec<String>,
    pub(super) times: Times,
}

impl Ahead {
    /// Runs a few pictures through the model, and looks at what comes out.
    ///
    /// # Errors
    /// When the model does not run on them, or a label has no score.
    pub(super) fn of(subject: &Subject, pictures: &Pictures, settings: &Settings) -> Result<Self> {
        let threads = settings.threads();
        let inputs = pictures.batch(PICTURES)?;
        let mut session = load(Kind::ORT, &subject.path, Options { threads, optimise: true })?;
        session.run(&inputs)?;
        let begun = Instant::now();
        let outputs = session.run(&inputs)?;
        let pace = begun.elapsed().as_secs_f64() / inputs.len() as f64;
        let first = outputs.first().context("the model has no output, so there is nothing to prune it by")?;
        let classes = classes(first, inputs.len());
        let labels = settings.labels();
        let mut skipped = Vec::new();
        let both = 2.0 * pace;
        let mut times = Times::default();
        if labels && pictures.set.has_labels() {
            match classes {
                Some(classes) => {
                    every_label_has_a_score(&pictures.set, classes)?;
                    times.eval = Some(both * pictures.set.len() as f64);
                }
                None => skipped.push(format!(
                    "accuracy is not measured: output `{}` is no class scores (shape {:?})",
                    first.name, first.shape
                )),
            }
        }
        let picture = pictures.inputs.only_picture();
        let side = picture.map(|picture| picture.height.min(picture.width));
        let asked = |side| settings.certify.decide(side, settings.seed(), threads, settings.minutes);
        if picture.is_none() && settings.certify.preset != Some(Preset::Off) {
            skipped.push(
                "certificates are not made: they are about transformed pictures, and the network is fed something else"
                    .to_owned(),
            );
        }
        match side.map(asked).transpose()?.flatten() {
            Some(asked) if classes.is_some() => {
                let images = asked.images.min(pictures.set.len()) as f64;
                let all = both * images * asked.draws as f64 * asked.laws.len() as f64 / threads as f64;
                times.certify = Some(asked.minutes.map_or(all, |minutes| all.min(minutes * 60.0)));
            }
            Some(_) => skipped.push(format!(
                "certificates are not made: they need class scores, and output `{}` has shape {:?}",
                first.name, first.shape
            )),
            None => {}
        }
        Ok(Self { classifies: classes.is_some(), skipped, times })
    }
}

/// The classes of an output of one score for each of at least two, for every picture.
fn classes(output: &Output, pictures: usize) -> Option<usize> {
    match output.shape.as_slice() {
        &[batch, classes, ref rest @ ..] if batch == pictures && classes >= 2 && rest.iter().all(|&size| size == 1) => {
            Some(classes)
        }
        _ => None,
    }
}

fn every_label_has_a_score(set: &ImageSet, classes: usize) -> Result<()> {
    let largest = set.labels()?.into_iter().max().unwrap_or(0);
    if largest as usize >= classes {
        return Err(anyhow!(
            "the pictures have labels up to {largest}, and the model {classes} scores; give the pictures it was made for, or \
             --no-labels"
        ));
    }
    Ok(())
}

/// Has espalier-torch do everything that the job asks for except train. Gives what it says of the phases.
///
/// # Errors
/// What it refuses, before any work.
pub(super) fn rehearse(
    torch: &Torch,
    subject: &Subject,
    pictures: &Pictures,
    settings: &Settings,
    progress: &Progress,
) -> Result<Map<String, Value>> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder; check TMPDIR")?;
    let job = settings.job(&subject.path, &pictures.inputs, folder.path().join("out"))?;
    torch.run("check", &job, &folder.path().join("check.job.json"), None, progress)
}

impl Times {
    /// With what espalier-torch says of its phases.
    pub(super) fn with(self, checked: &Map<String, Value>) -> Self {
        let seconds = |phase: &str| checked.get(phase)?.get("seconds")?.as_f64();
        Self { search: seconds("search"), tune: seconds("tune"), ..self }
    }

    fn text(&self) -> String {
        let stages =
            [("search", self.search), ("tune", self.tune), ("eval", self.eval), ("certify", self.certify)].into_iter();
        let told = stages.filter_map(|(stage, seconds)| Some(format!("{stage} {}", duration(seconds?))));
        format!("time, at most: {}\n", told.collect::<Vec<_>>().join(", "))
    }
}

impl Rehearsed {
    pub(super) fn text(&self) -> String {
        let mut text = self.forecast.text();
        self.skipped.iter().for_each(|skipped| text.push_str(&format!("{skipped}\n")));
        text.push_str(&self.times.text());
        text.push_str("Nothing was written.\n");
        text
    }
}

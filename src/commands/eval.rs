//! `espalier eval`: how often a model is right, on ONNX Runtime.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use certify::accuracy::{Accuracy, accuracy};
use certify::answers::{Answers, Candidate, Settings as Asked, answers};
use certify::statistics::binomial::Proportion;
use clap::Args;
use images::intake::Intake;
use serde::Serialize;

use super::context::Context;
use crate::evidence;
use crate::freed::runnable;
use crate::numbers::percent;
use crate::output::Outcome;
use crate::pictures::Pictures;
use crate::report;
use crate::settings::{Settings, flags};
use crate::subject::Subject;

/// Flags of `espalier eval`.
#[derive(Debug, Args, Serialize)]
#[command(
    after_help = "Examples:\n  espalier eval model.onnx --data pictures --mean 0.49,0.48,0.45 --std 0.25,0.24,0.26\n  \
    espalier eval slim.onnx --against model.onnx --data pictures\n\
    Exit status 1 when the model gives what is not a number, or has collapsed."
)]
pub(crate) struct Flags {
    /// The ONNX file.
    #[serde(skip)]
    model: PathBuf,
    /// The dense network to compare the answers with, output by output; labels are not needed then.
    #[arg(long, value_name = "DENSE")]
    #[serde(skip)]
    against: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    data: flags::Data,
    #[command(flatten)]
    measure: flags::Measure,
    #[command(flatten)]
    #[serde(flatten)]
    run: flags::Run,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Found {
    model: PathBuf,
    /// Whether a copy with a free batch axis was run.
    freed_copy: bool,
    split: String,
    /// Which pictures those are, in words.
    measured: String,
    /// What is to be known about the pictures.
    remarks: Vec<String>,
    inputs: Intake,
    /// Where there are labels.
    #[serde(flatten)]
    accuracy: Option<Accuracy>,
    /// Where a dense network was given.
    answers: Option<Answers>,
}

pub(super) fn run(context: &Context, flags: &Flags) -> Result<Outcome> {
    let settings = Settings::resolve(&context.shared, flags, &[])?;
    let subject = Subject::open(&flags.model, &[], &settings.sizes()?)?;
    let pictures = Pictures::open(&settings, &subject.model)?;
    let remarks = pictures.remarks(false);
    pictures.announce(&settings, &remarks, &context.progress);
    let threads = settings.threads();
    let folder = tempfile::tempdir().context("cannot make a temporary folder; check TMPDIR")?;
    let ran = runnable(&subject, &pictures, folder.path(), threads, &context.progress)?;
    let answers = match &flags.against {
        Some(dense) => Some(against(context, &settings, dense, &subject, &pictures)?),
        None => None,
    };
    let measured = if pictures.set.has_labels() || answers.is_none() {
        let mut shown = evidence::shown(&context.progress, "eval");
        Some(accuracy(&ran.path, &pictures.set, &pictures.inputs, threads, &mut shown)?)
    } else {
        None
    };
    let found = Found {
        model: subject.path,
        freed_copy: ran.freed,
        split: pictures.set.name().to_owned(),
        measured: pictures.set.describe(pictures.inputs.samples_called()),
        remarks,
        inputs: pictures.inputs,
        accuracy: measured,
        answers,
    };
    context.told.result("eval", &found, || found.text())?;
    Ok(Outcome::of(found.sound()))
}

/// How the answers compare with a dense network's.
fn against(
    context: &Context,
    settings: &Settings,
    dense: &Path,
    subject: &Subject,
    pictures: &Pictures,
) -> Result<Answers> {
    let candidate = Candidate { name: subject.path.display().to_string(), model: subject.path.clone() };
    let kinds = evidence::kinds(&subject.model.graph);
    let asked = Asked { seed: settings.seed(), threads: settings.threads(), kinds, ..Asked::default() };
    let mut shown = evidence::shown(&context.progress, "answers");
    let mut found = answers(dense, &[candidate], &pictures.set, &pictures.inputs, &asked, &mut shown)?;
    Ok(found.remove(0))
}

impl Found {
    /// Whether the model answers with numbers, and still looks at the pictures.
    fn sound(&self) -> bool {
        let numbers = self.accuracy.as_ref().is_none_or(|accuracy| accuracy.not_finite == 0);
        numbers && self.answers.as_ref().is_none_or(Answers::usable)
    }

    fn text(&self) -> String {
        let called = self.inputs.samples_called();
        let mut text = self.answers.as_ref().map(|found| report::answers(found, called)).unwrap_or_default();
        let Some(accuracy) = &self.accuracy else { return text };
        let Proportion { count, of, share, lower, upper, confidence } = accuracy.top1;
        text.push_str(&format!(
            "top-1 accuracy {} ({count} of {of} in `{}`; {:.0} % interval {} to {})\n",
            percent(share),
            self.split,
            confidence * 100.0,
            percent(lower),
            percent(upper)
        ));
        if accuracy.not_finite > 0 {
            let wrong = accuracy.not_finite;
            text.push_str(&format!("{wrong} of {of} {called} get scores that are not numbers, which count as wrong\n"));
        }
        text
    }
}

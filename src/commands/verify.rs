//! `espalier verify`: one model on several runtimes, or two models on each, every run in its own process.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use certify::agreement::compare::OutputAgreement;
use certify::agreement::verify::Agreement;
use certify::answers::{Answers, Candidate, Settings as Asked, answers};
use certify::runtimes::Batch;
use clap::Args;
use images::data::ImageSet;
use images::intake::Intake;
use serde::Serialize;

use super::context::Context;
use crate::evidence;
use crate::inputs::{self, OPEN_SIDE};
use crate::numbers::small;
use crate::output::Outcome;
use crate::pictures::Pictures;
use crate::report;
use crate::run::write_json_in;
use crate::settings::{Settings, flags};
use crate::subject::Subject;

/// Flags of `espalier verify`.
#[derive(Debug, Args, Serialize)]
#[command(after_help = "Examples:\n  espalier verify slim.onnx --data pictures --runtimes ort,tract\n  \
    espalier verify release.onnx candidate.onnx\n\
    Without --data, inputs are seeded random numbers of the declared types and shapes.\n\
    Exit status 1 when two runtimes or files do not agree, or a runtime that was named with --runtimes cannot run a model.")]
pub(crate) struct Flags {
    /// The ONNX file.
    #[serde(skip)]
    model: PathBuf,
    /// Another one to compare it with, runtime by runtime. One that was cut from the first is held to the same answers
    /// instead of the same numbers.
    #[serde(skip)]
    other: Option<PathBuf>,
    /// Write the findings to this folder too, as verify.json.
    #[arg(short, long, value_name = "DIR")]
    #[serde(skip)]
    out: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    data: flags::Data,
    #[command(flatten)]
    measure: flags::Measure,
    #[command(flatten)]
    verify: flags::Verify,
    #[command(flatten)]
    #[serde(flatten)]
    run: flags::Run,
}

pub(super) fn run(context: &Context, flags: &Flags) -> Result<Outcome> {
    let settings = Settings::resolve(&context.shared, flags, &[])?;
    let subject = Subject::open(&flags.model, &[], &settings.sizes()?)?;
    let samples = Samples::of(&settings, &subject)?;
    match &flags.other {
        None => one(context, flags, &settings, &subject, &samples),
        Some(other) => {
            let other = Subject::open(other, &[], &settings.sizes()?)?;
            if other.model.is_cut_from(&subject.model) {
                cut(context, flags, &settings, [&subject, &other], &samples)
            } else {
                two(context, flags, &settings, [&subject, &other], &samples)
            }
        }
    }
}

/// One model on several runtimes.
fn one(context: &Context, flags: &Flags, settings: &Settings, subject: &Subject, samples: &Samples) -> Result<Outcome> {
    let inputs = samples.batch(evidence::samples(settings))?;
    let found = evidence::agreement(&subject.path, &subject.model, &inputs, settings, true, &context.progress)?;
    keep(flags, &found)?;
    if !found.compares() && found.passed {
        let reasons = found.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        return Err(anyhow!("nothing could be compared, since fewer than two runtimes run the model: {reasons}"));
    }
    context.told.result("verify", &found, || {
        format!("{}{} samples; {}\n", report::outputs(&found), found.samples, allowed(&first_outputs(&found)))
    })?;
    Ok(Outcome::of(found.passed))
}

/// Two models on each runtime.
fn two(
    context: &Context,
    flags: &Flags,
    settings: &Settings,
    files: [&Subject; 2],
    samples: &Samples,
) -> Result<Outcome> {
    let theirs = Samples::of(settings, files[1])?;
    let count = evidence::samples(settings);
    let (a, b) = (samples.batch(count)?, theirs.batch(count)?);
    let found = evidence::across([(files[0], &a), (files[1], &b)], settings, &context.progress)?;
    keep(flags, &found)?;
    if found.runs.is_empty() {
        let reasons: Vec<String> = found.findings.iter().map(|of| of.finding.to_string()).collect();
        return Err(anyhow!("nothing could be compared, since no runtime runs both files: {}", reasons.join("; ")));
    }
    context.told.result("verify", &found, || {
        let outputs = found.runs.first().map_or(&[][..], |run| &run.outputs);
        format!("{}{} samples; {}\n", report::across(&found), found.samples, allowed(outputs))
    })?;
    Ok(Outcome::of(found.passed))
}

/// A model and one that was cut from it: whether that gives the same answers.
fn cut(
    context: &Context,
    flags: &Flags,
    settings: &Settings,
    [dense, slim]: [&Subject; 2],
    samples: &Samples,
) -> Result<Outcome> {
    let candidate = Candidate { name: slim.path.display().to_string(), model: slim.path.clone() };
    let kinds = evidence::kinds(&dense.model.graph);
    let (seed, threads) = (settings.seed(), settings.threads());
    let asked = Asked { pictures: evidence::samples(settings), kinds, seed, threads };
    let mut shown = evidence::shown(&context.progress, "answers");
    if settings.verify.runtimes.is_some() {
        context
            .progress
            .note("the second file was cut from the first: answers are compared on ort, and --runtimes is not read");
    }
    let Samples { set, inputs } = samples;
    let mut found = answers(&dense.path, &[candidate], set, inputs, &asked, &mut shown)?;
    let found: Answers = found.remove(0);
    keep(flags, &found)?;
    context.told.result("verify", &found, || {
        let text = report::answers(&found, inputs.samples_called());
        format!("the second file was cut from the first, so its answers are compared:\n{text}")
    })?;
    let compared = found.outputs.iter().all(|output| output.incomparable.is_none());
    Ok(Outcome::of(found.usable() && compared))
}

/// Writes what was found where that was asked for.
fn keep(flags: &Flags, found: &impl Serialize) -> Result<()> {
    flags.out.as_deref().map_or(Ok(()), |folder: &Path| write_json_in(folder, "verify.json", found))
}

/// What models are run on.
struct Samples {
    set: ImageSet,
    inputs: Intake,
}

impl Samples {
    /// The data; where there is none, seeded numbers for inputs of which nothing is said.
    fn of(settings: &Settings, subject: &Subject) -> Result<Self> {
        if settings.data.is_some() {
            let pictures = Pictures::open(settings, &subject.model)?;
            return Ok(Self { set: pictures.set.whole_split().clone(), inputs: pictures.inputs });
        }
        let graph = &subject.model.graph;
        let set = images::data::random(evidence::samples(settings)).splits.remove(0);
        let mut inputs = inputs::drawn(graph, OPEN_SIDE, settings.seed())?;
        if settings.feed.is_some() {
            inputs = inputs::intake(&inputs::filled(settings, graph), &subject.model)?;
        }
        Ok(Self { set, inputs })
    }

    fn batch(&self, most: usize) -> Result<Batch> {
        let chosen: Vec<usize> = (0..most.min(self.set.len())).collect();
        Ok(Batch::of_samples(&self.inputs, self.inputs.values_all(&self.set, &chosen)?)?)
    }
}

/// The outputs of the first pair that was compared.
fn first_outputs(found: &Agreement) -> Vec<OutputAgreement> {
    found.pairs.first().map_or_else(Vec::new, |pair| pair.outputs.clone())
}

/// What each output was held to, and what would have been enough.
fn allowed(outputs: &[OutputAgreement]) -> String {
    let one = |output: &OutputAgreement| {
        let least = output.least_tolerance.filter(|least| *least > output.tolerance);
        let least = least.map(|least| format!(" ({} would have passed)", small(least))).unwrap_or_default();
        format!("`{}` {}{least}", output.output, small(output.tolerance))
    };
    format!("relative tolerance: {}", outputs.iter().map(one).collect::<Vec<_>>().join(", "))
}

//! `espalier prune`: the whole way. Search, cut, tune, verify, certify, report.

mod dry;
mod recipe;
mod stages;

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use certify::latency::Latency;
use clap::Args;
use serde::Serialize;

use super::Context;
use super::slim::read_plan;
use crate::digest;
use crate::freed;
use crate::machine::Machine;
use crate::output::Outcome;
use crate::pictures::Pictures;
use crate::report::{self, Digests, Figures, Report};
use crate::run::{Asked, Begun, Given, Opening, Run, Start, publish, whole, write_json, write_text};
use crate::settings::{Settings, flags};
use crate::subject::Subject;
use crate::torch::Torch;
use recipe::Sources;
pub(super) use stages::splice;
use stages::{Both, Measured, Stages};

/// Flags of `espalier prune`.
#[derive(Debug, Args, Serialize)]
#[command(after_help = "Examples:\n  espalier prune model.onnx --data pictures --to macs=50% -o run\n  \
    espalier prune model.onnx --data pictures --to macs=50% --dry-run\n\
    The slim model is run/slim.onnx, the report run/report.md. After Ctrl-C, `espalier prune --resume run` goes on.\n\
    Exit status 1 when the runtimes do not agree on the slim model; then it stays in run/work.")]
pub(crate) struct Flags {
    /// The ONNX file.
    #[arg(required_unless_present = "resume")]
    #[serde(skip)]
    model: Option<PathBuf>,
    /// The run folder; the model's name with `.run` unless given.
    #[arg(short, long, value_name = "DIR")]
    #[serde(skip)]
    out: Option<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    which: flags::WhichRun,
    /// Only say whether the budget can be met and what is pinned.
    #[arg(long)]
    #[serde(skip)]
    dry_run: bool,
    #[command(flatten)]
    #[serde(flatten)]
    budget: flags::Budget,
    #[command(flatten)]
    #[serde(flatten)]
    data: flags::Data,
    #[command(flatten)]
    train: flags::Train,
    #[command(flatten)]
    measure: flags::Measure,
    #[command(flatten)]
    search: flags::Search,
    #[command(flatten)]
    tune: flags::Tune,
    #[command(flatten)]
    #[serde(flatten)]
    labels: flags::Labels,
    #[command(flatten)]
    certify: flags::Certify,
    #[command(flatten)]
    #[serde(flatten)]
    minutes: flags::Minutes,
    #[command(flatten)]
    verify: flags::Verify,
    #[command(flatten)]
    #[serde(flatten)]
    export: flags::Export,
    #[command(flatten)]
    #[serde(flatten)]
    gate: flags::Gate,
    #[command(flatten)]
    #[serde(flatten)]
    run: flags::Run,
    #[command(flatten)]
    #[serde(flatten)]
    device: flags::Device,
    #[command(flatten)]
    #[serde(skip)]
    set: flags::Set,
}

pub(super) fn run(context: &Context, flags: &Flags) -> Result<Outcome> {
    let asked = Asked::of("prune", flags.model.as_deref(), &flags.which)?;
    let said = Settings::resolve(&asked.shared(&context.shared), flags, &flags.set.set)?;
    let budgets = said.budgets()?;
    let subject = Subject::open(&asked.model, said.keep())?;
    if said.free_batch() {
        freed::must_be_free(&subject.model)?;
    }
    let pictures = Pictures::open(&said, &subject.model)?;
    pictures.training()?;
    let settings = said.decided(&pictures)?;
    let remarks = pictures.remarks(true);
    let forecast = dry::forecast(&subject, &settings, &budgets, &pictures, &remarks)?;
    if flags.dry_run {
        context.told.result("prune", &forecast, || forecast.text())?;
        return Ok(Outcome::Good);
    }
    let torch = Torch::require()?;
    pictures.announce(&said, &remarks, &context.progress);
    let sources = Sources::of(&subject, &pictures, torch.versions()?)?;
    let folder = out(&asked, flags)?;
    let given = Given { model: whole(&asked.model), out: whole(&folder), teacher: None, fresh: false };
    let opening = Opening {
        folder: &folder,
        start: asked.start,
        begun: Begun::now("prune", given)?,
        settings: &settings,
        recipe: recipe::of(&sources, &settings)?,
        sources: vec![asked.model.clone(), settings.data()?.to_path_buf()],
    };
    let stages = Stages {
        subject: &subject,
        pictures: &pictures,
        remarks: &remarks,
        settings: &settings,
        torch: &torch,
        progress: &context.progress,
        resume: asked.start == Start::Resume,
    };
    Run::open(opening, &context.progress)?.follow(|run| {
        let report = follow(&stages, run, sources)?;
        let passed = report.agreement.passed;
        if passed {
            deliver(run)?;
        }
        context.told.result("prune", &report, || ending(&report, run, passed))?;
        Ok(Outcome::of(passed))
    })
}

/// Puts the result where it is looked for.
fn deliver(run: &Run) -> Result<()> {
    let (mut plan, _) = read_plan(&run.work("search/plan.json"))?;
    // Which lanes went; the weights on the way are not worth keeping.
    plan.tensors.clear();
    write_json(&run.path("plan.json"), &plan)?;
    publish(&run.work("tuned.onnx"), &run.path("slim.onnx"))
}

/// All stages in order, and the report they make.
fn follow(stages: &Stages<'_>, run: &mut Run, sources: Sources) -> Result<Report> {
    let searched = stages.search(run)?;
    let cut = stages.cut(run)?;
    let tuned = stages.tune(run, &searched)?;
    stages.splice(run)?;
    let agreement = stages.verify(run)?;
    let measured = stages.eval(run)?;
    let certificates = stages.certify(run)?;
    let (dense, slim) = stages.latency(run)?.into_iter().map(|compared| (compared.dense, compared.slim)).unzip();
    let latency = Both { dense, slim };
    let slim = Subject::open(&run.work("tuned.onnx"), &[])?;
    let report = Report {
        again: run.again().clone(),
        settings: serde_json::to_value(stages.settings)?,
        seed: stages.settings.seed(),
        input: stages.pictures.input.clone(),
        digests: Digests {
            model: digest::file(&stages.subject.path)?,
            slim: digest::file(&slim.path)?,
            data: sources.data,
            preprocessing: digest::text(&serde_json::to_string(&stages.pictures.input)?),
        },
        remarks: stages.remarks.to_vec(),
        machine: Machine::here(stages.settings.threads()?),
        torch: sources.torch,
        budgets: cut.budgets,
        dense: figures(measured.dense, stages.subject, latency.dense),
        slim: figures(measured.slim, &slim, latency.slim),
        twin: cut.twin,
        agreement,
        certificates,
        copies: tuned.copies(&searched),
        stages: run.times().to_vec(),
    };
    write_json(&run.path("report.json"), &with_schema(&report)?)?;
    write_text(&run.path("report.md"), report::markdown(&report).trim_end())?;
    Ok(report)
}

fn figures(measured: Measured, subject: &Subject, latency: Vec<Latency>) -> Figures {
    let Measured { accuracy, freed_copy } = measured;
    Figures { accuracy, freed_copy, cost: subject.cost(), latency }
}

/// The report as the run folder keeps it: with the schema that every JSON document has.
fn with_schema(report: &Report) -> Result<serde_json::Value> {
    Ok(crate::output::with_header("prune", serde_json::to_value(report)?))
}

fn ending(report: &Report, run: &Run, passed: bool) -> String {
    let mut text = report::text(report);
    if passed {
        text.push_str(&format!("wrote {}\n", run.path("slim.onnx").display()));
    } else {
        let kept = run.work("tuned.onnx");
        text.push_str(&format!("the runtimes do not agree, so the slim model stays at {}\n", kept.display()));
    }
    text
}

/// Where the run goes.
///
/// # Errors
/// When the run to continue is in another folder than the one that was named.
fn out(asked: &Asked, flags: &Flags) -> Result<PathBuf> {
    match (&asked.known, &flags.out) {
        (Some((folder, _)), Some(out)) if whole(folder) != whole(out) => Err(anyhow!(
            "--resume names `{}` and --out `{}`; a run goes on in its own folder, so leave --out away",
            folder.display(),
            out.display()
        )),
        (Some((folder, _)), _) => Ok(folder.clone()),
        (None, Some(out)) => Ok(out.clone()),
        (None, None) => {
            let mut name = asked.model.file_stem().unwrap_or_default().to_owned();
            name.push(".run");
            Ok(PathBuf::from(name))
        }
    }
}

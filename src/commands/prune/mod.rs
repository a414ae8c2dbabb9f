//! `espalier prune`: the whole way. Search, cut, tune, verify, certify, report.

mod ahead;
mod dry;
mod recipe;
mod stages;

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Args;
use import::lanes::Plan;
use serde::Serialize;

use super::context::Context;
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
use ahead::{Ahead, Rehearsed};
use recipe::Sources;
pub(super) use stages::splice;
use stages::{CUT_PLAN, Measured, Stages, optional};

/// Flags of `espalier prune`.
#[derive(Debug, Args, Serialize)]
#[command(after_help = "Examples:\n  espalier prune model.onnx --data pictures --to macs=50% -o run\n  \
    espalier prune model.onnx --data pictures --to macs=50% --dry-run\n\
    The slim model is run/slim.onnx, the report run/report.md. After Ctrl-C, `espalier prune --resume run` goes on.\n\
    Exit status 1 when the slim model is ruined or the runtimes do not agree on it; then it stays in run/work.")]
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
    /// Do everything except train: check the budget, the pictures, every setting and one step, and say how long it takes.
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
    #[serde(flatten)]
    until: flags::Until,
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
    said.compares_runtimes()?;
    let subject = Subject::open(&asked.model, &said.keep(), &said.sizes()?)?;
    if said.free_batch() {
        freed::must_be_free(&subject.model)?;
    }
    let pictures = Pictures::open(&said, &subject.model)?;
    pictures.training()?;
    let settings = said.decided(&pictures)?;
    let remarks = pictures.remarks(true);
    let torch = Torch::require()?;
    let forecast = dry::forecast(&subject, &settings, &budgets, &pictures, &remarks)?;
    let ahead = Ahead::of(&subject, &pictures, &settings)?;
    if flags.dry_run || asked.start != Start::Resume {
        let checked = ahead::rehearse(&torch, &subject, &pictures, &settings, &context.progress)?;
        if flags.dry_run {
            let plan = Rehearsed { forecast, skipped: ahead.skipped, times: ahead.times.with(&checked) };
            context.told.result("prune", &plan, || plan.text())?;
            return Ok(Outcome::Good);
        }
    }
    pictures.announce(&said, &remarks, &context.progress);
    context.progress.note(&pictures.training_line()?);
    ahead.skipped.iter().for_each(|skipped| context.progress.note(skipped));
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
        classifies: ahead.classifies,
        subject: &subject,
        pictures: &pictures,
        remarks: &remarks,
        settings: &settings,
        torch: &torch,
        progress: &context.progress,
        resume: asked.start == Start::Resume,
    };
    Run::open(opening, &context.progress)?.follow(|run| {
        let report = follow(&stages, run, sources, ahead.skipped.clone())?;
        let ending = Ending::of(&report);
        if ending == Ending::Delivered {
            deliver(run)?;
        }
        context.told.result("prune", &report, || format!("{}{}", report::text(&report), ending.words(run)))?;
        Ok(Outcome::of(ending == Ending::Delivered && report.skipped == ahead.skipped))
    })
}

/// What became of the slim model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It is `slim.onnx`.
    Delivered,
    /// It stays in the work folder, since it has collapsed or answers with what is not a number.
    Ruined,
    /// So it does, since the runtimes do not agree on it.
    Disputed,
}

impl Ending {
    fn of(report: &Report) -> Self {
        match (report.verdict.is_usable(), report.agreement.passed) {
            (false, _) => Self::Ruined,
            (true, false) => Self::Disputed,
            (true, true) => Self::Delivered,
        }
    }

    fn words(self, run: &Run) -> String {
        let kept = run.work("tuned.onnx");
        match self {
            Self::Delivered => format!("wrote {}\n", run.path("slim.onnx").display()),
            Self::Ruined => format!("the slim model is ruined and is no result; it stays at {}\n", kept.display()),
            Self::Disputed => {
                format!("the runtimes do not agree, so the slim model stays at {}\n", kept.display())
            }
        }
    }
}

/// Puts the result where it is looked for.
fn deliver(run: &Run) -> Result<()> {
    let mut plan = Plan::read(&run.work(CUT_PLAN))?;
    // Which lanes went; the weights on the way are not worth keeping.
    plan.tensors.clear();
    write_json(&run.path("plan.json"), &plan)?;
    publish(&run.work("tuned.onnx"), &run.path("slim.onnx"))
}

/// All stages in order, and the report they make. What cannot be measured is left out and said; it never takes the slim
/// model with it.
fn follow(stages: &Stages<'_>, run: &mut Run, sources: Sources, mut skipped: Vec<String>) -> Result<Report> {
    let searched = stages.search(run)?;
    let cut = stages.cut(run)?;
    let tuned = stages.tune(run, &searched)?;
    stages.splice(run)?;
    let answers = stages.answers(run, &searched)?;
    let after = answers.last().ok_or_else(|| anyhow!("no answers were compared; report this"))?;
    let agreement = stages.verify(run)?;
    let measured = optional(stages.eval(run), "accuracy was not measured", &mut skipped)?.unwrap_or_default();
    let certificates = if after.usable() {
        optional(stages.certify(run), "certificates were not made", &mut skipped)?.flatten()
    } else {
        skipped.push("certificates were not made, since the slim network is ruined".to_owned());
        None
    };
    let latency = stages.latency(run)?;
    let slim = Subject::open(&run.work("tuned.onnx"), &[], &stages.subject.sizes)?;
    let (dense, slim_figures) = (figures(measured.dense, stages.subject), figures(measured.slim, &slim));
    let report = Report {
        verdict: Report::verdict([&dense, &slim_figures], after, measured.lost, &latency),
        answers,
        lost: measured.lost,
        again: run.again().clone(),
        settings: serde_json::to_value(stages.settings)?,
        seed: stages.settings.seed(),
        inputs: stages.pictures.inputs.clone(),
        digests: Digests {
            model: digest::file(&stages.subject.path)?,
            slim: digest::file(&slim.path)?,
            data: sources.data,
            preprocessing: digest::text(&serde_json::to_string(&stages.pictures.inputs)?),
        },
        remarks: stages.remarks.iter().cloned().chain(searched.left()).collect(),
        machine: Machine::here(stages.settings.threads()),
        torch: sources.torch,
        budgets: cut.budgets,
        dense,
        slim: slim_figures,
        twin: cut.twin,
        agreement,
        certificates,
        latency,
        skipped,
        copies: tuned.copies(&searched),
        stages: run.times().to_vec(),
    };
    write_json(&run.path("report.json"), &with_schema(&report)?)?;
    write_text(&run.path("report.md"), report::markdown(&report).trim_end())?;
    Ok(report)
}

fn figures(Measured { accuracy, freed_copy }: Measured, subject: &Subject) -> Figures {
    Figures { accuracy, freed_copy, cost: subject.cost() }
}

/// The report as the run folder keeps it: with the schema that every JSON document has.
fn with_schema(report: &Report) -> Result<serde_json::Value> {
    Ok(crate::output::with_header("prune", serde_json::to_value(report)?))
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

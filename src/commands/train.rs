//! `espalier train`: a network trained further, or from new weights.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use clap::Args;
use images::intake::Intake;
use import::proto::{ModelFile, is_standard_output};
use job::Job;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::context::Context;
use super::prune::splice;
use crate::digest;
use crate::machine::Machine;
use crate::numbers::{or_absent, percent};
use crate::output::Outcome;
use crate::pictures::Pictures;
use crate::run::{Asked, Begun, Given, Opening, Recipe, Run, StageKind, Start, publish, whole};
use crate::settings::{Settings, flags};
use crate::subject::Subject;
use crate::target;
use crate::torch::{Torch, deciding};

/// Flags of `espalier train`.
#[derive(Debug, Args, Serialize)]
#[command(after_help = "Examples:\n  espalier train model.onnx --data pictures --epochs 5 -o trained.onnx\n  \
    espalier train resnet8.onnx --fresh --data procedural -o resnet8-trained.onnx\n\
    Log and checkpoints are in OUT.run beside the result; after Ctrl-C, `espalier train --resume OUT.run` goes on.")]
pub(crate) struct Flags {
    /// The ONNX file.
    #[arg(required_unless_present = "resume")]
    #[serde(skip)]
    model: Option<PathBuf>,
    /// The trained file.
    #[arg(short, long, value_name = "FILE", required_unless_present = "resume")]
    #[serde(skip)]
    out: Option<PathBuf>,
    /// Begin from new random weights.
    #[arg(long)]
    #[serde(skip)]
    fresh: bool,
    /// Learn from this network's answers too.
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    teacher: Option<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    which: flags::WhichRun,
    #[command(flatten)]
    #[serde(flatten)]
    data: flags::Data,
    #[command(flatten)]
    #[serde(flatten)]
    until: flags::Until,
    #[command(flatten)]
    train: flags::Train,
    #[command(flatten)]
    measure: flags::LeftToMeasure,
    #[command(flatten)]
    tune: flags::Tune,
    #[command(flatten)]
    #[serde(flatten)]
    labels: flags::Labels,
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

/// What was done.
#[derive(Debug, Serialize)]
struct Done {
    out: PathBuf,
    digest: String,
    /// Accuracy on the validation pictures, where there are labels.
    validation: Option<f64>,
    /// The pictures that were not trained on, in words.
    left_to_measure: String,
    /// Everything espalier-torch said.
    training: Map<String, Value>,
}

pub(super) fn run(context: &Context, flags: &Flags) -> Result<Outcome> {
    let asked = Asked::of("train", flags.model.as_deref(), &flags.which)?;
    let given = given(&asked, flags)?;
    let said = Settings::resolve(&asked.shared(&context.shared), flags, &flags.set.set)?;
    if is_standard_output(&given.out) {
        return Err(anyhow!("train keeps a folder beside its output, so it cannot go to standard output; give a file"));
    }
    target::check(&given.model, &[], &given.out)?;
    let subject = Subject::open(&asked.model, &[], &said.sizes()?)?;
    let pictures = Pictures::open(&said, &subject.model)?;
    pictures.training()?;
    let settings = said.decided(&pictures)?;
    pictures.remarks(true).iter().for_each(|remark| context.progress.note(remark));
    context.progress.note(&pictures.training_line()?);
    let left_to_measure = pictures.set.describe(pictures.inputs.samples_called());
    context.progress.note(&format!("left to measure on: {left_to_measure}"));
    let torch = Torch::require()?;
    let opening = Opening {
        folder: &folder(&given.out),
        start: asked.start,
        begun: Begun::now("train", given.clone())?,
        settings: &settings,
        recipe: recipe(&given, &settings, &subject, &pictures, &torch)?,
        sources: [Some(given.model.clone()), given.teacher.clone(), settings.data.clone()]
            .into_iter()
            .flatten()
            .collect(),
    };
    let resume = asked.start == Start::Resume;
    Run::open(opening, &context.progress)?.follow(|run| {
        let plan = run.work("train/plan.json");
        let job = job(&given, &settings, &subject, &pictures.inputs, run, resume)?;
        let training: Map<String, Value> = run.stage("train", &[&plan], |run| {
            torch.run("train", &job, &run.work("train.job.json"), Some(&run.path("log.jsonl")), &context.progress)
        })?;
        let candidate = run.work("trained.onnx");
        splice(&subject.path, &plan, &candidate)?;
        publish(&candidate, &given.out)?;
        let validation = training.get("validation").and_then(Value::as_f64);
        let done = Done { digest: digest::file(&given.out)?, out: given.out, validation, left_to_measure, training };
        context.told.result("train", &done, || done.text())?;
        Ok(Outcome::Good)
    })
}

/// What was given beside settings: by the flags, else by the run that goes on.
fn given(asked: &Asked, flags: &Flags) -> Result<Given> {
    let known = asked.known.as_ref().map(|(_, given)| given);
    let out = flags.out.clone().or_else(|| Some(known?.out.clone()));
    let out = out.ok_or_else(|| anyhow!("no output was given; say where the trained file goes with --out FILE"))?;
    Ok(Given {
        model: whole(&asked.model),
        out: whole(&out),
        teacher: flags.teacher.as_deref().map(whole).or_else(|| known?.teacher.clone()),
        fresh: flags.fresh || known.is_some_and(|given| given.fresh),
    })
}

/// The result's path with `.run` behind it.
fn folder(out: &Path) -> PathBuf {
    let mut name = OsString::from(out);
    name.push(".run");
    PathBuf::from(name)
}

fn recipe(given: &Given, settings: &Settings, subject: &Subject, pictures: &Pictures, torch: &Torch) -> Result<Recipe> {
    let teacher = given.teacher.as_deref().map(|teacher| digest::model(&ModelFile::open(teacher)?)).transpose()?;
    let of = json!({
        "espalier": env!("CARGO_PKG_VERSION"),
        "torch": deciding(&torch.versions()?),
        "instructions": Machine::here(settings.threads()).instructions,
        "model": digest::model(&subject.model.file)?,
        "teacher": teacher,
        "fresh": given.fresh,
        "pictures": pictures.digest()?,
        "division": settings.division(),
        "labels": settings.labels(),
        "input": settings.input,
        "feed": settings.feed,
        "shape": settings.shape,
        "until": settings.until,
        "tune": settings.tune,
        "seed": settings.seed(),
        "threads": settings.threads(),
        "device": settings.device(),
    });
    Recipe::default().with("train", StageKind::Training, &[], &of)
}

fn job(given: &Given, settings: &Settings, subject: &Subject, inputs: &Intake, run: &Run, resume: bool) -> Result<Job> {
    Ok(Job {
        teacher: given.teacher.clone(),
        // Nothing is removed, whatever a settings file says for other commands.
        budget: Vec::new(),
        keep: Vec::new(),
        checkpoint: Some(run.work("train.checkpoint")),
        resume,
        fresh: given.fresh,
        ..settings.job(&subject.path, inputs, run.work("train"))?
    })
}

impl Done {
    fn text(&self) -> String {
        let accuracy = or_absent(self.validation, percent);
        format!(
            "validation accuracy {accuracy}\nleft to measure on: {}\nwrote {}\n",
            self.left_to_measure,
            self.out.display()
        )
    }
}

//! `espalier train`: a network trained further, or from new weights.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use images::preprocess::Preprocess;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Context;
use super::prune::splice;
use crate::digest;
use crate::numbers::{or_absent, percent};
use crate::output::Outcome;
use crate::pictures::Pictures;
use crate::run::{Recipe, Run, publish};
use crate::settings::{Settings, flags};
use crate::subject::{Subject, not_the_source};
use crate::torch::{Job, Torch};

/// Flags of `espalier train`.
#[derive(Debug, Args, Serialize)]
#[command(after_help = "Examples:\n  espalier train model.onnx --data pictures --epochs 5 -o trained.onnx\n  \
    espalier train resnet8.onnx --fresh --data procedural -o resnet8-trained.onnx\n\
    Log and checkpoints are in OUT.run beside the result; after Ctrl-C, add --resume.")]
pub(crate) struct Flags {
    /// The ONNX file.
    #[serde(skip)]
    model: PathBuf,
    /// The trained file.
    #[arg(short, long, value_name = "FILE")]
    #[serde(skip)]
    out: PathBuf,
    /// Begin from new random weights.
    #[arg(long)]
    #[serde(skip)]
    fresh: bool,
    /// Learn from this network's answers too.
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    teacher: Option<PathBuf>,
    /// Continue an interrupted run.
    #[arg(long)]
    #[serde(skip)]
    resume: bool,
    #[command(flatten)]
    #[serde(flatten)]
    data: flags::Data,
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
    /// Everything espalier-torch said.
    training: Map<String, Value>,
}

pub(super) fn run(context: &Context, flags: &Flags) -> Result<Outcome> {
    let settings = Settings::resolve(&context.shared, flags, &flags.set.set)?;
    not_the_source(&flags.model, &flags.out)?;
    let subject = Subject::open(&flags.model, &[])?;
    let pictures = Pictures::open(&settings, &subject.model)?;
    pictures.training()?;
    pictures.remarks(true).iter().for_each(|remark| context.progress.note(remark));
    context.progress.note(&format!("left to measure on: {}", pictures.set.describe()));
    let torch = Torch::require()?;
    let mut run =
        Run::open(&folder(&flags.out), &recipe(flags, &settings, &pictures)?, flags.resume, &context.progress)?;
    let plan = run.work("train/plan.json");
    let job = job(flags, &settings, &subject, pictures.input, &run)?;
    let training: Map<String, Value> = run.stage("train", &[&plan], |run| {
        torch.run("train", &job, &run.work("train.job.json"), Some(&run.path("log.jsonl")), &context.progress)
    })?;
    let candidate = run.work("trained.onnx");
    splice(&subject.path, &plan, &candidate)?;
    publish(&candidate, &flags.out)?;
    let validation = training.get("validation").and_then(Value::as_f64);
    let done = Done { digest: digest::file(&flags.out)?, out: flags.out.clone(), validation, training };
    context.told.result("train", &done, || done.text())?;
    Ok(Outcome::Good)
}

/// The result's path with `.run` behind it.
fn folder(out: &Path) -> PathBuf {
    let mut name = OsString::from(out);
    name.push(".run");
    PathBuf::from(name)
}

fn recipe(flags: &Flags, settings: &Settings, pictures: &Pictures) -> Result<Recipe> {
    let teacher = flags.teacher.as_deref().map(digest::file).transpose()?;
    let model = digest::file(&flags.model)?;
    let rest = serde_json::json!({ "pictures": pictures.digest()?, "fresh": flags.fresh, "teacher": teacher });
    Recipe::new("train", &model, Some(&rest), settings)
}

fn job(flags: &Flags, settings: &Settings, subject: &Subject, input: Preprocess, run: &Run) -> Result<Job> {
    Ok(Job {
        model: subject.path.clone(),
        teacher: flags.teacher.clone(),
        data: settings.data()?.to_path_buf(),
        division: settings.division(),
        labels: settings.labels.unwrap_or(true),
        input,
        budget: Vec::new(),
        keep: Vec::new(),
        search: toml::Table::new(),
        tune: settings.tune.clone(),
        seed: settings.seed(),
        threads: settings.threads()?,
        device: settings.device().to_owned(),
        out: run.work("train"),
        checkpoint: Some(run.work("train.checkpoint")),
        resume: flags.resume,
        fresh: flags.fresh,
    })
}

impl Done {
    fn text(&self) -> String {
        let accuracy = or_absent(self.validation, percent);
        format!("validation accuracy {accuracy}\nwrote {}\n", self.out.display())
    }
}

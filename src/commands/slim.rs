//! `espalier slim`: a cut without training. Lanes go by magnitude (or at random), or as a plan says.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use certify::agreement::twin::TwinReport;
use clap::Args;
use export::{SlimFile, Tensors, cut};
use images::draw;
use import::lanes::{Kept, Plan, allocate, score};
use job::MethodName;
use serde::Serialize;

use super::context::Context;
use crate::freed;
use crate::gate::{self, Exact, Gate, Left};
use crate::output::Outcome;
use crate::pictures::Pictures;
use crate::report::grid;
use crate::settings::{Settings, flags};
use crate::subject::{Cost, Reached, Subject, cost_rows};
use crate::target;

/// Flags of `espalier slim`.
#[derive(Debug, Args, Serialize)]
#[command(after_help = "Examples:\n  espalier slim resnet18.onnx --to channels=50% -o slim.onnx\n  \
    espalier slim model.onnx --plan plan.json -o slim.onnx\n\
    Nothing is trained, so expect accuracy to fall; `espalier prune` is the whole way.")]
pub(crate) struct Flags {
    /// The ONNX file.
    #[serde(skip)]
    model: PathBuf,
    /// The slim file.
    #[arg(short, long, value_name = "FILE")]
    #[serde(skip)]
    out: PathBuf,
    /// Cut as this plan says, instead of by a budget.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to", "method", "allocation", "floor", "layer", "criterion", "reduce", "normalise"])]
    #[serde(skip)]
    plan: Option<PathBuf>,
    /// Drop fields of touched elements that this program does not know, instead of refusing them.
    #[arg(long)]
    #[serde(skip)]
    lossy: bool,
    #[command(flatten)]
    #[serde(flatten)]
    budget: flags::Budget,
    #[command(flatten)]
    search: flags::Dataless,
    #[command(flatten)]
    #[serde(flatten)]
    data: flags::Data,
    #[command(flatten)]
    measure: flags::Measure,
    #[command(flatten)]
    #[serde(flatten)]
    export: flags::Export,
    #[command(flatten)]
    #[serde(flatten)]
    gate: flags::Gate,
    #[command(flatten)]
    #[serde(flatten)]
    run: flags::Run,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Done {
    out: PathBuf,
    budgets: Vec<Reached>,
    dense: Cost,
    slim: Cost,
    lanes: usize,
    removed: usize,
    twin: TwinReport,
    /// What was to be cut and is left whole.
    left: Vec<Left>,
    /// What the slim file says otherwise, beside what was cut.
    notes: Vec<String>,
}

pub(super) fn run(context: &Context, flags: &Flags) -> Result<Outcome> {
    let settings = Settings::resolve(&context.shared, flags, &[])?;
    let tensors = flags.plan.as_deref().map(tensors_of);
    let read: Vec<&Path> = flags.plan.as_deref().into_iter().chain(tensors.as_deref()).collect();
    target::check(&flags.model, &read, &flags.out)?;
    let mut subject = Subject::open(&flags.model, &settings.keep(), &settings.sizes()?)?;
    let is_fed = settings.data.is_some() || settings.feed.is_some();
    let pictures = is_fed.then(|| Pictures::open(&settings, &subject.model)).transpose()?;
    let gate = Gate::of(&settings)?;
    let (tensors, exact) = match &flags.plan {
        Some(path) => {
            let (plan, tensors) = read_plan(path)?;
            plan.kept(&subject.model.graph, subject.lanes())?;
            let still = |subject: &Subject| Ok(subject.still_cut(&plan));
            let exact = gate.exact(&mut subject, &tensors, pictures.as_ref(), still)?;
            (tensors, exact)
        }
        None => {
            let tensors = Tensors::default();
            let chosen = |subject: &Subject| choose(subject, &settings);
            let exact = gate.exact(&mut subject, &tensors, pictures.as_ref(), chosen)?;
            (tensors, exact)
        }
    };
    let kept = exact.plan.kept(&subject.model.graph, subject.lanes())?;
    let slim = cut(&subject.model, subject.lanes(), &exact.plan, &tensors, flags.lossy)?;
    if settings.free_batch() {
        ship_free(&slim, &subject, pictures.as_ref(), &settings, &flags.out)?;
    } else {
        slim.write(&subject.model, &flags.out)?;
    }
    let done = Done::of(&subject, &settings, &flags.out, &slim, &kept, exact)?;
    let told = context.told.beside(&flags.out);
    told.result("slim", &done, || done.text())?;
    Ok(Outcome::Good)
}

/// The slim file with a free batch axis.
fn ship_free(
    slim: &SlimFile,
    subject: &Subject,
    pictures: Option<&Pictures>,
    settings: &Settings,
    out: &Path,
) -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder; check TMPDIR")?;
    let declared = folder.path().join("slim.onnx");
    slim.write(&subject.model, &declared)?;
    let inputs = gate::inputs(subject, pictures, freed::SAMPLES, settings.seed())?;
    freed::ship(&declared, out, &inputs, settings.threads())
}

/// A plan, and the tensors beside it where it replaces any.
///
/// # Errors
/// When either cannot be read.
pub(crate) fn read_plan(path: &Path) -> Result<(Plan, Tensors)> {
    let plan = Plan::read(path)?;
    let tensors = if plan.tensors.is_empty() { Tensors::default() } else { Tensors::read(&tensors_of(path))? };
    Ok((plan, tensors))
}

/// Where the tensors of a plan lie.
fn tensors_of(plan: &Path) -> PathBuf {
    plan.with_file_name("tensors.safetensors")
}

/// A plan that meets the budgets.
fn choose(subject: &Subject, settings: &Settings) -> Result<Plan> {
    subject.has_lanes()?;
    let budgets = settings.budgets()?;
    let (graph, lanes) = (&subject.model.graph, subject.lanes());
    let method = settings.search.method.unwrap_or(MethodName::Magnitude);
    let scores = match method {
        MethodName::Magnitude => score::of(graph, lanes, &settings.search.magnitude)?,
        MethodName::Random => random(lanes.lanes.len(), settings.seed()),
        MethodName::Csam | MethodName::Taylor => {
            return Err(anyhow!(
                "`{method}` needs pictures, which slim does without; use --method magnitude or random, or `espalier prune`"
            ));
        }
    };
    let kept = allocate(lanes, &scores, &budgets, &settings.search.ranking(graph, lanes)?)?;
    let origin = format!("espalier slim, {method}, seed {}", settings.seed());
    Ok(Plan::from_kept(graph, lanes, &kept, origin))
}

fn random(lanes: usize, seed: u64) -> Vec<f64> {
    let mut rng = draw::rng(seed, "random lanes", 0, 0);
    (0..lanes).map(|_| f64::from(draw::unit(&mut rng))).collect()
}

impl Done {
    fn of(
        subject: &Subject,
        settings: &Settings,
        out: &Path,
        slim: &SlimFile,
        kept: &Kept,
        exact: Exact,
    ) -> Result<Self> {
        let budgets = if settings.to.is_some() { settings.budgets()? } else { Vec::new() };
        Ok(Self {
            out: out.to_path_buf(),
            budgets: subject.reached(&budgets, &kept.as_numbers()),
            dense: subject.cost(),
            slim: subject.of_bytes(slim.to_bytes())?.cost(),
            lanes: kept.0.len(),
            removed: kept.0.len() - kept.count(),
            twin: exact.report,
            left: exact.left,
            notes: slim.notes.iter().map(ToString::to_string).collect(),
        })
    }

    fn text(&self) -> String {
        let (dense, slim) = (&self.dense, &self.slim);
        let mut text = grid(&["", "dense", "slim", "change"], &cost_rows(dense, slim));
        self.budgets.iter().for_each(|budget| text.push_str(&format!("{}\n", budget.line())));
        dense.caveat().iter().for_each(|caveat| text.push_str(&format!("{caveat}\n")));
        self.left.iter().for_each(|left| text.push_str(&format!("{}\n", left.line())));
        self.notes.iter().for_each(|note| text.push_str(&format!("{note}\n")));
        text.push_str(&format!("removed {} of {} lanes\n", self.removed, self.lanes));
        text.push_str(&format!("{}\nwrote {}\n", gate::line(&self.twin), self.out.display()));
        text
    }
}

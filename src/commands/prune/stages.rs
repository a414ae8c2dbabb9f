//! The stages of `prune`, each with its files and its result. A finished stage is not done again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use certify::accuracy::{Accuracy, accuracy};
use certify::agreement::twin::TwinReport;
use certify::agreement::verify::Agreement;
use certify::answers::{Answers, Candidate, Settings as Asked, answers};
use certify::certificate::{Certificate, Subject as Named, certify};
use certify::latency::Compared;
use certify::statistics::binomial::Proportion;
use certify::statistics::paired::{Interval, Table};
use export::{cut, write_tapped};
use images::data::ImageSet;
use import::{Graph, InputSizes};
use job::Job;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::commands::slim::read_plan;
use crate::evidence;
use crate::freed::{self, Runnable, runnable, ship};
use crate::gate::{Exact, Gate, Left};
use crate::interrupt::Interrupted;
use crate::pictures::Pictures;
use crate::progress::Progress;
use crate::run::{Run, write_json};
use crate::settings::Settings;
use crate::subject::{Reached, Subject};
use crate::torch::Torch;

/// The normal quantile of a 95 % interval.
const Z: f64 = 1.959_964;
/// What was really cut, in the run's work folder.
pub(super) const CUT_PLAN: &str = "cut.plan.json";

/// What the stages work on.
pub(super) struct Stages<'a> {
    /// Whether the first output is class scores, which accuracy and certificates need.
    pub(super) classifies: bool,
    pub(super) subject: &'a Subject,
    pub(super) pictures: &'a Pictures,
    /// What is to be known about them.
    pub(super) remarks: &'a [String],
    pub(super) settings: &'a Settings,
    pub(super) torch: &'a Torch,
    pub(super) progress: &'a Progress,
    pub(super) resume: bool,
}

/// What espalier-torch said at the end of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Facts(Map<String, Value>);

/// What the cut gave.
#[derive(Serialize, Deserialize)]
pub(super) struct CutResult {
    pub(super) twin: TwinReport,
    pub(super) budgets: Vec<Reached>,
    /// What was to be cut and is left whole.
    #[serde(default)]
    pub(super) left: Vec<Left>,
}

/// How often a model is right, where there are labels.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) accuracy: Option<Proportion>,
    pub(super) freed_copy: bool,
}

/// How often both are right.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Right {
    pub(super) dense: Measured,
    pub(super) slim: Measured,
    /// Accuracy lost, picture by picture.
    pub(super) lost: Option<Interval>,
}

/// Something of both models.
struct Both<T> {
    dense: T,
    slim: T,
}

/// What a measurement gave, or none with the reason among `skipped`. An interrupt ends the run as ever.
pub(super) fn optional<T>(measured: Result<T>, what: &str, skipped: &mut Vec<String>) -> Result<Option<T>> {
    match measured {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is::<Interrupted>() => Err(error),
        Err(error) => {
            skipped.push(format!("{what}: {error}"));
            Ok(None)
        }
    }
}

impl Facts {
    /// The values that are learned and are no outputs, by name.
    fn learned_inside(&self, graph: &Graph) -> Vec<String> {
        let learned = self.0.get("learned").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let is_output = |name: &&str| graph.outputs.iter().any(|&output| graph.value(output).name == *name);
        learned.filter(|name| !is_output(name)).map(str::to_owned).collect()
    }

    /// What is left untrained, and why, in one sentence.
    pub(super) fn left(&self) -> Option<String> {
        self.0.get("left")?.as_str().map(str::to_owned)
    }

    /// Image-copies of this job, where it says.
    fn own_copies(&self) -> Option<u64> {
        self.0.get("copies")?.as_u64()
    }

    /// Image-copies of this job and the one before it.
    pub(super) fn copies(&self, before: &Self) -> Option<u64> {
        Some(self.own_copies()? + before.own_copies()?)
    }
}

impl Stages<'_> {
    /// Which lanes go: `work/search/plan.json`.
    pub(super) fn search(&self, run: &mut Run) -> Result<Facts> {
        let plan = run.work("search/plan.json");
        run.stage("search", &[&plan], |run| {
            let job = self.job(run, "search", &self.subject.path)?;
            self.start("search", &Job { tune: job.tune.read_by_search(), ..job }, run)
        })
    }

    /// The slim candidate, past its gate: `work/cut.onnx`.
    pub(super) fn cut(&self, run: &mut Run) -> Result<CutResult> {
        let file = run.work("cut.onnx");
        let cut_plan = run.work(CUT_PLAN);
        run.stage("cut", &[&file, &cut_plan], |run| {
            let (plan, tensors) = read_plan(&run.work("search/plan.json"))?;
            let mut subject = Subject::open(&self.subject.path, &self.settings.keep(), &self.subject.sizes)?;
            let still = |subject: &Subject| Ok(subject.still_cut(&plan));
            let gate = Gate::of(self.settings)?;
            let Exact { plan, report: twin, left } = gate.exact(&mut subject, &tensors, Some(self.pictures), still)?;
            left.iter().for_each(|left| self.progress.note(&left.line()));
            let slim = cut(&subject.model, subject.lanes(), &plan, &tensors, false)?;
            slim.notes.iter().for_each(|note| self.progress.note(&note.to_string()));
            slim.write(&subject.model, &file)?;
            write_json(&cut_plan, &plan)?;
            let kept = plan.kept(&subject.model.graph, subject.lanes())?;
            let budgets = subject.reached(&self.settings.budgets()?, &kept.as_numbers());
            Ok(CutResult { twin, budgets, left })
        })
    }

    /// New weights for the slim candidate: `work/tune/plan.json`.
    pub(super) fn tune(&self, run: &mut Run, searched: &Facts) -> Result<Facts> {
        let plan = run.work("tune/plan.json");
        run.stage("tune", &[&plan], |run| {
            let mut job = self.job(run, "tune", &run.work("cut.onnx"))?;
            job.teacher = Some(self.subject.path.clone());
            job.budget.clear();
            job.tune.spent = job.tune.spent.or(searched.own_copies());
            self.start("tune", &job, run)
        })
    }

    /// The candidate with its new weights: `work/tuned.onnx`.
    pub(super) fn splice(&self, run: &mut Run) -> Result<()> {
        let file = run.work("tuned.onnx");
        run.stage("splice", &[], |run| self.tuned(run, &file))?;
        // Published by an earlier run of the same recipe: the candidate has gone to its place.
        if !file.exists() {
            self.tuned(run, &file)?;
        }
        Ok(())
    }

    fn tuned(&self, run: &Run, file: &Path) -> Result<()> {
        let (cut, plan) = (run.work("cut.onnx"), run.work("tune/plan.json"));
        if !self.settings.free_batch() {
            return splice(&cut, &plan, file);
        }
        let declared = run.work("declared.onnx");
        splice(&cut, &plan, &declared)?;
        ship(&declared, file, &self.pictures.batch(freed::SAMPLES)?, self.settings.threads())
    }

    /// The slim model on every runtime.
    pub(super) fn verify(&self, run: &mut Run) -> Result<Agreement> {
        run.stage("verify", &[], |run| {
            let slim = Subject::open(&run.work("tuned.onnx"), &[], &self.subject.sizes)?;
            let inputs = self.pictures.batch(evidence::samples(self.settings))?;
            let of = |subject: &Subject| {
                evidence::agreement(&subject.path, &subject.model, &inputs, self.settings, false, self.progress)
            };
            let mut found = of(&slim)?;
            if found.needs_original() {
                found.hold_against(&of(self.subject)?);
            }
            Ok(found)
        })
    }

    /// Whether the slim network answers as the dense one, before tuning and after it: by its outputs, and by what was
    /// learned where that lies before them.
    pub(super) fn answers(&self, run: &mut Run, searched: &Facts) -> Result<Vec<Answers>> {
        run.stage("answers", &[], |run| {
            let learned = searched.learned_inside(&self.subject.model.graph);
            let folder = tempfile::tempdir_in(run.work("")).context("cannot make a folder in the run's")?;
            let tapped = |name: &str, model: &Path| -> Result<PathBuf> {
                if learned.is_empty() {
                    return Ok(model.to_owned());
                }
                let copy = folder.path().join(name);
                write_tapped(&Subject::open(model, &[], &self.subject.sizes)?.model, &learned, &copy)?;
                Ok(copy)
            };
            let dense = tapped("dense.onnx", &self.subject.path)?;
            let candidate = |name: &str, file: &str| -> Result<Candidate> {
                Ok(Candidate { name: name.to_owned(), model: tapped(file, &run.work(file))? })
            };
            let both = [candidate("before tuning", "cut.onnx")?, candidate("after tuning", "tuned.onnx")?];
            let (seed, threads) = (self.settings.seed(), self.settings.threads());
            let kinds = evidence::kinds(&self.subject.model.graph);
            let asked = Asked { seed, threads, kinds, ..Asked::default() };
            let mut shown = evidence::shown(self.progress, "answers");
            let Pictures { set, inputs, .. } = self.pictures;
            Ok(answers(&dense, &both, set, inputs, &asked, &mut shown)?)
        })
    }

    /// How often both are right; without labels nothing.
    pub(super) fn eval(&self, run: &mut Run) -> Result<Right> {
        run.stage("eval", &[], |run| {
            let ran = self.runnables(run)?;
            let (dense, slim) = (self.right(&ran.dense, "eval dense")?, self.right(&ran.slim, "eval slim")?);
            let mut table = Table::default();
            if let (Some(dense), Some(slim)) = (&dense, &slim) {
                dense.right.iter().zip(&slim.right).for_each(|(dense, slim)| table.count(*dense, *slim));
            }
            let measured = |found: Option<Accuracy>, ran: &Runnable| Measured {
                accuracy: found.map(|found| found.top1),
                freed_copy: ran.freed,
            };
            Ok(Right { dense: measured(dense, &ran.dense), slim: measured(slim, &ran.slim), lost: table.newcombe(Z) })
        })
    }

    /// How robust both are, where that is asked for.
    pub(super) fn certify(&self, run: &mut Run) -> Result<Option<Certificate>> {
        let Some(input) = self.pictures.inputs.only_picture() else { return Ok(None) };
        let side = input.height.min(input.width);
        let settings = self.settings;
        let asked = settings.certify.decide(side, settings.seed(), settings.threads(), settings.minutes)?;
        let Some(asked) = asked.filter(|_| self.classifies) else { return Ok(None) };
        let set = self.labelled().unwrap_or_else(|| self.pictures.set.without_labels());
        run.stage("certify", &[], |run| {
            let ran = self.runnables(run)?;
            let named = |name: &str, model: PathBuf| Named { name: name.to_owned(), model };
            let both = [named("dense", ran.dense.path), named("slim", ran.slim.path)];
            let mut shown = evidence::shown(self.progress, "certify");
            Ok(Some(certify(&both, &set, input, &asked, &mut shown)?))
        })
    }

    /// How fast both are, runtime by runtime.
    pub(super) fn latency(&self, run: &mut Run) -> Result<Vec<Compared>> {
        run.stage("latency", &[], |run| {
            let sample = self.pictures.batch(1)?;
            let (dense, slim) = (&self.subject.path, run.work("tuned.onnx"));
            Ok(evidence::latencies(dense, &slim, &sample, self.settings.threads(), self.progress))
        })
    }

    /// What is measured: both models at any batch.
    fn runnables(&self, run: &Run) -> Result<Both<Runnable>> {
        let threads = self.settings.threads();
        let of = |subject: &Subject| runnable(subject, self.pictures, &run.work(""), threads, self.progress);
        Ok(Both {
            dense: of(self.subject)?,
            slim: of(&Subject::open(&run.work("tuned.onnx"), &[], &self.subject.sizes)?)?,
        })
    }

    fn right(&self, ran: &Runnable, name: &str) -> Result<Option<Accuracy>> {
        let Some(set) = self.labelled() else { return Ok(None) };
        let mut shown = evidence::shown(self.progress, name);
        Ok(Some(accuracy(&ran.path, &set, &self.pictures.inputs, self.settings.threads(), &mut shown)?))
    }

    /// What is measured with its labels, where there are any that may be read and the model has scores for them.
    fn labelled(&self) -> Option<ImageSet> {
        let read = self.classifies && self.settings.labels();
        (read && self.pictures.set.has_labels()).then(|| (*self.pictures.set).clone())
    }

    /// The job of a phase of this run on a model.
    fn job(&self, run: &Run, phase: &str, model: &Path) -> Result<Job> {
        let job = self.settings.job(model, &self.pictures.inputs, run.work(phase))?;
        Ok(Job { checkpoint: Some(run.work(&format!("{phase}.checkpoint"))), resume: self.resume, ..job })
    }

    fn start(&self, verb: &str, job: &Job, run: &Run) -> Result<Facts> {
        let job_file = run.work(&format!("{verb}.job.json"));
        Ok(Facts(self.torch.run(verb, job, &job_file, Some(&run.path("log.jsonl")), self.progress)?))
    }
}

/// Puts a plan's new tensors into a model.
pub(crate) fn splice(model: &Path, plan: &Path, out: &Path) -> Result<()> {
    let subject = Subject::open(model, &[], &InputSizes::default())?;
    let (plan, tensors) = read_plan(plan)?;
    let file = cut(&subject.model, subject.lanes(), &plan, &tensors, false)?;
    file.write(&subject.model, out)?;
    Ok(())
}

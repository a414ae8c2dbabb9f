//! A job as it stands in its JSON file, and every switch of the search and of the training.
//!
//! All settings have defaults, and an unknown key is an error. The defaults are the forms that held up in trials; the
//! method's published reading is `update = "gradient"`, `twin = false`, `perturb = "uniform"`, `stability = "gap"`,
//! `robustness = "ratio"`, `control = "dual"`, `train_weights = false`.

use std::{fs, path::Path, path::PathBuf};

use images::{data::Choice, preprocess::Preprocess};
use import::lanes::Allocation;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{CsamError, keys};

/// One job for `espalier-torch search`, `tune`, `train` or `check`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The ONNX file to search, to tune or to train.
    pub model: PathBuf,
    /// The network that a tuned one was cut from; without it there is no distillation.
    #[serde(default)]
    pub teacher: Option<PathBuf>,
    /// A data set, or the word `procedural`.
    pub data: PathBuf,
    /// Which of its pictures are trained on; those that figures are measured on are never read.
    #[serde(default)]
    pub division: Choice,
    /// Whether labels may be read; without them the teacher alone is learned from.
    #[serde(default = "yes")]
    pub labels: bool,
    /// How pictures become inputs.
    pub input: Preprocess,
    /// What may remain: `macs=50%`, `params=1.2M`, `channels=50%`.
    #[serde(default)]
    pub budget: Vec<String>,
    /// Names of tensors or nodes that are left alone.
    #[serde(default)]
    pub keep: Vec<String>,
    /// How to search.
    #[serde(default)]
    pub search: Search,
    /// How to tune or train.
    #[serde(default)]
    pub tune: Tune,
    /// Every random number is a function of this.
    #[serde(default)]
    pub seed: u64,
    /// Threads of libtorch; results on a CPU depend on it.
    #[serde(default = "two")]
    pub threads: usize,
    /// `cpu`, `cuda` or `cuda:N`.
    #[serde(default = "cpu")]
    pub device: String,
    /// Where the plan goes.
    pub out: PathBuf,
    /// Where checkpoints go; without it there are none.
    #[serde(default)]
    pub checkpoint: Option<PathBuf>,
    /// Seconds between checkpoints.
    #[serde(default = "minute")]
    pub checkpoint_seconds: u64,
    /// Continue from the checkpoint, if there is one.
    #[serde(default)]
    pub resume: bool,
    /// `train`: begin from new random weights.
    #[serde(default)]
    pub fresh: bool,
}

/// How the lanes to remove are found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Search {
    /// Which method.
    pub method: MethodName,
    /// How many lanes each group keeps.
    pub allocation: Allocation,
    /// Lanes that every group keeps at least.
    pub floor: usize,
    /// What stands for a removed lane: its mean over data, or zero.
    pub fill: Fill,
    /// Batches for calibration: fills, Taylor scores, batch-norm statistics.
    pub batches: usize,
    /// Taylor: images per gradient that is squared; 1 is the definition's per-image form.
    pub micro: usize,
    /// C-SAM: share of the whole run's image-copies (`tune.epochs`) that the search uses.
    pub share: f64,
    /// C-SAM: passes over the training pictures instead of `share`.
    pub epochs: Option<f64>,
    /// C-SAM: images per step, both halves of a twin batch counted; by default 128, fewer where pictures are few or large.
    pub batch: Option<usize>,
    /// C-SAM: how scores are updated.
    pub update: Update,
    /// C-SAM: percentile of each group's norms that becomes score 1 at the start.
    pub percentile: f64,
    /// C-SAM: the law of the mask's perturbation.
    pub perturb: Perturb,
    /// C-SAM: expected share of lanes that flip, at the start and at the end of the search.
    pub flips: [f64; 2],
    /// C-SAM: half of each batch clean under the mask, the same images transformed under the perturbed one.
    pub twin: bool,
    /// C-SAM: multiply by scores instead of by the hard mask.
    pub relaxed: bool,
    /// C-SAM: the stability term.
    pub stability: Stability,
    /// C-SAM: its weight λ_s.
    pub lambda_s: f64,
    /// C-SAM: the robustness term.
    pub robustness: Robustness,
    /// C-SAM: its weight λ_r.
    pub lambda_r: f64,
    /// C-SAM: transformed draws per image; `chernoff` needs at least 4.
    pub draws: usize,
    /// C-SAM, `update = "gradient"`: how the budget reaches the scores' gradient.
    pub control: Control,
    /// C-SAM, `control = "projection"`: temperature of the soft mask.
    pub temperature: f64,
    /// C-SAM, `update = "gradient"`: weight λ_b of mean C(1−C) in the last 30 %.
    pub lambda_b: f64,
    /// C-SAM, `update = "gradient"`: Adam's rate on scores.
    pub score_rate: f64,
    /// C-SAM: rounds in which the budget shrinks, geometrically.
    pub rounds: u32,
    /// C-SAM: share of the search over which it shrinks.
    pub ramp: f64,
    /// C-SAM: train weights along with the mask.
    pub train_weights: bool,
    /// C-SAM: the weights' rate; by default 0.01 for 128 images a step, in proportion for fewer. A trained network loses
    /// at 0.05 what it knows before anything is cut.
    pub rate: Option<f64>,
    /// C-SAM: radius ρ of a weight perturbation (SAM); 0 is none. Doubles the copies.
    pub sam: f64,
    /// C-SAM: the task loss.
    pub task: Task,
}

/// How a network is tuned after the cut, or trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tune {
    /// Passes over the training pictures, those of a search before it included.
    pub epochs: f64,
    /// Image-copies that a search before it has used.
    pub spent: u64,
    /// Images per step; by default 128, fewer where pictures are few or large.
    pub batch: Option<usize>,
    /// Highest learning rate; at 0 nothing changes. By default 0.05 for 128 images a step, in proportion for fewer, or the
    /// first third of that, third of the third, … with which a few steps do not make the loss rise.
    pub rate: Option<f64>,
    /// Momentum (Nesterov).
    pub momentum: f64,
    /// Weight decay, on weights alone.
    pub decay: f64,
    /// Steps over which the rate rises to its highest.
    pub warm_up: u64,
    /// The loss.
    pub task: Task,
    /// Share of each batch that is transformed.
    pub transformed: f64,
    /// The laws of the transformations, `NAME` or `NAME=SIZE`; by default all five.
    pub laws: Option<Vec<String>>,
    /// Mirror and shift pictures.
    pub augment: bool,
    /// Where batch normalisations take their statistics from in the steps of the search and of the training.
    pub normalise: Normalise,
    /// Decay of a running average of the weights that is returned in their place; 0 is none.
    pub ema: f64,
    /// Radius ρ of a weight perturbation (SAM); 0 is none. Doubles the copies.
    pub sam: f64,
    /// Batches over which batch-norm statistics are measured before training, and after averaging.
    pub batches: usize,
    /// Epochs between looks at the validation pictures; 0 looks at the end only.
    pub validate: f64,
    /// Looks without a better one after which training stops; 0 never stops early.
    pub patience: u32,
}

/// The loss for one prediction: `(1−a)·CE(s, y) + a·D(t*, s)` with the teacher's target `t* = β·dense(x) + (1−β)·dense(x′)`
/// for a student that sees x′. D is the mean over all outputs: `T²·KL(softmax(t*/T) ‖ softmax(s/T))` of class scores, the
/// squared error over the teacher's own variance, channel by channel, of all else, where β is 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Task {
    /// Weight `a` of the distillation; 1 where there are no labels, 0 where there is no teacher.
    pub distil: f64,
    /// Temperature `T`.
    pub temperature: f64,
    /// The dial β: 1 asks for the clean answer on transformed images, 0 for the teacher's answer on the same image.
    pub beta: f64,
}

/// The methods there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each has its file in `methods`")]
pub enum MethodName {
    Csam,
    Magnitude,
    Taylor,
    Random,
}

/// Where batch normalisations take mean and variance from in a training step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalise {
    /// From the batch, unless that alone changes what the dense network says of the pictures.
    Auto,
    /// From the batch.
    Batch,
    /// From what is stored, which stays as it is.
    Stored,
}

/// What stands for a removed lane at its readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fill {
    /// The mean of the reader's input over training pictures.
    Mean,
    /// Nothing.
    Zero,
}

/// How C-SAM's scores move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Update {
    /// A running average of the squared gradient of the mask; removed lanes stay removed.
    Average,
    /// Adam on the scores through a straight-through mask; removed lanes can return.
    Gradient,
}

/// The laws of the mask's perturbation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Perturb {
    /// Uniform noise on the scores; the radius is chosen by expected flips.
    Uniform,
    /// Along the loss's gradient, one normalisation per group; the radius is chosen by flips.
    Gradient,
    /// Kept lanes of low score change places with removed ones of high score: the budget stays met.
    Flip,
    /// None.
    None,
}

/// The stability term L_stab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stability {
    /// mean relu(ℓ(m̃) − ℓ(m)).
    Gap,
    /// The task loss is taken at the perturbed mask instead.
    Sam,
    /// KL(sg p(m) ‖ p(m̃)).
    Kl,
    /// None.
    Off,
}

/// The robustness term L_rob, of Z = ‖p(x) − p(x_T)‖_∞ and the margin d = (p₁ − p₂)/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Robustness {
    /// min(Z/(sg d + 0.05), 2) + relu(0.1 − d).
    Ratio,
    /// relu(Z − d + 0.05).
    Hinge,
    /// log(mean_T exp(t(Z − d)))/t with t = 20.
    Chernoff,
    /// Jensen–Shannon divergence of p(x) and p(x_T).
    Jsd,
    /// None.
    None,
}

/// How the budget reaches the gradient of the scores. The mask of the forward pass meets it in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Control {
    /// All scores are shifted so that the soft mask meets the budget; the shift carries its gradient.
    Projection,
    /// An augmented Lagrangian on the cost of the soft mask.
    Dual,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            method: MethodName::Csam,
            allocation: Allocation::Uniform,
            floor: 2,
            fill: Fill::Mean,
            batches: 20,
            micro: 8,
            share: 1.0 / 6.0,
            epochs: None,
            batch: None,
            update: Update::Average,
            percentile: 90.0,
            perturb: Perturb::Flip,
            flips: [0.05, 0.01],
            twin: true,
            relaxed: false,
            stability: Stability::Off,
            lambda_s: 1.0,
            robustness: Robustness::Jsd,
            lambda_r: 2.0,
            draws: 1,
            control: Control::Projection,
            temperature: 0.1,
            lambda_b: 0.1,
            score_rate: 3e-2,
            rounds: 10,
            ramp: 0.8,
            train_weights: true,
            rate: None,
            sam: 0.0,
            task: Task::default(),
        }
    }
}

impl Default for Tune {
    fn default() -> Self {
        Self {
            epochs: 24.0,
            spent: 0,
            batch: None,
            rate: None,
            momentum: 0.9,
            decay: 5e-4,
            warm_up: 100,
            task: Task::default(),
            transformed: 0.5,
            laws: None,
            augment: true,
            normalise: Normalise::Auto,
            ema: 0.0,
            sam: 0.0,
            batches: 50,
            validate: 0.0,
            patience: 0,
        }
    }
}

impl Default for Task {
    fn default() -> Self {
        Self { distil: 0.7, temperature: 3.0, beta: 0.5 }
    }
}

impl Job {
    /// Reads and checks a job.
    ///
    /// # Errors
    /// The file cannot be read, is not a job, or holds a value outside its range.
    pub fn open(path: &Path) -> Result<Self, CsamError> {
        let text = fs::read_to_string(path).map_err(CsamError::file(path, "reading"))?;
        let broken = |error: serde_json::Error| CsamError::Job { path: path.into(), reason: error.to_string() };
        let values: Value = serde_json::from_str(&text).map_err(broken)?;
        keys::check(&values)?;
        let job: Self = serde_path_to_error::deserialize(values)
            .map_err(|error| CsamError::Value { key: error.path().to_string(), reason: error.inner().to_string() })?;
        job.check()?;
        Ok(job)
    }

    /// Whether every value is in its range.
    ///
    /// # Errors
    /// One is not; the error names it.
    pub fn check(&self) -> Result<(), CsamError> {
        let Self { search, tune, .. } = self;
        for (key, value) in [
            ("search.share", search.share),
            ("search.ramp", search.ramp),
            ("search.flips", search.flips[0]),
            ("search.flips", search.flips[1]),
            ("search.task.distil", search.task.distil),
            ("search.task.beta", search.task.beta),
            ("tune.task.distil", tune.task.distil),
            ("tune.task.beta", tune.task.beta),
            ("tune.transformed", tune.transformed),
            ("tune.momentum", tune.momentum),
            ("tune.ema", tune.ema),
        ] {
            require(key, value, (0.0..=1.0).contains(&value), "between 0 and 1")?;
        }
        for (key, value) in [
            ("search.temperature", search.temperature),
            ("search.score_rate", search.score_rate),
            ("search.task.temperature", search.task.temperature),
            ("tune.task.temperature", tune.task.temperature),
            ("tune.epochs", tune.epochs),
        ] {
            require(key, value, value > 0.0 && value.is_finite(), "a number above 0")?;
        }
        for (key, value) in [
            ("search.lambda_s", search.lambda_s),
            ("search.lambda_r", search.lambda_r),
            ("search.lambda_b", search.lambda_b),
            ("search.sam", search.sam),
            ("tune.sam", tune.sam),
            ("tune.decay", tune.decay),
            ("search.rate", search.rate.unwrap_or(0.0)),
            ("tune.rate", tune.rate.unwrap_or(0.0)),
            ("tune.validate", tune.validate),
            ("search.epochs", search.epochs.unwrap_or(0.0)),
        ] {
            require(key, value, value >= 0.0 && value.is_finite(), "0 or above")?;
        }
        require(
            "search.percentile",
            search.percentile,
            (0.0..=100.0).contains(&search.percentile),
            "between 0 and 100",
        )?;
        for (key, value, least) in [
            ("threads", self.threads, 1),
            ("search.batches", search.batches, 1),
            ("search.micro", search.micro, 1),
            ("search.draws", search.draws, 1),
            ("search.rounds", search.rounds as usize, 1),
            ("search.batch", search.batch.unwrap_or(2), 2),
            ("tune.batch", tune.batch.unwrap_or(2), 2),
            ("tune.batches", tune.batches, 1),
        ] {
            require(key, value, value >= least, if least == 1 { "at least 1" } else { "at least 2" })?;
        }
        let enough = search.robustness != Robustness::Chernoff || search.draws >= 4;
        require("search.draws", search.draws, enough, "at least 4 for the robustness `chernoff`")
    }
}

fn require(key: &'static str, value: impl ToString, holds: bool, wanted: &'static str) -> Result<(), CsamError> {
    if holds { Ok(()) } else { Err(CsamError::Setting { key, value: value.to_string(), wanted }) }
}

fn yes() -> bool {
    true
}

fn two() -> usize {
    2
}

fn cpu() -> String {
    "cpu".to_owned()
}

fn minute() -> u64 {
    60
}

//! A job as it stands in its JSON file.

use std::{fs, path::Path, path::PathBuf};

use images::{data::Choice, intake::Intake};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Device, JobError, Search, SettingError, Task, Tune, settings};

/// One job for `espalier-torch search`, `tune`, `train` or `check`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The ONNX file to search, to tune or to train.
    pub model: PathBuf,
    /// The network that a tuned one was cut from; without it there is no distillation.
    #[serde(default)]
    pub teacher: Option<PathBuf>,
    /// A data set, or one of the words `procedural`, `random` and `random:N`.
    pub data: PathBuf,
    /// Which of its pictures are trained on; those that figures are measured on are never read.
    #[serde(default)]
    pub division: Choice,
    /// Whether labels may be read; without them the teacher alone is learned from.
    #[serde(default = "yes")]
    pub labels: bool,
    /// What each input of the network is fed.
    pub inputs: Intake,
    /// Sizes of inputs that the file leaves open, by name; the empty name is the only input.
    #[serde(default)]
    pub shapes: Vec<(String, Vec<i64>)>,
    /// What may remain: `macs=50%`, `params=1.2M`, `channels=50%`.
    #[serde(default)]
    pub budget: Vec<String>,
    /// Names of tensors or nodes that are left alone.
    #[serde(default)]
    pub keep: Vec<String>,
    /// The values that are learned, by name; unless there are some, the outputs, or what lies before those that cannot be.
    #[serde(default)]
    pub until: Vec<String>,
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
    #[schemars(range(min = 1))]
    pub threads: usize,
    /// Where torch computes.
    #[serde(default)]
    pub device: Device,
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

impl Job {
    /// Reads and checks a job.
    ///
    /// # Errors
    /// The file cannot be read, is no JSON, or holds a key or value that is none.
    pub fn open(path: &Path) -> Result<Self, JobError> {
        let text = fs::read_to_string(path).map_err(|source| JobError::File { path: path.into(), source })?;
        let value = serde_json::from_str(&text).map_err(|source| JobError::Syntax { path: path.into(), source })?;
        Ok(Self::read(value)?)
    }

    /// The job that a JSON object describes.
    ///
    /// # Errors
    /// A key does not exist, or its value is not of its kind or outside its range; the error names it.
    pub fn read(mut value: Value) -> Result<Self, SettingError> {
        settings::spell_out::<Self>(&mut value)?;
        let job: Self = settings::read(value)?;
        job.search.check()?;
        job.tune.check()?;
        Ok(job)
    }

    /// What a network is asked to answer during the search: as in the tuning, unless the search has a task of its own.
    pub fn search_task(&self) -> Task {
        self.search.task.unwrap_or(self.tune.task)
    }
}

fn yes() -> bool {
    true
}

fn two() -> usize {
    2
}

/// Seconds between checkpoints unless a job says otherwise.
fn minute() -> u64 {
    60
}

//! From settings to a job of `espalier-torch`.

use std::path::{Path, PathBuf};

use ::job::{Job, Search};
use anyhow::Result;
use images::intake::Intake;

use super::Settings;

/// Seconds between checkpoints.
const CHECKPOINT_SECONDS: u64 = 60;

impl Settings {
    /// The job on this model whose result goes to `out`. It is prune's; what only one phase has is absent.
    ///
    /// # Errors
    /// When nobody named pictures.
    pub(crate) fn job(&self, model: &Path, inputs: &Intake, out: PathBuf) -> Result<Job> {
        Ok(Job {
            model: model.to_path_buf(),
            teacher: None,
            data: self.data()?.to_path_buf(),
            division: self.division(),
            labels: self.labels(),
            inputs: inputs.clone(),
            shapes: self.sizes()?.shapes.into_iter().collect(),
            budget: self.to.clone().unwrap_or_default(),
            keep: self.keep.clone().unwrap_or_default(),
            until: self.until.clone().unwrap_or_default(),
            search: self.search_with_task(),
            tune: self.tune.clone(),
            seed: self.seed(),
            threads: self.threads(),
            device: self.device(),
            out,
            checkpoint: None,
            checkpoint_seconds: CHECKPOINT_SECONDS,
            resume: false,
            fresh: false,
        })
    }

    /// `[search]`, whose task is that of `[tune]` unless it has its own: one dial for both phases.
    pub(crate) fn search_with_task(&self) -> Search {
        Search { task: Some(self.search.task.unwrap_or(self.tune.task)), ..self.search.clone() }
    }
}

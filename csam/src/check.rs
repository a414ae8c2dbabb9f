//! `espalier-torch check`: everything that a job does except train.
//!
//! The job is read as for `search` (where it has a budget) and for `tune` or `train`: every setting is checked, the model
//! is opened and lowered, the pictures are found and their labels held against the outputs, their range is held against
//! the batch normalisations of a network that has learned already, and one step of each phase is computed at the batch
//! it will train with, forward and backward, and timed. Nothing is written.
//!
//! The event `done` holds:
//!
//! | key | what |
//! |---|---|
//! | `command` | `"check"` |
//! | `train`, `held_out` | pictures to train on, and to watch the training by |
//! | `labels` | whether labels are read |
//! | `classes` | the number of classes, where the first output is class scores |
//! | `batch` | images of one step of the tuning |
//! | `search`, `tune` | [`Estimate`]: `steps`, `seconds_per_step` and `seconds` of the phase; `search` only where the job has a budget, and then `tune` is timed on the dense network, so that a slim one takes at most that |
//!
//! Notes are what a person should know; an error is one sentence, and status 2.

use job::Job;
use serde::Serialize;
use serde_json::json;

use crate::{
    CsamError,
    events::Events,
    search,
    session::Stop,
    setup::{Reading, Setup},
    train::{Clock, Rehearsal},
    tune,
};

/// How long a phase will take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Steps there will be; 0 where nothing is trained.
    pub steps: u64,
    /// Seconds that one step took.
    pub seconds_per_step: f64,
    /// Seconds of the whole phase.
    pub seconds: f64,
}

impl From<Rehearsal> for Estimate {
    fn from(Rehearsal { steps, seconds, .. }: Rehearsal) -> Self {
        Self { steps, seconds_per_step: seconds, seconds: seconds * steps as f64 }
    }
}

/// Checks a job.
///
/// # Errors
/// The job cannot be done, or the user interrupted.
pub fn check(job: &Job, mut events: Events, stop: Stop) -> Result<(), CsamError> {
    let setup = Setup::of(job, Reading::WhenAsked, &mut events)?;
    setup.check_keep(job)?;
    if !job.budget.is_empty() || job.teacher.is_some() {
        setup.check_range()?;
    }
    let mut clock = Clock { events, stop, checkpoints: None, device: setup.device };
    let searched = if job.budget.is_empty() { None } else { search::rehearse(job, &setup, &mut clock)? };
    let job = after_search(job, searched);
    let tuned = tune::rehearse(&job, &setup, &mut clock)?;
    clock.events.done(json!({
        "command": "check",
        "train": setup.train.len(),
        "held_out": setup.held_out(),
        "labels": setup.train.labels().is_some(),
        "classes": tuned.classes,
        "batch": tuned.batch,
        "search": searched.map(Estimate::from),
        "tune": Estimate::from(tuned.rehearsal),
    }));
    Ok(())
}

/// The job of the tuning that follows a search: its teacher is the model itself, and the search has used copies.
fn after_search(job: &Job, searched: Option<Rehearsal>) -> Job {
    let mut job = job.clone();
    if !job.budget.is_empty() {
        job.teacher = Some(job.model.clone());
        let searched = searched.map_or(0, |search| search.steps * search.copies);
        job.tune.spent = Some(job.tune.spent.unwrap_or(0) + searched);
    }
    job
}

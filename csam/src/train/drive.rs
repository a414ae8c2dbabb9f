//! The loop that every phase runs in.

use std::{sync::Arc, time::Instant};

use tch::Device;

use super::{
    checkpoint::{Keeper, State},
    feed::{Feed, Recipe},
    samples::Samples,
    team::Part,
};
use crate::{
    CsamError,
    events::{Events, Figures, Step},
    session::Stop,
};

/// A number of steps over batches.
pub trait Phase {
    /// One word for people and for the log.
    fn name(&self) -> &'static str;

    /// The parts that a step's images are dealt out into.
    fn parts(&self) -> usize;

    /// Does step number `step`, from 0.
    ///
    /// # Errors
    /// Whatever goes wrong ends the phase.
    fn step(&mut self, step: u64, parts: &mut [Part]) -> Result<Outcome, CsamError>;

    /// Puts everything that later steps depend on into a checkpoint.
    fn save(&self, state: &mut State);

    /// Takes everything back.
    ///
    /// # Errors
    /// The checkpoint lacks something; the text says what.
    fn load(&mut self, state: &State) -> Result<(), String>;
}

/// What a step came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The loss.
    pub loss: f64,
    /// Image-copies used: one is one forward and backward of one image.
    pub copies: u64,
    /// Further numbers for the log.
    pub figures: Figures,
    /// Whether this was the last step, whatever was planned.
    pub last: bool,
}

/// How far a phase has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Image-copies used.
    pub copies: u64,
}

/// What a phase runs with.
pub struct Clock {
    /// Where events go.
    pub events: Events,
    /// Whether the user wants to stop.
    pub stop: Stop,
    /// Where checkpoints go, if anywhere.
    pub keeper: Option<Keeper>,
    /// Where batches are put.
    pub device: Device,
}

impl Clock {
    /// Takes a phase up from its checkpoint, where there is one and `resume` is set.
    ///
    /// # Errors
    /// The checkpoint is damaged or of another job.
    pub fn resume(&mut self, phase: &mut dyn Phase, resume: bool) -> Result<Option<Progress>, CsamError> {
        let Some(keeper) = self.keeper.as_ref().filter(|_| resume) else { return Ok(None) };
        let Some(state) = keeper.read()? else { return Ok(None) };
        let bad = |reason| CsamError::bad_checkpoint(keeper.path(), reason);
        phase.load(&state).map_err(bad)?;
        let progress =
            Progress { step: state.counter("step").map_err(bad)?, copies: state.counter("copies").map_err(bad)? };
        self.events.note(&format!("continuing {} at step {}", phase.name(), progress.step));
        Ok(Some(progress))
    }

    fn write(&mut self, phase: &dyn Phase, progress: Progress) -> Result<(), CsamError> {
        let Some(keeper) = &mut self.keeper else { return Ok(()) };
        let mut state = State::default();
        state.put_counter("step", progress.step);
        state.put_counter("copies", progress.copies);
        phase.save(&mut state);
        keeper.write(&state)
    }
}

/// Runs a phase from `progress` to step `total`, with one batch of the recipe for each part of a step. A checkpoint is
/// written when it is due, when the user interrupts, and at the end.
///
/// # Errors
/// A step failed, the loss is no number, a checkpoint cannot be written, or the user interrupted.
pub fn drive(
    phase: &mut dyn Phase,
    samples: &Arc<Samples>,
    recipe: &Recipe,
    total: u64,
    mut progress: Progress,
    clock: &mut Clock,
) -> Result<Progress, CsamError> {
    let parts = phase.parts();
    let feed = Feed::start(Arc::clone(samples), recipe.clone(), progress.step * parts as u64, clock.device)?;
    let mut begun = Instant::now();
    while progress.step < total {
        if clock.stop.is_raised() {
            clock.write(phase, progress)?;
            return Err(CsamError::Interrupted { phase: phase.name(), step: progress.step });
        }
        let outcome = phase.step(progress.step, &mut deal(&feed, parts)?)?;
        if !outcome.loss.is_finite() {
            return Err(CsamError::Diverged { phase: phase.name(), step: progress.step, loss: outcome.loss });
        }
        progress.step += 1;
        progress.copies += outcome.copies;
        tell(phase.name(), total, progress, &outcome, begun, clock);
        begun = Instant::now();
        if outcome.last {
            break;
        }
        if clock.keeper.as_ref().is_some_and(Keeper::is_due) {
            clock.write(phase, progress)?;
        }
    }
    clock.write(phase, Progress { step: progress.step.max(total), ..progress })?;
    Ok(progress)
}

/// The parts of the next step.
fn deal(feed: &Feed, parts: usize) -> Result<Vec<Part>, CsamError> {
    (0..parts).map(|_| Ok(Part { batch: feed.next()?, lesson: None })).collect()
}

fn tell(phase: &str, total: u64, progress: Progress, outcome: &Outcome, begun: Instant, clock: &mut Clock) {
    let mut figures = vec![("loss", outcome.loss)];
    figures.extend_from_slice(&outcome.figures);
    let rate = outcome.copies as f64 / begun.elapsed().as_secs_f64();
    let Progress { step, copies } = progress;
    clock.events.step(&Step { phase, step, total, copies, rate, figures: &figures });
}

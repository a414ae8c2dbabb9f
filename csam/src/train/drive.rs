//! The loop that every phase runs in.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tch::Device;

use super::{
    checkpoint::{CheckpointStore, State},
    feed::{Feed, Recipe, prepare},
    guard::Guard,
    rate::Chosen,
    samples::Samples,
    schedule::Schedule,
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

    /// The schedule of the rate of its weights, where it trains any. The rate itself is no part of what the phase saves.
    fn schedule(&mut self) -> Option<&mut Schedule>;

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
    /// The length of its gradient by all weights.
    pub gradient: f64,
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
    pub checkpoints: Option<CheckpointStore>,
    /// Where batches are put.
    pub device: Device,
}

impl Clock {
    /// Takes a phase up from its checkpoint, where there is one and `resume` is set.
    ///
    /// # Errors
    /// The checkpoint is damaged or of another job.
    pub fn resume(&mut self, phase: &mut dyn Phase, resume: bool) -> Result<Option<Begun>, CsamError> {
        let Some(checkpoints) = self.checkpoints.as_ref().filter(|_| resume) else { return Ok(None) };
        let Some(state) = checkpoints.read()? else { return Ok(None) };
        let begun =
            Begun::load(phase, &state).map_err(|reason| CsamError::bad_checkpoint(checkpoints.path(), reason))?;
        self.events.note(&format!("continuing {} at step {}", phase.name(), begun.progress.step));
        Ok(Some(begun))
    }

    fn write(&mut self, phase: &mut dyn Phase, begun: &Begun) -> Result<(), CsamError> {
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(()) };
        let mut state = State::default();
        begun.save(phase, &mut state);
        checkpoints.write(&state)
    }
}

/// A phase that has begun.
#[derive(Debug, Default)]
pub struct Begun {
    /// How far it has come.
    pub progress: Progress,
    guard: Guard,
}

impl Begun {
    /// A phase whose rate was found by a test, which used copies too.
    pub fn after(test: Option<Chosen>) -> Self {
        let copies = test.map_or(0, |chosen| chosen.copies);
        Self { progress: Progress { step: 0, copies }, ..Self::default() }
    }

    fn save(&self, phase: &mut dyn Phase, state: &mut State) {
        state.put_counter("step", self.progress.step);
        state.put_counter("copies", self.progress.copies);
        if let Some(schedule) = phase.schedule() {
            state.put_numbers("rate", &[schedule.rate]);
        }
        self.guard.save(state);
        phase.save(state);
    }

    fn load(phase: &mut dyn Phase, state: &State) -> Result<Self, String> {
        phase.load(state)?;
        if let Some(schedule) = phase.schedule() {
            schedule.rate = state.numbers("rate")?.first().copied().ok_or("`rate` is empty")?;
        }
        let progress = Progress { step: state.counter("step")?, copies: state.counter("copies")? };
        Ok(Self { progress, guard: Guard::load(state)? })
    }
}

/// Runs a phase to step `total`, with one batch of the recipe for each part of a step. A checkpoint is written when it
/// is due, when the user interrupts, and at the end. Where the loss runs away the phase goes back (see [`Guard`]).
///
/// # Errors
/// A step failed, the loss ran away too often, a checkpoint cannot be written, or the user interrupted.
pub fn drive(
    phase: &mut dyn Phase,
    samples: &Arc<Samples>,
    recipe: &Recipe,
    total: u64,
    mut begun: Begun,
    clock: &mut Clock,
) -> Result<Progress, CsamError> {
    while !stretch(phase, samples, recipe, total, &mut begun, clock)? {}
    let progress = begun.progress;
    begun.progress.step = progress.step.max(total);
    clock.write(phase, &begun)?;
    Ok(progress)
}

/// Runs a phase until it is done (true) or has gone back (false).
fn stretch(
    phase: &mut dyn Phase,
    samples: &Arc<Samples>,
    recipe: &Recipe,
    total: u64,
    begun: &mut Begun,
    clock: &mut Clock,
) -> Result<bool, CsamError> {
    let parts = phase.parts();
    let feed = Feed::start(Arc::clone(samples), recipe.clone(), begun.progress.step * parts as u64, clock.device)?;
    let mut started = Instant::now();
    while begun.progress.step < total {
        begun.guard.remember(phase, begun.progress.step, total)?;
        if clock.stop.is_raised() {
            clock.write(phase, begun)?;
            return Err(CsamError::Interrupted { phase: phase.name(), step: begun.progress.step });
        }
        let asked = Instant::now();
        let mut dealt = deal(&feed, parts)?;
        let waited = asked.elapsed();
        let mut outcome = phase.step(begun.progress.step, &mut dealt)?;
        outcome.figures.push(("waited", waited.as_secs_f64()));
        begun.progress.copies += outcome.copies;
        if !begun.guard.accepts(&outcome) {
            go_back(phase, begun, &outcome, clock)?;
            return Ok(false);
        }
        begun.progress.step += 1;
        tell(phase.name(), total, begun.progress, &outcome, started, clock);
        started = Instant::now();
        if outcome.last {
            break;
        }
        if clock.checkpoints.as_ref().is_some_and(CheckpointStore::is_due) {
            clock.write(phase, begun)?;
        }
    }
    Ok(true)
}

fn go_back(phase: &mut dyn Phase, begun: &mut Begun, outcome: &Outcome, clock: &mut Clock) -> Result<(), CsamError> {
    let (at, loss) = (begun.progress.step, outcome.loss);
    let (step, rate) = begun.guard.retreat(phase, at, loss)?;
    begun.progress.step = step;
    clock.events.note(&format!(
        "the loss ran away at step {at} of {} (it became {loss}); back to step {step} with the rate {rate}",
        phase.name()
    ));
    Ok(())
}

/// What one step of a phase took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rehearsal {
    /// Steps that the phase will have.
    pub steps: u64,
    /// Image-copies of one step.
    pub copies: u64,
    /// Seconds that it took.
    pub seconds: f64,
}

/// A step that takes longer than this is timed at its first try, which makes its memory first.
const LONG: Duration = Duration::from_secs(5);

/// Computes the first step of a phase, to see that it can be done and how long it takes.
///
/// # Errors
/// The step failed, or the user interrupted.
pub fn rehearse(
    phase: &mut dyn Phase,
    samples: &Arc<Samples>,
    recipe: &Recipe,
    steps: u64,
    clock: &Clock,
) -> Result<Rehearsal, CsamError> {
    let mut time = || {
        if clock.stop.is_raised() {
            return Err(CsamError::Interrupted { phase: "check", step: 0 });
        }
        let part = |number: usize| Ok(Part::of(prepare(samples, recipe, number as u64, clock.device)?));
        let mut parts = (0..phase.parts()).map(part).collect::<Result<Vec<_>, CsamError>>()?;
        let begun = Instant::now();
        let outcome = phase.step(0, &mut parts)?;
        Ok((outcome.copies, begun.elapsed()))
    };
    let (copies, mut took) = time()?;
    if took < LONG {
        (_, took) = time()?;
    }
    Ok(Rehearsal { steps, copies, seconds: took.as_secs_f64() })
}

/// The parts of the next step.
fn deal(feed: &Feed, parts: usize) -> Result<Vec<Part>, CsamError> {
    (0..parts).map(|_| Ok(Part::of(feed.next()?))).collect()
}

fn tell(phase: &str, total: u64, progress: Progress, outcome: &Outcome, begun: Instant, clock: &mut Clock) {
    let mut figures = vec![("loss", outcome.loss), ("gradient", outcome.gradient)];
    figures.extend_from_slice(&outcome.figures);
    let rate = outcome.copies as f64 / begun.elapsed().as_secs_f64();
    let Progress { step, copies } = progress;
    clock.events.step(&Step { phase, step, total, copies, rate, figures: &figures });
}

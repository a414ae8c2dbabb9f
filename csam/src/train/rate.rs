//! A short test of learning rates, where the job leaves the rate open.
//!
//! A few steps are done at a rate of 0, and then at the usual one, from the same weights and with the same pictures. The
//! first rate whose losses are not much above those at 0 is taken; each next one is a third of the one before.

use std::sync::Arc;

use super::{
    checkpoint::State,
    drive::{Clock, Phase},
    feed::{Feed, Recipe},
    guard::Guard,
    samples::Samples,
    schedule::Schedule,
    team::Part,
};
use crate::{CsamError, events::Step};

/// Steps with each rate: enough for the momentum to gather.
const STEPS: u64 = 12;
/// The last of these, whose mean loss is held against the same steps' at a rate of 0.
const LAST: usize = 4;
/// How much higher it may be.
const RISE: f64 = 1.5;
/// A loss at 0 below this counts as this: a network that was not cut agrees with itself, and can only lose.
const LITTLE: f64 = 0.1;
/// Rates that are tried: outputs that hardly vary have a unit so small that its gradients call for the last of them.
const RATES: i32 = 12;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen {
    /// The rate.
    pub rate: f64,
    /// Image-copies that the test used.
    pub copies: u64,
}

/// Sets a phase's rate to the first that holds; the phase is otherwise left as it was. None where it trains nothing.
///
/// # Errors
/// None holds, a step failed, or the user interrupted.
pub fn choose(
    phase: &mut dyn Phase,
    samples: &Arc<Samples>,
    recipe: &Recipe,
    clock: &mut Clock,
) -> Result<Option<Chosen>, CsamError> {
    let Some(planned) = phase.schedule().map(|schedule| *schedule) else { return Ok(None) };
    let mut before = State::default();
    phase.save(&mut before);
    let before = before.copied()?;
    let mut trial = Trial { planned, before, copies: 0 };
    let still = trial.last_loss(phase, 0.0, samples, recipe, clock)?;
    let still = still.ok_or(CsamError::Diverged { phase: phase.name(), step: 0, loss: f64::NAN, retreats: 0 })?;
    for attempt in 0..RATES {
        let rate = planned.rate * 3f64.powi(-attempt);
        let moved = trial.last_loss(phase, rate, samples, recipe, clock)?;
        if moved.is_some_and(|moved| moved <= RISE * still.max(LITTLE)) {
            set(phase, Schedule { rate, ..planned });
            return Ok(Some(Chosen { rate, copies: trial.copies }));
        }
    }
    Err(CsamError::NoRate { phase: phase.name(), highest: planned.rate, lowest: planned.rate * 3f64.powi(1 - RATES) })
}

fn set(phase: &mut dyn Phase, schedule: Schedule) {
    if let Some(place) = phase.schedule() {
        *place = schedule;
    }
}

/// What every rate is tried with.
struct Trial {
    planned: Schedule,
    /// The phase before its first step.
    before: State,
    copies: u64,
}

impl Trial {
    /// The mean loss of the last steps at a rate; none where it ran away. The phase is left as it was.
    fn last_loss(
        &mut self,
        phase: &mut dyn Phase,
        rate: f64,
        samples: &Arc<Samples>,
        recipe: &Recipe,
        clock: &mut Clock,
    ) -> Result<Option<f64>, CsamError> {
        set(phase, Schedule { rate, warm_up: 0, falls: false, ..self.planned });
        let feed = Feed::start(Arc::clone(samples), recipe.clone(), 0, clock.device)?;
        let (mut guard, mut losses) = (Guard::default(), Vec::new());
        for step in 0..STEPS {
            if clock.stop.is_raised() {
                return Err(CsamError::Interrupted { phase: phase.name(), step: 0 });
            }
            let mut parts =
                (0..phase.parts()).map(|_| Ok(Part::of(feed.next()?))).collect::<Result<Vec<_>, CsamError>>()?;
            let outcome = phase.step(step, &mut parts)?;
            self.copies += outcome.copies;
            tell(clock, step + 1, self.copies, outcome.loss, rate);
            if !guard.accepts(&outcome) {
                break;
            }
            losses.push(outcome.loss);
        }
        phase.load(&self.before).map_err(CsamError::Torch)?;
        Ok((losses.len() as u64 == STEPS).then(|| losses.iter().rev().take(LAST).sum::<f64>() / LAST as f64))
    }
}

fn tell(clock: &mut Clock, step: u64, copies: u64, loss: f64, rate: f64) {
    let figures = vec![("loss", loss), ("learning_rate", rate)];
    clock.events.step(&Step { phase: "rate", step, total: STEPS, copies, rate: f64::NAN, figures: &figures });
}

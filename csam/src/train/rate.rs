//! A short test of learning rates, where the job leaves the rate open.
//!
//! Beginning with the usual rate, a few steps are done at that rate alone, from the same weights and with the same
//! pictures. The first rate with which the loss does not rise is taken; each next one is a third of the one before.

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
/// The last of these, whose mean loss is held against the first step's.
const LAST: usize = 4;
/// How much higher it may be: pictures differ.
const RISE: f64 = 1.5;
/// A first loss below this counts as this: a network that was not cut agrees with itself, and can only lose.
const LITTLE: f64 = 0.1;
/// Rates that are tried.
const RATES: i32 = 7;

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
    let mut copies = 0;
    for attempt in 0..RATES {
        let rate = planned.rate * 3f64.powi(-attempt);
        set(phase, Schedule { rate, warm_up: 0, falls: false, ..planned });
        let holds = holds(phase, samples, recipe, &mut copies, clock)?;
        phase.load(&before).map_err(CsamError::Torch)?;
        set(phase, Schedule { rate, ..planned });
        if holds {
            return Ok(Some(Chosen { rate, copies }));
        }
    }
    Err(CsamError::NoRate { phase: phase.name(), highest: planned.rate, lowest: planned.rate * 3f64.powi(1 - RATES) })
}

fn set(phase: &mut dyn Phase, schedule: Schedule) {
    if let Some(place) = phase.schedule() {
        *place = schedule;
    }
}

fn holds(
    phase: &mut dyn Phase,
    samples: &Arc<Samples>,
    recipe: &Recipe,
    copies: &mut u64,
    clock: &mut Clock,
) -> Result<bool, CsamError> {
    let feed = Feed::start(Arc::clone(samples), recipe.clone(), 0, clock.device)?;
    let mut guard = Guard::default();
    let mut losses = Vec::new();
    for step in 0..STEPS {
        if clock.stop.is_raised() {
            return Err(CsamError::Interrupted { phase: phase.name(), step: 0 });
        }
        let mut parts =
            (0..phase.parts()).map(|_| Ok(Part::of(feed.next()?))).collect::<Result<Vec<_>, CsamError>>()?;
        let outcome = phase.step(step, &mut parts)?;
        *copies += outcome.copies;
        let rate = phase.schedule().map_or(f64::NAN, |schedule| schedule.rate);
        let figures = vec![("loss", outcome.loss), ("learning_rate", rate)];
        let told =
            Step { phase: "rate", step: step + 1, total: STEPS, copies: *copies, rate: f64::NAN, figures: &figures };
        clock.events.step(&told);
        if !guard.accepts(&outcome) {
            return Ok(false);
        }
        losses.push(outcome.loss);
    }
    let first = losses.first().copied().unwrap_or(0.0).max(LITTLE);
    let last = losses.iter().rev().take(LAST).sum::<f64>() / LAST as f64;
    Ok(last <= RISE * first)
}

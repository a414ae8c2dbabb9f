//! What stops a phase that runs away: a loss or gradient that is no number, or a loss far above where it began.
//!
//! The phase then goes back to the last good place with a smaller rate, twice at most. Good places lie at numbers of
//! steps, not of seconds, and are part of the checkpoint, so that an interrupted run goes back to where an unbroken one
//! does.

use super::{
    checkpoint::State,
    drive::{Outcome, Phase},
};
use crate::CsamError;

/// A loss is far above its start from this many times on.
const FAR: f64 = 10.0;
/// A start below this counts as this: it is about what a network that knows nothing costs, as a cross-entropy or at a
/// raised temperature.
const IGNORANCE: f64 = 10.0;
/// Steps whose mean loss is the start.
const FIRST: u64 = 5;
/// How often a phase may go back.
const RETREATS: u64 = 2;
/// What a rate becomes then.
const EASED: f64 = 0.25;
/// Good places in a phase.
const PLACES: u64 = 16;
/// Steps between two of them at least.
const APART: u64 = 8;

/// The watch over one phase.
#[derive(Debug, Default)]
pub struct Guard {
    /// Losses of the first steps, summed, and their number.
    first: (f64, u64),
    retreats: u64,
    /// Steps done at the last good place, and the phase there.
    good: Option<(u64, State)>,
}

impl Guard {
    /// Looks at a step that was done; true where all is well.
    pub fn accepts(&mut self, outcome: &Outcome) -> bool {
        if !outcome.loss.is_finite() || !outcome.gradient.is_finite() {
            return false;
        }
        let (sum, count) = self.first;
        if count < FIRST {
            self.first = (sum + outcome.loss, count + 1);
        }
        let start = self.first.0 / self.first.1.max(1) as f64;
        outcome.loss <= FAR * start.max(IGNORANCE)
    }

    /// Remembers a good place, where it is time for one.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn remember(&mut self, phase: &dyn Phase, step: u64, total: u64) -> Result<(), CsamError> {
        let apart = (total / PLACES).max(APART);
        if self.good.is_none() || step.is_multiple_of(apart) {
            let mut state = State::default();
            phase.save(&mut state);
            self.good = Some((step, state.copied()?));
        }
        Ok(())
    }

    /// Takes a phase back to the last good place, with a smaller rate; gives the place and that rate.
    ///
    /// # Errors
    /// It went back often enough, or has no rate.
    pub fn retreat(&mut self, phase: &mut dyn Phase, step: u64, loss: f64) -> Result<(u64, f64), CsamError> {
        let diverged = CsamError::Diverged { phase: phase.name(), step, loss, retreats: self.retreats };
        let Some((place, state)) = self.good.as_ref().filter(|_| self.retreats < RETREATS) else {
            return Err(diverged);
        };
        phase.load(state).map_err(CsamError::Torch)?;
        let Some(schedule) = phase.schedule() else { return Err(diverged) };
        self.retreats += 1;
        schedule.rate *= EASED;
        Ok((*place, schedule.rate))
    }

    /// Puts everything into a checkpoint.
    pub fn save(&self, state: &mut State) {
        state.put_numbers("guard/first", &[self.first.0]);
        state.put_counter("guard/count", self.first.1);
        state.put_counter("guard/retreats", self.retreats);
        if let Some((step, good)) = &self.good {
            state.put_counter("guard/step", *step);
            state.put_all("good/", good);
        }
    }

    /// Takes it back.
    ///
    /// # Errors
    /// Something is missing.
    pub fn load(state: &State) -> Result<Self, String> {
        let sum = state.numbers("guard/first")?.first().copied().ok_or("`guard/first` is empty")?;
        let first = (sum, state.counter("guard/count")?);
        let good = (state.counter("guard/step")?, state.part("good/"));
        Ok(Self { first, retreats: state.counter("guard/retreats")?, good: Some(good) })
    }
}

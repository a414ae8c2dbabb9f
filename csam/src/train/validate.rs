//! How good a network is on pictures it was not trained on.

use std::sync::Arc;

use tch::{Device, Kind, no_grad};

use super::checkpoint::State;
use super::{
    feed::{Recipe, prepare},
    samples::Samples,
    teacher::{Teacher, predict},
};
use crate::{CsamError, events::Figures, network::Network};

/// Images per batch.
const BATCH: usize = 250;

/// The share of pictures whose class the network gets right; without labels, where it agrees with the teacher; without
/// either, nothing.
///
/// # Errors
/// The network cannot be run.
pub fn accuracy(
    network: &Network,
    teacher: Option<&Teacher>,
    samples: &Arc<Samples>,
    device: Device,
) -> Result<Option<f64>, CsamError> {
    if samples.is_empty() || (samples.labels().is_none() && teacher.is_none()) {
        return Ok(None);
    }
    let recipe = Recipe::plain(0, BATCH.min(samples.len()));
    let steps = samples.len() / recipe.batch;
    let mut right = 0;
    for step in 0..steps {
        let batch = prepare(samples, &recipe, step as u64, device)?;
        right += no_grad(|| {
            let classes = predict(network, &batch.images)?.f_argmax(-1, false)?;
            let wanted = match (batch.labels, teacher) {
                (Some(labels), _) => labels,
                (None, Some(teacher)) => predict(teacher.network(), &batch.images)?.f_argmax(-1, false)?,
                (None, None) => return Ok(0),
            };
            let equal = classes.f_eq_tensor(&wanted)?.f_sum(Kind::Int64)?;
            Ok::<_, CsamError>(equal.f_int64_value(&[])?)
        })?;
    }
    Ok(Some(right as f64 / (steps * recipe.batch) as f64))
}

/// Looks at validation pictures now and then, and says when training has stopped getting better.
pub struct Watch<'a> {
    samples: &'a Arc<Samples>,
    device: Device,
    every: u64,
    patience: u32,
    best: f64,
    worse: u64,
}

impl<'a> Watch<'a> {
    /// Looks every `every` steps (0: never); `patience` looks without a better one end the training (0: never).
    pub fn new(samples: &'a Arc<Samples>, device: Device, every: u64, patience: u32) -> Self {
        Self { samples, device, every, patience, best: f64::NEG_INFINITY, worse: 0 }
    }

    /// Looks, if it is time after `done` steps; adds what it sees to the figures. True ends the training.
    ///
    /// # Errors
    /// The network cannot be run.
    pub fn look(
        &mut self,
        done: u64,
        network: &Network,
        teacher: Option<&Teacher>,
        figures: &mut Figures,
    ) -> Result<bool, CsamError> {
        if self.every == 0 || !done.is_multiple_of(self.every) {
            return Ok(false);
        }
        let Some(seen) = accuracy(network, teacher, self.samples, self.device)? else { return Ok(false) };
        figures.push(("validation", seen));
        self.worse = if seen > self.best { 0 } else { self.worse + 1 };
        self.best = self.best.max(seen);
        Ok(self.patience > 0 && self.worse >= u64::from(self.patience))
    }

    /// Puts what was seen into a checkpoint.
    pub fn save(&self, state: &mut State) {
        state.put_numbers("watch/best", &[self.best]);
        state.put_counter("watch/worse", self.worse);
    }

    /// Takes it back.
    ///
    /// # Errors
    /// Something is missing.
    pub fn load(&mut self, state: &State) -> Result<(), String> {
        self.best = state.numbers("watch/best")?.first().copied().ok_or("`watch/best` is empty")?;
        self.worse = state.counter("watch/worse")?;
        Ok(())
    }
}

//! How good a network is on pictures it was not trained on.

use std::sync::Arc;

use job::Task;
use tch::{Device, Kind, Tensor, no_grad};

use super::{
    checkpoint::State,
    feed::{Batch, in_order},
    losses::{self, Targets},
    samples::Samples,
    teacher::{Teacher, predict},
    weights::Weights,
};
use crate::{
    CsamError,
    events::Figures,
    network::{Answers, Network},
};

/// What a network is held against.
pub struct Validator<'a> {
    /// Pictures that it is not trained on.
    pub samples: &'a Arc<Samples>,
    /// Whose answers count where there are no labels.
    pub teacher: Option<&'a Teacher>,
    /// The loss.
    pub task: Task,
    /// Pictures at once.
    pub at_once: usize,
    /// Where tensors live.
    pub device: Device,
}

/// How a network did, over all pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// The mean loss.
    pub loss: f64,
    /// The share of pictures whose class is the label, or without labels the teacher's; only of class scores.
    pub right: Option<f64>,
}

impl Validator<'_> {
    /// Judges a network; without pictures, or with nothing to hold it against, there is no judgement.
    ///
    /// # Errors
    /// The network cannot be run.
    pub fn validate(&self, network: &Network) -> Result<Option<Quality>, CsamError> {
        let count = self.samples.len() as f64;
        if self.samples.is_empty() || (self.samples.labels().is_none() && self.teacher.is_none()) {
            return Ok(None);
        }
        let (mut loss, mut right) = (0.0, Some(0.0));
        for batch in in_order(self.samples, self.at_once, self.device) {
            let (lost, hit) = no_grad(|| self.judge_batch(network, &batch?))?;
            loss += lost;
            right = right.zip(hit).map(|(all, hit)| all + hit);
        }
        Ok(Some(Quality { loss: loss / count, right: right.map(|right| right / count) }))
    }

    /// The summed loss and the number of right classes.
    fn judge_batch(&self, network: &Network, batch: &Batch) -> Result<(f64, Option<f64>), CsamError> {
        let answers = predict(network, &batch.images)?;
        let labels = batch.labels.as_ref().map(Tensor::shallow_clone);
        let taught = self.teacher.map(|teacher| predict(teacher.network(), &batch.images)).transpose()?;
        let units = self.teacher.map(|teacher| teacher.units().clone()).unwrap_or_default();
        let right = right(&answers, labels.as_ref(), taught.as_ref())?;
        let loss = losses::task(&answers, &Targets { labels, teacher: taught }, &units, &self.task)?;
        Ok((loss.f_sum(Kind::Double)?.f_double_value(&[])?, right))
    }
}

/// The number of images whose class is the wanted one.
fn right(answers: &Answers, labels: Option<&Tensor>, taught: Option<&Answers>) -> Result<Option<f64>, CsamError> {
    let class = |scores: Tensor| scores.f_argmax(-1, false);
    let taught = taught.map(Answers::scores).transpose()?.flatten().map(class).transpose()?;
    let wanted = labels.map(Tensor::shallow_clone).or(taught);
    let (Some(scores), Some(wanted)) = (answers.scores()?, wanted) else { return Ok(None) };
    Ok(Some(class(scores)?.f_eq_tensor(&wanted)?.f_sum(Kind::Double)?.f_double_value(&[])?))
}

/// Looks at a network in training now and then, keeps the best weights it saw, and says when training has stopped
/// getting better.
pub struct Watch<'a> {
    validator: &'a Validator<'a>,
    every: u64,
    patience: u32,
    /// The best look: its loss, the steps done by then, and the weights.
    best: Option<(f64, u64, State)>,
    worse: u64,
}

impl<'a> Watch<'a> {
    /// Looks every `every` steps (0: never); `patience` looks without a better one end the training (0: never).
    pub fn new(validator: &'a Validator<'a>, every: u64, patience: u32) -> Self {
        Self { validator, every, patience, best: None, worse: 0 }
    }

    /// Looks, if it is time after `done` steps; adds what it sees to the figures. True ends the training.
    ///
    /// # Errors
    /// The network cannot be run.
    pub fn pass(
        &mut self,
        done: u64,
        network: &Network,
        weights: &Weights,
        figures: &mut Figures,
    ) -> Result<bool, CsamError> {
        if self.every == 0 || !done.is_multiple_of(self.every) {
            return Ok(false);
        }
        let Some(quality) = self.look(done, network, weights)? else { return Ok(false) };
        figures.push(("validation_loss", quality.loss));
        figures.extend(quality.right.map(|right| ("validation", right)));
        Ok(self.patience > 0 && self.worse >= u64::from(self.patience))
    }

    /// Looks after `done` steps, whatever the time, and remembers the weights where they are the best.
    ///
    /// # Errors
    /// The network cannot be run.
    pub fn look(&mut self, done: u64, network: &Network, weights: &Weights) -> Result<Option<Quality>, CsamError> {
        let Some(quality) = self.validator.validate(network)? else { return Ok(None) };
        let better = self.best.as_ref().is_none_or(|(best, ..)| quality.loss < *best || !best.is_finite());
        self.worse = if better { 0 } else { self.worse + 1 };
        if better {
            let mut values = State::default();
            weights.save_values(&mut values);
            self.best = Some((quality.loss, done, values.copied()?));
        }
        Ok(Some(quality))
    }

    /// Puts the best weights into their place; gives the number of steps after which they were seen.
    ///
    /// # Errors
    /// They are another network's.
    pub fn settle(&self, weights: &Weights) -> Result<Option<u64>, CsamError> {
        let Some((_, done, values)) = &self.best else { return Ok(None) };
        weights.load_values(values).map_err(CsamError::Torch)?;
        Ok(Some(*done))
    }

    /// Puts what was seen into a checkpoint.
    pub fn save(&self, state: &mut State) {
        state.put_counter("watch/worse", self.worse);
        state.put_counter("watch/seen", u64::from(self.best.is_some()));
        if let Some((loss, done, values)) = &self.best {
            state.put_numbers("watch/best", &[*loss]);
            state.put_counter("watch/done", *done);
            state.put_all("best/", values);
        }
    }

    /// Takes it back.
    ///
    /// # Errors
    /// Something is missing.
    pub fn load(&mut self, state: &State) -> Result<(), String> {
        self.worse = state.counter("watch/worse")?;
        self.best = None;
        if state.counter("watch/seen")? == 1 {
            let loss = state.numbers("watch/best")?.first().copied().ok_or("`watch/best` is empty")?;
            self.best =
                Some((loss, state.counter("watch/done")?, state.part("best/").copied().map_err(|e| e.to_string())?));
        }
        Ok(())
    }
}

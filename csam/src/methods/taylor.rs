//! The lanes whose masks the loss feels most stay: `I_j = E[(∂ℓ/∂m_j)²]` at the dense network (Molchanov et al. 2019).
//!
//! The mask sits on weights, so one backward pass gives the gradient of the mean loss over its images. The expectation
//! is therefore over *micro-batches* of `search.micro` images; 1 gives the definition's per-image form. ℓ is the cross
//! entropy with the label, or where there are no labels with the network's own class. Statistics are the stored ones.

use tch::Tensor;

use super::{Choice, Ground, Method};
use crate::{
    CsamError,
    events::Step,
    network::{Masks, Pass, Statistics},
    train::{
        Clock,
        feed::{Batch, Feed, Recipe},
        losses::{self, Targets},
        teacher::{logits, predict},
        weights::backward,
    },
};
use import::lanes::Allocation;

/// See the module.
pub(super) struct Taylor;

/// Images per batch, as in the trials that fixed the number of batches.
const BATCH: usize = 128;

impl Method for Taylor {
    fn name(&self) -> &'static str {
        "taylor"
    }

    fn choose(&self, ground: &Ground<'_>, clock: &mut Clock) -> Result<Choice, CsamError> {
        let (mut scores, copies) = scores(ground, clock)?;
        if ground.search.allocation != Allocation::Uniform {
            scores = ground.per_cost(&scores);
        }
        Ok(Choice { kept: ground.allocate(&scores, ground.budgets)?, copies, trained: false })
    }
}

fn scores(ground: &Ground<'_>, clock: &mut Clock) -> Result<(Vec<f64>, u64), CsamError> {
    let recipe = Recipe::plain(ground.seed, BATCH);
    let feed = Feed::start(ground.samples.clone(), recipe, 0, ground.device)?;
    let total = ground.search.batches as u64;
    let mut sums = vec![0.0; ground.lanes.lanes.len()];
    let mut copies = 0;
    for step in 0..total {
        if clock.stop.is_raised() {
            return Err(CsamError::Interrupted { phase: "taylor", step });
        }
        let batch = feed.next()?;
        let loss = add_batch(ground, &batch, &mut sums)?;
        copies += batch.n as u64;
        let figures = vec![("loss", loss)];
        clock.events.step(&Step { phase: "taylor", step: step + 1, total, copies, rate: f64::NAN, figures: &figures });
    }
    Ok((sums, copies))
}

/// Adds the squared gradients of a batch's micro-batches; gives the mean loss.
fn add_batch(ground: &Ground<'_>, batch: &Batch, sums: &mut [f64]) -> Result<f64, CsamError> {
    let mut total = 0.0;
    let micro = ground.search.micro as i64;
    for start in (0..batch.n).step_by(ground.search.micro) {
        let count = micro.min(batch.n - start);
        let images = batch.images.f_narrow(0, start, count)?;
        let labels = match &batch.labels {
            Some(labels) => labels.f_narrow(0, start, count)?,
            None => predict(ground.network, &images)?.f_detach()?.f_argmax(-1, false)?,
        };
        let mask = Tensor::f_ones([sums.len() as i64], (tch::Kind::Float, ground.device))?.f_set_requires_grad(true)?;
        let masks = Masks { lanes: mask.shallow_clone(), fills: None };
        let mut pass = Pass { masks: Some(&masks), statistics: Statistics::Running, ..Pass::default() };
        let targets = Targets { labels: Some(labels), teacher: None };
        let scores = logits(ground.network, &images, &mut pass)?;
        let loss = losses::task(&scores, &targets, &ground.search.task)?.f_mean(tch::Kind::Float)?;
        total += loss.f_double_value(&[])? * count as f64;
        add_squares(&backward(&loss, &[mask])?[0], sums)?;
    }
    Ok(total / batch.n as f64)
}

/// Adds the squares of a gradient by lane; a gradient that is not defined is zero.
pub(super) fn add_squares(gradient: &Tensor, sums: &mut [f64]) -> Result<(), CsamError> {
    if gradient.defined() {
        let values: Vec<f64> = Vec::try_from(gradient.f_to_kind(tch::Kind::Double)?)?;
        sums.iter_mut().zip(values).for_each(|(sum, g)| *sum += g * g);
    }
    Ok(())
}

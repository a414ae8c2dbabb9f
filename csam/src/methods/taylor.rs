//! The lanes whose masks the loss feels most stay: `I_j = E[(∂ℓ/∂m_j)²]` at the dense network (Molchanov et al. 2019).
//!
//! The mask sits on weights, so one backward pass gives the gradient of the mean loss over its images. The expectation
//! is therefore over *micro-batches* of `search.taylor.micro` images; 1 gives the definition's per-image form. ℓ is the cross
//! entropy with the label, or where there are no labels with the network's own class; for a network that names no class
//! it is a random sum of its numbers. Statistics are the stored ones.

use std::time::Instant;

use images::draw;
use tch::{Device, Tensor};

use super::{Choice, Method, SearchContext};
use crate::{
    CsamError,
    events::Step,
    network::{Answers, Masks, Pass, Statistics},
    train::{
        Clock, Rehearsal,
        feed::{Batch, Feed, Recipe, prepare},
        losses::{self, Targets, Units},
        weights::backward,
    },
};
use import::lanes::Allocation;

/// See the module.
pub(super) struct Taylor;

/// Images per batch, as in the trials that fixed the number of batches.
const BATCH: usize = 128;

impl Method for Taylor {
    fn choose(&self, context: &SearchContext<'_>, clock: &mut Clock) -> Result<Choice, CsamError> {
        let (mut scores, copies) = scores(context, clock)?;
        if context.search.allocation != Allocation::Uniform {
            scores = context.per_cost(&scores);
        }
        Ok(Choice { kept: context.allocate(&scores, context.budgets)?, copies, trained: false })
    }

    fn rehearse(&self, context: &SearchContext<'_>, _: &mut Clock) -> Result<Option<Rehearsal>, CsamError> {
        context.allocate(context.norms, context.budgets)?;
        let batch = prepare(context.samples, &Recipe::plain(context.seed, BATCH), 0, context.device)?;
        let begun = Instant::now();
        add_batch(context, &batch, context.seed, &mut vec![0.0; context.lanes.lanes.len()])?;
        let seconds = begun.elapsed().as_secs_f64();
        Ok(Some(Rehearsal { steps: context.search.batches as u64, copies: batch.n as u64, seconds }))
    }
}

fn scores(context: &SearchContext<'_>, clock: &mut Clock) -> Result<(Vec<f64>, u64), CsamError> {
    let recipe = Recipe::plain(context.seed, BATCH);
    let feed = Feed::start(context.samples.clone(), recipe, 0, context.device)?;
    let total = context.search.batches as u64;
    let mut sums = vec![0.0; context.lanes.lanes.len()];
    let mut copies = 0;
    for step in 0..total {
        if clock.stop.is_raised() {
            return Err(CsamError::Interrupted { phase: "taylor", step });
        }
        let batch = feed.next()?;
        let loss = add_batch(context, &batch, context.seed ^ step, &mut sums)?;
        copies += batch.n as u64;
        let figures = vec![("loss", loss)];
        clock.events.step(&Step { phase: "taylor", step: step + 1, total, copies, rate: f64::NAN, figures: &figures });
    }
    Ok((sums, copies))
}

/// Adds the squared gradients of a batch's micro-batches; gives the mean loss.
fn add_batch(context: &SearchContext<'_>, batch: &Batch, seed: u64, sums: &mut [f64]) -> Result<f64, CsamError> {
    let mut total = 0.0;
    let micro = context.search.taylor.micro as i64;
    for start in (0..batch.n).step_by(context.search.taylor.micro) {
        let count = micro.min(batch.n - start);
        let images = batch.images.narrow(start, count)?;
        let labels = match &batch.labels {
            Some(labels) => Some(labels.f_narrow(0, start, count)?),
            None => None,
        };
        let mask =
            Tensor::f_ones([sums.len() as i64], (tch::Kind::Float, context.device))?.f_set_requires_grad(true)?;
        let masks = Masks { lanes: mask.shallow_clone(), fills: None };
        let mut pass = Pass { masks: Some(&masks), statistics: Statistics::Running, ..Pass::default() };
        let answers = context.network.answers(&images, &mut pass)?;
        let loss = loss(context, answers, labels, (seed, start as u64))?.f_mean(tch::Kind::Float)?;
        total += loss.f_double_value(&[])? * count as f64;
        add_squares(&backward(&loss, &[mask])?[0], sums)?;
    }
    Ok(total / batch.n as f64)
}

/// ℓ of each image.
fn loss(
    context: &SearchContext<'_>,
    answers: Answers,
    labels: Option<Tensor>,
    at: (u64, u64),
) -> Result<Tensor, CsamError> {
    let labels = match (labels, answers.scores()?) {
        (None, Some(scores)) => Some(scores.f_detach()?.f_argmax(-1, false)?),
        (labels, _) => labels,
    };
    if labels.is_none() {
        return randomly_summed(&answers, context.teacher.units(), at, context.device);
    }
    losses::task(&answers, &Targets { labels, teacher: None }, context.teacher.units(), &context.task)
}

/// The sum of all numbers in their units, each with a random sign: its squared gradient is on average the sum of the
/// numbers' squared gradients (Hutchinson), which is the curvature of their squared error at the dense network.
fn randomly_summed(
    answers: &Answers,
    units: &Units,
    (step, row): (u64, u64),
    device: Device,
) -> Result<Tensor, CsamError> {
    let mut sum: Option<Tensor> = None;
    for (position, answer) in answers.0.iter().enumerate() {
        let mut rng = draw::rng(step, "taylor-signs", row, position as u64);
        let count = answer.values.numel();
        let signs: Vec<f32> = (0..count).map(|_| if draw::unit(&mut rng) < 0.5 { -1.0 } else { 1.0 }).collect();
        let signs = Tensor::f_from_slice(&signs)?.f_reshape(answer.values.size())?.f_to_device(device)?;
        let unit = match units.get(position) {
            Some(unit) => Tensor::f_from_slice(unit)?.f_to_device(device)?,
            None => Tensor::f_ones([1], (tch::Kind::Float, device))?,
        };
        let numbers = (count as f64 / answer.values.size()[0].max(1) as f64).sqrt();
        let own =
            answer.values.f_mul(&signs)?.f_div(&unit)?.f_sum_dim_intlist(&[1i64, 2][..], false, tch::Kind::Float)?;
        let own = own.f_div_scalar(numbers)?;
        sum = Some(match sum {
            Some(sum) => sum.f_add(&own)?,
            None => own,
        });
    }
    sum.ok_or(CsamError::NothingToLearn)
}

/// Adds the squares of a gradient by lane; a gradient that is not defined is zero.
pub(super) fn add_squares(gradient: &Tensor, sums: &mut [f64]) -> Result<(), CsamError> {
    if gradient.defined() {
        let values: Vec<f64> = Vec::try_from(gradient.f_to_kind(tch::Kind::Double)?)?;
        sums.iter_mut().zip(values).for_each(|(sum, g)| *sum += g * g);
    }
    Ok(())
}

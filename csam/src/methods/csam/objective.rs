//! The terms of the search's loss, on the predictions of one batch.

use tch::{Kind, Tensor};

use crate::{
    CsamError,
    events::Figures,
    job::{Robustness, Search, Stability},
    train::{
        feed::Batch,
        losses::{self, Targets, discrepancy, divergence, jensen_shannon},
        teacher::Lesson,
    },
};

/// What the network said about a batch, as logits.
#[derive(Debug)]
pub struct Views {
    /// Clean images under m.
    pub clean: Tensor,
    /// Transformed copies: under m̃ in a twin batch, under m otherwise.
    pub changed: Option<Tensor>,
    /// Clean images under m̃; only outside twin batches.
    pub moved: Option<Tensor>,
}

/// One loss with the sizes of its terms.
pub struct Objective {
    /// What is descended.
    pub loss: Tensor,
    /// The terms, unweighted.
    pub terms: Figures,
}

/// `L_task + λ_s·L_stab + λ_r·L_rob`; the budget's part acts on the scores directly.
///
/// # Errors
/// There is nothing to learn from, or libtorch refuses.
pub fn objective(
    search: &Search,
    batch: &Batch,
    lesson: Option<&Lesson>,
    views: &Views,
) -> Result<Objective, CsamError> {
    let clean = losses::task(&views.clean, &clean_targets(batch, lesson)?, &search.task)?;
    let changed =
        views.changed.as_ref().map(|logits| losses::task(logits, &changed_targets(batch, lesson)?, &search.task));
    let changed = changed.transpose()?;
    let moved = match &views.moved {
        Some(logits) => Some(losses::task(logits, &clean_targets(batch, lesson)?, &search.task)?),
        None => None,
    };
    let task = task(search, &clean, changed.as_ref(), moved.as_ref())?;
    let mut loss = task.shallow_clone();
    let mut terms = vec![("task", number(&task)?)];
    // In a twin batch the transformed half is also the perturbed one.
    let (perturbed, perturbed_logits) = if search.twin { (&changed, &views.changed) } else { (&moved, &views.moved) };
    if let (Some(perturbed), Some(logits)) = (perturbed, perturbed_logits)
        && let Some(term) = stability(search, (&clean, &views.clean), (perturbed, logits))?
    {
        terms.push(("stability", number(&term)?));
        loss = loss.f_add(&term.f_mul_scalar(search.lambda_s)?)?;
    }
    if let Some(logits) = &views.changed
        && let Some(term) = robustness(search, batch, lesson, &views.clean, logits)?
    {
        terms.push(("robustness", number(&term)?));
        loss = loss.f_add(&term.f_mul_scalar(search.lambda_r)?)?;
    }
    Ok(Objective { loss, terms })
}

fn clean_targets(batch: &Batch, lesson: Option<&Lesson>) -> Result<Targets, CsamError> {
    let labels = batch.labels.as_ref().map(Tensor::shallow_clone);
    Ok(Targets { labels, teacher: lesson.map(|lesson| lesson.clean.shallow_clone()) })
}

fn changed_targets(batch: &Batch, lesson: Option<&Lesson>) -> Result<Targets, CsamError> {
    let repeated = |labels: &Tensor| labels.f_narrow(0, 0, batch.k)?.f_repeat([batch.draws]);
    let teacher = lesson.and_then(|lesson| lesson.changed.as_ref()).map(Tensor::shallow_clone);
    Ok(Targets { labels: batch.labels.as_ref().map(repeated).transpose()?, teacher })
}

/// A twin batch counts both halves; otherwise every second image is seen transformed. With `stability = "sam"` the loss
/// is taken at the perturbed mask.
fn task(
    search: &Search,
    clean: &Tensor,
    changed: Option<&Tensor>,
    moved: Option<&Tensor>,
) -> Result<Tensor, CsamError> {
    let mean = |losses: &Tensor| losses.f_mean(Kind::Float);
    let perturbed = if search.twin { changed } else { moved };
    if let (Stability::Sam, Some(perturbed)) = (search.stability, perturbed) {
        return Ok(mean(perturbed)?);
    }
    let Some(changed) = changed else { return Ok(mean(clean)?) };
    if search.twin {
        return Ok(mean(clean)?.f_add(&mean(changed)?)?.f_mul_scalar(0.5)?);
    }
    let half = clean.size()[0] / 2;
    let rest = clean.f_narrow(0, half, clean.size()[0] - half)?;
    Ok(mean(&Tensor::f_cat(&[changed.f_narrow(0, 0, half)?, rest], 0)?)?)
}

/// L_stab from the losses and logits at m and at m̃.
fn stability(
    search: &Search,
    (loss, logits): (&Tensor, &Tensor),
    (perturbed_loss, perturbed_logits): (&Tensor, &Tensor),
) -> Result<Option<Tensor>, CsamError> {
    let images = loss.size()[0];
    let first = |rows: &Tensor| rows.f_narrow(0, 0, images);
    let term = match search.stability {
        Stability::Off | Stability::Sam => return Ok(None),
        Stability::Gap => first(perturbed_loss)?.f_sub(loss)?.f_relu()?,
        Stability::Kl => {
            let still = logits.f_detach()?.f_log_softmax(-1, Kind::Float)?;
            divergence(&still, &first(perturbed_logits)?.f_log_softmax(-1, Kind::Float)?)?
        }
    };
    Ok(Some(term.f_mean(Kind::Float)?))
}

/// L_rob from the logits of clean images and of their transformed copies.
fn robustness(
    search: &Search,
    batch: &Batch,
    lesson: Option<&Lesson>,
    clean: &Tensor,
    changed: &Tensor,
) -> Result<Option<Tensor>, CsamError> {
    match search.robustness {
        Robustness::None => return Ok(None),
        Robustness::Jsd => {
            let repeated = clean.f_repeat([batch.draws, 1])?;
            return Ok(Some(jensen_shannon(&repeated, changed)?.f_mean(Kind::Float)?));
        }
        Robustness::Ratio | Robustness::Hinge | Robustness::Chernoff => {}
    }
    let (z, d) = discrepancy(clean, changed)?;
    let per_image = match search.robustness {
        Robustness::Ratio => {
            let ratio = z.f_div(&d.f_detach()?.f_add_scalar(0.05)?)?.f_clamp_max(2.0)?;
            let margin = d.f_neg()?.f_add_scalar(0.1)?.f_relu()?;
            ratio.f_mean_dim(0i64, false, Kind::Float)?.f_add(&margin)?
        }
        Robustness::Hinge => z.f_sub(&d)?.f_add_scalar(0.05)?.f_relu()?.f_mean_dim(0i64, false, Kind::Float)?,
        _ => {
            let t = 20.0;
            let draws = (batch.draws as f64).ln();
            z.f_sub(&d)?.f_mul_scalar(t)?.f_logsumexp(0i64, false)?.f_sub_scalar(draws)?.f_div_scalar(t)?
        }
    };
    Ok(Some(mean_where_right(&per_image, batch, lesson, clean)?))
}

/// The mean over images whose clean prediction is right, since the certificate counts only those.
fn mean_where_right(
    values: &Tensor,
    batch: &Batch,
    lesson: Option<&Lesson>,
    clean: &Tensor,
) -> Result<Tensor, CsamError> {
    let wanted = match (&batch.labels, lesson) {
        (Some(labels), _) => labels.shallow_clone(),
        (None, Some(lesson)) => lesson.clean.f_argmax(-1, false)?,
        (None, None) => return Err(CsamError::NothingToLearn),
    };
    let right = clean.f_detach()?.f_argmax(-1, false)?.f_eq_tensor(&wanted)?.f_to_kind(Kind::Float)?;
    let count = right.f_sum(Kind::Float)?.f_clamp_min(1.0)?;
    Ok(values.f_mul(&right)?.f_sum(Kind::Float)?.f_div(&count)?)
}

fn number(tensor: &Tensor) -> Result<f64, CsamError> {
    Ok(tensor.f_double_value(&[])?)
}

//! The terms of the search's loss, on the predictions of one batch.

use job::{Csam, Robustness, Stability, Task};
use tch::{Kind, Tensor};

use crate::{
    CsamError,
    events::Figures,
    network::Answers,
    train::{
        feed::Batch,
        losses::{self, Targets, Units, discrepancy, divergence, jensen_shannon},
        teacher::SoftTargets,
    },
};

/// What the network said about a batch.
#[derive(Debug)]
pub struct Views {
    /// Clean images under m.
    pub clean: Answers,
    /// Transformed copies: under m̃ in a twin batch, under m otherwise.
    pub changed: Option<Answers>,
    /// Clean images under m̃; only outside twin batches.
    pub moved: Option<Answers>,
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
    (search, task): (&Csam, &Task),
    batch: &Batch,
    soft_targets: Option<&SoftTargets>,
    units: &Units,
    views: &Views,
) -> Result<Objective, CsamError> {
    let loss = |answers: &Answers, targets: Targets| losses::task(answers, &targets, units, task);
    let clean = loss(&views.clean, clean_targets(batch, soft_targets)?)?;
    let changed =
        views.changed.as_ref().map(|answers| loss(answers, changed_targets(batch, soft_targets)?)).transpose()?;
    let moved = views.moved.as_ref().map(|answers| loss(answers, clean_targets(batch, soft_targets)?)).transpose()?;
    let task = task_loss(search, &clean, changed.as_ref(), moved.as_ref())?;
    let mut loss = task.shallow_clone();
    let mut terms = vec![("task", number(&task)?)];
    // In a twin batch the transformed half is also the perturbed one.
    let (perturbed, perturbed_answers) = if search.twin { (&changed, &views.changed) } else { (&moved, &views.moved) };
    if let (Some(perturbed), Some(answers)) = (perturbed, perturbed_answers)
        && let Some(term) = stability(search, (&clean, &views.clean), (perturbed, answers))?
    {
        terms.push(("stability", number(&term)?));
        loss = loss.f_add(&term.f_mul_scalar(search.lambda_s)?)?;
    }
    // Only what is said of whole images should not change with a transformation.
    if let Some(changed) = &views.changed
        && let (Some(clean), Some(changed)) = (views.clean.scores()?, changed.scores()?)
        && let Some(term) = robustness(search, batch, soft_targets, &clean, &changed)?
    {
        terms.push(("robustness", number(&term)?));
        loss = loss.f_add(&term.f_mul_scalar(search.lambda_r)?)?;
    }
    Ok(Objective { loss, terms })
}

fn clean_targets(batch: &Batch, soft_targets: Option<&SoftTargets>) -> Result<Targets, CsamError> {
    let labels = batch.labels.as_ref().map(Tensor::shallow_clone);
    let teacher = soft_targets.map(|soft_targets| soft_targets.clean.narrow(0, batch.n)).transpose()?;
    Ok(Targets { labels, teacher })
}

fn changed_targets(batch: &Batch, soft_targets: Option<&SoftTargets>) -> Result<Targets, CsamError> {
    let repeated = |labels: &Tensor| labels.f_narrow(0, 0, batch.k)?.f_repeat([batch.draws]);
    let teacher = soft_targets.and_then(|soft_targets| soft_targets.changed.as_ref());
    let teacher = teacher.map(|changed| changed.narrow(0, batch.k * batch.draws)).transpose()?;
    Ok(Targets { labels: batch.labels.as_ref().map(repeated).transpose()?, teacher })
}

/// A twin batch counts both halves; otherwise every second image is seen transformed. With `stability = "sam"` the loss
/// is taken at the perturbed mask.
fn task_loss(
    search: &Csam,
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

/// L_stab from the losses and answers at m and at m̃.
fn stability(
    search: &Csam,
    (loss, answers): (&Tensor, &Answers),
    (perturbed_loss, perturbed_answers): (&Tensor, &Answers),
) -> Result<Option<Tensor>, CsamError> {
    let images = loss.size()[0];
    let first = |rows: &Tensor| rows.f_narrow(0, 0, images);
    let term = match search.stability {
        Stability::Off | Stability::Sam => return Ok(None),
        Stability::Gap => first(perturbed_loss)?.f_sub(loss)?.f_relu()?,
        Stability::Kl => {
            let (Some(still), Some(moved)) = (answers.scores()?, perturbed_answers.scores()?) else { return Ok(None) };
            let still = still.f_detach()?.f_log_softmax(-1, Kind::Float)?;
            divergence(&still, &first(&moved)?.f_log_softmax(-1, Kind::Float)?)?
        }
    };
    Ok(Some(term.f_mean(Kind::Float)?))
}

/// L_rob from the logits of clean images and of their transformed copies.
fn robustness(
    search: &Csam,
    batch: &Batch,
    soft_targets: Option<&SoftTargets>,
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
    Ok(Some(mean_where_right(&per_image, batch, soft_targets, clean)?))
}

/// The mean over images whose clean prediction is right, since the certificate counts only those.
fn mean_where_right(
    values: &Tensor,
    batch: &Batch,
    soft_targets: Option<&SoftTargets>,
    clean: &Tensor,
) -> Result<Tensor, CsamError> {
    let wanted = match (&batch.labels, soft_targets) {
        (Some(labels), _) => labels.shallow_clone(),
        (None, Some(soft_targets)) => losses::scores(&soft_targets.clean)?.f_argmax(-1, false)?,
        (None, None) => return Err(CsamError::NothingToLearn),
    };
    let right = clean.f_detach()?.f_argmax(-1, false)?.f_eq_tensor(&wanted)?.f_to_kind(Kind::Float)?;
    let count = right.f_sum(Kind::Float)?.f_clamp_min(1.0)?;
    Ok(values.f_mul(&right)?.f_sum(Kind::Float)?.f_div(&count)?)
}

fn number(tensor: &Tensor) -> Result<f64, CsamError> {
    Ok(tensor.f_double_value(&[])?)
}

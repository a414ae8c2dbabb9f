//! Where batch normalisations take their statistics from while a network is trained.
//!
//! The batch's own keep a training steady and follow what it changes. But a network answers by them what it answers by
//! its stored ones only on pictures like those of its own training, in batches that are large enough. Where it does not,
//! a step would teach it to undo that difference instead of what was cut, so it keeps to the stored statistics, as
//! detectors are commonly fine-tuned.

use job::{Normalise, Task};
use tch::{Device, Kind, no_grad};

use super::{
    feed::{Recipe, prepare},
    losses::{self, Units},
    samples::Samples,
    teacher::predict,
};
use crate::{
    CsamError,
    network::{Network, Pass, Statistics},
};

/// Batches that are looked at.
const BATCHES: u64 = 4;
/// How far answers by a batch's statistics may be from those by the stored ones, as a loss: several times what a network
/// costs that says nothing of a picture, which is 1. Less is made good within a few steps, and worth the higher rate that
/// a training by batches bears.
const APART: f64 = 3.0;

/// What normalisations do in training steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalising {
    /// They normalise by the batch.
    ByBatch,
    /// They keep to what is stored.
    AsStored,
}

impl Normalising {
    /// What was asked for, or what keeps the dense network's answers. The second number is how far they move, where that
    /// was measured.
    ///
    /// # Errors
    /// The network cannot be run.
    pub fn of(
        wanted: Normalise,
        dense: &Network,
        (samples, device): (&Samples, Device),
        recipe: &Recipe,
        units: &Units,
        task: &Task,
    ) -> Result<(Self, Option<f64>), CsamError> {
        match wanted {
            Normalise::Batch => Ok((Self::ByBatch, None)),
            Normalise::Stored => Ok((Self::AsStored, None)),
            Normalise::Auto => {
                let apart = apart(dense, (samples, device), recipe, units, task)?;
                // What is not finite is not near either.
                Ok((if apart <= APART { Self::ByBatch } else { Self::AsStored }, Some(apart)))
            }
        }
    }

    /// For a pass that leaves running statistics alone.
    pub fn still(self) -> Statistics {
        match self {
            Self::ByBatch => Statistics::Batch,
            Self::AsStored => Statistics::Running,
        }
    }

    /// For a pass that moves them.
    pub fn moving(self) -> Statistics {
        match self {
            Self::ByBatch => Statistics::BatchUpdate,
            Self::AsStored => Statistics::Running,
        }
    }
}

/// How far a network's answers by each batch's statistics are from those by its stored ones, over a few batches.
fn apart(
    network: &Network,
    (samples, device): (&Samples, Device),
    recipe: &Recipe,
    units: &Units,
    task: &Task,
) -> Result<f64, CsamError> {
    if network.statistics().is_empty() {
        return Ok(0.0);
    }
    let mut sum = 0.0;
    for step in 0..BATCHES {
        let images = prepare(samples, recipe, step, device)?.mixed()?;
        let mut pass = Pass { statistics: Statistics::Batch, ..Pass::default() };
        let loss = no_grad(|| {
            let (stored, batch) = (predict(network, &images)?, network.answers(&images, &mut pass)?);
            losses::apart(&batch, &stored, units, task)?.f_mean(Kind::Float).map_err(CsamError::from)
        })?;
        sum += loss.f_double_value(&[])?;
    }
    Ok(sum / BATCHES as f64)
}

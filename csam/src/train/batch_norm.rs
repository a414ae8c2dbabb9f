//! Measuring the statistics of batch normalisations anew.
//!
//! After lanes were removed, or weights averaged, the stored statistics describe another network. They are replaced by
//! the cumulative average over batches of training pictures, prepared as for evaluation.

use std::sync::Arc;

use tch::no_grad;

use super::{
    drive::Clock,
    feed::{Feed, Recipe},
    samples::Samples,
};
use crate::{
    CsamError,
    events::Step,
    network::{Network, Pass, Statistics},
};

/// Replaces the statistics of all batch normalisations by averages over at most `batches` batches of
/// `images`.
///
/// # Errors
/// The network cannot be run, or the user interrupted.
pub fn measure(
    network: &Network,
    samples: &Arc<Samples>,
    seed: u64,
    (batches, images): (usize, usize),
    clock: &mut Clock,
) -> Result<(), CsamError> {
    if network.statistics().is_empty() {
        return Ok(());
    }
    let recipe = Recipe::plain(seed, images);
    let total = batches.min(samples.len().div_ceil(images)).max(1) as u64;
    let feed = Feed::start(Arc::clone(samples), recipe, 0, clock.device)?;
    for step in 0..total {
        if clock.stop.is_raised() {
            return Err(CsamError::Interrupted { phase: "batch-norm", step });
        }
        let batch = feed.next()?;
        let mut pass = Pass { statistics: Statistics::Accumulate { seen: step }, ..Pass::default() };
        no_grad(|| network.answers(&batch.images, &mut pass))?;
        clock.events.step(&Step {
            phase: "batch-norm",
            step: step + 1,
            total,
            copies: 0,
            rate: f64::NAN,
            figures: &Vec::new(),
        });
    }
    Ok(())
}

//! Lanes drawn at random stay, as many of each group as any other method would keep: what the choice is worth.

use images::draw;

use super::{Choice, Ground, Method};
use crate::{
    CsamError,
    train::{Clock, Rehearsal},
};

/// See the module.
pub(super) struct Random;

impl Method for Random {
    fn choose(&self, ground: &Ground<'_>, _: &mut Clock) -> Result<Choice, CsamError> {
        let score = |lane| f64::from(draw::unit(&mut draw::rng(ground.seed, "random-score", 0, lane)));
        let scores: Vec<f64> = (0..ground.lanes.lanes.len() as u64).map(score).collect();
        let kept = ground.allocate(&scores, ground.budgets)?;
        Ok(Choice { kept, copies: 0, trained: false })
    }

    fn rehearse(&self, ground: &Ground<'_>, clock: &mut Clock) -> Result<Option<Rehearsal>, CsamError> {
        self.choose(ground, clock).map(|_| None)
    }
}

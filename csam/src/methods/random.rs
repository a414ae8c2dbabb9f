//! Lanes drawn at random stay, as many of each group as any other method would keep: what the choice is worth.

use images::draw;

use super::{Choice, Method, SearchContext};
use crate::{
    CsamError,
    train::{Clock, Rehearsal},
};

/// See the module.
pub(super) struct Random;

impl Method for Random {
    fn choose(&self, context: &SearchContext<'_>, _: &mut Clock) -> Result<Choice, CsamError> {
        let score = |lane| f64::from(draw::unit(&mut draw::rng(context.seed, "random-score", 0, lane)));
        let scores: Vec<f64> = (0..context.lanes.lanes.len() as u64).map(score).collect();
        let kept = context.allocate(&scores, context.budgets)?;
        Ok(Choice { kept, copies: 0, trained: false })
    }

    fn rehearse(&self, context: &SearchContext<'_>, clock: &mut Clock) -> Result<Option<Rehearsal>, CsamError> {
        self.choose(context, clock).map(|_| None)
    }
}

//! The lanes with the largest group norms stay (DepGraph, Fang et al. 2023). Needs no data.

use super::{Choice, Ground, Method};
use crate::{
    CsamError,
    train::{Clock, Rehearsal},
};

/// See the module.
pub(super) struct Magnitude;

impl Method for Magnitude {
    fn choose(&self, ground: &Ground<'_>, _: &mut Clock) -> Result<Choice, CsamError> {
        let kept = ground.allocate(ground.norms, ground.budgets)?;
        Ok(Choice { kept, copies: 0, trained: false })
    }

    fn rehearse(&self, ground: &Ground<'_>, clock: &mut Clock) -> Result<Option<Rehearsal>, CsamError> {
        self.choose(ground, clock).map(|_| None)
    }
}

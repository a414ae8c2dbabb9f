//! The lanes whose weights are worth most stay: by group norms (DepGraph, Fang et al. 2023) unless set otherwise. Needs no
//! data.

use super::{Choice, Method, SearchContext};
use crate::{
    CsamError,
    train::{Clock, Rehearsal},
};

/// See the module.
pub(super) struct Magnitude;

impl Method for Magnitude {
    fn choose(&self, context: &SearchContext<'_>, _: &mut Clock) -> Result<Choice, CsamError> {
        let kept = context.allocate(context.norms, context.budgets)?;
        Ok(Choice { kept, copies: 0, trained: false })
    }

    fn rehearse(&self, context: &SearchContext<'_>, clock: &mut Clock) -> Result<Option<Rehearsal>, CsamError> {
        self.choose(context, clock).map(|_| None)
    }
}

//! A check that fails costs one group of lanes, not the whole cut: what may be to blame is left whole, and the rest is
//! cut and checked again.

use anyhow::{Result, anyhow};
use certify::agreement::twin::TwinReport;
use export::Tensors;
use import::lanes::Plan;
use serde::{Deserialize, Serialize};

use super::suspects::suspects;
use super::{Gate, refusal};
use crate::pictures::Pictures;
use crate::subject::Subject;

/// Cuts that are tried.
const ATTEMPTS: usize = 6;

/// A cut that is exact.
pub(crate) struct Exact {
    /// What it takes away.
    pub(crate) plan: Plan,
    /// What the check found.
    pub(crate) report: TwinReport,
    /// What was to be cut and is left whole.
    pub(crate) left: Vec<Left>,
}

/// A group of lanes that is left whole since no cut with it was exact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Left {
    /// The group.
    pub(crate) group: String,
    /// What the check found.
    pub(crate) reason: String,
}

impl Left {
    /// In one line.
    pub(crate) fn line(&self) -> String {
        format!("left `{}` whole (gate-refused): with it, {}", self.group, self.reason)
    }
}

impl Gate {
    /// Finds a cut that is exact; `plan` says what to cut of a subject, of which groups may have been left whole.
    ///
    /// # Errors
    /// What `plan` and the check report, and when leaving groups whole does not help.
    pub(crate) fn exact(
        self,
        subject: &mut Subject,
        tensors: &Tensors,
        pictures: Option<&Pictures>,
        mut plan: impl FnMut(&Subject) -> Result<Plan>,
    ) -> Result<Exact> {
        let mut left: Vec<Left> = Vec::new();
        for _ in 0..ATTEMPTS {
            let chosen = plan(subject).map_err(|error| with_what_was_left(error, &left))?;
            if chosen.remove.is_empty() && chosen.tensors.is_empty() {
                return match left.last() {
                    None => Ok(Exact { plan: chosen, report: TwinReport::default(), left }),
                    Some(last) => Err(nothing_left(&last.reason)),
                };
            }
            let report = self.check(subject, &chosen, tensors, pictures)?;
            let Some(reason) = refusal(&report) else {
                return Ok(Exact { plan: chosen, report, left });
            };
            let (graph, lanes) = (&subject.model.graph, subject.lanes());
            let groups = suspects(graph, lanes, &chosen.kept(graph, lanes)?, &report);
            if groups.is_empty() {
                return Err(nothing_left(&reason));
            }
            left.extend(
                groups.iter().map(|&group| Left { group: lanes.groups[group].name.clone(), reason: reason.clone() }),
            );
            subject.leave_whole(&groups);
        }
        Err(nothing_left(left.last().map_or("the cut is not exact", |last| last.reason.as_str())))
    }
}

fn nothing_left(reason: &str) -> anyhow::Error {
    anyhow!("{reason}, so nothing was written; report this with the model")
}

/// Says what was left whole before a plan failed.
fn with_what_was_left(error: anyhow::Error, left: &[Left]) -> anyhow::Error {
    match left.last() {
        None => error,
        Some(last) => anyhow!("{} ({error})", last.line()),
    }
}

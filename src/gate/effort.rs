//! How much a check does: as much as is cheap, and no more than fits.

use anyhow::{Result, anyhow};
use import::graph::Graph;

use super::need::{Effort, Need};
use super::probes::{Probes, Sides};
use crate::numbers::bytes;

/// Multiply-accumulates of all runs of all files, up to which more is probed.
const PLENTY: f64 = 4e9;
/// Multiply-accumulates and bytes beyond which a smaller copy of the network is checked, if there is one.
const MUCH_WORK: f64 = 1e11;
const MUCH_MEMORY: f64 = 1e9;
/// Files that run on every probe: twin, slim, jittered, poisoned.
const FILES: f64 = 4.0;
/// Parts in which reading sites may be looked at.
const GROUPS: [usize; 5] = [1, 2, 4, 8, 16];

/// One way to check.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) probes: Probes,
    pub(super) effort: Effort,
    /// Bytes that it takes.
    pub(super) bytes: f64,
}

impl Way {
    fn new(need: &Need, probes: Probes, scale: f64, groups: usize) -> Self {
        let effort = Effort { runs: probes.runs(), samples: probes.samples(), scale, groups };
        Self { bytes: need.bytes(effort), probes, effort }
    }

    /// Whether the network is checked at another size than it declares.
    pub(super) fn is_smaller(&self) -> bool {
        self.effort.scale < 1.0
    }

    fn work(&self, macs: f64) -> f64 {
        macs * FILES * (self.effort.runs * self.effort.samples) as f64 * self.effort.scale
    }

    fn is_light(&self, macs: f64, memory: f64) -> bool {
        self.bytes <= MUCH_MEMORY.min(memory) && self.work(macs) <= MUCH_WORK
    }
}

/// Ways to check a network whose one sample costs `macs`, the best first; each fits into `memory` bytes.
///
/// # Errors
/// When there is none.
pub(super) fn ways(graph: &Graph, need: &Need, macs: f64, memory: f64) -> Result<Vec<Way>> {
    let many = Way::new(need, Probes::many(graph)?, 1.0, 1);
    if many.work(macs) <= PLENTY && many.bytes <= MUCH_MEMORY.min(memory) {
        return Ok(vec![many]);
    }
    let few = Way::new(need, Probes::few(graph)?, 1.0, 1);
    let mut ways = Vec::new();
    if !few.is_light(macs, memory) {
        let smaller = |sides| smaller(need, &few.probes, sides, macs, memory);
        ways.extend([Sides::ChannelsFirst, Sides::ChannelsLast].into_iter().filter_map(smaller));
    }
    let whole = GROUPS.map(|groups| Way::new(need, few.probes.clone(), 1.0, groups));
    let least = whole.iter().map(|way| way.bytes).fold(f64::INFINITY, f64::min);
    ways.extend(whole.into_iter().find(|way| way.bytes <= memory));
    if ways.is_empty() {
        return Err(too_large(least, memory));
    }
    Ok(ways)
}

/// The largest copy of a network that is checked lightly.
fn smaller(need: &Need, probes: &Probes, sides: Sides, macs: f64, memory: f64) -> Option<Way> {
    let mut at = (probes.clone(), 1.0);
    loop {
        let (probes, share) = at.0.halved(sides)?;
        let way = Way::new(need, probes.clone(), at.1 * share, 1);
        if way.is_light(macs, memory) {
            return Some(way);
        }
        at = (probes, at.1 * share);
    }
}

/// The refusal of what does not fit.
pub(super) fn too_large(least: f64, memory: f64) -> anyhow::Error {
    anyhow!(
        "checking the cut takes at least {} of memory, and {} may be used; give more with --memory, or export the model \
         at a smaller size",
        bytes(least as u64),
        bytes(memory as u64)
    )
}

//! How far a runtime is from itself: what it says when nothing changes that a network should notice. A difference
//! between two runtimes that is no larger says nothing of either.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::compare::{OutputAgreement, compare};
use crate::error::CertifyError;
use crate::runtimes::child::{Answer, Launcher, run_in_child};
use crate::runtimes::{Batch, Kind, Pieces};

/// So many times as far as runtimes are from themselves, two may be from each other: each rounds in its own way at every
/// node, and a few variations do not find the worst of one.
const OF_NOISE: f64 = 4.0;

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variation {
    /// The graph optimiser is off.
    Unoptimised,
    /// One thread in place of several, or two in place of one.
    Threads,
    /// One sample at a time.
    OneByOne,
    /// Every float of the inputs is the next one up or down.
    NextInputs,
}

impl std::fmt::Display for Variation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unoptimised => "without its optimiser",
            Self::Threads => "with other threads",
            Self::OneByOne => "one sample at a time",
            Self::NextInputs => "inputs moved by one ulp",
        })
    }
}

/// How far one output of a runtime moves, at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// The output.
    pub output: String,
    /// The largest absolute difference.
    pub absolute: f64,
    /// The largest relative difference of a sample; absent where it has no bound.
    pub relative: Option<f64>,
    /// What it took.
    pub by: Variation,
}

/// How far a runtime is from itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// The runtime.
    pub runtime: Kind,
    /// What was varied.
    pub varied: Vec<Variation>,
    /// One per output.
    pub floors: Vec<Floor>,
}

/// What is needed to ask a runtime again.
pub(super) struct Again<'a> {
    pub(super) launcher: &'a Launcher,
    pub(super) model: &'a Path,
    pub(super) inputs: &'a Batch,
    pub(super) pieces: Pieces,
}

impl Again<'_> {
    /// Asks a runtime again in every way that applies, and takes the largest differences from what it said. A way in
    /// which it does not run is left out.
    ///
    /// # Errors
    /// When the processes cannot be fed.
    pub(super) fn noise(&self, kind: Kind, said: &Answer) -> Result<Noise, CertifyError> {
        let mut noise = Noise { runtime: kind, varied: Vec::new(), floors: Vec::new() };
        for variation in self.variations(kind) {
            let Some(other) = self.varied(kind, variation)? else { continue };
            let pairs = said.outputs.iter().zip(&other.outputs);
            let samples = self.inputs.len();
            let found = pairs.map(|(a, b)| compare(a, b, samples, 0.0)).collect::<Result<Vec<_>, _>>();
            let Ok(found) = found else { continue };
            noise.varied.push(variation);
            noise.raise(&found, variation);
        }
        Ok(noise)
    }

    fn variations(&self, kind: Kind) -> Vec<Variation> {
        let several = matches!(self.pieces, Pieces::AtMost(size) if size > 1) && self.inputs.len() > 1;
        let floats = self.inputs.feeds().iter().any(|feed| feed.values.element().is_float());
        let mut found = vec![];
        found.extend((kind != Kind::TORCH).then_some(Variation::Unoptimised));
        found.extend((kind == Kind::ORT).then_some(Variation::Threads));
        found.extend(several.then_some(Variation::OneByOne));
        found.extend(floats.then_some(Variation::NextInputs));
        found
    }

    fn varied(&self, kind: Kind, variation: Variation) -> Result<Option<Answer>, CertifyError> {
        let (mut launcher, mut pieces, mut optimise) = (self.launcher.clone(), self.pieces, true);
        let mut moved = None;
        match variation {
            Variation::Unoptimised => optimise = false,
            Variation::Threads => launcher.threads = if launcher.threads == 1 { 2 } else { 1 },
            Variation::OneByOne => pieces = Pieces::AtMost(1),
            Variation::NextInputs => moved = Some(self.inputs.next_floats()),
        }
        let inputs = moved.as_ref().unwrap_or(self.inputs);
        Ok(run_in_child(&launcher, kind, self.model, inputs, pieces, optimise)?.ok())
    }
}

impl OutputAgreement {
    /// Passes where it is no further apart than runtimes are from themselves on this network, up to a factor of four.
    pub(super) fn hold_against(&mut self, noise: &[Noise]) {
        let floors: Vec<&Floor> =
            noise.iter().flat_map(|noise| &noise.floors).filter(|floor| floor.output == self.output).collect();
        self.floor = floors.iter().filter_map(|floor| floor.relative).max_by(f64::total_cmp);
        let absolute = floors.iter().map(|floor| floor.absolute).fold(0.0, f64::max);
        let is_finite = self.unlike_specials == 0 && self.proves_nothing.is_none();
        self.within_noise = !self.passed && is_finite && self.largest_absolute <= OF_NOISE * absolute;
        self.passed |= self.within_noise;
    }
}

impl Noise {
    fn raise(&mut self, found: &[OutputAgreement], by: Variation) {
        for (place, output) in found.iter().enumerate() {
            let (absolute, relative) = (output.largest_absolute, output.largest_relative);
            let floor = Floor { output: output.output.clone(), absolute, relative, by };
            match self.floors.get_mut(place) {
                None => self.floors.push(floor),
                Some(known) if known.absolute < absolute || known.relative.is_some() && relative.is_none() => {
                    *known = floor
                }
                Some(_) => {}
            }
        }
    }
}

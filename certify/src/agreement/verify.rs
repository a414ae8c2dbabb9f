//! One model on several runtimes, each in a process of its own, compared pair by pair.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::compare::{Nothing, OutputAgreement, compare};
use super::floor::{Again, Noise};
use crate::error::CertifyError;
use crate::progress::Progress;
use crate::runtimes::child::{Answer, Finding, Launcher, run_in_child};
use crate::runtimes::{Batch, Identity, Kind, Output, Pieces, different};

/// What is allowed for single and double precision, unless set.
const SINGLE: f64 = 1e-4;
/// What is allowed for half precision, unless set.
pub const HALF: f64 = 1e-2;
/// A difference of up to so many times that of the same runtimes on the network this one was made from is theirs.
const OF_NOISE: f64 = 2.0;

/// The relative errors that are allowed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tolerance {
    /// For outputs of floats that are not named below. When absent, each output's own type decides: 1e-2 for half
    /// precision on either side, else 1e-4. Integers are equal or not.
    pub relative: Option<f64>,
    /// For single outputs, by name.
    pub outputs: BTreeMap<String, f64>,
}

impl Tolerance {
    /// What is allowed between two values of one output.
    #[must_use]
    pub fn of(&self, reference: &Output, candidate: &Output) -> f64 {
        let elements = [reference, candidate].map(|output| output.values.element());
        let usual = || if elements.iter().any(|element| element.is_half()) { HALF } else { SINGLE };
        let named = self.outputs.get(&reference.name).copied();
        let floats = elements.iter().all(|element| element.is_float());
        named.unwrap_or_else(|| if floats { self.relative.unwrap_or_else(usual) } else { 0.0 })
    }
}

/// The runtimes to compare.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Which; the first is the reference.
    pub kinds: &'a [Kind],
    /// Whether somebody named them, so that one which cannot run the model does not pass.
    pub by_name: bool,
    /// Whether each runtime is held against itself in any case, and not only where two differ.
    pub noise: bool,
}

/// What every runtime says of one model, and how well they agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// The model file.
    pub model: PathBuf,
    /// Samples given to each runtime.
    pub samples: usize,
    /// What was allowed.
    pub tolerance: Tolerance,
    /// The runtimes that answered.
    pub answered: Vec<Answered>,
    /// The runtimes that cannot run it.
    pub findings: Vec<Finding>,
    /// Whether the runtimes were asked for by name, so that one which cannot run it does not pass.
    #[serde(default)]
    pub by_name: bool,
    /// Runtimes that cannot run it, but run the network that it was made from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Kind>,
    /// Every two that answered; the first asked for is the reference of its pairs.
    pub pairs: Vec<Pair>,
    /// Runtimes against themselves, where that was measured.
    #[serde(default)]
    pub noise: Vec<Noise>,
    /// All pairs agree, and no runtime is missing that was asked for by name.
    pub passed: bool,
}

/// One runtime's run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// The runtime.
    pub kind: Kind,
    /// Its version and device.
    #[serde(flatten)]
    pub identity: Identity,
    /// Seconds from start to end of its process.
    pub seconds: f64,
}

/// Two runtimes compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The reference.
    pub reference: Kind,
    /// The candidate.
    pub candidate: Kind,
    /// One per output, in order; empty when the two give outputs that cannot be compared.
    pub outputs: Vec<OutputAgreement>,
    /// Why the outputs cannot be compared, or why comparing them proves nothing.
    pub fault: Option<String>,
    /// Whether all outputs agree.
    pub passed: bool,
    /// Whether they are further apart than allowed, but no further than the same two are on the network that this one
    /// was made from: the runtimes cannot be told apart.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub as_before: bool,
}

impl Agreement {
    /// Whether there is anything that the network which this one was made from may explain: a runtime that cannot run
    /// it, or a difference.
    pub fn needs_original(&self) -> bool {
        !self.passed || !self.findings.is_empty()
    }

    /// Whether any two runtimes were compared.
    pub fn compares(&self) -> bool {
        !self.pairs.is_empty()
    }

    /// Holds it against the network which it was made from: pairs pass that differ no more than they do there, up to a
    /// factor of two, since that is the runtimes' own noise; a runtime that runs only that one does not.
    pub fn hold_against(&mut self, original: &Self) {
        let ran = |kind: Kind| original.answered.iter().any(|answered| answered.kind == kind);
        self.lost = self.findings.iter().map(|finding| finding.runtime).filter(|&kind| ran(kind)).collect();
        for pair in self.pairs.iter_mut().filter(|pair| !pair.passed && pair.fault.is_none()) {
            let is_same = |other: &&Pair| (other.reference, other.candidate) == (pair.reference, pair.candidate);
            let Some(before) = original.pairs.iter().find(is_same) else { continue };
            let excused = pair.outputs.len() == before.outputs.len()
                && pair.outputs.iter().zip(&before.outputs).all(|(now, before)| now.passed || is_noise(now, before));
            (pair.passed, pair.as_before) = (excused, excused);
        }
        self.judge();
    }

    fn judge(&mut self) {
        let missing = self.by_name && !self.findings.is_empty();
        self.passed = !missing && self.lost.is_empty() && self.pairs.iter().all(|pair| pair.passed);
    }
}

impl Pair {
    /// Lets outputs pass that are no further apart than runtimes are from themselves.
    fn hold_against(&mut self, noise: &[Noise]) {
        self.outputs.iter_mut().for_each(|output| output.hold_against(noise));
        self.passed = self.fault.is_none() && self.outputs.iter().all(|output| output.passed);
    }
}

fn is_noise(now: &OutputAgreement, before: &OutputAgreement) -> bool {
    let relative = now.largest_relative.zip(before.largest_relative);
    relative.is_some_and(|(now, before)| now <= OF_NOISE * before)
}

/// Runs a model on each kind of runtime, in pieces, and compares the answers.
///
/// # Errors
/// When fewer than two runtimes are asked for, or one twice, or the processes cannot be fed. Runtimes that fail are findings.
pub fn verify(
    model: &Path,
    asked: Asked<'_>,
    inputs: &Batch,
    pieces: Pieces,
    launcher: &Launcher,
    tolerance: &Tolerance,
    progress: &mut dyn FnMut(Progress),
) -> Result<Agreement, CertifyError> {
    let Asked { kinds, by_name, noise: always } = asked;
    different(kinds)?;
    let mut answers = Vec::new();
    let mut findings = Vec::new();
    for (done, kind) in kinds.iter().enumerate() {
        progress(Progress::Step { phase: "verify", done: done as u64, total: kinds.len() as u64 });
        match run_in_child(launcher, *kind, model, inputs, pieces, true)? {
            Ok(answer) => answers.push((*kind, answer)),
            Err(finding) => findings.push(finding),
        }
    }
    let mut pairs = pairs(&answers, inputs.len(), tolerance);
    let differs = |kind: Kind| {
        let of_kind = |pair: &&Pair| pair.reference == kind || pair.candidate == kind;
        pairs.iter().filter(of_kind).any(|pair| !pair.passed && pair.fault.is_none())
    };
    let again = Again { launcher, model, inputs, pieces };
    let asked_again = answers.iter().filter(|(kind, _)| answers.len() > 1 && (always || differs(*kind)));
    let noise: Vec<Noise> =
        asked_again.map(|(kind, answer)| again.noise(*kind, answer)).collect::<Result<_, CertifyError>>()?;
    pairs.iter_mut().for_each(|pair| pair.hold_against(&noise));
    let mut found = Agreement {
        model: model.to_path_buf(),
        samples: inputs.len(),
        tolerance: tolerance.clone(),
        by_name,
        lost: Vec::new(),
        passed: false,
        answered: answers
            .into_iter()
            .map(|(kind, Answer { identity, seconds, .. })| Answered { kind, identity, seconds })
            .collect(),
        findings,
        pairs,
        noise,
    };
    found.judge();
    Ok(found)
}

fn pairs(answers: &[(Kind, Answer)], samples: usize, tolerance: &Tolerance) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (index, (reference, a)) in answers.iter().enumerate() {
        for (candidate, b) in &answers[index + 1..] {
            let (outputs, fault) = match compare_all(&a.outputs, &b.outputs, samples, tolerance) {
                Ok(outputs) => {
                    let fault = proves_nothing(&outputs);
                    (outputs, fault)
                }
                Err(fault) => (Vec::new(), Some(fault)),
            };
            let passed = fault.is_none() && outputs.iter().all(|output| output.passed);
            pairs.push(Pair { reference: *reference, candidate: *candidate, outputs, fault, passed, as_before: false });
        }
    }
    pairs
}

/// Compares outputs by position: runtimes may rename them.
fn compare_all(
    a: &[Output],
    b: &[Output],
    samples: usize,
    tolerance: &Tolerance,
) -> Result<Vec<OutputAgreement>, String> {
    if a.len() != b.len() {
        return Err(format!("one gives {} outputs, the other {}", a.len(), b.len()));
    }
    let compared = |(a, b)| compare(a, b, samples, tolerance.of(a, b)).map_err(|error| error.to_string());
    a.iter().zip(b).map(compared).collect()
}

/// Why a comparison of all outputs proves nothing: one of them has nothing that could be compared, or none of them
/// depends on the sample. A single constant output is legal, for example boxes that detections are relative to.
fn proves_nothing(outputs: &[OutputAgreement]) -> Option<String> {
    let reason = |output: &OutputAgreement| Some((output.output.clone(), output.proves_nothing?));
    let reasons: Vec<(String, Nothing)> = outputs.iter().filter_map(reason).collect();
    let said = |(output, reason): &(String, Nothing)| format!("nothing was compared at `{output}`: {reason}");
    let broken = reasons.iter().find(|(_, reason)| *reason != Nothing::Constant);
    match broken {
        Some(broken) => Some(said(broken)),
        None if reasons.len() == outputs.len() => Some(reasons.first().map_or("the model has no outputs".into(), said)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::agreement::floor::{Floor, Variation};
    use crate::runtimes::Values;
    use crate::runtimes::child::Fault;

    fn output(name: &str, values: impl Into<Values>) -> Output {
        let values = values.into();
        Output { name: name.into(), shape: vec![values.len()], values }
    }

    fn answer(outputs: Vec<Output>) -> Answer {
        let identity = Identity { runtime: "ort".into(), version: "1".into(), device: "cpu".into() };
        Answer { identity, outputs, seconds: 0.0 }
    }

    /// The pair of two runtimes that give the same.
    fn agreed(outputs: Vec<Output>) -> Pair {
        let answers = [Kind::ORT, Kind::TRACT].map(|kind| (kind, answer(outputs.clone())));
        pairs(&answers, 8, &Tolerance::default()).remove(0)
    }

    #[test]
    fn runtimes_that_agree_on_nothing_do_not_pass() {
        let counting = || (0..8u8).map(f32::from).collect::<Vec<f32>>();
        for (outputs, passes) in [
            (vec![output("y", counting())], true),
            (vec![output("y", vec![0.0f32; 8])], false),
            (vec![output("y", vec![f32::NAN; 8])], false),
            (vec![output("y", counting()), output("boxes", vec![1.5f32; 8])], true),
            (vec![output("y", counting()), output("z", vec![f32::NAN; 8])], false),
            (vec![output("y", Vec::<f32>::new())], false),
            (vec![], false),
        ] {
            let pair = agreed(outputs);
            assert_eq!((pair.passed, pair.fault.is_none()), (passes, passes), "{pair:?}");
        }
    }

    #[test]
    fn a_difference_that_the_original_had_too_is_the_runtimes_own() {
        let agreement = |by: f32| {
            let answers = [(Kind::ORT, 0.0), (Kind::TRACT, by)]
                .map(|(kind, by)| (kind, answer(vec![output("y", vec![1.0f32, 2.0, 3.0 + by])])));
            let pairs = pairs(&answers, 1, &Tolerance::default());
            let passed = pairs.iter().all(|pair| pair.passed);
            Agreement {
                model: PathBuf::new(),
                samples: 1,
                tolerance: Tolerance::default(),
                answered: Vec::new(),
                findings: Vec::new(),
                by_name: false,
                lost: Vec::new(),
                pairs,
                noise: Vec::new(),
                passed,
            }
        };
        let judged = |now: f32, before: f32| {
            let mut now = agreement(now);
            assert!(now.needs_original());
            now.hold_against(&agreement(before));
            (now.passed, now.pairs[0].as_before)
        };
        assert_eq!(judged(0.05, 0.03), (true, true));
        assert_eq!(judged(0.05, 0.02), (false, false));
        assert!(!agreement(0.0).needs_original());
    }

    #[test]
    fn a_runtime_that_cannot_run_a_model_does_not_disagree() {
        let answered = |kind| Answered { kind, identity: answer(vec![]).identity, seconds: 0.0 };
        let of = |by_name: bool| {
            let finding = Finding { runtime: Kind::TORCH, fault: Fault::Failed { message: "no such operator".into() } };
            let mut found = Agreement {
                model: PathBuf::new(),
                samples: 1,
                tolerance: Tolerance::default(),
                answered: vec![answered(Kind::ORT)],
                findings: vec![finding],
                by_name,
                lost: Vec::new(),
                pairs: Vec::new(),
                noise: Vec::new(),
                passed: false,
            };
            found.judge();
            found
        };
        assert_eq!([of(false).passed, of(true).passed], [true, false]);
        let mut now = of(false);
        now.hold_against(&of(false));
        assert!(now.passed && now.lost.is_empty() && !now.compares());
        let ran = Agreement { answered: vec![answered(Kind::TORCH)], findings: Vec::new(), ..of(false) };
        now.hold_against(&ran);
        assert_eq!((now.passed, now.lost), (false, vec![Kind::TORCH]));
    }

    #[test]
    fn what_is_within_the_runtimes_own_noise_passes_and_says_so() {
        let answers = [(Kind::ORT, 0.0), (Kind::TRACT, 0.03)]
            .map(|(kind, by)| (kind, answer(vec![output("y", vec![1.0f32, 2.0, 3.0 + by])])));
        let judged = |absolute: f64| {
            let floor = Floor { output: "y".into(), absolute, relative: Some(absolute / 3.0), by: Variation::Threads };
            let noise = Noise { runtime: Kind::TRACT, varied: vec![Variation::Threads], floors: vec![floor] };
            let mut pair = pairs(&answers, 1, &Tolerance::default()).remove(0);
            assert!(!pair.passed);
            pair.hold_against(&[noise]);
            (pair.passed, pair.outputs[0].within_noise, pair.outputs[0].floor.is_some())
        };
        assert_eq!(judged(0.02), (true, true, true));
        assert_eq!(judged(0.005), (false, false, true));
    }

    #[test]
    fn each_output_is_held_to_its_own_type() {
        let half = output("h", vec![half::f16::ONE]);
        let (single, whole) = (output("s", vec![1.0f32]), output("i", vec![1i8]));
        let usual = Tolerance::default();
        assert_eq!(
            [(&half, &single), (&single, &single), (&whole, &whole)].map(|(a, b)| usual.of(a, b)),
            [1e-2, 1e-4, 0.0]
        );
        let set = Tolerance { relative: Some(0.5), outputs: BTreeMap::from([("i".to_owned(), 0.25)]) };
        assert_eq!([(&half, &half), (&whole, &whole)].map(|(a, b)| set.of(a, b)), [0.5, 0.25]);
    }
}

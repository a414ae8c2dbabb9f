//! One model on several runtimes, each in a process of its own, compared pair by pair.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::compare::{OutputAgreement, compare};
use crate::error::CertifyError;
use crate::progress::Progress;
use crate::runtimes::child::{Answer, Finding, Launcher, run_in_child};
use crate::runtimes::{Batch, Identity, Kind, Output};

/// The relative errors that are allowed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tolerance {
    /// For outputs not named below; 1e-4 suits `f32` models, 1e-2 half precision.
    pub relative: f64,
    /// For single outputs, by name.
    pub outputs: BTreeMap<String, f64>,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { relative: 1e-4, outputs: BTreeMap::new() }
    }
}

impl Tolerance {
    /// What is allowed for the output of that name.
    #[must_use]
    pub fn of(&self, output: &str) -> f64 {
        self.outputs.get(output).copied().unwrap_or(self.relative)
    }
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
    /// The runtimes that did not.
    pub findings: Vec<Finding>,
    /// Every two that answered; the first asked for is the reference of its pairs.
    pub pairs: Vec<Pair>,
    /// ONNX Runtime against itself, its graph optimiser on and off; absent when it was not asked or did not answer.
    pub noise: Option<Vec<OutputAgreement>>,
    /// All runtimes answered and all pairs agree.
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
    /// Why the outputs cannot be compared.
    pub fault: Option<String>,
    /// Whether all outputs agree.
    pub passed: bool,
}

/// Runs a model on each kind of runtime, `size` samples at a time, and compares the answers.
///
/// # Errors
/// When the processes cannot be fed. Runtimes that fail are findings.
pub fn verify(
    model: &Path,
    kinds: &[Kind],
    inputs: &Batch,
    size: usize,
    launcher: &Launcher,
    tolerance: &Tolerance,
    progress: &mut dyn FnMut(Progress),
) -> Result<Agreement, CertifyError> {
    let mut answers = Vec::new();
    let mut findings = Vec::new();
    for (done, kind) in kinds.iter().enumerate() {
        progress(Progress::Step { phase: "verify", done: done as u64, total: kinds.len() as u64 });
        match run_in_child(launcher, *kind, model, inputs, size, true)? {
            Ok(answer) => answers.push((*kind, answer)),
            Err(finding) => findings.push(finding),
        }
    }
    let pairs = pairs(&answers, tolerance);
    let noise = match answers.iter().find(|(kind, _)| *kind == Kind::Ort) {
        Some((_, optimised)) => noise(model, inputs, size, launcher, tolerance, optimised)?,
        None => None,
    };
    Ok(Agreement {
        model: model.to_path_buf(),
        samples: inputs.len(),
        tolerance: tolerance.clone(),
        passed: findings.is_empty() && pairs.iter().all(|pair| pair.passed),
        answered: answers
            .into_iter()
            .map(|(kind, Answer { identity, seconds, .. })| Answered { kind, identity, seconds })
            .collect(),
        findings,
        pairs,
        noise,
    })
}

/// ONNX Runtime's answer without its graph optimiser, as the reference of its answer with it.
fn noise(
    model: &Path,
    inputs: &Batch,
    size: usize,
    launcher: &Launcher,
    tolerance: &Tolerance,
    optimised: &Answer,
) -> Result<Option<Vec<OutputAgreement>>, CertifyError> {
    let plain = run_in_child(launcher, Kind::Ort, model, inputs, size, false)?;
    Ok(plain.ok().and_then(|plain| compare_all(&plain.outputs, &optimised.outputs, tolerance).ok()))
}

fn pairs(answers: &[(Kind, Answer)], tolerance: &Tolerance) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (index, (reference, a)) in answers.iter().enumerate() {
        for (candidate, b) in &answers[index + 1..] {
            let (outputs, fault) = match compare_all(&a.outputs, &b.outputs, tolerance) {
                Ok(outputs) => (outputs, None),
                Err(fault) => (Vec::new(), Some(fault)),
            };
            let passed = fault.is_none() && outputs.iter().all(|output| output.passed);
            pairs.push(Pair { reference: *reference, candidate: *candidate, outputs, fault, passed });
        }
    }
    pairs
}

/// Compares outputs by position: runtimes may rename them.
fn compare_all(a: &[Output], b: &[Output], tolerance: &Tolerance) -> Result<Vec<OutputAgreement>, String> {
    if a.len() != b.len() {
        return Err(format!("one gives {} outputs, the other {}", a.len(), b.len()));
    }
    a.iter().zip(b).map(|(a, b)| compare(a, b, tolerance.of(&a.name)).map_err(|error| error.to_string())).collect()
}

//! Two files on the same runtime: what an export gave before and after, dense and in half precision, this release and
//! the last one.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::compare::{OutputAgreement, compare};
use super::floor::Again;
use super::verify::{Asked, Tolerance};
use crate::error::CertifyError;
use crate::progress::Progress;
use crate::runtimes::child::{Finding, Launcher, run_in_child};
use crate::runtimes::{Batch, Element, Kind, Output, Pieces, named_once};

/// A file with what it is fed.
#[derive(Clone, Copy, Debug)]
pub struct Fed<'a> {
    /// The file.
    pub model: &'a Path,
    /// The same samples for both files, in the form that this one takes.
    pub inputs: &'a Batch,
    /// How they are cut.
    pub pieces: Pieces,
}

/// What two files say of the same samples, runtime by runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Across {
    /// The first file.
    pub reference: PathBuf,
    /// The second one.
    pub candidate: PathBuf,
    /// Samples given to each.
    pub samples: usize,
    /// What was allowed.
    pub tolerance: Tolerance,
    /// One for each runtime that runs both.
    pub runs: Vec<Run>,
    /// Runtimes that cannot run one of them.
    pub findings: Vec<OfFile>,
    /// Outputs that the two files do not have alike, as the first runtime gives them.
    pub mismatches: Vec<Mismatch>,
    /// All outputs agree wherever both files run, none is missing or of another shape, and no runtime is missing that was
    /// asked for by name.
    pub passed: bool,
}

/// Both files on one runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The runtime.
    pub runtime: Kind,
    /// One per output that both have, by the reference's order.
    pub outputs: Vec<OutputAgreement>,
    /// Whether all agree.
    pub passed: bool,
}

/// A runtime that cannot run a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfFile {
    /// The file.
    pub model: PathBuf,
    /// What happened.
    #[serde(flatten)]
    pub finding: Finding,
}

/// How an output of the reference differs from the candidate's, beside its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mismatch", rename_all = "snake_case")]
pub enum Mismatch {
    /// It stands at the same place under another name.
    Renamed {
        /// The reference's name.
        output: String,
        /// The candidate's.
        to: String,
    },
    /// The candidate has none for it.
    Missing {
        /// The reference's name.
        output: String,
    },
    /// The candidate has one more.
    Added {
        /// The candidate's name.
        output: String,
    },
    /// Its elements are of another type.
    Retyped {
        /// The reference's name.
        output: String,
        /// The reference's type.
        from: Element,
        /// The candidate's.
        to: Element,
    },
    /// It has other sizes.
    Reshaped {
        /// The reference's name.
        output: String,
        /// The reference's sizes.
        from: Vec<usize>,
        /// The candidate's.
        to: Vec<usize>,
    },
}

impl Mismatch {
    /// Whether the outputs cannot agree. Another name or type, or one output more, only has to be known.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Reshaped { .. } => true,
            Self::Retyped { from, to, .. } => from.is_float() != to.is_float(),
            Self::Renamed { .. } | Self::Added { .. } => false,
        }
    }
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Renamed { output, to } => {
                write!(f, "output `{output}` is called `{to}`: they are matched by their place")
            }
            Self::Missing { output } => write!(f, "output `{output}` is missing in the second file"),
            Self::Added { output } => write!(f, "output `{output}` is only in the second file"),
            Self::Retyped { output, from, to } => write!(f, "output `{output}` holds {to:?} instead of {from:?}"),
            Self::Reshaped { output, from, to } => {
                write!(f, "output `{output}` has the shape {to:?} instead of {from:?}")
            }
        }
    }
}

/// Runs two files on each runtime and compares them there.
///
/// # Errors
/// When no runtime is asked for, or one twice, or the processes cannot be fed. Runtimes that fail are findings.
pub fn across(
    reference: Fed<'_>,
    candidate: Fed<'_>,
    asked: Asked<'_>,
    launcher: &Launcher,
    tolerance: &Tolerance,
    progress: &mut dyn FnMut(Progress),
) -> Result<Across, CertifyError> {
    named_once(asked.kinds)?;
    let mut found = Across {
        reference: reference.model.to_path_buf(),
        candidate: candidate.model.to_path_buf(),
        samples: reference.inputs.len(),
        tolerance: tolerance.clone(),
        runs: Vec::new(),
        findings: Vec::new(),
        mismatches: Vec::new(),
        passed: false,
    };
    for (done, kind) in asked.kinds.iter().enumerate() {
        progress(Progress::Step { phase: "verify", done: done as u64, total: asked.kinds.len() as u64 });
        let mut answers = Vec::new();
        for file in [reference, candidate] {
            match run_in_child(launcher, *kind, file.model, file.inputs, file.pieces, true)? {
                Ok(answer) => answers.push(answer),
                Err(finding) => found.findings.push(OfFile { model: file.model.to_path_buf(), finding }),
            }
        }
        let [first, second] = &answers[..] else { continue };
        let (mut outputs, mismatches) = matched(&first.outputs, &second.outputs, reference.inputs.len(), tolerance)?;
        if asked.noise || outputs.iter().any(|output| !output.passed) {
            let Fed { model, inputs, pieces } = reference;
            let noise = [Again { launcher, model, inputs, pieces }.noise(*kind, first)?];
            outputs.iter_mut().for_each(|output| output.hold_against(&noise));
        }
        let passed = outputs.iter().all(|output| output.passed);
        found.runs.push(Run { runtime: *kind, outputs, passed });
        if found.mismatches.is_empty() {
            found.mismatches = mismatches;
        }
    }
    let missing = asked.by_name && !found.findings.is_empty();
    found.passed =
        !missing && found.runs.iter().all(|run| run.passed) && !found.mismatches.iter().any(Mismatch::is_fatal);
    Ok(found)
}

/// Compares outputs of the same name, and those left over by their place.
fn matched(
    reference: &[Output],
    candidate: &[Output],
    samples: usize,
    tolerance: &Tolerance,
) -> Result<(Vec<OutputAgreement>, Vec<Mismatch>), CertifyError> {
    let has = |outputs: &[Output], name: &str| outputs.iter().any(|output| output.name == name);
    let mut spare = candidate.iter().filter(|output| !has(reference, &output.name));
    let (mut compared, mut mismatches) = (Vec::new(), Vec::new());
    for output in reference {
        let name = output.name.clone();
        let other = match candidate.iter().find(|other| other.name == name) {
            Some(other) => other,
            None => {
                let Some(other) = spare.next() else {
                    mismatches.push(Mismatch::Missing { output: name });
                    continue;
                };
                mismatches.push(Mismatch::Renamed { output: name.clone(), to: other.name.clone() });
                other
            }
        };
        let (from, to) = (output.values.element(), other.values.element());
        if from != to {
            mismatches.push(Mismatch::Retyped { output: name.clone(), from, to });
        }
        if output.shape != other.shape {
            mismatches.push(Mismatch::Reshaped { output: name, from: output.shape.clone(), to: other.shape.clone() });
        } else if from.is_float() == to.is_float() {
            compared.push(compare(output, other, samples, tolerance.of(output, other))?);
        }
    }
    mismatches.extend(spare.map(|output| Mismatch::Added { output: output.name.clone() }));
    Ok((compared, mismatches))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::runtimes::Values;

    fn output(name: &str, shape: &[usize], values: impl Into<Values>) -> Output {
        Output { name: name.into(), shape: shape.to_vec(), values: values.into() }
    }

    #[test]
    fn outputs_are_matched_by_name_and_then_by_place() {
        let one = |name: &str| output(name, &[2, 1], vec![1.0f32, 2.0]);
        let other = output("b", &[2, 1], vec![3.0f32, 4.0]);
        let (found, mismatches) =
            matched(&[one("a"), other.clone()], &[other, one("z")], 2, &Tolerance::default()).unwrap();
        assert!(found.iter().all(|output| output.passed), "{found:?}");
        assert_eq!(mismatches, [Mismatch::Renamed { output: "a".into(), to: "z".into() }]);
    }

    #[test]
    fn what_is_missing_or_of_another_form_is_named() {
        let half = output("h", &[2, 1], vec![half::f16::ONE, half::f16::NEG_ONE]);
        let single = output("h", &[2, 1], vec![1.0f32, -1.0]);
        let (found, mismatches) = matched(std::slice::from_ref(&single), &[half], 2, &Tolerance::default()).unwrap();
        assert!(found[0].passed && found[0].tolerance > 1e-3);
        assert_eq!(mismatches.iter().map(Mismatch::is_fatal).collect::<Vec<_>>(), [false]);
        let wide = output("h", &[1, 2], vec![1.0f32, -1.0]);
        let more = [wide, output("k", &[2, 1], vec![0.0f32, 1.0])];
        let (found, mismatches) = matched(std::slice::from_ref(&single), &more, 2, &Tolerance::default()).unwrap();
        assert!(found.is_empty());
        assert!(matches!(&mismatches[..], [Mismatch::Reshaped { .. }, Mismatch::Added { .. }]), "{mismatches:?}");
        let (_, mismatches) = matched(&[single], &[], 2, &Tolerance::default()).unwrap();
        assert!(mismatches[0].is_fatal() && mismatches[0].to_string().contains("missing"));
    }
}

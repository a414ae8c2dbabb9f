//! Whether a smaller network still answers what the large one answers, on pictures, output by output.
//!
//! No label is needed. How an output is measured depends on its [`Kind`]: classes are counted, maps of classes are
//! counted pixel by pixel, pictures get a signal-to-noise ratio, anything else a relative error and the share of the
//! large network's variance that is explained. A network that answers the same whatever it sees is named as *collapsed*.
//!
//! - [`kind`] decides what an output is, from its type, its shape and its range;
//! - `tally` adds up pictures, `collapse` says when a network has stopped looking at them;
//! - [`result`] is what was found.

mod collapse;
pub mod kind;
pub mod result;
mod tally;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use images::data::ImageSet;
use images::draw;
use images::intake::Intake;

pub(crate) use self::collapse::one_class;
use self::kind::Form;
pub use self::kind::Kind;
pub use self::result::{Answers, Collapse, Measure, OutputAnswers};
use self::tally::Tally;
use crate::error::CertifyError;
use crate::progress::Progress;
use crate::runtimes::ort::OrtSession;
use crate::runtimes::{Batch, Options, Output, Session};

/// Pictures of the first run, which decides the kinds.
const PILOT: usize = 16;
/// Input values of a run, about: bounds the memory of activations for large pictures.
const VALUES: usize = 1 << 20;

/// A network whose answers are compared with the large one's.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its name in results, for example `after tuning`.
    pub name: String,
    /// Its file.
    pub model: PathBuf,
}

/// What is compared.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Pictures, drawn from the set by the seed; all of a smaller set.
    pub pictures: usize,
    /// What outputs are, by name, where the rule of [`kind`] is not right.
    pub kinds: BTreeMap<String, Kind>,
    /// Seed of the choice of pictures.
    pub seed: u64,
    /// Threads of the runtime.
    pub threads: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { pictures: 512, kinds: BTreeMap::new(), seed: 0, threads: 1 }
    }
}

/// Compares each candidate's answers with the large network's, on ONNX Runtime.
///
/// # Errors
/// When there are no pictures, one cannot be read, a network does not run, a candidate's outputs differ from the large
/// network's in number, or an output cannot be of the kind set for it.
pub fn answers(
    dense: &Path,
    candidates: &[Candidate],
    images: &ImageSet,
    intake: &Intake,
    settings: &Settings,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Answers>, CertifyError> {
    let mut chosen = draw::permutation(images.len(), &mut draw::rng(settings.seed, "answers", 0, 0));
    chosen.truncate(settings.pictures.max(1));
    let options = Options { threads: settings.threads, optimise: true };
    let mut teacher = OrtSession::load(dense, options)?;
    let mut sessions = candidates
        .iter()
        .map(|candidate| OrtSession::load(&candidate.model, options))
        .collect::<Result<Vec<_>, _>>()?;
    let size = (VALUES / intake.len().max(1)).clamp(1, PILOT);
    let mut comparisons: Vec<Comparison> = Vec::new();
    let mut done = 0;
    for some in chosen.chunks(size) {
        let batch = batch(images, intake, some)?;
        let said = teacher.run(&batch)?;
        if comparisons.is_empty() {
            let forms = forms(&said, &batch, intake, settings)?;
            comparisons = candidates.iter().map(|candidate| Comparison::new(candidate, &said, &forms)).collect();
        }
        for (session, comparison) in sessions.iter_mut().zip(&mut comparisons) {
            comparison.add(&said, &session.run(&batch)?, batch.len())?;
        }
        done += some.len() as u64;
        progress(Progress::Step { phase: "answers", done, total: chosen.len() as u64 });
    }
    if done == 0 {
        return Err(CertifyError::NoImages);
    }
    comparisons.into_iter().map(Comparison::finish).collect()
}

/// What each of the large network's outputs is.
fn forms(said: &[Output], batch: &Batch, intake: &Intake, settings: &Settings) -> Result<Vec<Form>, CertifyError> {
    let names = |name: &String| said.iter().any(|output| output.name == *name);
    if let Some(unknown) = settings.kinds.keys().find(|name| !names(name)) {
        return Err(CertifyError::NoSuchOutput { output: unknown.clone() });
    }
    // Nothing is a picture, or a map of one, where none comes in.
    let sides = intake.picture().map_or([usize::MAX; 2], |preprocess| [preprocess.height, preprocess.width]);
    let of = |output| kind::decide(output, said, batch.len(), sides, settings.kinds.get(&output.name).copied());
    said.iter().map(of).collect()
}

fn batch(images: &ImageSet, intake: &Intake, chosen: &[usize]) -> Result<Batch, CertifyError> {
    let first = chosen.first().copied().unwrap_or(0);
    let values = intake.values_all(images, chosen);
    let values = values.map_err(|error| CertifyError::Image { image: first, reason: error.to_string() })?;
    Batch::of_samples(intake, values)
}

/// One candidate against the large network.
struct Comparison {
    candidate: Candidate,
    pictures: usize,
    outputs: Vec<(String, Tally)>,
}

impl Comparison {
    fn new(candidate: &Candidate, said: &[Output], forms: &[Form]) -> Self {
        let outputs = said.iter().zip(forms).map(|(output, form)| (output.name.clone(), Tally::new(form)));
        Self { candidate: candidate.clone(), pictures: 0, outputs: outputs.collect() }
    }

    fn add(&mut self, dense: &[Output], slim: &[Output], pictures: usize) -> Result<(), CertifyError> {
        if dense.len() != slim.len() {
            return Err(CertifyError::Outputs { first: dense.len(), other: slim.len() });
        }
        for (((_, tally), dense), slim) in self.outputs.iter_mut().zip(dense).zip(slim) {
            if dense.shape != slim.shape {
                tally.give_up(format!("its shape is {:?} where the dense network's is {:?}", slim.shape, dense.shape));
            }
            for (dense, slim) in dense.samples(pictures).zip(slim.samples(pictures)) {
                tally.add(&dense.to_f64(), &slim.to_f64());
            }
        }
        self.pictures += pictures;
        Ok(())
    }

    fn finish(self) -> Result<Answers, CertifyError> {
        let outputs = self.outputs.into_iter().map(|(output, tally)| tally.finish(output));
        Ok(Answers { name: self.candidate.name, pictures: self.pictures, outputs: outputs.collect::<Result<_, _>>()? })
    }
}

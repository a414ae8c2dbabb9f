//! Top-1 accuracy on a labelled set, on ONNX Runtime.

use std::path::Path;
use std::sync::mpsc::sync_channel;

use images::data::ImageSet;
use images::intake::Intake;
use serde::{Deserialize, Serialize};

use crate::certificate::proportion;
use crate::error::CertifyError;
use crate::progress::Progress;
use crate::runtimes::ort::OrtSession;
use crate::runtimes::{Batch, Options};
use crate::scores::{Scores, predicted};
use crate::statistics::binomial::Proportion;

/// Values of an input batch, about: bounds the memory of activations for large images.
const VALUES: usize = 1 << 20;
/// Images of a batch, at most.
const MOST: usize = 128;

/// How often a model is right.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Right predictions, with their 95 % interval.
    pub top1: Proportion,
    /// Pictures with a score that is not a number: they count as wrong, and the network is not to be used.
    pub not_finite: usize,
    /// Image by image, for comparisons; not part of a report.
    #[serde(skip)]
    pub right: Vec<bool>,
}

/// Runs a model over a whole set. The next samples are read while a batch runs.
///
/// # Errors
/// When an image has no label, has one the model does not know, or cannot be read, or the model fails.
pub fn accuracy(
    model: &Path,
    images: &ImageSet,
    intake: &Intake,
    threads: usize,
    progress: &mut dyn FnMut(Progress),
) -> Result<Accuracy, CertifyError> {
    let mut session = OrtSession::load(model, Options { threads, optimise: true })?;
    let size = (VALUES / intake.len().max(1)).clamp(1, MOST);
    let starts = (0..images.len()).step_by(size);
    let mut right = Vec::with_capacity(images.len());
    let mut not_finite = 0;
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1);
        scope.spawn(move || {
            for start in starts {
                let chosen: Vec<usize> = (start..images.len().min(start + size)).collect();
                if sender.send((start, intake.values_all(images, &chosen))).is_err() {
                    return;
                }
            }
        });
        for (start, read) in receiver {
            let values = read.map_err(|error| CertifyError::Image { image: start, reason: error.to_string() })?;
            for judged in judge(&mut session, model, images, start, &Batch::of_samples(intake, values)?)? {
                not_finite += usize::from(judged.is_none());
                right.push(judged == Some(true));
            }
            progress(Progress::Step { phase: "accuracy", done: right.len() as u64, total: images.len() as u64 });
        }
        Ok(())
    })?;
    Ok(Accuracy { top1: proportion(right.iter().copied())?, not_finite, right })
}

/// Whether each image of a batch that begins at `start` is classified as its label; none where a score is not a number.
fn judge(
    session: &mut OrtSession,
    model: &Path,
    images: &ImageSet,
    start: usize,
    batch: &Batch,
) -> Result<Vec<Option<bool>>, CertifyError> {
    let scores = Scores::of(session, model, batch)?;
    let judged = scores.samples().enumerate().map(|(offset, sample)| {
        let image = start + offset;
        let label = images.label(image).ok_or(CertifyError::NoLabel { image })?;
        if label as usize >= sample.len() {
            return Err(CertifyError::Label { image, label, model: model.to_path_buf(), classes: sample.len() });
        }
        Ok(predicted(sample).map(|class| class == label as usize))
    });
    judged.collect()
}

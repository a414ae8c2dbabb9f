//! One image under all laws through all models.

use images::Pixels;
use images::data::ImageSet;
use images::draw;
use images::laws::Law;
use images::preprocess::Preprocess;

use super::judge::{Clean, Judge};
use super::result::ImageVerdict;
use super::settings::Settings;
use crate::error::CertifyError;
use crate::runtimes::ort::OrtSession;
use crate::runtimes::{Batch, Options};
use crate::scores::Scores;

use super::engine::Subject;

/// Draws run together hold about this many values, within [`FEWEST`] and [`MOST`] draws: enough to use the caches well,
/// few enough that little is wasted past a verdict.
const VALUES: usize = 100_000;
const FEWEST: usize = 4;
const MOST: usize = 32;

/// What everybody works on.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) subjects: &'a [Subject],
    pub(super) images: &'a ImageSet,
    pub(super) preprocess: &'a Preprocess,
    pub(super) settings: &'a Settings,
}

/// What one image gave.
pub(super) struct ImageOutcome {
    /// Whether each model's clean prediction is right.
    pub(super) right: Vec<bool>,
    /// The class that each model gives the clean image; none where a score is not a number.
    pub(super) classes: Vec<Option<usize>>,
    /// The class that is right: the label, or the first model's clean prediction.
    pub(super) class: Option<usize>,
    /// `[law][model]`.
    pub(super) verdicts: Vec<Vec<ImageVerdict>>,
}

/// One thread's models; those of a clone have the same weights.
#[derive(Clone)]
pub(super) struct Bench<'a> {
    task: Task<'a>,
    sessions: Vec<OrtSession>,
    /// Whether each model's scores are probabilities.
    probabilities: Vec<bool>,
}

impl<'a> Bench<'a> {
    /// Loads every model, to run on one thread.
    pub(super) fn load(task: Task<'a>) -> Result<Self, CertifyError> {
        let options = Options { threads: 1, optimise: true };
        let sessions = task.subjects.iter().map(|subject| OrtSession::load(&subject.model, options));
        Ok(Self {
            task,
            sessions: sessions.collect::<Result<_, _>>()?,
            probabilities: vec![false; task.subjects.len()],
        })
    }

    /// Finds out which models give probabilities instead of logits, on a few images.
    pub(super) fn look(&mut self, images: &[usize]) -> Result<(), CertifyError> {
        let pixels = images.iter().map(|image| self.pixels(*image)).collect::<Result<Vec<_>, _>>()?;
        let batch = self.batch(pixels.iter())?;
        self.probabilities = (0..self.sessions.len())
            .map(|subject| Ok(self.scores(subject, &batch)?.are_probabilities()))
            .collect::<Result<_, CertifyError>>()?;
        Ok(())
    }

    /// Seconds that one draw of a law costs through all models. The first run of a session takes longer and does not
    /// count.
    pub(super) fn time(&mut self, image: usize, law: &Law) -> Result<f64, CertifyError> {
        let pixels = self.pixels(image)?;
        let count = self.at_once();
        let mut seconds = 0.0;
        for _ in 0..2 {
            let begun = std::time::Instant::now();
            let batch = self.transformed(image, &pixels, law, 0..count as u64)?;
            for subject in 0..self.sessions.len() {
                self.scores(subject, &batch)?;
            }
            seconds = begun.elapsed().as_secs_f64();
        }
        Ok(seconds / count as f64)
    }

    /// Evaluates one image.
    pub(super) fn image(&mut self, image: usize) -> Result<ImageOutcome, CertifyError> {
        let pixels = self.pixels(image)?;
        let batch = self.batch(std::iter::once(&pixels))?;
        let mut clean = Vec::with_capacity(self.sessions.len());
        for subject in 0..self.sessions.len() {
            let scores = self.scores(subject, &batch)?;
            self.check_label(subject, image, scores.classes())?;
            clean.extend(scores.samples().map(|sample| Clean::new(sample, self.probabilities[subject])));
        }
        let class = match self.task.images.label(image) {
            Some(label) => usize::try_from(label).ok(),
            None => clean[0].class,
        };
        let laws = self.task.settings.laws.iter();
        Ok(ImageOutcome {
            right: clean.iter().map(|clean| class.is_some() && clean.class == class).collect(),
            classes: clean.iter().map(|clean| clean.class).collect(),
            class,
            verdicts: laws.map(|law| self.under(law, image, &pixels, &clean, class)).collect::<Result<_, _>>()?,
        })
    }

    /// One law: the same draws for all models, until no judge needs more.
    fn under(
        &mut self,
        law: &Law,
        image: usize,
        pixels: &Pixels,
        clean: &[Clean],
        class: Option<usize>,
    ) -> Result<Vec<ImageVerdict>, CertifyError> {
        let settings = self.task.settings;
        let mut judges: Vec<Option<Judge<'_>>> =
            clean.iter().map(|clean| Judge::new(settings, clean, class?)).collect();
        let mut next = 0;
        while next < settings.draws && judges.iter().flatten().any(Judge::open) {
            let end = settings.draws.min(next + self.at_once() as u64);
            let batch = self.transformed(image, pixels, law, next..end)?;
            for (subject, judge) in judges.iter_mut().enumerate() {
                let Some(judge) = judge.as_mut().filter(|judge| judge.open()) else { continue };
                for sample in self.scores(subject, &batch)?.samples() {
                    if judge.open() {
                        judge.count(sample);
                    }
                }
            }
            next = end;
        }
        let verdict = |judge: &Option<Judge<'_>>| match judge {
            Some(judge) => judge.verdict(image),
            None => ImageVerdict::wrong(image, settings),
        };
        Ok(judges.iter().map(verdict).collect())
    }

    /// The inputs of some draws: draw j of an image under a law is a function of (seed, law, image, j), the law with its
    /// numbers, so that two rotations do not share their draws.
    fn transformed(
        &self,
        image: usize,
        pixels: &Pixels,
        law: &Law,
        draws: std::ops::Range<u64>,
    ) -> Result<Batch, CertifyError> {
        let (seed, law_text) = (self.task.settings.seed, law.to_string());
        let moved: Vec<Pixels> =
            draws.map(|draw| law.apply(pixels, &mut draw::rng(seed, &law_text, image as u64, draw))).collect();
        self.batch(moved.iter())
    }

    fn scores(&mut self, subject: usize, batch: &Batch) -> Result<Scores, CertifyError> {
        Scores::of(&mut self.sessions[subject], &self.task.subjects[subject].model, batch)
    }

    fn pixels(&self, image: usize) -> Result<Pixels, CertifyError> {
        let pixels = self.task.images.pixels(image, self.task.preprocess);
        pixels.map_err(|error| CertifyError::Image { image, reason: error.to_string() })
    }

    fn batch<'p>(&self, pixels: impl ExactSizeIterator<Item = &'p Pixels>) -> Result<Batch, CertifyError> {
        let shape = self.task.preprocess.input_shape(pixels.len());
        Batch::new(shape, self.task.preprocess.batch(pixels))
    }

    fn check_label(&self, subject: usize, image: usize, classes: usize) -> Result<(), CertifyError> {
        match self.task.images.label(image) {
            Some(label) if label as usize >= classes => {
                Err(CertifyError::Label { image, label, model: self.task.subjects[subject].model.clone(), classes })
            }
            _ => Ok(()),
        }
    }

    fn at_once(&self) -> usize {
        (VALUES / self.task.preprocess.len().max(1)).clamp(FEWEST, MOST)
    }
}

impl ImageVerdict {
    /// The verdict on an image whose clean prediction is wrong: nothing drawn, nothing certified.
    fn wrong(image: usize, settings: &Settings) -> Self {
        Self {
            image,
            right: false,
            certified: false,
            draws: 0,
            failures: 0,
            upper: None,
            chernoff: None,
            chernoff_below: settings.chernoff.map(|_| false),
        }
    }
}

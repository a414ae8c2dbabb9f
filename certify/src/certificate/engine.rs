//! Many images on all threads, within a time.
//!
//! Every thread has its own sessions and works on one image at a time: it transforms a batch of draws, runs the models
//! on it, and goes on until their verdicts stand. On a CPU this keeps every core busy whatever the ratio of transforming
//! to inference, and an image's result depends neither on the number of threads nor on its neighbours.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

use images::data::ImageSet;
use images::draw;
use images::preprocess::Preprocess;

use super::evaluate::{Bench, ImageOutcome, Task};
use super::result::Certificate;
use super::settings::Settings;
use super::summary;
use crate::error::CertifyError;
use crate::progress::Progress;

/// Images looked at to tell logits from probabilities.
const LOOKED_AT: usize = 8;

/// A model to certify.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name in results, for example `dense`.
    pub name: String,
    /// Its file.
    pub model: PathBuf,
}

/// Certifies models on the same images and draws; comparisons are against the first of them.
///
/// Images are drawn from the set by the seed. With labels, an image's class is its label; without, the first model's
/// clean prediction. The estimate is told before the work begins. When `minutes` run out no further image is begun:
/// fewer images are evaluated, each with all its draws.
///
/// # Errors
/// When the settings cannot certify, there is no model or image, or a model or image fails.
pub fn certify(
    subjects: &[Subject],
    images: &ImageSet,
    preprocess: &Preprocess,
    settings: &Settings,
    progress: &mut dyn FnMut(Progress),
) -> Result<Certificate, CertifyError> {
    let begun = Instant::now();
    settings.check()?;
    if images.is_empty() || subjects.is_empty() {
        return Err(CertifyError::NoImages);
    }
    let task = Task { subjects, images, preprocess, settings };
    let mut chosen = draw::permutation(images.len(), &mut draw::rng(settings.seed, "certify images", 0, 0));
    chosen.truncate(settings.images);
    let probabilities = probe(task, &chosen, progress)?;
    let deadline = settings.minutes.map(|minutes| begun + Duration::from_secs_f64(60.0 * minutes));
    let outcomes = evaluate(task, &chosen, &probabilities, deadline, progress)?;
    let notes = notes(task, chosen.len(), outcomes.len());
    notes.iter().for_each(|note| progress(Progress::Note(note.clone())));

    let labelled = images.has_labels();
    let names: Vec<String> = subjects.iter().map(|subject| subject.name.clone()).collect();
    let laws = (0..settings.laws.len()).map(|law| summary::law(settings, labelled, &names, law, &outcomes));
    Ok(Certificate {
        settings: settings.clone(),
        labelled,
        images: outcomes.len(),
        clean: summary::clean(&names, &outcomes)?,
        clean_paired: summary::clean_paired(&names, &outcomes)?,
        laws: laws.collect::<Result<_, _>>()?,
        seconds: begun.elapsed().as_secs_f64(),
        notes,
    })
}

/// Looks at the models on a few images and says how long the work will take at most.
fn probe(task: Task<'_>, chosen: &[usize], progress: &mut dyn FnMut(Progress)) -> Result<Vec<bool>, CertifyError> {
    let mut bench = Bench::new(task, vec![false; task.subjects.len()])?;
    let probabilities = bench.look(&chosen[..chosen.len().min(LOOKED_AT)])?;
    let mut per_draw = 0.0;
    for law in &task.settings.laws {
        per_draw += bench.time(chosen[0], law)?;
    }
    let draws = chosen.len() as f64 * task.settings.draws as f64;
    let each = (chosen.len() as u64).saturating_mul(task.settings.draws);
    let networks = (task.subjects.len() * task.settings.laws.len()) as u64;
    progress(Progress::Estimate {
        seconds: draws * per_draw / task.settings.threads.max(1) as f64,
        evaluations: each.saturating_mul(networks),
    });
    Ok(probabilities)
}

/// What the threads share.
struct Queue<'a> {
    task: Task<'a>,
    chosen: &'a [usize],
    probabilities: &'a [bool],
    deadline: Option<Instant>,
    next: AtomicUsize,
    stopped: AtomicBool,
}

/// Evaluates the chosen images in order, or as many of them as are begun before the deadline.
fn evaluate(
    task: Task<'_>,
    chosen: &[usize],
    probabilities: &[bool],
    deadline: Option<Instant>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<ImageOutcome>, CertifyError> {
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let queue = Queue { task, chosen, probabilities, deadline, next, stopped };
    let mut outcomes: Vec<(usize, ImageOutcome)> = Vec::with_capacity(chosen.len());
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..task.settings.threads.clamp(1, chosen.len()) {
            let (queue, sender) = (&queue, sender.clone());
            scope.spawn(move || queue.work(&sender));
        }
        drop(sender);
        for found in receiver {
            match found {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => {
                    queue.stopped.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
            progress(Progress::Step { phase: "certify", done: outcomes.len() as u64, total: chosen.len() as u64 });
        }
        Ok(())
    })?;
    outcomes.sort_by_key(|(position, _)| *position);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

impl Queue<'_> {
    /// One thread: takes images until there are none, an error occurred, or time is up. An image begun is finished, so
    /// the images evaluated are always the first so many of those chosen.
    fn work(&self, sender: &Sender<Result<(usize, ImageOutcome), CertifyError>>) {
        let mut bench = match Bench::new(self.task, self.probabilities.to_vec()) {
            Ok(bench) => bench,
            Err(error) => return drop(sender.send(Err(error))),
        };
        while let Some(position) = self.take() {
            let outcome = bench.image(self.chosen[position]).map(|outcome| (position, outcome));
            let failed = outcome.is_err();
            if sender.send(outcome).is_err() || failed {
                return;
            }
        }
    }

    fn take(&self) -> Option<usize> {
        let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        // The first image is always done, so that there is a result.
        if self.stopped.load(Ordering::Relaxed) || (late && self.next.load(Ordering::Relaxed) > 0) {
            return None;
        }
        Some(self.next.fetch_add(1, Ordering::Relaxed)).filter(|position| *position < self.chosen.len())
    }
}

fn notes(task: Task<'_>, chosen: usize, done: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if !task.images.has_labels() {
        notes.push(format!(
            "The images have no labels: classes are the clean predictions of {}, and certificates speak of their \
             stability, not of their truth.",
            task.subjects[0].name
        ));
    }
    if chosen < task.settings.images {
        notes.push(format!("The set has only {chosen} of the {} images asked for.", task.settings.images));
    }
    if done < chosen {
        notes.push(format!(
            "Time ran out after {done} of {chosen} images; each of them got all its draws, and the shares are over them."
        ));
    }
    notes
}

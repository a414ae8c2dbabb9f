//! Many images on all threads, within a time.
//!
//! The threads share the models' weights, and each works on one image at a time: it transforms a batch of draws, runs the models
//! on it, and goes on until their verdicts stand. On a CPU this keeps every core busy whatever the ratio of transforming
//! to inference, and an image's result depends neither on the number of threads nor on its neighbours.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::Instant;

use images::data::ImageSet;
use images::draw;
use images::preprocess::Preprocess;

use super::evaluate::{Bench, ImageOutcome, Task};
use super::result::{Certificate, SubjectClean};
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
/// clean prediction. The estimate is told before the work begins. Where `minutes` do not suffice for all images, their
/// number is decided before the first is judged, from the time that draws take: a number that depended on verdicts would
/// favour images that fail, since these take less time.
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
    let available = chosen.len();
    let mut bench = Bench::load(task)?;
    let seconds = probe(&mut bench, task, &chosen)?;
    if let Some(minutes) = settings.minutes {
        let left = 60.0 * minutes - begun.elapsed().as_secs_f64();
        chosen.truncate(fitting(left, seconds, settings.threads));
    }
    progress(estimate(task, chosen.len(), seconds));
    let outcomes = evaluate(&bench, task, &chosen, progress)?;
    let labelled = images.has_labels();
    let names: Vec<String> = subjects.iter().map(|subject| subject.name.clone()).collect();
    let clean = summary::clean(&names, &outcomes)?;
    let mut notes = notes(task, available, outcomes.len());
    notes.extend(clean.iter().filter_map(SubjectClean::warning));
    notes.iter().for_each(|note| progress(Progress::Note(note.clone())));
    let laws = (0..settings.laws.len()).map(|law| summary::law(settings, labelled, &names, law, &outcomes));
    Ok(Certificate {
        settings: settings.clone(),
        labelled,
        images: outcomes.len(),
        clean,
        clean_paired: summary::clean_paired(&names, &outcomes)?,
        laws: laws.collect::<Result<_, _>>()?,
        seconds: begun.elapsed().as_secs_f64(),
        notes,
    })
}

/// Looks at a few images; gives the seconds that one takes on one thread, with all draws of all laws through all models.
fn probe(bench: &mut Bench<'_>, task: Task<'_>, chosen: &[usize]) -> Result<f64, CertifyError> {
    bench.look(&chosen[..chosen.len().min(LOOKED_AT)])?;
    let mut per_draw = 0.0;
    for law in &task.settings.laws {
        per_draw += bench.time(chosen[0], law)?;
    }
    Ok(per_draw * task.settings.draws as f64)
}

/// Images that fit into some seconds at the most that one can take, at least one so that there is a result.
fn fitting(seconds: f64, each: f64, threads: usize) -> usize {
    let rounds = (seconds / each.max(f64::MIN_POSITIVE)).floor().max(0.0);
    // A float beyond the range of integers becomes the largest one.
    (rounds as usize).saturating_mul(threads.max(1)).max(1)
}

/// How long the work takes at most.
fn estimate(task: Task<'_>, images: usize, each: f64) -> Progress {
    let Settings { draws, threads, laws, .. } = task.settings;
    let draws = (images as u64).saturating_mul(*draws);
    let networks = (task.subjects.len() * laws.len()) as u64;
    Progress::Estimate {
        seconds: images as f64 * each / (*threads).max(1) as f64,
        evaluations: draws.saturating_mul(networks),
    }
}

/// What the threads share.
struct Queue<'a> {
    chosen: &'a [usize],
    next: AtomicUsize,
    stopped: AtomicBool,
}

/// Evaluates the chosen images.
fn evaluate(
    bench: &Bench<'_>,
    task: Task<'_>,
    chosen: &[usize],
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<ImageOutcome>, CertifyError> {
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let queue = Queue { chosen, next, stopped };
    let mut outcomes: Vec<(usize, ImageOutcome)> = Vec::with_capacity(chosen.len());
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..task.settings.threads.clamp(1, chosen.len()) {
            let (queue, bench, sender) = (&queue, bench.clone(), sender.clone());
            scope.spawn(move || queue.work(bench, &sender));
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
    /// One thread: takes images until there are none, or an error occurred.
    fn work(&self, mut bench: Bench<'_>, sender: &Sender<Result<(usize, ImageOutcome), CertifyError>>) {
        while let Some(position) = self.take() {
            let outcome = bench.image(self.chosen[position]).map(|outcome| (position, outcome));
            let failed = outcome.is_err();
            if sender.send(outcome).is_err() || failed {
                return;
            }
        }
    }

    fn take(&self) -> Option<usize> {
        if self.stopped.load(Ordering::Relaxed) {
            return None;
        }
        Some(self.next.fetch_add(1, Ordering::Relaxed)).filter(|position| *position < self.chosen.len())
    }
}

fn notes(task: Task<'_>, available: usize, done: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if !task.images.has_labels() {
        notes.push(format!(
            "The images have no labels: classes are the clean predictions of {}, and certificates speak of their \
             stability, not of their truth.",
            task.subjects[0].name
        ));
    }
    if available < task.settings.images {
        notes.push(format!("The set has only {available} of the {} images asked for.", task.settings.images));
    }
    if let Some(minutes) = task.settings.minutes.filter(|_| done < available) {
        notes.push(format!(
            "{minutes} minutes suffice for {done} of {available} images with all their draws, as decided before the first \
             was judged; the shares are over them."
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images that hold take ten times as long as images that fail. However many fit, their share must be right on
    /// average; a run that goes on until time is up finds too many that fail.
    #[test]
    fn the_number_of_images_does_not_depend_on_verdicts() {
        const RUNS: u64 = 4000;
        let image = |run: u64, index: usize| draw::coin(&mut draw::rng(3, "verdict", run, index as u64));
        let (mut decided, mut until_late) = (0.0, 0.0);
        for run in 0..RUNS {
            let n = fitting(35.0, 10.0, 1);
            decided += (0..n).filter(|index| image(run, *index)).count() as f64 / n as f64;
            let (mut time, mut held, mut judged) = (0.0, 0.0, 0);
            while time < 35.0 {
                let holds = image(run, judged);
                time += if holds { 10.0 } else { 1.0 };
                held += f64::from(u8::from(holds));
                judged += 1;
            }
            until_late += held / f64::from(u32::try_from(judged).unwrap_or(u32::MAX));
        }
        let [decided, until_late] = [decided, until_late].map(|sum| sum / RUNS as f64);
        assert!((decided - 0.5).abs() < 0.02, "{decided}");
        assert!((until_late - 0.5).abs() > 0.05, "{until_late}");
    }

    #[test]
    fn as_many_images_fit_as_take_all_their_draws() {
        assert_eq!([fitting(60.0, 7.0, 2), fitting(1.0, 7.0, 2), fitting(-1.0, 7.0, 1)], [16, 1, 1]);
        assert_eq!(fitting(60.0, 0.0, 2), usize::MAX);
    }
}

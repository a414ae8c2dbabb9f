//! `espalier-torch tune` and `train`: new values for the weights of a network.
//!
//! With a teacher, the student sees a batch of which a part is transformed and learns the labels and the teacher's
//! answers (see [`Task`](job::Task)). Without one it learns the labels.

use std::{collections::BTreeMap, sync::Arc};

use import::{
    Model,
    lanes::{Plan, Replacement, TensorShape},
};
use job::{Job, Tune};
use serde_json::json;
use tch::{Device, Kind, Tensor};

use crate::{
    CsamError,
    events::Events,
    fresh,
    network::{Network, Pass, Statistics},
    output::write_plan,
    session::Stop,
    setup::{Reading, Setup},
    subject::Subject,
    train::{
        Begun, Clock, Phase, Progress, Rehearsal, batch_norm,
        batch_sizes::BatchSizes,
        checkpoint::State,
        drive,
        drive::Outcome,
        feed::Recipe,
        losses::{self, Targets, Units},
        optimiser::length,
        rate,
        samples::Samples,
        schedule::Schedule,
        statistics::Normalising,
        teacher::{Teacher, units},
        team::{LossGradients, Parallelism, Part, Replica, Team},
        validate::{Quality, Validator, Watch},
        weights::{Average, Weights, backward, leaves},
    },
};

/// The usual rate, for 128 images a step.
const RATE: f64 = 0.05;

/// Tunes or trains, and writes the new tensors to the job's folder.
///
/// # Errors
/// Something cannot be opened, the network cannot be trained, or the user interrupted.
pub fn tune(job: &Job, name: &'static str, mut events: Events, stop: Stop) -> Result<(), CsamError> {
    let setup = Setup::of(job, Reading::All, &mut events)?;
    let validation = setup.validation(job, Reading::All)?;
    let mut network = setup.trainable(job)?;
    let batch_sizes = setup.batch_sizes(job, &network)?;
    let distillation = Distillation::of(job, &setup, &network, batch_sizes)?;
    if job.fresh {
        fresh::initialise(&setup.subject.model.graph, &mut network, job.seed)?;
    }
    let mut clock = setup.clock(job, name, events, stop)?;
    let teacher = distillation.as_ref().map(Distillation::teacher).transpose()?;
    let validator = validator(job, &validation, teacher.as_ref(), batch_sizes, setup.device);
    let normalising = normalising(job, &setup, &network, distillation.as_ref(), batch_sizes, &mut clock.events)?;
    let distillation = distillation.as_ref();
    let training = TrainingRun {
        name,
        job,
        setup: &setup,
        validator: &validator,
        network: &network,
        distillation,
        normalising,
        batch_sizes,
    };
    let TrainingResult { progress, quality, best, rate } = training.run(&mut clock)?;
    let tensors = network.write_back()?;
    let replacement = |name: &String| Replacement { name: name.clone(), shape: TensorShape::Slim };
    let plan = Plan {
        schema: import::lanes::PLAN_SCHEMA,
        origin: format!("{name}, {} image-copies, seed {}", progress.copies, job.seed),
        tensors: tensors.iter().map(|(name, _)| replacement(name)).collect(),
        ..Plan::default()
    };
    write_plan(&job.out, &plan, &tensors)?;
    clock.events.done(json!({
        "command": name,
        "steps": progress.step,
        "copies": progress.copies,
        "rate": rate,
        "best_step": best,
        "validation": quality.and_then(|quality| quality.right),
        "validation_loss": quality.map(|quality| quality.loss),
        "tensors": tensors.len(),
        "out": job.out,
    }));
    Ok(())
}

/// What a rehearsal of the training found.
pub(crate) struct Rehearsed {
    /// Classes of the network, where it ranks some.
    pub(crate) classes: Option<i64>,
    /// Images of one step.
    pub(crate) batch: usize,
    /// The step.
    pub(crate) rehearsal: Rehearsal,
}

/// One step of the training, to see that it can be done and how long it takes.
///
/// # Errors
/// As [`tune`].
pub(crate) fn rehearse(job: &Job, setup: &Setup, clock: &mut Clock) -> Result<Rehearsed, CsamError> {
    let network = setup.copy()?;
    let batch_sizes = setup.batch_sizes(job, &network)?;
    let distillation = Distillation::of(job, setup, &network, batch_sizes)?;
    let validation = setup.validation(job, Reading::WhenAsked)?;
    let teacher = distillation.as_ref().map(Distillation::teacher).transpose()?;
    let validator = validator(job, &validation, teacher.as_ref(), batch_sizes, setup.device);
    // A step takes as long by either statistics.
    let normalising = Normalising::ByBatch;
    let distillation = distillation.as_ref();
    let training = TrainingRun {
        name: "tune",
        job,
        setup,
        validator: &validator,
        network: &network,
        distillation,
        normalising,
        batch_sizes,
    };
    let classes = setup.check_answers(&network)?.scores()?.map(|scores| scores.size()[1]);
    Ok(Rehearsed { classes, batch: batch_sizes.tune, rehearsal: training.rehearse(clock)? })
}

/// What normalisations do, as far as the dense network tells: a new one has to find its statistics first.
fn normalising(
    job: &Job,
    setup: &Setup,
    network: &Network,
    distillation: Option<&Distillation<'_>>,
    batch_sizes: BatchSizes,
    events: &mut Events,
) -> Result<Normalising, CsamError> {
    if job.fresh {
        return Ok(Normalising::ByBatch);
    }
    let images = batch_sizes.tune / Parallelism::of(job.threads, batch_sizes.tune, setup.device).parts;
    match distillation {
        Some(distillation) => {
            let dense = setup.as_trained(&distillation.subject, job)?;
            setup.normalising(job, &dense, images, &distillation.units, &job.tune.task, events)
        }
        None => {
            let units = units(network, &setup.train, batch_sizes.inference, setup.device)?;
            setup.normalising(job, network, images, &units, &job.tune.task, events)
        }
    }
}

fn validator<'a>(
    job: &Job,
    samples: &'a Arc<Samples>,
    teacher: Option<&'a Teacher>,
    batch_sizes: BatchSizes,
    device: Device,
) -> Validator<'a> {
    Validator { samples, teacher, task: job.tune.task, at_once: batch_sizes.inference, device }
}

/// A network to learn from, opened once and lowered for every thread.
struct Distillation<'a> {
    setup: &'a Setup,
    subject: Subject,
    beta: f64,
    units: Units,
    /// Whether the network has lost lanes that this one has.
    was_cut: bool,
}

impl<'a> Distillation<'a> {
    /// What the network learns from beside labels; none where the job names no teacher, or does not listen to it.
    ///
    /// # Errors
    /// There is nothing to learn from, or the teacher is another network's.
    fn of(job: &Job, setup: &'a Setup, network: &Network, batch_sizes: BatchSizes) -> Result<Option<Self>, CsamError> {
        let answers = setup.check_answers(network)?;
        let listens = job.tune.task.distil > 0.0 || setup.train.labels().is_none();
        let Some(path) = job.teacher.as_ref().filter(|_| listens) else {
            return if setup.train.labels().is_some() { Ok(None) } else { Err(CsamError::NothingToLearn) };
        };
        let subject = Subject::open(path, &setup.shapes, &job.until)?.checked(&setup.train, setup.device)?;
        let teacher = setup.asked(&subject)?;
        let (teacher_says, student_says) = (setup.check_answers(&teacher)?.shapes(), answers.shapes());
        if teacher_says != student_says {
            return Err(CsamError::OtherTeacher { teacher: teacher_says, student: student_says });
        }
        let units = units(&teacher, &setup.train, batch_sizes.inference, setup.device)?;
        let was_cut = !same_shapes(&setup.subject.model, &subject.model);
        Ok(Some(Self { setup, subject, beta: job.tune.task.beta, units, was_cut }))
    }

    fn teacher(&self) -> Result<Teacher, CsamError> {
        self.setup.teacher(&self.subject, self.beta, self.units.clone())
    }
}

/// Whether two models store tensors of the same names and shapes.
fn same_shapes(a: &Model, b: &Model) -> bool {
    let shapes = |model: &Model| -> BTreeMap<String, Vec<usize>> {
        let graph = &model.graph;
        graph.stored.iter().map(|s| (graph.value(s.value).name.clone(), s.tensor.shape.clone())).collect()
    };
    shapes(a) == shapes(b)
}

/// One network's training, with everything that it needs.
struct TrainingRun<'a> {
    name: &'static str,
    job: &'a Job,
    setup: &'a Setup,
    validator: &'a Validator<'a>,
    network: &'a Network,
    distillation: Option<&'a Distillation<'a>>,
    normalising: Normalising,
    batch_sizes: BatchSizes,
}

/// What a training came to.
struct TrainingResult {
    progress: Progress,
    /// On pictures that it was not trained on.
    quality: Option<Quality>,
    /// The steps after which the returned weights were seen, where they are not the last.
    best: Option<u64>,
    /// The highest rate.
    rate: f64,
}

impl TrainingRun<'_> {
    /// Statistics, a rate, steps, and where weights were averaged their statistics again. The network ends with the best
    /// weights that were seen on held-out pictures.
    fn run(&self, clock: &mut Clock) -> Result<TrainingResult, CsamError> {
        let mut phase = self.phase()?;
        let begun = match clock.resume(&mut phase, self.job.resume)? {
            Some(begun) => begun,
            None => self.begin(&mut phase, clock)?,
        };
        let total = phase.schedule.total;
        let progress = drive(&mut phase, &self.setup.train, &self.recipe(), total, begun, clock)?;
        if let Some(average) = phase.average.as_ref().filter(|_| phase.moves()) {
            average.take_place(&phase.weights)?;
            self.measure(clock)?;
        }
        phase.watch.look(progress.step, self.network, &phase.weights)?;
        let best = phase.watch.settle(&phase.weights)?.filter(|best| *best != progress.step);
        if let Some(best) = best {
            clock.events.note(&format!(
                "the weights of step {best} of {} do best on held-out pictures, so they are kept",
                progress.step
            ));
        }
        Ok(TrainingResult {
            progress,
            quality: self.validator.validate(self.network)?,
            best,
            rate: phase.schedule.rate,
        })
    }

    /// What is done once, before the first step.
    fn begin(&self, phase: &mut TrainingPhase<'_>, clock: &mut Clock) -> Result<Begun, CsamError> {
        if self.distillation.is_some_and(|distillation| distillation.was_cut) && !self.job.fresh && phase.moves() {
            self.measure(clock)?;
        }
        phase.watch.look(0, self.network, &phase.weights)?;
        if self.job.tune.rate.is_some() {
            return Ok(Begun::default());
        }
        Ok(Begun::after(rate::choose(phase, &self.setup.train, &self.recipe(), clock)?))
    }

    /// The first step alone.
    fn rehearse(&self, clock: &Clock) -> Result<Rehearsal, CsamError> {
        let mut phase = self.phase()?;
        let total = phase.schedule.total;
        drive::rehearse(&mut phase, &self.setup.train, &self.recipe(), total, clock)
    }

    fn phase(&self) -> Result<TrainingPhase<'_>, CsamError> {
        let copies = || self.replica();
        TrainingPhase::new(self, Team::of(self.network, self.validator.teacher, self.parallelism(), &copies)?)
    }

    /// Statistics of the network as it is now, where those of these pictures are what it goes by.
    fn measure(&self, clock: &mut Clock) -> Result<(), CsamError> {
        if self.normalising == Normalising::AsStored {
            return Ok(());
        }
        let batches = (self.job.tune.batches, self.batch_sizes.inference);
        batch_norm::measure(self.network, &self.setup.train, self.job.seed, batches, clock)
    }

    fn parallelism(&self) -> Parallelism {
        Parallelism::of(self.job.threads, self.batch_sizes.tune, self.setup.device)
    }

    fn replica(&self) -> Result<Replica, CsamError> {
        let teacher = self.distillation.map(Distillation::teacher).transpose()?;
        Ok(Replica { network: self.setup.copy()?, teacher })
    }

    fn recipe(&self) -> Recipe {
        self.setup.recipe(self.job, self.batch_sizes.tune / self.parallelism().parts)
    }

    /// Steps that remain after what a search has used.
    fn steps(&self) -> u64 {
        let (tune, pictures) = (&self.job.tune, self.setup.train.len() as f64);
        // A step with a weight perturbation is two copies of its images.
        let copies = self.batch_sizes.tune as f64 * if tune.sam > 0.0 { 2.0 } else { 1.0 };
        let left = tune.epochs * pictures - tune.spent.unwrap_or(0) as f64;
        (left / copies).round().max(1.0) as u64
    }
}

/// The training of one network as a phase.
struct TrainingPhase<'a> {
    name: &'static str,
    team: Team<'a>,
    tune: &'a Tune,
    normalising: Normalising,
    weights: Weights,
    average: Option<Average>,
    schedule: Schedule,
    watch: Watch<'a>,
}

impl<'a> TrainingPhase<'a> {
    fn new(training: &'a TrainingRun<'_>, team: Team<'a>) -> Result<Self, CsamError> {
        let (tune, images) = (&training.job.tune, training.batch_sizes.tune);
        let weights = Weights::of(training.network, tune.momentum, tune.decay)?;
        let per_epoch = training.setup.train.len() as f64 / images as f64;
        let every = (tune.validate * per_epoch).round() as u64;
        let rate = tune.rate.unwrap_or_else(|| BatchSizes::rate(RATE, images));
        Ok(Self {
            name: training.name,
            team,
            tune,
            normalising: training.normalising,
            average: Average::of(&weights, tune.ema)?,
            weights,
            schedule: Schedule { rate, warm_up: tune.warm_up, total: training.steps(), falls: true },
            watch: Watch::new(training.validator, every, tune.patience),
        })
    }

    /// Whether steps change anything: with a rate of 0 not even running statistics move.
    fn moves(&self) -> bool {
        self.schedule.rate > 0.0
    }
}

/// The loss on one part, and its gradients by the weights.
fn slope(
    tune: &Tune,
    network: &Network,
    teacher: Option<&Teacher>,
    part: &mut Part,
    statistics: Statistics,
) -> Result<LossGradients, CsamError> {
    part.ask(teacher)?;
    let Part { batch, soft_targets } = part;
    let taught = soft_targets.as_ref().map(|soft_targets| soft_targets.mixed(batch)).transpose()?;
    let targets = Targets { labels: batch.labels.as_ref().map(Tensor::shallow_clone), teacher: taught };
    let units = teacher.map(|teacher| teacher.units().clone()).unwrap_or_default();
    let answers = network.answers(&batch.mixed()?, &mut Pass { statistics, ..Pass::default() })?;
    let loss = losses::task(&answers, &targets, &units, &tune.task)?.f_mean(Kind::Float)?;
    let gradients = backward(&loss, &leaves(network))?;
    Ok(LossGradients { loss: loss.f_double_value(&[])?, figures: Vec::new(), gradients })
}

impl Phase for TrainingPhase<'_> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn parts(&self) -> usize {
        self.team.parts()
    }

    fn schedule(&mut self) -> Option<&mut Schedule> {
        Some(&mut self.schedule)
    }

    fn step(&mut self, step: u64, parts: &mut [Part]) -> Result<Outcome, CsamError> {
        let (tune, team, normalising, moves) = (self.tune, &self.team, self.normalising, self.moves());
        let mut value = 0.0;
        let gradients = self.weights.gradients(tune.sam, &mut |first| {
            let statistics = if first && moves { normalising.moving() } else { normalising.still() };
            let found = team.run(parts, &|network, teacher, part| slope(tune, network, teacher, part, statistics))?;
            let LossGradients { loss, gradients, .. } = LossGradients::mean(found)?;
            if first {
                value = loss;
            }
            Ok(gradients)
        })?;
        let gradient = length(&gradients)?;
        let rate = self.schedule.at(step);
        self.weights.step(gradients, rate)?;
        if let Some(average) = &mut self.average {
            average.follow(&self.weights, step)?;
        }
        let mut figures = vec![("learning_rate", rate)];
        let last = self.watch.pass(step + 1, team.network(), &self.weights, &mut figures)?;
        let images: i64 = parts.iter().map(|part| part.batch.n).sum();
        let copies = images as u64 * if tune.sam > 0.0 { 2 } else { 1 };
        Ok(Outcome { loss: value, gradient, copies, figures, last })
    }

    fn save(&self, state: &mut State) {
        self.weights.save(state);
        if let Some(average) = &self.average {
            average.save(&self.weights, state);
        }
        self.watch.save(state);
    }

    fn load(&mut self, state: &State) -> Result<(), String> {
        self.weights.load(state)?;
        if let Some(average) = &mut self.average {
            average.load(&self.weights, state)?;
        }
        self.watch.load(state)
    }
}

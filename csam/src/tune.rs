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
        checkpoint::State,
        drive,
        drive::Outcome,
        feed::Recipe,
        losses::{self, Targets, Units},
        portions::Portions,
        rate,
        samples::Samples,
        schedule::Schedule,
        statistics::Normalising,
        teacher::{Teacher, units},
        team::{Part, Replica, Shares, Slope, Team},
        validate::{Judge, Quality, Watch},
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
    let portions = setup.portions(job, &network)?;
    let teaching = Teaching::of(job, &setup, &network, portions)?;
    if job.fresh {
        fresh::initialise(&setup.subject.model.graph, &mut network, job.seed)?;
    }
    let mut clock = setup.clock(job, name, events, stop)?;
    let teacher = teaching.as_ref().map(Teaching::teacher).transpose()?;
    let judge = judge(job, &validation, teacher.as_ref(), portions, setup.device);
    let normalising = normalising(job, &setup, &network, teaching.as_ref(), portions, &mut clock.events)?;
    let teaching = teaching.as_ref();
    let course = Course { name, job, setup: &setup, judge: &judge, network: &network, teaching, normalising, portions };
    let Taught { progress, quality, best, rate } = course.run(&mut clock)?;
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
    let portions = setup.portions(job, &network)?;
    let teaching = Teaching::of(job, setup, &network, portions)?;
    let validation = setup.validation(job, Reading::WhenAsked)?;
    let teacher = teaching.as_ref().map(Teaching::teacher).transpose()?;
    let judge = judge(job, &validation, teacher.as_ref(), portions, setup.device);
    // A step takes as long by either statistics.
    let normalising = Normalising::ByBatch;
    let teaching = teaching.as_ref();
    let course = Course { name: "tune", job, setup, judge: &judge, network: &network, teaching, normalising, portions };
    let classes = setup.check_answers(&network)?.scores()?.map(|scores| scores.size()[1]);
    Ok(Rehearsed { classes, batch: portions.tune, rehearsal: course.rehearse(clock)? })
}

/// What normalisations do, as far as the dense network tells: a new one has to find its statistics first.
fn normalising(
    job: &Job,
    setup: &Setup,
    network: &Network,
    teaching: Option<&Teaching<'_>>,
    portions: Portions,
    events: &mut Events,
) -> Result<Normalising, CsamError> {
    if job.fresh {
        return Ok(Normalising::ByBatch);
    }
    let images = portions.tune / Shares::of(job.threads, portions.tune, setup.device).parts;
    match teaching {
        Some(teaching) => {
            let dense = setup.as_trained(&teaching.subject, job)?;
            setup.normalising(job, &dense, images, &teaching.units, events)
        }
        None => {
            let units = units(network, &setup.train, portions.look, setup.device)?;
            setup.normalising(job, network, images, &units, events)
        }
    }
}

fn judge<'a>(
    job: &Job,
    samples: &'a Arc<Samples>,
    teacher: Option<&'a Teacher>,
    portions: Portions,
    device: Device,
) -> Judge<'a> {
    Judge { samples, teacher, task: job.tune.task, at_once: portions.look, device }
}

/// A network to learn from, opened once and lowered for every thread.
struct Teaching<'a> {
    setup: &'a Setup,
    subject: Subject,
    beta: f64,
    units: Units,
    /// Whether the network has lost lanes that this one has.
    was_cut: bool,
}

impl<'a> Teaching<'a> {
    /// What the network learns from beside labels; none where the job names no teacher, or does not listen to it.
    ///
    /// # Errors
    /// There is nothing to learn from, or the teacher is another network's.
    fn of(job: &Job, setup: &'a Setup, network: &Network, portions: Portions) -> Result<Option<Self>, CsamError> {
        let answers = setup.check_answers(network)?;
        let listens = job.tune.task.distil > 0.0 || setup.train.labels().is_none();
        let Some(path) = job.teacher.as_ref().filter(|_| listens) else {
            return if setup.train.labels().is_some() { Ok(None) } else { Err(CsamError::NothingToLearn) };
        };
        let subject = Subject::open(path)?.checked(&setup.train, setup.device)?;
        let teacher = setup.asked(&subject)?;
        let (teacher_says, student_says) = (setup.check_answers(&teacher)?.shapes(), answers.shapes());
        if teacher_says != student_says {
            return Err(CsamError::OtherTeacher { teacher: teacher_says, student: student_says });
        }
        let units = units(&teacher, &setup.train, portions.look, setup.device)?;
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
struct Course<'a> {
    name: &'static str,
    job: &'a Job,
    setup: &'a Setup,
    judge: &'a Judge<'a>,
    network: &'a Network,
    teaching: Option<&'a Teaching<'a>>,
    normalising: Normalising,
    portions: Portions,
}

/// What a training came to.
struct Taught {
    progress: Progress,
    /// On pictures that it was not trained on.
    quality: Option<Quality>,
    /// The steps after which the returned weights were seen, where they are not the last.
    best: Option<u64>,
    /// The highest rate.
    rate: f64,
}

impl Course<'_> {
    /// Statistics, a rate, steps, and where weights were averaged their statistics again. The network ends with the best
    /// weights that were seen on held-out pictures.
    fn run(&self, clock: &mut Clock) -> Result<Taught, CsamError> {
        let mut lessons = self.lessons()?;
        let begun = match clock.resume(&mut lessons, self.job.resume)? {
            Some(begun) => begun,
            None => self.begin(&mut lessons, clock)?,
        };
        let total = lessons.schedule.total;
        let progress = drive(&mut lessons, &self.setup.train, &self.recipe(), total, begun, clock)?;
        if let Some(average) = lessons.average.as_ref().filter(|_| lessons.moves()) {
            average.take_place(&lessons.weights)?;
            self.measure(clock)?;
        }
        lessons.watch.look(progress.step, self.network, &lessons.weights)?;
        let best = lessons.watch.settle(&lessons.weights)?.filter(|best| *best != progress.step);
        if let Some(best) = best {
            clock.events.note(&format!(
                "the weights of step {best} of {} do best on held-out pictures, so they are kept",
                progress.step
            ));
        }
        Ok(Taught { progress, quality: self.judge.judge(self.network)?, best, rate: lessons.schedule.rate })
    }

    /// What is done once, before the first step.
    fn begin(&self, lessons: &mut Lessons<'_>, clock: &mut Clock) -> Result<Begun, CsamError> {
        if self.teaching.is_some_and(|teaching| teaching.was_cut) && !self.job.fresh && lessons.moves() {
            self.measure(clock)?;
        }
        lessons.watch.look(0, self.network, &lessons.weights)?;
        if self.job.tune.rate.is_some() {
            return Ok(Begun::default());
        }
        Ok(Begun::after(rate::choose(lessons, &self.setup.train, &self.recipe(), clock)?))
    }

    /// The first step alone.
    fn rehearse(&self, clock: &Clock) -> Result<Rehearsal, CsamError> {
        let mut lessons = self.lessons()?;
        let total = lessons.schedule.total;
        drive::rehearse(&mut lessons, &self.setup.train, &self.recipe(), total, clock)
    }

    fn lessons(&self) -> Result<Lessons<'_>, CsamError> {
        let copies = || self.replica();
        Lessons::new(self, Team::of(self.network, self.judge.teacher, self.shares(), &copies)?)
    }

    /// Statistics of the network as it is now, where those of these pictures are what it goes by.
    fn measure(&self, clock: &mut Clock) -> Result<(), CsamError> {
        if self.normalising == Normalising::AsStored {
            return Ok(());
        }
        let batches = (self.job.tune.batches, self.portions.look);
        batch_norm::measure(self.network, &self.setup.train, self.job.seed, batches, clock)
    }

    fn shares(&self) -> Shares {
        Shares::of(self.job.threads, self.portions.tune, self.setup.device)
    }

    fn replica(&self) -> Result<Replica, CsamError> {
        let teacher = self.teaching.map(Teaching::teacher).transpose()?;
        Ok(Replica { network: self.setup.copy()?, teacher })
    }

    fn recipe(&self) -> Recipe {
        self.setup.recipe(self.job, self.portions.tune / self.shares().parts)
    }

    /// Steps that remain after what a search has used.
    fn steps(&self) -> u64 {
        let (tune, pictures) = (&self.job.tune, self.setup.train.len() as f64);
        // A step with a weight perturbation is two copies of its images.
        let copies = self.portions.tune as f64 * if tune.sam > 0.0 { 2.0 } else { 1.0 };
        let left = tune.epochs * pictures - tune.spent.unwrap_or(0) as f64;
        (left / copies).round().max(1.0) as u64
    }
}

/// The training of one network as a phase.
struct Lessons<'a> {
    name: &'static str,
    team: Team<'a>,
    tune: &'a Tune,
    normalising: Normalising,
    weights: Weights,
    average: Option<Average>,
    schedule: Schedule,
    watch: Watch<'a>,
}

impl<'a> Lessons<'a> {
    fn new(course: &'a Course<'_>, team: Team<'a>) -> Result<Self, CsamError> {
        let (tune, images) = (&course.job.tune, course.portions.tune);
        let weights = Weights::of(course.network, tune.momentum, tune.decay)?;
        let per_epoch = course.setup.train.len() as f64 / images as f64;
        let every = (tune.validate * per_epoch).round() as u64;
        let rate = tune.rate.unwrap_or_else(|| Portions::rate(RATE, images));
        Ok(Self {
            name: course.name,
            team,
            tune,
            normalising: course.normalising,
            average: Average::of(&weights, tune.ema)?,
            weights,
            schedule: Schedule { rate, warm_up: tune.warm_up, total: course.steps(), falls: true },
            watch: Watch::new(course.judge, every, tune.patience),
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
) -> Result<Slope, CsamError> {
    part.ask(teacher)?;
    let Part { batch, lesson } = part;
    let taught = lesson.as_ref().map(|lesson| lesson.mixed(batch)).transpose()?;
    let targets = Targets { labels: batch.labels.as_ref().map(Tensor::shallow_clone), teacher: taught };
    let units = teacher.map(|teacher| teacher.units().clone()).unwrap_or_default();
    let answers = network.answers(&batch.mixed()?, &mut Pass { statistics, ..Pass::default() })?;
    let loss = losses::task(&answers, &targets, &units, &tune.task)?.f_mean(Kind::Float)?;
    let gradients = backward(&loss, &leaves(network))?;
    Ok(Slope { loss: loss.f_double_value(&[])?, figures: Vec::new(), gradients })
}

impl Phase for Lessons<'_> {
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
            let Slope { loss, gradients, .. } = Slope::mean(found)?;
            if first {
                value = loss;
            }
            Ok(gradients)
        })?;
        let gradient = Weights::length(&gradients)?;
        let rate = self.schedule.at(step);
        self.weights.step(&gradients, rate)?;
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

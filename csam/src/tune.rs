//! `espalier-torch tune` and `train`: new values for the weights of a network.
//!
//! With a teacher, the student sees a batch of which a part is transformed and learns the labels and the teacher's
//! answers (see [`Task`](crate::job::Task)). Without one it learns the labels.

use std::sync::Arc;

use import::{
    Model,
    lanes::{Plan, Replacement, TensorShape},
};
use serde_json::json;
use tch::{Kind, Tensor};

use crate::{
    CsamError,
    events::Events,
    fresh,
    job::{Job, Tune},
    network::{Network, Pass, Statistics},
    output::write_plan,
    session::Stop,
    setup::{Setup, with_free_batch},
    train::{
        Clock, Phase, Progress, batch_norm,
        checkpoint::State,
        drive,
        drive::Outcome,
        feed::{Recipe, augment},
        losses::{self, Targets},
        samples::Samples,
        schedule::Schedule,
        teacher::{Teacher, logits},
        team::{Part, Replica, Shares, Slope, Team},
        validate::{Watch, accuracy},
        weights::{Average, Weights, backward, leaves},
    },
};

/// Tunes or trains, and writes the new tensors to the job's folder.
///
/// # Errors
/// Something cannot be opened, the network cannot be trained, or the user interrupted.
pub fn tune(job: &Job, name: &'static str, mut events: Events, stop: Stop) -> Result<(), CsamError> {
    let setup = Setup::of(job, usize::MAX, &mut events)?;
    let validation = setup.validation(job)?;
    let mut network = setup.trainable()?;
    let classes = setup.check_classes(&network)?;
    let teacher = teacher(job, &setup)?;
    teacher.iter().try_for_each(|teacher| check_teacher(teacher, &setup, classes))?;
    if teacher.is_none() && setup.train.labels().is_none() {
        return Err(CsamError::NothingToLearn);
    }
    if job.fresh {
        fresh::initialise(&setup.model.graph, &mut network, job.seed)?;
    }
    let mut clock = setup.clock(job, name, events, stop);
    let course =
        Course { name, job, setup: &setup, validation: &validation, network: &network, teacher: teacher.as_ref() };
    let progress = course.run(&mut clock)?;
    let tensors = network.write_back()?;
    let replacement = |name: &String| Replacement { name: name.clone(), shape: TensorShape::Slim };
    let plan = Plan {
        schema: import::lanes::PLAN_SCHEMA,
        origin: format!("{name}, {} image-copies, seed {}", progress.copies, job.seed),
        tensors: tensors.iter().map(|(name, _)| replacement(name)).collect(),
        ..Plan::default()
    };
    write_plan(&job.out, &plan, &tensors)?;
    let validation = accuracy(&network, teacher.as_ref(), &validation, setup.device)?;
    clock.events.done(json!({
        "command": name,
        "steps": progress.step,
        "copies": progress.copies,
        "validation": validation,
        "tensors": tensors.len(),
        "out": job.out,
    }));
    Ok(())
}

/// The teacher, where there is one to be listened to.
fn teacher(job: &Job, setup: &Setup) -> Result<Option<Teacher>, CsamError> {
    let Some(path) = job.teacher.as_ref().filter(|_| job.tune.task.distil > 0.0 || !job.labels) else {
        return Ok(None);
    };
    let opened = Model::open(path)?;
    let model = with_free_batch(&opened)?.unwrap_or(opened);
    Ok(Some(setup.teacher(&model, job.tune.task.beta)?))
}

fn check_teacher(teacher: &Teacher, setup: &Setup, classes: i64) -> Result<(), CsamError> {
    let found = setup.check_classes(teacher.network())?;
    if found == classes { Ok(()) } else { Err(CsamError::OtherTeacher { teacher: found, student: classes }) }
}

/// One network's training, with everything that it needs.
struct Course<'a> {
    name: &'static str,
    job: &'a Job,
    setup: &'a Setup,
    validation: &'a Arc<Samples>,
    network: &'a Network,
    teacher: Option<&'a Teacher>,
}

impl Course<'_> {
    /// Statistics, steps, and where weights were averaged their statistics again.
    fn run(&self, clock: &mut Clock) -> Result<Progress, CsamError> {
        let copies = || self.replica();
        let team = Team::of(self.network, self.teacher, self.shares(), &copies)?;
        let mut lessons = Lessons::new(self, team)?;
        let progress = match clock.resume(&mut lessons, self.job.resume)? {
            Some(progress) => progress,
            None => {
                if !self.job.fresh {
                    self.measure(clock)?;
                }
                Progress::default()
            }
        };
        let total = lessons.schedule.total;
        let progress = drive(&mut lessons, &self.setup.train, &self.recipe(), total, progress, clock)?;
        if let Some(average) = &lessons.average {
            average.take_place(&lessons.weights)?;
            self.measure(clock)?;
        }
        Ok(progress)
    }

    fn measure(&self, clock: &mut Clock) -> Result<(), CsamError> {
        batch_norm::measure(self.network, &self.setup.train, self.job.seed, self.job.tune.batches, clock)
    }

    fn shares(&self) -> Shares {
        Shares::of(self.job.threads, self.images(), self.setup.device)
    }

    fn replica(&self) -> Result<Replica, CsamError> {
        Ok(Replica { network: self.setup.copy()?, teacher: teacher(self.job, self.setup)? })
    }

    /// Images per step.
    fn images(&self) -> usize {
        self.job.tune.batch.min(self.setup.train.len())
    }

    fn recipe(&self) -> Recipe {
        let tune = &self.job.tune;
        let batch = self.images() / self.shares().parts;
        Recipe {
            seed: self.job.seed,
            batch,
            augment: augment(tune.augment, &self.job.input),
            laws: self.setup.laws.clone(),
            transformed: (tune.transformed * batch as f64).round() as usize,
            draws: 1,
        }
    }
}

/// Steps that remain after what a search has used.
fn steps(tune: &Tune, images: usize) -> u64 {
    let batch = tune.batch.min(images).max(1);
    // A step with a weight perturbation is two copies of its images.
    let copies = batch as f64 * if tune.sam > 0.0 { 2.0 } else { 1.0 };
    let left = tune.epochs * images as f64 - tune.spent as f64;
    (left / copies).round().max(1.0) as u64
}

/// The training of one network as a phase.
struct Lessons<'a> {
    name: &'static str,
    team: Team<'a>,
    tune: &'a Tune,
    weights: Weights,
    average: Option<Average>,
    schedule: Schedule,
    watch: Watch<'a>,
}

impl<'a> Lessons<'a> {
    fn new(course: &'a Course<'_>, team: Team<'a>) -> Result<Self, CsamError> {
        let (tune, images) = (&course.job.tune, course.setup.train.len());
        let weights = Weights::of(course.network, tune.momentum, tune.decay)?;
        let total = steps(tune, images);
        let per_epoch = images as f64 / tune.batch.min(images).max(1) as f64;
        let every = (tune.validate * per_epoch).round() as u64;
        Ok(Self {
            name: course.name,
            team,
            tune,
            average: Average::of(&weights, tune.ema)?,
            weights,
            schedule: Schedule { rate: tune.rate, warm_up: tune.warm_up, total, falls: true },
            watch: Watch::new(course.validation, course.setup.device, every, tune.patience),
        })
    }
}

/// The loss on one part, and its gradients by the weights.
fn slope(
    tune: &Tune,
    network: &Network,
    teacher: Option<&Teacher>,
    part: &mut Part,
    first: bool,
) -> Result<Slope, CsamError> {
    part.ask(teacher)?;
    let Part { batch, lesson } = part;
    let taught = lesson.as_ref().map(|lesson| lesson.mixed(batch)).transpose()?;
    let targets = Targets { labels: batch.labels.as_ref().map(Tensor::shallow_clone), teacher: taught };
    let statistics = if first { Statistics::BatchUpdate } else { Statistics::Batch };
    let scores = logits(network, &batch.mixed()?, &mut Pass { statistics, ..Pass::default() })?;
    let loss = losses::task(&scores, &targets, &tune.task)?.f_mean(Kind::Float)?;
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

    fn step(&mut self, step: u64, parts: &mut [Part]) -> Result<Outcome, CsamError> {
        let (tune, team) = (self.tune, &self.team);
        let mut value = 0.0;
        let gradients = self.weights.gradients(tune.sam, &mut |first| {
            let found = team.run(parts, &|network, teacher, part| slope(tune, network, teacher, part, first))?;
            let Slope { loss, gradients, .. } = Slope::mean(found)?;
            if first {
                value = loss;
            }
            Ok(gradients)
        })?;
        let rate = self.schedule.at(step);
        self.weights.step(&gradients, rate)?;
        if let Some(average) = &mut self.average {
            average.follow(&self.weights, step)?;
        }
        let mut figures = vec![("learning_rate", rate)];
        let last = self.watch.look(step + 1, team.network(), team.teacher(), &mut figures)?;
        let images: i64 = parts.iter().map(|part| part.batch.n).sum();
        let copies = images as u64 * if tune.sam > 0.0 { 2 } else { 1 };
        Ok(Outcome { loss: value, copies, figures, last })
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

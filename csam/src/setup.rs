//! What every command starts with: the model, its lanes, the pictures, the device.

use std::{collections::BTreeMap, fs, sync::Arc};

use images::{
    data::{self, ForTraining, TrainSet, Training},
    draw,
    laws::Law,
};
use import::{lanes::Lanes, ops::Role};
use job::{Job, Task};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, no_grad};

use crate::{
    CsamError,
    events::Events,
    network::{Answers, Feeds, Lowering, Network, Parameter, Pass, Statistics},
    session::{self, Stop},
    subject::Subject,
    train::{
        Clock,
        batch_sizes::BatchSizes,
        checkpoint::CheckpointStore,
        feed::{Recipe, augment, prepare},
        losses::{self, Units},
        samples::Samples,
        statistics::Normalising,
        teacher::{Teacher, predict},
    },
};

/// Images of a batch for inserted normalisations, where so many fit.
const CALIBRATION: usize = 128;

/// Images on which the spread of what normalisations see is measured.
const SEEN: usize = 8;
/// How many times as widely, or as narrowly, it may spread as in the file's training. Other pictures than those move it
/// a few times; values up to 255 where 1 was meant, 255 times.
const WIDER: f64 = 50.0;

/// A job made ready.
pub struct Setup {
    /// The model, at any batch.
    pub subject: Subject,
    /// What may be removed from it.
    pub lanes: Lanes,
    /// Pictures to train on.
    pub train: Arc<Samples>,
    /// All pictures that training may see, not yet read.
    training: Training,
    /// Transformations to be robust against.
    pub laws: Vec<Law>,
    /// Where tensors live.
    pub device: Device,
    /// Sizes of inputs that the file leaves open.
    pub shapes: BTreeMap<String, Vec<i64>>,
}

/// Which training pictures are decoded at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// All of them.
    All,
    /// At most so many, drawn by the job's seed; there are no others then.
    Some(usize),
    /// None; each is decoded when it is asked for.
    WhenAsked,
}

impl Setup {
    /// Opens everything a job names.
    ///
    /// # Errors
    /// Something cannot be opened, or the pictures do not fit the network.
    pub fn of(job: &Job, reading: Reading, events: &mut Events) -> Result<Self, CsamError> {
        let device = session::device(job.device)?;
        let shapes: BTreeMap<_, _> = job.shapes.iter().cloned().collect();
        let subject = Subject::open(&job.model, &shapes, &job.until)?;
        let training = data::open_for(&job.data, &job.inputs)?.divide(&job.division)?.training?;
        let train = match reading {
            Reading::Some(most) => some(&training.train, most, job.seed),
            Reading::All | Reading::WhenAsked => training.train.clone(),
        };
        let train = read(&train, job, reading)?;
        let subject = subject.checked(&train, device)?;
        if let Some(left) = &subject.left {
            events.note(&left.to_string());
        }
        if let Some(images) = subject.at_once {
            events.note(&format!(
                "the model takes {images} image(s) at a time and cannot be freed of that: a step runs them one after \
                 another, and running statistics stay what they are"
            ));
        }
        if job.inputs.picture().is_none() && (job.tune.augment || job.tune.transformed > 0.0) {
            events.note("augmentation and transformations are about pictures, and none is fed: they are left out");
        }
        let lanes = Lanes::of(&subject.model.graph, &[&job.keep[..], &job.until].concat());
        Ok(Self { lanes, subject, train, training, laws: laws(job)?, device, shapes })
    }

    /// Reads the pictures to watch the training by.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn validation(&self, job: &Job, reading: Reading) -> Result<Arc<Samples>, CsamError> {
        read(&self.training.validation, job, reading)
    }

    /// The number of pictures to watch the training by.
    pub fn held_out(&self) -> usize {
        self.training.validation.pictures().len()
    }

    /// Whether every pattern of what is to be kept fits a stored tensor.
    ///
    /// # Errors
    /// One does not.
    pub fn check_keep(&self, job: &Job) -> Result<(), CsamError> {
        let graph = &self.subject.model.graph;
        let names: Vec<&str> = graph.stored.iter().map(|stored| graph.value(stored.value).name.as_str()).collect();
        let keeps = |pattern: &String| names.iter().any(|name| name.contains(pattern.as_str()));
        match job.keep.iter().find(|pattern| !keeps(pattern)) {
            Some(pattern) => Err(CsamError::KeepsNothing { pattern: pattern.clone() }),
            None => Ok(()),
        }
    }

    /// Lowers the model for training.
    ///
    /// # Errors
    /// An operator cannot be lowered.
    pub fn trainable(&self, job: &Job) -> Result<Network, CsamError> {
        self.calibrated(self.copy()?, job)
    }

    /// Measures the normalisations that were inserted.
    fn calibrated(&self, mut network: Network, job: &Job) -> Result<Network, CsamError> {
        network.measure_inserted(calibration(&self.train, self.batch_sizes(job, &network)?, self.device)?)?;
        Ok(network)
    }

    /// What normalisations do while the network of this job is trained, with a note where that is not the usual.
    ///
    /// # Errors
    /// The dense network cannot be run.
    pub fn normalising(
        &self,
        job: &Job,
        dense: &Network,
        images: usize,
        units: &Units,
        task: &Task,
        events: &mut Events,
    ) -> Result<Normalising, CsamError> {
        let (pictures, recipe) = ((&*self.train, self.device), self.recipe(job, images));
        let (found, apart) = Normalising::of(job.tune.normalise, dense, pictures, &recipe, units, task)?;
        if let (Normalising::AsStored, Some(apart)) = (found, apart) {
            events.note(&format!(
                "batch normalisations keep their stored statistics, since those of these pictures alone change the dense \
                 network's answers (a loss of {apart:.2})"
            ));
        }
        Ok(found)
    }

    /// What a training step of so many images is made of.
    pub fn recipe(&self, job: &Job, images: usize) -> Recipe {
        Recipe {
            seed: job.seed,
            batch: images,
            augment: augment(job.tune.augment, &job.inputs),
            laws: self.laws.clone(),
            transformed: (job.tune.transformed * images as f64).round() as usize,
            draws: 1,
        }
    }

    /// Lowers the model for training, to follow what [`trainable`](Self::trainable) gives.
    ///
    /// # Errors
    /// An operator cannot be lowered.
    pub fn copy(&self) -> Result<Network, CsamError> {
        self.lowered(&self.subject, Some(&self.lanes))
    }

    /// Lowers another model of this job as if it were to be trained.
    ///
    /// # Errors
    /// An operator cannot be lowered.
    pub fn as_trained(&self, subject: &Subject, job: &Job) -> Result<Network, CsamError> {
        self.calibrated(self.lowered(subject, None)?, job)
    }

    fn lowered(&self, subject: &Subject, lanes: Option<&Lanes>) -> Result<Network, CsamError> {
        let lowering = Lowering { device: self.device, normalise_folded: true, ..Lowering::training() };
        Ok(subject.lower(lanes, lowering)?)
    }

    /// Lowers a model as a teacher.
    ///
    /// # Errors
    /// An operator cannot be lowered.
    pub fn teacher(&self, subject: &Subject, beta: f64, units: Units) -> Result<Teacher, CsamError> {
        Ok(Teacher::new(self.asked(subject)?, beta, units))
    }

    /// Lowers a model that is only asked.
    ///
    /// # Errors
    /// An operator cannot be lowered.
    pub fn asked(&self, subject: &Subject) -> Result<Network, CsamError> {
        Ok(subject.lower(None, Lowering { device: self.device, ..Lowering::inference() })?)
    }

    /// How many images a network of this job takes at once.
    ///
    /// # Errors
    /// The network cannot be run.
    pub fn batch_sizes(&self, job: &Job, network: &Network) -> Result<BatchSizes, CsamError> {
        let images = usize::try_from(self.subject.at_once.unwrap_or(1)).unwrap_or(1);
        let image = prepare(&self.train, &Recipe::plain(0, images), 0, self.device)?.images;
        Ok(BatchSizes::of(job, self.train.len(), network.bytes_kept(&image)?))
    }

    /// Whether the network says something of each image that can be learned, and every label has an output.
    ///
    /// # Errors
    /// It is not so.
    pub fn check_answers(&self, network: &Network) -> Result<Answers, CsamError> {
        let batch = prepare(&self.train, &Recipe::plain(0, 2), 0, self.device)?;
        let answers = no_grad(|| predict(network, &batch.images))?;
        if answers.0.is_empty() {
            return Err(CsamError::NothingToLearn);
        }
        let Some(label) = self.train.labels().and_then(|labels| labels.iter().max().copied()) else {
            return Ok(answers);
        };
        let classes = losses::scores(&answers)?.size()[1];
        if i64::from(label) >= classes { Err(CsamError::LabelOutOfRange { label, classes }) } else { Ok(answers) }
    }

    /// Whether the pictures come in the range that the model was trained in, as far as its batch normalisations tell:
    /// far outside, its answers mean nothing. Each is held against what it stores while those before it normalise by the
    /// pictures' own statistics, so that one that does not fit spoils none behind it.
    ///
    /// # Errors
    /// They do not.
    pub fn check_range(&self) -> Result<(), CsamError> {
        let network = self.subject.lower(None, Lowering { device: self.device, ..Lowering::training() })?;
        let variances: Vec<_> = network.measured().into_iter().filter(|leaf| leaf.role == Role::Variance).collect();
        let spread = |leaf: &Parameter| leaf.tensor.f_sum(Kind::Double)?.f_sqrt()?.f_double_value(&[]);
        let stored = variances.iter().map(spread).collect::<Result<Vec<_>, _>>()?;
        let images = prepare(&self.train, &Recipe::plain(0, SEEN.min(self.train.len())), 0, self.device)?.images;
        let mut pass = Pass { statistics: Statistics::Accumulate { seen: 0 }, ..Pass::default() };
        no_grad(|| network.answers(&images, &mut pass))?;
        for (leaf, stored) in variances.iter().zip(stored) {
            let times = spread(leaf)? / stored;
            // What stores no spread, and what never moves, has no range.
            if times.is_finite() && times > 0.0 && !(1.0 / WIDER..=WIDER).contains(&times) {
                return Err(CsamError::OtherRange { statistic: leaf.name.clone(), times });
            }
        }
        Ok(())
    }

    /// What a phase of this job runs with.
    ///
    /// # Errors
    /// The job cannot be told from others.
    pub fn clock(&self, job: &Job, phase: &str, events: Events, stop: Stop) -> Result<Clock, CsamError> {
        let checkpoints = match &job.checkpoint {
            Some(folder) => {
                Some(CheckpointStore::new(folder, phase, self.identity(job, phase)?, job.checkpoint_seconds))
            }
            None => None,
        };
        Ok(Clock { events, stop, checkpoints, device: self.device })
    }

    /// A digest of everything that the outcome depends on; pictures and teacher by their files' bytes.
    fn identity(&self, job: &Job, phase: &str) -> Result<String, CsamError> {
        let mut hash = Sha256::new();
        let Job {
            search,
            tune,
            seed,
            threads,
            device,
            fresh,
            labels,
            budget,
            keep,
            until,
            inputs,
            shapes,
            division,
            ..
        } = job;
        hash.update(format!(
            "{phase}{search:?}{tune:?}{seed}{threads}{device}{fresh}{labels}{budget:?}{keep:?}{until:?}{inputs:?}{shapes:?}{division:?}"
        ));
        hash.update(&self.subject.model.file.bytes);
        hash.update((self.train.len() as u64).to_le_bytes());
        hash.update(self.training.train.pictures().digest_files()?);
        hash.update(self.training.validation.pictures().digest_files()?);
        if let Some(teacher) = &job.teacher {
            hash.update(Sha256::digest(fs::read(teacher).map_err(CsamError::file(teacher, "reading"))?));
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

fn read(set: &impl ForTraining, job: &Job, reading: Reading) -> Result<Arc<Samples>, CsamError> {
    Ok(Arc::new(match reading {
        Reading::All | Reading::Some(_) => Samples::load(set, &job.inputs, job.labels)?,
        Reading::WhenAsked => Samples::when_asked(set, &job.inputs, job.labels)?,
    }))
}

fn some(set: &TrainSet, most: usize, seed: u64) -> TrainSet {
    let len = set.pictures().len();
    if len <= most {
        return set.clone();
    }
    let order = draw::permutation(len, &mut draw::rng(seed, "some", 0, 0));
    set.select(&order[..most])
}

/// The transformations; there are none of what is no picture.
fn laws(job: &Job) -> Result<Vec<Law>, CsamError> {
    let Some(picture) = job.inputs.picture() else { return Ok(Vec::new()) };
    let side = picture.height.min(picture.width);
    match &job.tune.laws {
        None => Ok(Law::defaults(side)),
        Some(texts) => Ok(texts.iter().map(|text| Law::parse(text, side)).collect::<Result<_, _>>()?),
    }
}

/// A few batches of training pictures as for evaluation.
fn calibration(samples: &Samples, batch_sizes: BatchSizes, device: Device) -> Result<Vec<Feeds>, CsamError> {
    let recipe = Recipe::plain(0, CALIBRATION.min(batch_sizes.inference));
    let steps = 8.min(samples.len().div_ceil(recipe.batch)) as u64;
    (0..steps).map(|step| Ok(prepare(samples, &recipe, step, device)?.images)).collect()
}

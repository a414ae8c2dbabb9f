//! What every command starts with: the model, its lanes, the pictures, the device.

use std::sync::Arc;

use images::{
    data::{self, ForTraining, TrainSet, Training, ValidationSet},
    draw,
    laws::Law,
};
use import::{
    Model,
    graph::batch::{Freed, free},
    lanes::Lanes,
    proto::ModelFile,
};
use sha2::{Digest, Sha256};
use tch::{Device, Tensor, no_grad};

use crate::{
    CsamError,
    events::Events,
    job::Job,
    network::{Lowering, Network, Pass},
    session::{self, Stop},
    train::{
        Clock,
        checkpoint::Keeper,
        feed::{Recipe, prepare},
        samples::Samples,
        teacher::{Teacher, predict},
    },
};

/// Images on which a copy with a free batch axis has to equal the file.
const PROBES: usize = 8;
/// How far the two may be apart, relative to the largest output; both run the same arithmetic.
const TOLERANCE: f64 = 1e-5;

/// A job made ready.
pub struct Setup {
    /// The model, with a free batch axis.
    pub model: Model,
    /// What may be removed from it.
    pub lanes: Lanes,
    /// Pictures to train on.
    pub train: Arc<Samples>,
    /// Pictures to watch the training by, not yet read.
    validation: ValidationSet,
    /// Transformations to be robust against.
    pub laws: Vec<Law>,
    /// Where tensors live.
    pub device: Device,
}

impl Setup {
    /// Opens everything a job names. Of the training pictures at most `most` are read, drawn by the job's seed.
    ///
    /// # Errors
    /// Something cannot be opened, or the pictures do not fit the network.
    pub fn of(job: &Job, most: usize, events: &mut Events) -> Result<Self, CsamError> {
        let device = session::device(&job.device)?;
        let opened = Model::open(&job.model)?;
        let model = with_free_batch(&opened)?;
        let Training { train, validation } = data::open(&job.data)?.divide(&job.division)?.training?;
        let train = Arc::new(Samples::load(&some(&train, most, job.seed), &job.input, job.labels)?);
        if let Some(model) = &model {
            check_freed(&opened, model, &train, device)?;
        }
        let model = model.unwrap_or(opened);
        events.note(&format!(
            "{} training pictures read, {} to watch the training by",
            train.len(),
            validation.pictures().len()
        ));
        let lanes = Lanes::of(&model.graph, &job.keep);
        Ok(Self { lanes, model, train, validation, laws: laws(job)?, device })
    }

    /// Reads the pictures to watch the training by.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn validation(&self, job: &Job) -> Result<Arc<Samples>, CsamError> {
        Ok(Arc::new(Samples::load(&self.validation, &job.input, job.labels)?))
    }

    /// Lowers the model for training.
    ///
    /// # Errors
    /// An operator cannot be lowered.
    pub fn trainable(&self) -> Result<Network, CsamError> {
        let mut network = self.copy()?;
        network.measure_inserted(calibration(&self.train, self.device)?)?;
        Ok(network)
    }

    /// Lowers the model for training, to follow what [`trainable`](Self::trainable) gives.
    ///
    /// # Errors
    /// An operator cannot be lowered.
    pub fn copy(&self) -> Result<Network, CsamError> {
        let lowering = Lowering { device: self.device, normalise_folded: true, ..Lowering::training() };
        Ok(Network::lower(&self.model, Some(&self.lanes), lowering)?)
    }

    /// Lowers a model as a teacher.
    ///
    /// # Errors
    /// An operator cannot be lowered.
    pub fn teacher(&self, model: &Model, beta: f64) -> Result<Teacher, CsamError> {
        let lowering =
            Lowering { device: self.device, trainable: false, normalise_folded: false, fold_normalisation: true };
        Ok(Teacher::new(Network::lower(model, None, lowering)?, beta))
    }

    /// Whether every label has an output and the network's output is class scores. Gives the number of classes.
    ///
    /// # Errors
    /// It is not so.
    pub fn check_classes(&self, network: &Network) -> Result<i64, CsamError> {
        let batch = prepare(&self.train, &Recipe::plain(0, 2), 0, self.device)?;
        let classes = no_grad(|| predict(network, &batch.images))?.size()[1];
        let largest = self.train.labels().and_then(|labels| labels.iter().max().copied());
        match largest {
            Some(label) if i64::from(label) >= classes => Err(CsamError::LabelOutOfRange { label, classes }),
            _ => Ok(classes),
        }
    }

    /// What a phase of this job runs with.
    ///
    /// # Errors
    /// The job cannot be told from others.
    pub fn clock(&self, job: &Job, phase: &str, events: Events, stop: Stop) -> Clock {
        let keeper = job
            .checkpoint
            .as_ref()
            .map(|folder| Keeper::new(folder, phase, self.identity(job, phase), job.checkpoint_seconds));
        Clock { events, stop, keeper, device: self.device }
    }

    /// A digest of everything that the outcome depends on.
    fn identity(&self, job: &Job, phase: &str) -> String {
        let mut hash = Sha256::new();
        let Job { search, tune, seed, threads, device, fresh, labels, budget, keep, input, division, .. } = job;
        hash.update(format!(
            "{phase}{search:?}{tune:?}{seed}{threads}{device}{fresh}{labels}{budget:?}{keep:?}{input:?}{division:?}"
        ));
        hash.update(&self.model.file.bytes);
        hash.update((self.train.len() as u64).to_le_bytes());
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A model whose batch axis is free, in place of one where it is fixed.
///
/// # Errors
/// The graph cannot be built.
pub fn with_free_batch(model: &Model) -> Result<Option<Model>, CsamError> {
    let Freed::Copy { bytes, .. } = free(&model.file, true)? else { return Ok(None) };
    let mut file = ModelFile::from_bytes(bytes).map_err(import::ImportError::from)?;
    file.path.clone_from(&model.file.path);
    Ok(Some(Model::from_file(file, &import::graph::InputSizes::default())?))
}

/// The freed copy is trusted once it says in one batch what the file says in batches of the declared size. There are at
/// least eight images and two such batches, no two images alike, so that a network that mixes them is found.
fn check_freed(declared: &Model, freed: &Model, samples: &Samples, device: Device) -> Result<(), CsamError> {
    let batch = declared.graph.batch().and_then(import::graph::Dim::value).unwrap_or(1).max(1);
    let lowering = Lowering { device, trainable: false, ..Lowering::training() };
    let [declared, freed] = [declared, freed].map(|model| Network::lower(model, None, lowering));
    let (declared, freed) = (declared?, freed?);
    let images = unlike(samples, PROBES.max(2 * batch as usize).next_multiple_of(batch as usize), device)?;
    let run = |network: &Network, images: &Tensor| no_grad(|| network.forward(images, &mut Pass::default()));
    let whole = run(&freed, &images)?;
    for start in (0..images.size()[0]).step_by(batch as usize) {
        for (a, whole) in run(&declared, &images.f_narrow(0, start, batch)?)?.iter().zip(&whole) {
            let rows = a.size().first().copied().unwrap_or(0);
            let b = whole.f_narrow(0, start / batch * rows, rows)?;
            let far = a.f_sub(&b)?.f_abs()?.f_max()?.f_double_value(&[])?;
            let largest = a.f_abs()?.f_max()?.f_double_value(&[])?;
            // Not `far > …`: what is not a number differs.
            let near = a.size() == b.size() && far <= TOLERANCE * largest;
            if !near {
                return Err(CsamError::FreedDiffers { batch, far });
            }
        }
    }
    Ok(())
}

/// So many images, no two alike: training pictures, and seeded noise where these are too few or alike.
fn unlike(samples: &Samples, count: usize, device: Device) -> Result<Tensor, CsamError> {
    let mut images: Vec<Tensor> = Vec::new();
    for picture in prepare(samples, &Recipe::plain(0, count.min(samples.len())), 0, device)?.images.unbind(0) {
        if !images.iter().any(|image| image.equal(&picture)) {
            images.push(picture);
        }
    }
    let shape = images.first().map(Tensor::size).unwrap_or_default();
    let elements = samples.preprocess().len();
    for number in images.len()..count {
        let mut rng = draw::rng(0, "unlike", 0, number as u64);
        let noise: Vec<f32> = (0..elements).map(|_| draw::normal_pair(&mut rng).0).collect();
        images.push(Tensor::f_from_slice(&noise)?.f_reshape(&shape)?.f_to_device(device)?);
    }
    Ok(Tensor::f_stack(&images, 0)?)
}

fn some(set: &TrainSet, most: usize, seed: u64) -> TrainSet {
    let len = set.pictures().len();
    if len <= most {
        return set.clone();
    }
    let order = draw::permutation(len, &mut draw::rng(seed, "some", 0, 0));
    set.select(&order[..most])
}

fn laws(job: &Job) -> Result<Vec<Law>, CsamError> {
    let side = job.input.height.min(job.input.width);
    match &job.tune.laws {
        None => Ok(Law::defaults(side)),
        Some(texts) => Ok(texts.iter().map(|text| Law::parse(text, side)).collect::<Result<_, _>>()?),
    }
}

/// A few batches of training pictures as for evaluation.
fn calibration(samples: &Samples, device: Device) -> Result<Vec<Tensor>, CsamError> {
    let recipe = Recipe::plain(0, 128);
    let steps = 8.min(samples.len().div_ceil(recipe.batch)) as u64;
    (0..steps).map(|step| Ok(prepare(samples, &recipe, step, device)?.images)).collect()
}

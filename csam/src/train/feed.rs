//! Batches, prepared in background threads so that torch does not wait for pictures.
//!
//! What is in a batch is a function of the seed and the step alone: an interrupted run that continues sees the same.

use std::{
    cell::Cell,
    num::NonZero,
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use images::{
    Pixels,
    augment::Augment,
    draw,
    intake::{Input, Intake, Origin},
    laws::Law,
    preprocess::Preprocess,
    values::Element,
};
use tch::{Device, Kind, Tensor};

use super::samples::Samples;
use crate::{CsamError, network::Feeds};

/// Batches that may wait ready, and threads that prepare them where there are as many cores.
const AHEAD: usize = 4;

/// What goes into a batch.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Every draw is a function of this and the batch's number.
    pub seed: u64,
    /// Images per batch.
    pub batch: usize,
    /// Mirror and shift.
    pub augment: Augment,
    /// Laws of the transformations, one of which is drawn for each transformed copy.
    pub laws: Vec<Law>,
    /// How many images of the batch have transformed copies: those in front.
    pub transformed: usize,
    /// Transformed copies of each of these.
    pub draws: usize,
}

impl Recipe {
    /// Pictures as they are, in random order.
    pub fn plain(seed: u64, batch: usize) -> Self {
        Self { seed, batch, augment: Augment::NONE, laws: Vec::new(), transformed: 0, draws: 1 }
    }
}

/// The augmentation for a network's pictures, where it is wanted.
pub fn augment(wanted: bool, intake: &Intake) -> Augment {
    let usual = |picture: &Preprocess| Augment::usual(picture.channels(), picture.height, picture.width);
    intake.picture().filter(|_| wanted).map_or(Augment::NONE, usual)
}

/// `n` images of which the first `k` also have transformed copies.
///
/// Rows of `images`: `k` clean ones, their `draws` × `k` transformed copies (draw by draw), the `n − k` other clean ones.
#[derive(Debug)]
pub struct Batch {
    /// All inputs as the network takes them.
    pub images: Feeds,
    /// Labels of the `n` images.
    pub labels: Option<Tensor>,
    /// Images.
    pub n: i64,
    /// Images with transformed copies.
    pub k: i64,
    /// Copies of each of these.
    pub draws: i64,
}

impl Batch {
    /// The first `k` images, clean.
    pub fn clean_front(&self) -> Result<Feeds, CsamError> {
        Ok(self.images.narrow(0, self.k)?)
    }

    /// The transformed copies, `draws` × `k` rows.
    pub fn changed(&self) -> Result<Feeds, CsamError> {
        Ok(self.images.narrow(self.k, self.k * self.draws)?)
    }

    /// All `n` images, the first `k` transformed (by their last draw).
    pub fn mixed(&self) -> Result<Feeds, CsamError> {
        Ok(self.images.narrow(self.k * self.draws, self.n)?)
    }

    /// All `n` images, clean.
    pub fn clean(&self) -> Result<Feeds, CsamError> {
        if self.k == 0 {
            return Ok(self.images.shallow_clone());
        }
        let rest = self.images.narrow(self.k * (1 + self.draws), self.n - self.k)?;
        Ok(self.clean_front()?.then(&rest)?)
    }
}

/// The batches of steps `first..`, in order.
pub struct Feed {
    /// One for each thread. Each thread prepares every so many-th batch.
    batches: Vec<Receiver<Result<Batch, CsamError>>>,
    /// Batches given so far.
    given: Cell<usize>,
}

impl Feed {
    /// Starts preparing.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(samples: Arc<Samples>, recipe: Recipe, first: u64, device: Device) -> Result<Self, CsamError> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(AHEAD);
        let start = |thread: usize| {
            let steps = (first + thread as u64..).step_by(threads);
            prepare_all(Arc::clone(&samples), recipe.clone(), steps, AHEAD / threads, device)
        };
        Ok(Self { batches: (0..threads).map(start).collect::<Result<_, _>>()?, given: Cell::new(0) })
    }

    /// The next batch.
    ///
    /// # Errors
    /// A picture cannot be read, or the thread has ended.
    pub fn next(&self) -> Result<Batch, CsamError> {
        let given = self.given.get();
        self.given.set(given + 1);
        self.batches[given % self.batches.len()].recv().map_err(|_| CsamError::FeedEnded)?
    }
}

/// Starts a thread that prepares the batches of these steps, `ahead` of whoever takes them.
fn prepare_all(
    samples: Arc<Samples>,
    recipe: Recipe,
    steps: impl Iterator<Item = u64> + Send + 'static,
    ahead: usize,
    device: Device,
) -> Result<Receiver<Result<Batch, CsamError>>, CsamError> {
    let (sender, batches) = sync_channel(ahead);
    let work = move || {
        let mut order = Order::new(samples.len(), &recipe);
        for step in steps {
            let batch = batch(&samples, &recipe, step, order.indices(step), device);
            let failed = batch.is_err();
            // Nobody listens any more: the phase is over.
            if sender.send(batch).is_err() || failed {
                return;
            }
        }
    };
    thread::Builder::new()
        .name("batches".to_owned())
        .spawn(work)
        .map_err(|error| CsamError::Torch(format!("no thread for preparing batches ({error})")))?;
    Ok(batches)
}

/// Which pictures a step sees: the steps of one epoch partition a random order of all pictures, the incomplete rest of
/// which is left out. The order of the last epoch that was asked for is kept.
struct Order {
    pictures: Vec<usize>,
    epoch: Option<u64>,
    seed: u64,
    batch: usize,
}

impl Order {
    fn new(samples: usize, recipe: &Recipe) -> Self {
        let batch = recipe.batch.min(samples).max(1);
        Self { pictures: (0..samples).collect(), epoch: None, seed: recipe.seed, batch }
    }

    /// The pictures of step `step`.
    fn indices(&mut self, step: u64) -> &[usize] {
        let samples = self.pictures.len();
        let per_epoch = (samples / self.batch).max(1) as u64;
        let epoch = step / per_epoch;
        if self.epoch != Some(epoch) {
            self.pictures = draw::permutation(samples, &mut draw::rng(self.seed, "order", epoch, 0));
            self.epoch = Some(epoch);
        }
        let start = (step % per_epoch) as usize * self.batch;
        &self.pictures[start..samples.min(start + self.batch)]
    }
}

/// Makes the batch of one step.
///
/// # Errors
/// A picture cannot be read.
pub fn prepare(samples: &Samples, recipe: &Recipe, step: u64, device: Device) -> Result<Batch, CsamError> {
    batch(samples, recipe, step, Order::new(samples.len(), recipe).indices(step), device)
}

/// Pictures as they are and in their order, `images` at a time until none is left.
pub fn in_order(samples: &Samples, images: usize, device: Device) -> impl Iterator<Item = Result<Batch, CsamError>> {
    let recipe = Recipe::plain(0, images);
    let all: Vec<usize> = (0..samples.len()).collect();
    let starts = (0..samples.len()).step_by(images.max(1));
    starts.map(move |start| {
        let end = (start + images.max(1)).min(all.len());
        batch(samples, &recipe, 0, &all[start..end], device)
    })
}

fn batch(samples: &Samples, recipe: &Recipe, step: u64, chosen: &[usize], device: Device) -> Result<Batch, CsamError> {
    let n = chosen.len();
    let k = if recipe.laws.is_empty() { 0 } else { recipe.transformed.min(n) };
    let feed = |input: &Input| {
        let tensor = match &input.from {
            Origin::Picture(preprocess) => pictures(samples, preprocess, recipe, step, chosen, k)?,
            _ => others(samples, input, recipe, chosen, k)?,
        };
        Ok(tensor.f_to_device(device)?)
    };
    let images = samples.intake().0.iter().map(feed).collect::<Result<_, CsamError>>()?;
    let labels =
        samples.labels().map(|labels| chosen.iter().map(|index| i64::from(labels[*index])).collect::<Vec<_>>());
    Ok(Batch {
        images: Feeds::new(images)?,
        labels: labels.map(|labels| Tensor::f_from_slice(&labels)?.f_to_device(device)).transpose()?,
        n: n as i64,
        k: k as i64,
        draws: recipe.draws as i64,
    })
}

/// Pictures as the network takes them, augmented, with the transformed copies of the first `k`.
fn pictures(
    samples: &Samples,
    preprocess: &Preprocess,
    recipe: &Recipe,
    step: u64,
    chosen: &[usize],
    k: usize,
) -> Result<Tensor, CsamError> {
    let rows = chosen.len() + k * recipe.draws;
    let row = preprocess.len();
    let mut data = vec![0.0; rows * row];
    let mut put = |at: usize, pixels: &Pixels| preprocess.input(pixels, &mut data[at * row..][..row]);
    for (slot, index) in chosen.iter().enumerate() {
        let mut rng = draw::rng(recipe.seed, "augment", step, slot as u64);
        let clean = recipe.augment.apply(&samples.pixels(*index, preprocess)?, &mut rng);
        if slot >= k {
            put(slot + k * recipe.draws, &clean);
            continue;
        }
        put(slot, &clean);
        for repeat in 0..recipe.draws {
            let at = k * (1 + repeat) + slot;
            put(at, &transform(&clean, recipe, step, at as u64));
        }
    }
    let shape: Vec<i64> = preprocess.input_shape(rows).into_iter().map(|extent| extent as i64).collect();
    Ok(Tensor::f_from_slice(&data)?.f_reshape(&shape)?)
}

/// What is no picture: copies of a sample have the same.
fn others(samples: &Samples, input: &Input, recipe: &Recipe, chosen: &[usize], k: usize) -> Result<Tensor, CsamError> {
    let values = chosen.iter().map(|index| samples.values(*index, input)).collect::<Result<Vec<_>, _>>()?;
    let copies = (0..=recipe.draws).flat_map(|_| 0..k);
    let rows: Vec<usize> = copies.chain(k..chosen.len()).collect();
    let bytes: Vec<u8> = rows.iter().flat_map(|slot| values[*slot].to_le_bytes()).collect();
    let shape: Vec<i64> = std::iter::once(rows.len()).chain(input.sample.iter().copied()).map(|n| n as i64).collect();
    Ok(Tensor::f_from_data_size(&bytes, &shape, kind(input)?)?)
}

/// What torch calls an input's type.
fn kind(input: &Input) -> Result<Kind, CsamError> {
    Ok(match input.element {
        Element::F16 => Kind::Half,
        Element::Bf16 => Kind::BFloat16,
        Element::F32 => Kind::Float,
        Element::F64 => Kind::Double,
        Element::I8 => Kind::Int8,
        Element::I16 => Kind::Int16,
        Element::I32 => Kind::Int,
        Element::I64 => Kind::Int64,
        Element::U8 => Kind::Uint8,
        Element::Bool => Kind::Bool,
        Element::U16 | Element::U32 | Element::U64 => {
            return Err(CsamError::InputType { input: input.name.clone(), element: input.element });
        }
    })
}

fn transform(clean: &Pixels, recipe: &Recipe, step: u64, row: u64) -> Pixels {
    let mut rng = draw::rng(recipe.seed, "transform", step, row);
    let law = recipe.laws[draw::below(&mut rng, recipe.laws.len())];
    law.apply(clean, &mut rng)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn samples() -> (Arc<Samples>, Recipe) {
        let input = Intake::of_pictures("x", Preprocess::infer(&[None, Some(3), Some(32), Some(32)]).unwrap());
        let pictures = images::procedural::dataset(1).divide(&Default::default()).unwrap().training.unwrap().train;
        (Arc::new(Samples::when_asked(&pictures, &input, true).unwrap()), Recipe::plain(3, 16))
    }

    #[test]
    fn an_epoch_shows_each_picture_once_whatever_was_asked_before() {
        let recipe = Recipe::plain(3, 16);
        let mut order = Order::new(100, &recipe);
        let epoch = |order: &mut Order, epoch: u64| -> Vec<usize> {
            (0..6).flat_map(|step| order.indices(6 * epoch + step).to_vec()).collect()
        };
        let first = epoch(&mut order, 0);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 96);
        assert_ne!(epoch(&mut order, 1), first);
        assert_eq!(epoch(&mut order, 0), first);
    }

    #[test]
    fn batches_come_in_order_however_many_threads_prepare_them() {
        let (samples, recipe) = samples();
        let feed = Feed::start(Arc::clone(&samples), recipe.clone(), 5, Device::Cpu).unwrap();
        for step in 5..15 {
            let (ahead, alone) = (feed.next().unwrap(), prepare(&samples, &recipe, step, Device::Cpu).unwrap());
            assert!(ahead.images.is(&alone.images), "step {step}");
            assert_eq!(ahead.labels, alone.labels, "step {step}");
        }
    }
}

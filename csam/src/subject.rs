//! A model that takes as many images at once as training wants: with a free batch axis where that can be had, else so
//! many at once as it was exported for.

use std::{collections::BTreeMap, path::Path};

use images::draw;
use import::{
    ImportError, InputSizes, Model,
    batch::{Freed, free},
    graph::Dim,
    lanes::Lanes,
    proto::ModelFile,
};
use tch::{Device, Kind, TchError, Tensor, no_grad};

use crate::{
    CsamError,
    network::{Answers, Feeds, Learnable, Lowering, Network, NetworkError, Pass},
    train::{
        feed::{Recipe, prepare},
        samples::Samples,
    },
};

/// Images, no two alike, on which a copy with a free batch axis has to equal the file.
const PROBES: usize = 8;
/// How far the two may be apart, relative to the largest answer; both run the same arithmetic.
const TOLERANCE: f64 = 1e-5;

/// A model at any batch.
pub struct Subject {
    /// The model, with a free batch axis where it could be freed.
    pub model: Model,
    /// Images of one run, where it could not.
    pub at_once: Option<i64>,
    /// The values that are learned, by name: its outputs, or what lies before them.
    pub learned: Vec<String>,
    /// What is left out of that, where something is.
    pub left: Option<Learnable>,
    /// The file as it is, where the model is a copy with another batch axis.
    declared: Option<Model>,
}

impl Subject {
    /// Opens a file, with sizes of inputs that it leaves open. What is learned are the values named by `until`; unless
    /// there are some, its outputs or what lies before them.
    ///
    /// # Errors
    /// It is no model, has no such inputs or values, or nothing of it can be lowered.
    pub fn open(path: &Path, shapes: &BTreeMap<String, Vec<i64>>, until: &[String]) -> Result<Self, CsamError> {
        let sizes = InputSizes { shapes: shapes.clone(), ..InputSizes::default() };
        let file = ModelFile::open(path).map_err(ImportError::from)?;
        let declared = Model::from_file(file, &sizes)?;
        let (learned, left) = learned(&declared, until)?;
        match free(&declared.file, true)? {
            Freed::Already => {
                let one_by_one = declared.graph.inputs.iter().any(|&input| declared.graph.batch_axis(input).is_none());
                Ok(Self { at_once: one_by_one.then_some(1), model: declared, learned, left, declared: None })
            }
            Freed::Stuck { batch } => {
                Ok(Self { model: declared, at_once: Some(batch.max(1)), learned, left, declared: None })
            }
            Freed::Copy { bytes, .. } => {
                let mut file = ModelFile::from_bytes(bytes).map_err(ImportError::from)?;
                file.path.clone_from(&declared.file.path);
                let model = Model::from_file(file, &sizes)?;
                Ok(Self { model, at_once: None, learned, left, declared: Some(declared) })
            }
        }
    }

    /// The network up to what is learned.
    ///
    /// # Errors
    /// A node cannot be lowered.
    pub fn lower(&self, lanes: Option<&Lanes>, options: Lowering) -> Result<Network, NetworkError> {
        let options = Lowering { at_once: self.at_once, ..options };
        Network::lower_until(&self.model, &self.learned, lanes, options)
    }

    /// A copy with a free batch axis is trusted once it says of several images at once what the file says of them at its
    /// own batch. One that does not is put aside for the file.
    ///
    /// # Errors
    /// One of them cannot be run.
    pub fn checked(self, samples: &Samples, device: Device) -> Result<Self, CsamError> {
        let Self { model, declared: Some(declared), learned, left, .. } = self else { return Ok(self) };
        let batch = declared.graph.batch().and_then(Dim::value).unwrap_or(1).max(1);
        let images = unlike(samples, PROBES.max(2 * batch as usize), device)?;
        let answers = |model: &Model, at_once: Option<i64>| -> Result<Answers, CsamError> {
            let lowering = Lowering { device, trainable: false, at_once, ..Lowering::training() };
            let network = Network::lower_until(model, &learned, None, lowering)?;
            Ok(no_grad(|| network.answers(&images, &mut Pass::default()))?)
        };
        let same = equal(&answers(&declared, Some(batch))?, &answers(&model, None)?)?;
        if same {
            return Ok(Self { model, at_once: None, learned, left, declared: Some(declared) });
        }
        Ok(Self { model: declared, at_once: Some(batch), learned, left, declared: None })
    }
}

/// The values that are learned, and what is left where something is.
fn learned(model: &Model, until: &[String]) -> Result<(Vec<String>, Option<Learnable>), CsamError> {
    if !until.is_empty() {
        return Ok((until.to_vec(), None));
    }
    let found = Learnable::of(model)?;
    if found.values.is_empty() && !found.refused.is_empty() {
        return Err(NetworkError::Refused(found.refused).into());
    }
    Ok((found.values.clone(), Some(found).filter(Learnable::is_partial)))
}

fn equal(file: &Answers, copy: &Answers) -> Result<bool, CsamError> {
    let largest = |tensor: &Tensor| tensor.f_abs()?.f_max()?.f_double_value(&[]);
    for (a, b) in file.0.iter().zip(&copy.0) {
        if a.values.size() != b.values.size() {
            return Ok(false);
        }
        // What is no number differs from everything.
        let apart = largest(&a.values.f_sub(&b.values)?)?;
        let is_close = apart <= TOLERANCE * largest(&a.values)?;
        if !is_close {
            return Ok(false);
        }
    }
    Ok(file.0.len() == copy.0.len())
}

/// So many images, no two alike: training pictures, and some of them with seeded noise in place of their floats where
/// these are too few or alike.
fn unlike(samples: &Samples, count: usize, device: Device) -> Result<Feeds, CsamError> {
    let given = prepare(samples, &Recipe::plain(0, count.min(samples.len())), 0, device)?.images;
    let mut images: Vec<Feeds> = Vec::new();
    for picture in 0..given.images() {
        let picture = given.narrow(picture, 1)?;
        if !images.iter().any(|image| image.is(&picture)) {
            images.push(picture);
        }
    }
    let distinct = images.len();
    for number in distinct..count {
        let base = &images[number % distinct.max(1)];
        let drawn = base.tensors().iter().enumerate().map(|(input, tensor)| noise_like(tensor, input, number));
        images.push(Feeds::new(drawn.collect::<Result<_, _>>()?)?);
    }
    let first = images.first().map(Feeds::shallow_clone).ok_or(CsamError::NothingToLearn)?;
    images[1..].iter().try_fold(first, |all, image| Ok(all.then(image)?))
}

/// Seeded noise in place of floats; anything else is as it was.
fn noise_like(tensor: &Tensor, input: usize, number: usize) -> Result<Tensor, TchError> {
    if !matches!(tensor.kind(), Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16) {
        return Ok(tensor.shallow_clone());
    }
    let mut rng = draw::rng(0, "unlike", input as u64, number as u64);
    let noise: Vec<f32> = (0..tensor.numel()).map(|_| draw::normal_pair(&mut rng).0).collect();
    Tensor::f_from_slice(&noise)?.f_reshape(tensor.size())?.f_to_kind(tensor.kind())?.f_to_device(tensor.device())
}

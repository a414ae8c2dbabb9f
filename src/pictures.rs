//! Pictures for a network: the data set, the split that figures are measured on, and the way to the network's input.

use anyhow::{Result, anyhow};
use certify::runtimes::Batch;
use images::data::{DataError, Division, MeasureSet, Training};
use images::preprocess::Preprocess;
use import::Model;
use import::graph::{Graph, ValueId};
use serde::{Deserialize, Serialize};

use crate::progress::Progress;
use crate::settings::Settings;

/// An open data set and how its pictures become inputs.
pub(crate) struct Pictures {
    /// Those that figures are measured on.
    pub(crate) set: MeasureSet,
    /// Those that espalier-torch trains on, or why there are none.
    training: Result<Training, DataError>,
    /// From pictures to inputs.
    pub(crate) input: Preprocess,
}

/// What was measured on, as a report names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DataDigest {
    /// The split.
    pub(crate) split: String,
    /// How many pictures it has.
    pub(crate) pictures: usize,
    /// SHA-256 of all decoded pixels.
    pub(crate) pixels: String,
    /// SHA-256 of all labels, where there are any.
    pub(crate) labels: Option<String>,
}

impl Pictures {
    /// Opens the data set that the settings name, for a model.
    ///
    /// # Errors
    /// When there are no pictures, no such split, or the model takes no pictures.
    pub(crate) fn open(settings: &Settings, model: &Model) -> Result<Self> {
        let dataset = images::data::open(settings.data()?)?;
        let input = preprocess(settings, model)?;
        let Division { measure, training } = dataset.divide(&settings.division())?;
        Ok(Self { set: measure, training, input })
    }

    /// Those that espalier-torch trains on.
    ///
    /// # Errors
    /// When there are none beside those that are measured.
    pub(crate) fn training(&self) -> Result<&Training> {
        self.training.as_ref().map_err(|error| error.clone().into())
    }

    /// The split that is measured whole; none where a part of one is held out.
    pub(crate) fn measured_split(&self) -> Option<String> {
        (!self.set.is_held_out()).then(|| self.set.name().to_owned())
    }

    /// Says how pictures become inputs. What cannot be inferred, and is wrong more often than anything else, is asked for.
    pub(crate) fn announce(&self, settings: &Settings, progress: &Progress) {
        progress.note(&format!("figures on: {}", self.set.describe()));
        progress.note(&format!("input: {}", self.input.describe()));
        if settings.input.mean.is_none() && settings.input.std.is_none() {
            progress
                .note("a network trained on normalised pictures needs --mean and --std, as they were in its training");
        }
    }

    /// The inputs of the first `n` pictures, or of all where there are fewer.
    ///
    /// # Errors
    /// When one cannot be decoded, or has a size the network does not take.
    pub(crate) fn batch(&self, n: usize) -> Result<Batch> {
        let n = n.min(self.set.len());
        let pixels = self.set.pixels_all(&self.input, 0..n)?;
        Ok(Batch::new(self.input.input_shape(n), self.input.batch(pixels.iter()))?)
    }

    /// What identifies the split.
    ///
    /// # Errors
    /// When a picture cannot be decoded.
    pub(crate) fn digest(&self) -> Result<DataDigest> {
        let digest = self.set.digest()?;
        Ok(DataDigest {
            split: self.set.name().to_owned(),
            pictures: self.set.len(),
            pixels: digest.pixels,
            labels: digest.labels,
        })
    }
}

/// How pictures become a model's input, as set and inferred.
///
/// # Errors
/// When the model has not exactly one input of pictures, or a setting contradicts it.
fn preprocess(settings: &Settings, model: &Model) -> Result<Preprocess> {
    Ok(Preprocess::resolve(&input_shape(&model.graph)?, &settings.input)?)
}

/// The declared shape of a model's one input; `None` for an axis of any size.
///
/// # Errors
/// When the model has not exactly one input, or does not declare its rank.
pub(crate) fn input_shape(graph: &Graph) -> Result<Vec<Option<usize>>> {
    let &[input] = graph.inputs.as_slice() else {
        return Err(anyhow!("the model has {} inputs, and this needs one of pictures", graph.inputs.len()));
    };
    declared(graph, input).ok_or_else(|| {
        anyhow!(
            "the model does not say how many axes its input `{}` has; export it with a shape",
            graph.value(input).name
        )
    })
}

fn declared(graph: &Graph, value: ValueId) -> Option<Vec<Option<usize>>> {
    let shape = graph.value(value).shape.as_ref()?;
    Some(shape.iter().map(|size| size.value().and_then(|size| usize::try_from(size).ok())).collect())
}

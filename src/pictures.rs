//! Pictures for a network, or other samples: which are measured and which are trained on, what is to be said about them,
//! and the way to the network's inputs.

use anyhow::Result;
use certify::runtimes::Batch;
use images::data::{DataError, Dataset, Division, ForTraining as _, ImageSet, MeasureSet, Training};
use images::intake::Intake;
use import::Model;
use import::graph::{Graph, ValueId};
use serde::{Deserialize, Serialize};

use crate::inputs;
use crate::progress::Progress;
use crate::settings::Settings;

/// An open data set and how its pictures become inputs.
pub(crate) struct Pictures {
    /// Those that figures are measured on.
    pub(crate) set: MeasureSet,
    /// Those that espalier-torch trains on, or why there are none.
    training: Result<Training, DataError>,
    /// What each input is fed.
    pub(crate) inputs: Intake,
    /// What the data set and the model together call for, one sentence each.
    remarks: Vec<String>,
}

/// The pictures that a run reads, as its identity and its report name them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DataDigest {
    /// What figures are measured on.
    pub(crate) measured: PartDigest,
    /// What weights and masks are fitted on.
    pub(crate) trained: PartDigest,
    /// What trainings are watched and stopped by.
    pub(crate) watched: PartDigest,
}

/// Some of the pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PartDigest {
    /// Their split.
    pub(crate) split: String,
    /// How many they are.
    pub(crate) pictures: usize,
    /// SHA-256 of their names, labels and files' bytes.
    pub(crate) files: String,
}

impl Pictures {
    /// Opens the data set that the settings name, for a model.
    ///
    /// # Errors
    /// When there are no samples, no such split, or an input is fed nothing.
    pub(crate) fn open(settings: &Settings, model: &Model) -> Result<Self> {
        let inputs = inputs::intake(settings, model)?;
        let dataset = images::data::open_for(settings.data()?, &inputs)?;
        let Division { measure, training } = dataset.divide(&settings.division())?;
        let remarks = dataset.left_out.describe().into_iter().chain(other_classes(&dataset, &model.graph)).collect();
        Ok(Self { set: measure, training, inputs, remarks })
    }

    /// Those that espalier-torch trains on.
    ///
    /// # Errors
    /// When there are none beside those that are measured.
    pub(crate) fn training(&self) -> Result<&Training> {
        self.training.as_ref().map_err(|error| error.clone().into())
    }

    /// How many pictures are trained on, in words.
    ///
    /// # Errors
    /// When there are none.
    pub(crate) fn training_line(&self) -> Result<String> {
        let Training { train, validation } = self.training()?;
        let [train, watched] = [train.pictures(), validation.pictures()].map(ImageSet::len);
        let called = self.inputs.samples_called();
        Ok(format!("{train} training {called}, {watched} to watch the training by"))
    }

    /// The split that is measured whole; none where a part of one is held out.
    pub(crate) fn measured_split(&self) -> Option<String> {
        (!self.set.is_held_out()).then(|| self.set.name().to_owned())
    }

    /// What a person has to know about these pictures, one sentence each. Files that state an orientation are counted
    /// among those that are measured, and where `trained` is set among the others too.
    pub(crate) fn remarks(&self, trained: bool) -> Vec<String> {
        let training = self.training.as_ref().ok().filter(|_| trained);
        let others = training.map(|Training { train, validation }| [train.pictures(), validation.pictures()]);
        let sets: Vec<&ImageSet> = [&*self.set].into_iter().chain(others.into_iter().flatten()).collect();
        let turned: usize = sets.iter().map(|set| set.turned()).sum();
        let orient = self.inputs.picture().is_some_and(|picture| picture.orient);
        let what = if orient { "which is honoured" } else { "which is ignored (--orient honours it)" };
        let all: usize = sets.iter().map(|set| set.len()).sum();
        let turned = (turned > 0).then(|| format!("{turned} of {all} pictures state an EXIF orientation, {what}"));
        self.remarks.iter().cloned().chain(turned).collect()
    }

    /// Says which pictures are measured and how they become inputs. What cannot be inferred, and is wrong more often than anything else, is asked for.
    pub(crate) fn announce(&self, settings: &Settings, remarks: &[String], progress: &Progress) {
        remarks.iter().for_each(|remark| progress.note(remark));
        progress.note(&format!("figures on: {}", self.set.describe(self.inputs.samples_called())));
        if self.set.is_held_out() {
            let name = self.set.whole_split().name();
            progress.note(&format!(
                "a network that was never trained on them is measured on all by --measure-split {name}"
            ));
        }
        progress.note(&format!("input: {}", self.inputs.describe()));
        if self.inputs.picture().is_some() && settings.input.mean.is_none() && settings.input.std.is_none() {
            progress
                .note("a network trained on normalised pictures needs --mean and --std, as they were in its training");
        }
    }

    /// The inputs of the first `n` pictures, or of all where there are fewer: for checks whether two files or runtimes say
    /// the same, to which pictures that are trained on serve as well.
    ///
    /// # Errors
    /// When one cannot be read, or does not fit the network.
    pub(crate) fn batch(&self, n: usize) -> Result<Batch> {
        let set = self.set.whole_split();
        let chosen: Vec<usize> = (0..n.min(set.len())).collect();
        Ok(Batch::of_samples(&self.inputs, self.inputs.values_all(set, &chosen)?)?)
    }

    /// What tells these pictures from others: their files' bytes, which are read and not decoded.
    ///
    /// # Errors
    /// When a file cannot be read, or there is nothing to train on.
    pub(crate) fn digest(&self) -> Result<DataDigest> {
        let Training { train, validation } = self.training()?;
        Ok(DataDigest {
            measured: PartDigest::of(&self.set)?,
            trained: PartDigest::of(train.pictures())?,
            watched: PartDigest::of(validation.pictures())?,
        })
    }
}

impl PartDigest {
    fn of(set: &ImageSet) -> Result<Self> {
        Ok(Self { split: set.name().to_owned(), pictures: set.len(), files: set.digest_files()? })
    }
}

/// What to say where the data set has another number of classes than the model has scores.
fn other_classes(dataset: &Dataset, graph: &Graph) -> Option<String> {
    let classes = dataset.classes.len();
    let scores = match declared(graph, *graph.outputs.first()?)?.as_slice() {
        &[_, Some(scores)] => scores,
        _ => return None,
    };
    (classes > 0 && classes != scores).then(|| {
        format!(
            "the pictures have {classes} classes and the model {scores} scores: class number 0 is `{}`, the next ones \
             follow in the order of names, and accuracy means nothing where the model numbers them otherwise",
            dataset.classes[0]
        )
    })
}

fn declared(graph: &Graph, value: ValueId) -> Option<Vec<Option<usize>>> {
    let shape = graph.value(value).shape.as_ref()?;
    Some(shape.iter().map(|size| size.extent()).collect())
}

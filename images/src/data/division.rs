//! Which pictures are trained on, which are chosen by and which are measured: never one picture for two of these.
//!
//! Every command asks here, with the same [`Choice`], and gets the same pictures. Where no split is there to measure on,
//! a tenth is held out: a picture's own name decides, so that pictures that are added later move no others there. (A
//! class of which no name falls into the tenth gives the one whose name is nearest to it; a newcomer may take that one's
//! place, and never does a picture go from training to measuring.)

use super::{DataError, Dataset, ImageSet, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, ops::Deref};

/// One picture in so many is held out.
const ONE_IN: u64 = 10;
/// Watching a training by more pictures than these costs more than it tells.
const MOST_WATCHED: usize = 5_000;

/// What a user may choose about the division; what is left out is decided by the names of the splits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Choice {
    /// The split to train on; the training split, else the unsplit set.
    pub train: Option<String>,
    /// The split that figures are reported on; test, else validation, else a held-out tenth of what is trained on.
    pub measure: Option<String>,
    /// Decides, with each picture's name, what is held out. It is no run's seed: runs with several seeds, and
    /// measurements after them, share one division.
    pub seed: u64,
}

/// A data set, divided.
#[derive(Clone, Debug)]
pub struct Division {
    /// What figures are reported on.
    pub measure: MeasureSet,
    /// What training reads, or why there is nothing to train on.
    pub training: Result<Training, DataError>,
}

/// What a training, a search or a calibration may read.
#[derive(Clone, Debug)]
pub struct Training {
    /// What weights, masks and fills are fitted on.
    pub train: TrainSet,
    /// What a training is watched and stopped by.
    pub validation: ValidationSet,
}

/// Pictures that weights, masks and fills are fitted on.
#[derive(Clone, Debug)]
pub struct TrainSet(ImageSet);

/// Pictures that a training is watched and stopped by.
#[derive(Clone, Debug)]
pub struct ValidationSet(ImageSet);

/// Pictures that figures are reported on. They cannot be handed to what takes pictures [`ForTraining`]:
///
/// ```compile_fail
/// fn train(pictures: &impl images::data::ForTraining) {}
/// let measured = images::procedural::dataset(1).divide(&Default::default()).unwrap().measure;
/// train(&measured);
/// ```
#[derive(Clone, Debug)]
pub struct MeasureSet {
    set: ImageSet,
    held_out: Option<HeldOut>,
}

/// Where a held-out set comes from.
#[derive(Clone, Debug)]
struct HeldOut {
    whole: ImageSet,
    seed: u64,
}

/// Pictures that training may see, to fit on or to stop by.
pub trait ForTraining {
    /// The pictures.
    fn pictures(&self) -> &ImageSet;
}

impl ForTraining for TrainSet {
    fn pictures(&self) -> &ImageSet {
        &self.0
    }
}

impl ForTraining for ValidationSet {
    fn pictures(&self) -> &ImageSet {
        &self.0
    }
}

impl TrainSet {
    /// The pictures at these positions, in this order; positions beyond the end are left out.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        Self(self.0.select(indices))
    }
}

impl Deref for MeasureSet {
    type Target = ImageSet;

    fn deref(&self) -> &ImageSet {
        &self.set
    }
}

impl MeasureSet {
    /// Whether these were held out of a split that is trained on, having no split of their own.
    pub fn is_held_out(&self) -> bool {
        self.held_out.is_some()
    }

    /// All pictures of the split that these come from, with those that are trained on: for checks whether two files or
    /// two runtimes say the same, never for figures.
    pub fn whole_split(&self) -> &ImageSet {
        self.held_out.as_ref().map_or(&self.set, |held_out| &held_out.whole)
    }

    /// Which pictures, or samples as they are called, these are, in words.
    pub fn describe(&self, called: &str) -> String {
        match &self.held_out {
            None => {
                let usual =
                    if matches!(self.role(), Role::Train | Role::Whole) { ", which training reads" } else { "" };
                format!("the {} {called} of the split `{}`{usual}", self.len(), self.name())
            }
            Some(HeldOut { whole, seed }) => format!(
                "{} of the {} {called} of `{}`, held out by their names (division seed {seed}): \
                 no split is there to measure on, and these are never trained on",
                self.len(),
                whole.len(),
                whole.name()
            ),
        }
    }
}

impl Dataset {
    /// Divides the pictures. The same choice gives the same division, in every command.
    ///
    /// # Errors
    /// A named split is not there, one would serve two purposes, or no picture is left to measure on.
    pub fn divide(&self, choice: &Choice) -> Result<Division, DataError> {
        let named = |name: &Option<String>| name.as_deref().map(|name| self.split(name)).transpose();
        let (trained, measured) = (named(&choice.train)?, named(&choice.measure)?);
        let measured = measured.or_else(|| [Role::Test, Role::Validation].into_iter().find_map(|role| self.role(role)));
        if let (Some(a), Some(b)) = (trained, measured)
            && a.name() == b.name()
        {
            return Err(DataError::TrainedAndMeasured { split: a.name().to_owned() });
        }
        let source = trained.or_else(|| self.role(Role::Train)).or_else(|| self.role(Role::Whole));
        let division = match (measured, source) {
            (Some(measured), source) => Division {
                training: self.beside(measured, source, choice.seed),
                measure: MeasureSet { set: measured.clone(), held_out: None },
            },
            (None, Some(source)) => divided(source, choice.seed),
            (None, None) => return Err(DataError::NoSplit { name: "test".to_owned(), there: self.split_names() }),
        };
        if division.measure.is_empty() {
            return Err(DataError::NothingToMeasure { split: division.measure.name().to_owned() });
        }
        Ok(division)
    }

    /// What training may read where a whole split is measured.
    fn beside(&self, measured: &ImageSet, source: Option<&ImageSet>, seed: u64) -> Result<Training, DataError> {
        let source =
            source.ok_or_else(|| DataError::NoSplit { name: "train".to_owned(), there: self.split_names() })?;
        if source.name() == measured.name() {
            return Err(DataError::TrainedAndMeasured { split: source.name().to_owned() });
        }
        let free = |set: &&ImageSet| set.name() != source.name() && set.name() != measured.name();
        match self.role(Role::Validation).filter(free) {
            Some(validation) => Training::of(source.clone(), validation.clone()),
            None => watched(source, seed),
        }
    }
}

impl Training {
    fn of(train: ImageSet, validation: ImageSet) -> Result<Self, DataError> {
        if let Some(empty) = [&train, &validation].into_iter().find(|set| set.is_empty()) {
            return Err(DataError::NothingToTrain { split: empty.name().to_owned() });
        }
        Ok(Self { train: TrainSet(train), validation: ValidationSet(validation) })
    }
}

/// One set in three parts. Every class gives at least one picture to be measured.
fn divided(source: &ImageSet, seed: u64) -> Division {
    let classes = source.labels().unwrap_or_else(|_| vec![0; source.len()]);
    let (rest, held) = split(source, &held_out(source, &classes, seed));
    let name = format!("{} (held-out tenth)", source.name());
    let origin = HeldOut { whole: source.clone(), seed };
    Division {
        measure: MeasureSet { set: held.called(&name, Role::Test), held_out: Some(origin) },
        training: watched(&rest, seed),
    }
}

/// A training set, of which a tenth is put aside to watch the training by. Every class gives its share, so that what
/// is watched looks like what is trained on even where there is little.
fn watched(source: &ImageSet, seed: u64) -> Result<Training, DataError> {
    let share = (MOST_WATCHED as f64 / source.len().max(1) as f64).min(1.0 / ONE_IN as f64);
    let mut classes = BTreeMap::<u32, Vec<(u64, usize)>>::new();
    for position in 0..source.len() {
        let class = source.label(position).unwrap_or_default();
        classes.entry(class).or_default().push((place(source, position, "validation", seed), position));
    }
    let mut positions = Vec::new();
    for class in classes.values_mut() {
        class.sort_unstable();
        // A class with a single picture left is trained on.
        let most = class.len() - 1;
        let held = ((class.len() as f64 * share).round() as usize).clamp(1.min(most), most);
        positions.extend(class[..held].iter().map(|(_, position)| *position));
    }
    if positions.is_empty() {
        positions.extend(classes.values().flatten().min().map(|(_, position)| *position));
    }
    let (train, held) = split(source, &positions);
    Training::of(train, held.called(&format!("{} (held-out tenth)", source.name()), Role::Validation))
}

/// The positions that are held out to be measured: those whose names fall into the tenth, and of a class without any the nearest one.
fn held_out(set: &ImageSet, classes: &[u32], seed: u64) -> Vec<usize> {
    let places: Vec<u64> = (0..set.len()).map(|position| place(set, position, "measure", seed)).collect();
    let mut nearest = BTreeMap::<u32, usize>::new();
    for (position, class) in classes.iter().enumerate() {
        let first = nearest.entry(*class).or_insert(position);
        if places[position] < places[*first] {
            *first = position;
        }
    }
    let within = |position: &usize| places[*position] < u64::MAX / ONE_IN || nearest[&classes[*position]] == *position;
    (0..set.len()).filter(within).collect()
}

/// A picture's place, evenly spread over all numbers: a function of its name, the purpose and the seed.
fn place(set: &ImageSet, position: usize, purpose: &str, seed: u64) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    hasher.update(purpose);
    hasher.update([0]);
    hasher.update(set.key(position));
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize()[..8]);
    u64::from_le_bytes(first)
}

/// The pictures at no of these positions, and those at them, both in the original order.
fn split(set: &ImageSet, positions: &[usize]) -> (ImageSet, ImageSet) {
    let mut held = vec![false; set.len()];
    positions.iter().for_each(|position| held[*position] = true);
    let (inside, outside): (Vec<usize>, Vec<usize>) = (0..set.len()).partition(|position| held[*position]);
    (set.select(&outside), set.select(&inside))
}

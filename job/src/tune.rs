//! How a network is trained.

use images::laws::Law;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SettingError;

/// How a network is tuned after the cut, or trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tune {
    /// Passes over the training pictures, those of a search before it included (`--epochs`).
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub epochs: f64,
    /// Image-copies that a search before it has used; in `prune`, what its search says unless set.
    pub spent: Option<u64>,
    /// Images per step (`--batch`); by default 128, fewer where pictures are few or large.
    #[schemars(range(min = 2))]
    pub batch: Option<usize>,
    /// Highest learning rate (`--rate`); at 0 nothing changes. By default 0.05 for 128 images a step, in proportion for
    /// fewer, or the first third of that, third of the third, … with which a few steps do not make the loss rise.
    #[schemars(range(min = 0))]
    pub rate: Option<f64>,
    /// Momentum (Nesterov).
    #[schemars(range(min = 0, max = 1))]
    pub momentum: f64,
    /// Weight decay, on weights alone.
    #[schemars(range(min = 0))]
    pub decay: f64,
    /// Steps over which the rate rises to its highest.
    pub warm_up: u64,
    /// The loss for one prediction, `(1−a)·CE(s, y) + a·D(t*, s)`, with the teacher's target
    /// `t* = β·dense(x) + (1−β)·dense(x′)` for a student that sees x′. D is the mean over all outputs:
    /// `T²·KL(softmax(t*/T) ‖ softmax(s/T))` of class scores, the squared error over the teacher's own variance, channel by
    /// channel, of all else, where β is 0.
    pub task: Task,
    /// Share of each batch that is transformed.
    #[schemars(range(min = 0, max = 1))]
    pub transformed: f64,
    /// The laws of the transformations, `NAME` or `NAME=SIZE`; by default all five.
    pub laws: Option<Vec<String>>,
    /// Mirror and shift pictures.
    pub augment: bool,
    /// Where batch normalisations take their statistics from in the steps of the search and of the training.
    pub normalise: Normalise,
    /// Decay of a running average of the weights that is returned in their place; 0 is none.
    #[schemars(range(min = 0, max = 1))]
    pub ema: f64,
    /// Radius ρ of a weight perturbation (SAM); 0 is none. Doubles the copies.
    #[schemars(range(min = 0))]
    pub sam: f64,
    /// Batches over which batch-norm statistics are measured before training, and after averaging.
    #[schemars(range(min = 1))]
    pub batches: usize,
    /// Epochs between looks at the validation pictures; 0 looks at the end only.
    #[schemars(range(min = 0))]
    pub validate: f64,
    /// Looks without a better one after which training stops; 0 never stops early.
    pub patience: u32,
}

/// The loss for one prediction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Task {
    /// Weight `a` of the distillation (`--distil`); 1 where there are no labels, 0 where there is no teacher.
    #[schemars(range(min = 0, max = 1))]
    pub distil: f64,
    /// Temperature `T`.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub temperature: f64,
    /// The dial β (`--beta`): 1 asks for the clean answer on transformed images, 0 for the teacher's answer on the same
    /// image.
    #[schemars(range(min = 0, max = 1))]
    pub beta: f64,
}

/// Where batch normalisations take mean and variance from in a training step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Normalise {
    /// From the batch, unless that alone changes what the dense network says of the pictures.
    Auto,
    /// From the batch.
    Batch,
    /// From what is stored, which stays as it is.
    Stored,
}

impl Default for Tune {
    fn default() -> Self {
        Self {
            epochs: 24.0,
            spent: None,
            batch: None,
            rate: None,
            momentum: 0.9,
            decay: 5e-4,
            warm_up: 100,
            task: Task::default(),
            transformed: 0.5,
            laws: None,
            augment: true,
            normalise: Normalise::Auto,
            ema: 0.0,
            sam: 0.0,
            batches: 50,
            validate: 0.0,
            patience: 0,
        }
    }
}

impl Default for Task {
    fn default() -> Self {
        Self { distil: 0.7, temperature: 3.0, beta: 0.5 }
    }
}

impl Tune {
    /// Refuses what no range can say.
    ///
    /// # Errors
    /// A law is none.
    pub fn check(&self) -> Result<(), SettingError> {
        check_laws("tune.laws", self.laws.as_deref().unwrap_or_default())
    }

    /// What a search reads of it; the rest may still change when the search is done.
    pub fn read_by_search(&self) -> Self {
        let Self { epochs, momentum, decay, laws, augment, normalise, .. } = self.clone();
        Self { epochs, momentum, decay, laws, augment, normalise, ..Self::default() }
    }
}

/// Whether each text of this key is a law.
///
/// # Errors
/// One is not.
pub fn check_laws(key: &str, laws: &[String]) -> Result<(), SettingError> {
    /// Sizes that are left out depend on the pictures; whether a text is a law does not.
    const ANY_SIDE: usize = 32;
    let check = |law: &String| Law::parse(law, ANY_SIDE).map(drop);
    laws.iter()
        .try_for_each(check)
        .map_err(|error| SettingError::Value { key: key.to_owned(), reason: error.to_string() })
}

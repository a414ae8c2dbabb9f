//! How the lanes to remove are found: what every method reads, and a section for each method.
//!
//! The defaults are the forms that held up in trials. C-SAM's published reading is `update = "gradient"`, `twin = false`,
//! `perturb = "uniform"`, `stability = "gap"`, `robustness = "ratio"`, `control = "dual"`, `train_weights = false`.

pub(crate) mod csam;
pub(crate) mod taylor;

use std::fmt;

use import::lanes::Allocation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Csam, SettingError, Task, Taylor};

/// How the lanes to remove are found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Search {
    /// Which method (`--method`); csam unless set, and magnitude in `slim`.
    pub method: Option<MethodName>,
    /// How many lanes each group keeps (`--allocation`).
    pub allocation: Allocation,
    /// Lanes that every group keeps at least (`--floor`).
    pub floor: usize,
    /// What stands for a removed lane.
    pub fill: Fill,
    /// Batches for calibration: fills, Taylor scores, batch-norm statistics.
    #[schemars(range(min = 1))]
    pub batches: usize,
    /// The task loss of the search; that of `tune` unless set.
    pub task: Option<Task>,
    /// What C-SAM alone reads.
    #[schemars(extend("x-short" = true))]
    pub csam: Csam,
    /// What the Taylor scores alone read.
    #[schemars(extend("x-short" = true))]
    pub taylor: Taylor,
}

/// The methods there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each has its file in csam/src/methods")]
pub enum MethodName {
    #[default]
    Csam,
    Magnitude,
    Taylor,
    Random,
}

impl fmt::Display for MethodName {
    /// The name in settings and reports.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csam => "csam",
            Self::Magnitude => "magnitude",
            Self::Taylor => "taylor",
            Self::Random => "random",
        })
    }
}

/// What stands for a removed lane at its readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fill {
    /// The mean of the reader's input over training pictures.
    Mean,
    /// Nothing.
    Zero,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            method: None,
            allocation: Allocation::Uniform,
            floor: 2,
            fill: Fill::Mean,
            batches: 20,
            task: None,
            csam: Csam::default(),
            taylor: Taylor::default(),
        }
    }
}

impl Search {
    /// The method of a search with data.
    pub fn method(&self) -> MethodName {
        self.method.unwrap_or_default()
    }

    /// Refuses what no range can say.
    ///
    /// # Errors
    /// Two settings do not go together.
    pub fn check(&self) -> Result<(), SettingError> {
        self.csam.check()
    }
}

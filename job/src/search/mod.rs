//! How the lanes to remove are found: what every method reads, and a section for each method.
//!
//! The defaults are the forms that held up in trials. C-SAM's published reading is `update = "gradient"`, `twin = false`,
//! `perturb = "uniform"`, `stability = "gap"`, `robustness = "ratio"`, `control = "dual"`, `train_weights = false`.

pub(crate) mod csam;
pub(crate) mod taylor;

use std::fmt;

use import::Graph;
use import::lanes::score::Score;
use import::lanes::{Allocation, Bounds, Lanes, Ranking, RankingError};
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
    /// Channels that every group keeps at least (`--floor`).
    pub floor: usize,
    /// How many lanes single layers keep (`--layer`): `NAME=16..`, `NAME=..50%` or `NAME=25%..75%`, for all with a tensor
    /// whose name contains that; of several that fit, the last counts.
    pub layer: Vec<String>,
    /// What stands for a removed lane.
    pub fill: Fill,
    /// Batches for calibration: fills, Taylor scores, batch-norm statistics.
    #[schemars(range(min = 1))]
    pub batches: usize,
    /// The task loss of the search; that of `tune` unless set.
    pub task: Option<Task>,
    /// How lanes are scored without data: by the method `magnitude`, and where another begins.
    #[schemars(extend("x-short" = true))]
    pub magnitude: Score,
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
            layer: Vec::new(),
            fill: Fill::Mean,
            batches: 20,
            task: None,
            magnitude: Score::default(),
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
        if let Err(reason) = self.bounds() {
            return Err(SettingError::Value { key: "search.layer".to_owned(), reason });
        }
        self.csam.check()
    }

    fn bounds(&self) -> Result<Vec<Bounds>, String> {
        self.layer.iter().map(|text| text.parse()).collect()
    }

    /// Which groups rank together, and how many lanes each keeps.
    ///
    /// # Errors
    /// Bounds are about no group, or leave one no width.
    pub fn ranking(&self, graph: &Graph, lanes: &Lanes) -> Result<Ranking, RankingError> {
        // What cannot be read was refused by `check`.
        let bounds = self.bounds().unwrap_or_default();
        Ranking::of(graph, lanes, self.allocation, self.floor, &bounds)
    }
}

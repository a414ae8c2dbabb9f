//! What a lane's weights are worth, put together over the tensors on which it lies, and held against the other lanes of
//! its group.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::criterion::{Criterion, Measured};
use super::site::{Figures, learned, sites};
use crate::graph::Graph;
use crate::lanes::analysis::Lanes;
use crate::lanes::lane::LaneId;
use crate::tensor::TensorError;

/// How lanes are scored without data. Each group is scored by itself, so that its scores can be normalised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Score {
    /// What is measured of a lane at each tensor on which it lies (`--criterion`).
    pub criterion: Criterion,
    /// How its tensors' figures become one (`--reduce`).
    pub reduce: Reduce,
    /// What a group's scores are divided by, so that groups can be ranked against each other (`--normalise`).
    pub normalise: Normalise,
}

/// How figures at several tensors become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reduce {
    /// Their mean.
    #[default]
    Mean,
    /// Their sum: what lies at more places counts more.
    Sum,
    /// The largest.
    Max,
}

/// What the scores of a group are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Normalise {
    /// Their mean.
    #[default]
    Mean,
    /// The largest.
    Max,
    /// Their sum: lanes of larger groups count less.
    Sum,
    /// Nothing.
    None,
}

/// Group L2 norm (DepGraph, Fang et al. 2023): per lane the sum of squares at each coupled trainable tensor, averaged
/// over those, divided by the group's mean.
///
/// # Errors
/// When a stored tensor cannot be read as numbers.
pub fn magnitude(graph: &Graph, lanes: &Lanes) -> Result<Vec<f64>, TensorError> {
    of(graph, lanes, &Score::default())
}

/// One score per lane.
///
/// # Errors
/// As [`magnitude`].
pub fn of(graph: &Graph, lanes: &Lanes, score: &Score) -> Result<Vec<f64>, TensorError> {
    let roles = learned(graph);
    let mut measured = Measured::new(graph, score.criterion);
    let mut scores = vec![0.0; lanes.lanes.len()];
    for group in &lanes.groups {
        let sites = sites(graph, lanes, group, &roles);
        let read = score.criterion.sites(&sites);
        let figures = read.into_iter().map(|site| measured.at(site)).collect::<Result<Vec<_>, _>>()?;
        let mut raw: Vec<f64> = group.lanes.iter().map(|lane| score.reduce.of(&figures, *lane)).collect();
        score.normalise.apply(&mut raw);
        group.lanes.iter().zip(raw).for_each(|(lane, score)| scores[lane.0 as usize] = score);
    }
    Ok(scores)
}

impl Reduce {
    fn of(self, figures: &[Figures], lane: LaneId) -> f64 {
        let at = figures.iter().map(|site| site.get(&lane).copied().unwrap_or(0.0));
        match self {
            Self::Mean => at.sum::<f64>() / figures.len().max(1) as f64,
            Self::Sum => at.sum(),
            Self::Max => at.fold(0.0, f64::max),
        }
    }
}

impl Normalise {
    fn apply(self, scores: &mut [f64]) {
        let sum: f64 = scores.iter().sum();
        let by = match self {
            Self::Mean => sum / scores.len().max(1) as f64,
            Self::Max => scores.iter().copied().fold(0.0, f64::max),
            Self::Sum => sum,
            Self::None => 1.0,
        };
        if by > 0.0 {
            scores.iter_mut().for_each(|score| *score /= by);
        }
    }
}

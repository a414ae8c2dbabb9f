//! Which groups' lanes are ranked against each other, and how many each group may keep.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::analysis::Lanes;
use super::lane::Group;
use super::parameters::parameters;
use crate::graph::{Graph, StoredId};
use crate::ops::Role;

/// How widths are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Allocation {
    /// The same share of every group.
    #[default]
    Uniform,
    /// The best lanes of the whole network.
    Global,
    /// The best lanes of the whole network, each group's share within a fifth of the uniform one.
    Banded,
    /// The same share of all groups of one form, the best lanes of them together (isomorphic pruning, Fang et al. 2024):
    /// groups have one form when their lanes lie on the same axes of tensors of the same roles and ranks.
    Isomorphic,
}

impl FromStr for Allocation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "uniform" => Ok(Self::Uniform),
            "global" => Ok(Self::Global),
            "banded" => Ok(Self::Banded),
            "isomorphic" => Ok(Self::Isomorphic),
            _ => Err(format!("'{text}' is no allocation; choose uniform, global, banded or isomorphic")),
        }
    }
}

/// How many lanes some groups keep: those with a tensor whose name contains the pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    pattern: String,
    least: Option<Width>,
    most: Option<Width>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Width {
    Lanes(usize),
    /// A share from 0 to 1.
    Share(f64),
}

impl FromStr for Bounds {
    type Err = String;

    /// `PATTERN=LEAST..MOST`, either end left out or a number of lanes or percent of them.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' bounds no layer; write NAME=16.., NAME=..50% or NAME=25%..75%");
        let (pattern, range) = text.rsplit_once('=').filter(|(pattern, _)| !pattern.is_empty()).ok_or_else(wrong)?;
        let (least, most) = range.split_once("..").ok_or_else(wrong)?;
        let width = |text: &str| match text.strip_suffix('%') {
            _ if text.is_empty() => Ok(None),
            Some(percent) => match percent.parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Some(Width::Share(percent / 100.0))),
                _ => Err(wrong()),
            },
            None => text.parse().map(|lanes| Some(Width::Lanes(lanes))).map_err(|_| wrong()),
        };
        let (least, most) = (width(least)?, width(most)?);
        if least.is_none() && most.is_none() {
            return Err(wrong());
        }
        Ok(Self { pattern: pattern.to_owned(), least, most })
    }
}

impl Width {
    /// In lanes of a group of this size.
    fn of(self, size: usize) -> usize {
        match self {
            Self::Lanes(lanes) => lanes,
            Self::Share(share) => (share * size as f64).round() as usize,
        }
    }
}

/// Why lanes cannot be ranked as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RankingError {
    /// A pattern that no group's tensors contain.
    #[error(
        "--layer bounds nothing: no tensor that can be cut has `{pattern}` in its name; `espalier inspect` lists them"
    )]
    Nothing {
        /// The pattern.
        pattern: String,
    },
    /// More lanes at least than at most.
    #[error(
        "the layer `{group}` is to keep at least {least} lanes and at most {most}; give other bounds with --layer or --floor"
    )]
    Empty {
        /// The group.
        group: String,
        /// Lanes at least.
        least: usize,
        /// Lanes at most.
        most: usize,
    },
}

/// Which groups rank together, and how many lanes each keeps.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// How widths are chosen.
    pub allocation: Allocation,
    /// Channels that every group keeps at least, unless it is smaller or bounded otherwise.
    pub floor: usize,
    /// Per group, how many lanes it may keep.
    pub(super) widths: Vec<RangeInclusive<usize>>,
    /// Per group, the number of its form.
    pub(super) forms: Vec<usize>,
}

impl Ranking {
    /// The same share of every group; each keeps at least `floor` channels on every axis, or all where it has fewer.
    pub fn uniform(lanes: &Lanes, floor: usize) -> Self {
        let width = |group: &Group| group.least(floor)..=group.lanes.len();
        Self {
            allocation: Allocation::Uniform,
            floor: floor.max(1),
            widths: lanes.groups.iter().map(width).collect(),
            forms: (0..lanes.groups.len()).collect(),
        }
    }

    /// Every group keeps at least `floor` channels on every axis, or all where it has fewer.
    ///
    /// # Errors
    /// Bounds that are about no group, or leave one no width.
    pub fn of(
        graph: &Graph,
        lanes: &Lanes,
        allocation: Allocation,
        floor: usize,
        bounds: &[Bounds],
    ) -> Result<Self, RankingError> {
        let mut used = vec![false; bounds.len()];
        let mut widths = Vec::with_capacity(lanes.groups.len());
        for group in &lanes.groups {
            let size = group.lanes.len();
            let (mut least, mut most) = (group.least(floor), size);
            for (bound, used) in bounds.iter().zip(&mut used).filter(|(bound, _)| bound.is_about(graph, group)) {
                *used = true;
                least = bound.least.map_or(least, |width| width.of(size).clamp(1, size));
                most = bound.most.map_or(most, |width| width.of(size).clamp(1, size));
            }
            if least > most {
                return Err(RankingError::Empty { group: group.name.clone(), least, most });
            }
            widths.push(least..=most);
        }
        match bounds.iter().zip(used).find(|(_, used)| !used) {
            Some((bound, _)) => Err(RankingError::Nothing { pattern: bound.pattern.clone() }),
            None => Ok(Self { allocation, floor: floor.max(1), widths, forms: forms(graph, lanes) }),
        }
    }
}

impl Bounds {
    fn is_about(&self, graph: &Graph, group: &Group) -> bool {
        group.sites.iter().any(|&(stored, _)| graph.stored_name(stored).contains(&self.pattern))
    }
}

/// How often lanes lie on an axis of a tensor of some role and rank.
type Form = BTreeMap<(Option<Role>, usize, usize), usize>;

/// A number for each group; groups of one form have the same.
fn forms(graph: &Graph, lanes: &Lanes) -> Vec<usize> {
    let parameters = parameters(graph);
    let role = |stored: &StoredId| parameters.get(stored).map(|parameter| parameter.role);
    let mut known: HashMap<Form, usize> = HashMap::new();
    let of = |group: &Group| {
        let mut form = Form::new();
        for (stored, axis) in &group.sites {
            let rank = graph.stored(*stored).tensor.shape.len();
            *form.entry((role(stored), *axis, rank)).or_insert(0usize) += 1;
        }
        let next = known.len();
        *known.entry(form).or_insert(next)
    };
    lanes.groups.iter().map(of).collect()
}

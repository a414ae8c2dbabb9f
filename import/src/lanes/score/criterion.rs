//! What is measured of a lane at one tensor.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::site::{Figures, Site};
use crate::graph::{Graph, StoredId};
use crate::lanes::quantized::numbers;
use crate::ops::Role;
use crate::tensor::TensorError;

/// What is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Criterion {
    /// The sum of squares.
    #[default]
    L2,
    /// The sum of magnitudes (Li et al. 2017).
    L1,
    /// The magnitude of the normalisation's scale (Liu et al. 2017), where the group has one; else the sum of squares.
    BnScale,
    /// The distance from the other lanes' weights, summed: what lies near the geometric median can be replaced by them
    /// (He et al. 2019). At weights alone, where the group has any.
    Fpgm,
}

impl Criterion {
    /// The sites that it reads.
    pub(super) fn sites(self, sites: &[Site]) -> Vec<&Site> {
        let role = match self {
            Self::L2 | Self::L1 => None,
            Self::BnScale => Some(Role::Scale),
            Self::Fpgm => Some(Role::Weight),
        };
        let fits = |site: &&Site| role.is_none_or(|role| site.role == role);
        let read: Vec<&Site> = sites.iter().filter(fits).collect();
        if read.is_empty() { sites.iter().collect() } else { read }
    }
}

/// Figures of a graph's stored tensors. Sums are kept, since several groups may lie on one axis.
pub(super) struct Measured<'a> {
    graph: &'a Graph,
    criterion: Criterion,
    sums: HashMap<(StoredId, usize), Vec<f64>>,
}

impl<'a> Measured<'a> {
    pub(super) fn new(graph: &'a Graph, criterion: Criterion) -> Self {
        Self { graph, criterion, sums: HashMap::new() }
    }

    /// What is measured of each lane at a site.
    ///
    /// # Errors
    /// When the tensor cannot be read as numbers.
    pub(super) fn at(&mut self, site: &Site) -> Result<Figures, TensorError> {
        if self.criterion == Criterion::Fpgm {
            return distances(self.graph, site);
        }
        let magnitude =
            self.criterion == Criterion::L1 || site.role == Role::Scale && self.criterion == Criterion::BnScale;
        let key = (site.stored, site.axis);
        if !self.sums.contains_key(&key) {
            let of = if magnitude { f64::abs } else { |x: f64| x * x };
            self.sums.insert(key, sums(self.graph, site, of)?);
        }
        let mut found = Figures::new();
        for (slot, sum) in site.slots.iter().zip(&self.sums[&key]) {
            if let Some(lane) = slot {
                *found.entry(*lane).or_default() += sum;
            }
        }
        Ok(found)
    }
}

/// Looks at every element of a site's tensor, in order.
fn for_each(graph: &Graph, site: &Site, mut see: impl FnMut(f64)) -> Result<(), TensorError> {
    match graph.stored(site.stored).tensor.floats() {
        Some(floats) => floats.for_each(|x| see(f64::from(x as f32))),
        None => numbers(graph, site.stored)?.into_iter().for_each(see),
    }
    Ok(())
}

/// Elements that follow one another at one index of the site's axis.
fn run_length(graph: &Graph, site: &Site) -> usize {
    let shape = &graph.stored(site.stored).tensor.shape;
    shape[site.axis + 1..].iter().copied().fold(1, usize::saturating_mul).max(1)
}

/// Sums over everything but the site's axis, of a function of each element.
fn sums(graph: &Graph, site: &Site, of: impl Fn(f64) -> f64) -> Result<Vec<f64>, TensorError> {
    let (extent, inner) = (site.slots.len(), run_length(graph, site));
    let mut sums = vec![0.0; extent];
    // A run of elements at one index of the axis is summed by itself.
    let (mut run, mut left, mut at) = (0.0, inner, 0);
    for_each(graph, site, |x| {
        run += of(x);
        left -= 1;
        if left == 0 {
            sums[at] += run;
            (run, left, at) = (0.0, inner, (at + 1) % extent);
        }
    })?;
    Ok(sums)
}

/// Per lane the sum of the Euclidean distances of its elements from those of the group's other lanes.
fn distances(graph: &Graph, site: &Site) -> Result<Figures, TensorError> {
    let (extent, inner) = (site.slots.len(), run_length(graph, site));
    let mut vectors: Vec<Vec<f32>> = vec![Vec::new(); extent];
    let mut number = 0usize;
    for_each(graph, site, |x| {
        vectors[number / inner % extent].push(x as f32);
        number += 1;
    })?;
    let held: Vec<_> = site.slots.iter().zip(&vectors).filter_map(|(slot, vector)| Some(((*slot)?, vector))).collect();
    let mut found = Figures::new();
    for (place, (lane, vector)) in held.iter().enumerate() {
        for (other, theirs) in &held[place + 1..] {
            let squares = vector.iter().zip(*theirs).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
            *found.entry(*lane).or_default() += squares.sqrt();
            *found.entry(*other).or_default() += squares.sqrt();
        }
        found.entry(*lane).or_default();
    }
    Ok(found)
}

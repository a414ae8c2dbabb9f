//! Scores of lanes that need no data.

use std::collections::{BTreeMap, BTreeSet};

use super::analysis::Lanes;
use super::parameters::trainable;
use super::quantized::{numbers, quantised};
use crate::graph::{Graph, StoredId};
use crate::tensor::TensorError;

/// Group L2 norm (DepGraph, Fang et al. 2023): per lane the sum of squares at each coupled stored site, averaged over
/// the sites, divided by the group's mean. Sites on other than trainable and quantised tensors do not count.
///
/// # Errors
/// When a stored tensor cannot be read as numbers.
pub fn magnitude(graph: &Graph, lanes: &Lanes) -> Result<Vec<f64>, TensorError> {
    let mut weights: BTreeSet<StoredId> = trainable(graph).into_iter().collect();
    weights.extend(quantised(graph));
    let mut squares: BTreeMap<(StoredId, usize), Vec<f64>> = BTreeMap::new();
    for group in &lanes.groups {
        for &(stored, axis) in group.sites.iter().filter(|(stored, _)| weights.contains(stored)) {
            if let std::collections::btree_map::Entry::Vacant(entry) = squares.entry((stored, axis)) {
                entry.insert(axis_squares(graph, stored, axis)?);
            }
        }
    }
    let mut scores = vec![0.0; lanes.lanes.len()];
    for (&(stored, axis), sums) in &squares {
        for (slot, sum) in lanes.stored_axis(graph, stored, axis).into_iter().flatten().zip(sums) {
            if let Some(lane) = slot {
                scores[lane.0 as usize] += sum;
            }
        }
    }
    normalise(lanes, &mut scores);
    Ok(scores)
}

/// Sums over everything but one axis, of squares.
fn axis_squares(graph: &Graph, stored: StoredId, axis: usize) -> Result<Vec<f64>, TensorError> {
    let tensor = &graph.stored(stored).tensor;
    let Some(floats) = tensor.floats() else {
        let mut sums = vec![0.0; tensor.shape[axis]];
        let inner = tensor.shape[axis + 1..].iter().product::<usize>().max(1);
        let extent = tensor.shape[axis].max(1);
        numbers(graph, stored)?.into_iter().enumerate().for_each(|(flat, x)| sums[flat / inner % extent] += x * x);
        return Ok(sums);
    };
    let extent = tensor.shape[axis];
    let inner = tensor.shape[axis + 1..].iter().copied().fold(1, usize::saturating_mul).max(1);
    let mut sums = vec![0.0; extent];
    // A run of elements at one index of the axis is summed by itself.
    let (mut run, mut left, mut at) = (0.0, inner, 0);
    floats.for_each(|x| {
        let single = f64::from(x as f32);
        run += single * single;
        left -= 1;
        if left == 0 {
            sums[at] += run;
            (run, left, at) = (0.0, inner, at + 1);
        }
        if at == extent {
            at = 0;
        }
    });
    Ok(sums)
}

fn normalise(lanes: &Lanes, scores: &mut [f64]) {
    for group in &lanes.groups {
        let sites = group.sites.len().max(1) as f64;
        let mean = group.lanes.iter().map(|l| scores[l.0 as usize]).sum::<f64>() / (group.lanes.len() as f64 * sites);
        for lane in &group.lanes {
            let score = &mut scores[lane.0 as usize];
            *score /= sites;
            if mean > 0.0 {
                *score /= mean;
            }
        }
    }
}

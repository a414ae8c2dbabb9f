//! New random weights for a network: He's normal law for weights, 1 and 0 for normalisations, 0 for biases.

use std::collections::HashMap;

use images::draw;
use import::{
    Graph,
    graph::{Node, Origin, ValueId},
};
use tch::{Tensor, no_grad};

use crate::{CsamError, network::Network};

/// What a stored tensor is to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Contracted along axes whose product is this.
    Weight { fan_in: usize },
    /// The scale of a normalisation.
    Scale,
}

/// Overwrites all weights and statistics of a network. The numbers are a function of the seed and the tensor's place.
///
/// # Errors
/// libtorch refuses.
pub(crate) fn initialise(graph: &Graph, network: &mut Network, seed: u64) -> Result<(), CsamError> {
    let parts = parts(graph);
    for (place, parameter) in network.parameters().into_iter().enumerate() {
        let count = parameter.tensor.numel();
        let values = match parts.get(parameter.name.as_str()) {
            Some(Part::Weight { fan_in }) => normal(count, (2.0 / *fan_in as f32).sqrt(), seed, place as u64),
            Some(Part::Scale) => vec![1.0; count],
            None if parameter.name.ends_with("normalise.scale") => vec![1.0; count],
            None => vec![0.0; count],
        };
        overwrite(&parameter.tensor, &values)?;
    }
    for (name, tensor) in network.statistics() {
        let value = if is_variance(graph, &name) { 1.0 } else { 0.0 };
        overwrite(&tensor, &vec![value; tensor.numel()])?;
    }
    Ok(())
}

fn overwrite(tensor: &Tensor, values: &[f32]) -> Result<(), CsamError> {
    let values = Tensor::f_from_slice(values)?.f_reshape(tensor.size())?;
    no_grad(|| tensor.shallow_clone().f_copy_(&values))?;
    Ok(())
}

fn normal(count: usize, deviation: f32, seed: u64, place: u64) -> Vec<f32> {
    let mut rng = draw::rng(seed, "fresh-weights", 0, place);
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let (a, b) = draw::normal_pair(&mut rng);
        values.extend([a * deviation, b * deviation]);
    }
    values.truncate(count);
    values
}

/// Weights and scales by the name of the stored tensor; biases and shifts are not among them.
fn parts(graph: &Graph) -> HashMap<&str, Part> {
    let mut parts = HashMap::new();
    for (_, node) in graph.nodes() {
        let Some(second) = node.input(1) else { continue };
        let Origin::Stored(stored) = graph.value(second).origin else { continue };
        let tensor = &graph.stored(stored).tensor;
        let part = match tensor.shape.len() {
            0 => continue,
            1 if node.outputs.len() == 1 && is_statistical(node) => Part::Scale,
            1 => continue,
            _ => Part::Weight { fan_in: fan_in(node, &tensor.shape) },
        };
        parts.insert(graph.stored_name(stored), part);
    }
    parts
}

fn is_statistical(node: &Node) -> bool {
    node.row.is_some_and(|row| !row.statistics.is_empty())
}

/// Values that each output sums over: a matrix is stored [in, out] unless the node transposes it, a kernel
/// [out, in, …].
fn fan_in(node: &Node, shape: &[usize]) -> usize {
    let matrix_as_is = shape.len() == 2 && node.int_or("transB", 0) == 0;
    if matrix_as_is { shape[0] } else { shape[1..].iter().product() }
}

fn is_variance(graph: &Graph, name: &str) -> bool {
    let named = |value: Option<ValueId>| value.is_some_and(|value| graph.value(value).name == name);
    let second = |node: &Node| node.row.and_then(|row| row.statistics.get(1)).and_then(|input| node.input(*input));
    name.ends_with("normalise.variance") || graph.nodes().any(|(_, node)| named(second(node)))
}

//! New random weights for a network: He's normal law for weights, 1 for scales and 0 for shifts and biases, and his slope.

use std::collections::HashMap;

use images::draw;
use import::{
    Graph,
    lanes::{Parameter, parameters},
    ops::Role,
};
use tch::{Tensor, no_grad};

use crate::{CsamError, network::Network};

/// The slope that He et al. (2015) begin with.
const SLOPE: f32 = 0.25;

/// Overwrites all weights and statistics of a network, each by its role. The numbers are a function of the seed and the tensor's place.
///
/// # Errors
/// libtorch refuses.
pub(crate) fn initialise(graph: &Graph, network: &mut Network, seed: u64) -> Result<(), CsamError> {
    let stored: HashMap<&str, Parameter> =
        parameters(graph).into_iter().map(|(id, parameter)| (graph.stored_name(id), parameter)).collect();
    for (place, own) in network.parameters().into_iter().chain(network.measured()).enumerate() {
        let count = own.tensor.numel();
        let fan_in = stored.get(own.name.as_str()).map_or(1, |parameter| parameter.fan_in);
        let values = match own.role {
            Role::Weight => normal(count, (2.0 / fan_in as f32).sqrt(), seed, place as u64),
            Role::Scale | Role::Variance => vec![1.0; count],
            Role::Slope => vec![SLOPE; count],
            Role::Bias | Role::Shift | Role::Mean => vec![0.0; count],
        };
        overwrite(&own.tensor, &values)?;
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

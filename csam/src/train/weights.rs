//! A network's trained tensors together with their optimiser.

use std::collections::HashSet;

use import::ops::Role;
use tch::{Tensor, no_grad};

use super::{checkpoint::State, optimiser::Sgd, sam};
use crate::{CsamError, network::Network};

/// Weights, their velocities, and the normalisations' statistics: all that training changes in a network.
pub struct Weights {
    names: Vec<String>,
    tensors: Vec<Tensor>,
    statistics: Vec<(String, Tensor)>,
    sgd: Sgd,
}

impl Weights {
    /// The weights of a network, to be trained with this momentum and, but for biases, scales, slopes and shifts, decay.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn of(network: &Network, momentum: f64, decay: f64) -> Result<Self, CsamError> {
        let parameters = network.parameters();
        let decays: Vec<_> =
            parameters.iter().map(|p| (&p.tensor, if p.role == Role::Weight { decay } else { 0.0 })).collect();
        let sgd = Sgd::new(&decays, momentum)?;
        let (names, tensors) = parameters.into_iter().map(|p| (p.name, p.tensor)).unzip();
        Ok(Self { names, tensors, statistics: network.statistics(), sgd })
    }

    /// No weights: a network of which only the mask is searched.
    pub fn none() -> Self {
        Self { names: Vec::new(), tensors: Vec::new(), statistics: Vec::new(), sgd: Sgd::none() }
    }

    /// Gradients of a loss by the weights, and by whatever else `find` adds behind them.
    ///
    /// With a radius ρ above 0 they are taken where the loss is highest nearby (SAM). `find` is told whether it is asked
    /// for the first time in this step, since statistics may be updated once only.
    ///
    /// # Errors
    /// The gradients cannot be found, or libtorch refuses.
    pub fn gradients(
        &self,
        radius: f64,
        find: &mut dyn FnMut(bool) -> Result<Vec<Tensor>, CsamError>,
    ) -> Result<Vec<Tensor>, CsamError> {
        let gradients = find(true)?;
        if radius == 0.0 {
            return Ok(gradients);
        }
        let moved = sam::ascend(&self.tensors, &gradients, radius)?;
        let gradients = find(false);
        moved.undo(&self.tensors)?;
        gradients
    }

    /// One step of the optimiser; gradients as [`gradients`](Self::gradients) gives them, which are used up.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn step(&mut self, gradients: Vec<Tensor>, rate: f64) -> Result<(), CsamError> {
        self.sgd.step(&mut self.tensors, gradients, rate)
    }

    /// Puts the values alone into a state, without the optimiser's.
    pub fn save_values(&self, state: &mut State) {
        for (name, tensor) in self.names.iter().zip(&self.tensors) {
            state.put(format!("weight/{name}"), tensor);
        }
        for (name, tensor) in &self.statistics {
            state.put(format!("statistic/{name}"), tensor);
        }
    }

    /// Takes the values back.
    ///
    /// # Errors
    /// Something is missing or has another shape.
    pub fn load_values(&self, state: &State) -> Result<(), String> {
        for (name, tensor) in self.names.iter().zip(&self.tensors) {
            state.copy_into(&format!("weight/{name}"), tensor)?;
        }
        self.statistics.iter().try_for_each(|(name, tensor)| state.copy_into(&format!("statistic/{name}"), tensor))
    }

    /// The number of trained tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether nothing is trained.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The trained tensors.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Puts everything into a checkpoint.
    pub fn save(&self, state: &mut State) {
        self.save_values(state);
        for (name, tensor) in self.names.iter().zip(self.sgd.velocities()) {
            state.put(format!("velocity/{name}"), tensor);
        }
    }

    /// Takes everything back.
    ///
    /// # Errors
    /// Something is missing or has another shape.
    pub fn load(&mut self, state: &State) -> Result<(), String> {
        self.load_values(state)?;
        let mut velocities = self.names.iter().zip(self.sgd.velocities());
        velocities.try_for_each(|(name, tensor)| state.copy_into(&format!("velocity/{name}"), tensor))
    }
}

/// What is trained in a network, in the order that [`Weights`] keeps.
pub fn leaves(network: &Network) -> Vec<Tensor> {
    network.parameters().into_iter().map(|parameter| parameter.tensor).collect()
}

/// The gradients of one number by leaves; undefined for a leaf that took no part. Each is in memory of its own, so that it
/// can be overwritten: torch gives leaves that are added to each other one gradient, and may repeat one element.
pub fn backward(loss: &Tensor, leaves: &[Tensor]) -> Result<Vec<Tensor>, CsamError> {
    let mut gradients = Tensor::f_run_backward(&[loss], leaves, false, false)?;
    let mut taken = HashSet::new();
    for gradient in gradients.iter_mut().filter(|gradient| gradient.defined()) {
        *gradient = gradient.f_contiguous()?;
        if !taken.insert(gradient.data_ptr()) {
            *gradient = sam::copied(gradient)?;
        }
    }
    Ok(gradients)
}

/// A running average of weights, returned in their place at the end.
pub struct Average {
    decay: f64,
    tensors: Vec<Tensor>,
}

impl Average {
    /// Begins at the weights as they are; none for decay 0.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn of(weights: &Weights, decay: f64) -> Result<Option<Self>, CsamError> {
        if decay == 0.0 {
            return Ok(None);
        }
        let tensors = weights.tensors.iter().map(sam::copied).collect::<Result<_, _>>()?;
        Ok(Some(Self { decay, tensors }))
    }

    /// Follows the weights after step number `step`; early steps count more, so that the start is forgotten.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn follow(&mut self, weights: &Weights, step: u64) -> Result<(), CsamError> {
        let decay = self.decay.min((step + 1) as f64 / (step + 10) as f64);
        no_grad(|| {
            for (average, weight) in self.tensors.iter_mut().zip(&weights.tensors) {
                let _ = average.f_lerp_(weight, 1.0 - decay)?;
            }
            Ok(())
        })
    }

    /// Overwrites the weights with the average.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn take_place(&self, weights: &Weights) -> Result<(), CsamError> {
        no_grad(|| {
            self.tensors.iter().zip(&weights.tensors).try_for_each(|(from, to)| Ok(to.shallow_clone().f_copy_(from)?))
        })
    }

    /// Puts the average into a checkpoint.
    pub fn save(&self, weights: &Weights, state: &mut State) {
        for (name, tensor) in weights.names.iter().zip(&self.tensors) {
            state.put(format!("average/{name}"), tensor);
        }
    }

    /// Takes it back.
    ///
    /// # Errors
    /// Something is missing or has another shape.
    pub fn load(&mut self, weights: &Weights, state: &State) -> Result<(), String> {
        weights.names.iter().zip(&self.tensors).try_for_each(|(name, t)| state.copy_into(&format!("average/{name}"), t))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_gradient_has_memory_of_its_own() {
        let leaf = || Tensor::from_slice(&[1.0f32, 2.0]).set_requires_grad(true);
        let leaves = [leaf(), leaf(), leaf()];
        // Two leaves get the same gradient, one number repeated.
        let gradients = backward(&(&leaves[0] + &leaves[1]).sum(None), &leaves).unwrap();
        assert!(!gradients[2].defined());
        let _ = gradients[0].get(0).fill_(5.0);
        let numbers = |at: usize| Vec::<f32>::try_from(&gradients[at]).unwrap();
        assert_eq!((numbers(0), numbers(1)), (vec![5.0, 1.0], vec![1.0, 1.0]));
    }
}

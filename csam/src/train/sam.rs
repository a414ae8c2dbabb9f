//! The perturbation of weights (Foret et al. 2021): the ablation beside the perturbation of masks.

use tch::{Tensor, no_grad};

use super::optimiser;
use crate::CsamError;

/// What weights were before they were moved.
pub struct Moved(Vec<Tensor>);

/// Moves all weights by `ρ·g/‖g‖₂`, the norm over the whole network.
///
/// # Errors
/// libtorch refuses.
pub fn ascend(weights: &[Tensor], gradients: &[Tensor], radius: f64) -> Result<Moved, CsamError> {
    no_grad(|| {
        let before = weights.iter().map(copied).collect::<Result<_, _>>()?;
        let gradients = &gradients[..weights.len().min(gradients.len())];
        let scale = radius / (optimiser::length(gradients)? + 1e-12);
        for (weight, gradient) in weights.iter().zip(gradients).filter(|(_, g)| g.defined()) {
            optimiser::add(&mut weight.shallow_clone(), scale, gradient)?;
        }
        Ok(Moved(before))
    })
}

impl Moved {
    /// Puts the weights back, to the bit.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn undo(self, weights: &[Tensor]) -> Result<(), CsamError> {
        no_grad(|| {
            weights.iter().zip(&self.0).try_for_each(|(weight, before)| Ok(weight.shallow_clone().f_copy_(before)?))
        })
    }
}

/// The same values in memory of their own.
pub(super) fn copied(tensor: &Tensor) -> Result<Tensor, CsamError> {
    let mut copy = tensor.f_detach()?.f_zeros_like()?;
    copy.f_copy_(&tensor.f_detach()?)?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn goes_the_radius_along_the_gradient_and_back() {
        let weights = [Tensor::from_slice(&[1.0f64, 2.0]), Tensor::from_slice(&[3.0f64])];
        let gradients = [Tensor::from_slice(&[3.0f64, 0.0]), Tensor::from_slice(&[-4.0f64])];
        let moved = ascend(&weights, &gradients, 0.5).unwrap();
        assert!((weights[0].double_value(&[0]) - 1.3).abs() < 1e-9);
        assert!((weights[1].double_value(&[0]) - 2.6).abs() < 1e-9);
        moved.undo(&weights).unwrap();
        assert_eq!(weights[0].double_value(&[0]), 1.0);
        assert_eq!(weights[1].double_value(&[0]), 3.0);
    }
}

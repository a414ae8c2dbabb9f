//! Optimisers whose whole state can be read and written, so that a run can be continued to the bit.

use tch::{Kind, Tensor, no_grad};

use crate::CsamError;

/// Stochastic gradient descent with Nesterov momentum, on tensors.
///
/// `v ← μ·v + (g + λ·w)`, `w ← w − η·(g + λ·w + μ·v)`; the first step begins with `v = 0`.
#[derive(Debug)]
pub struct Sgd {
    momentum: f64,
    /// One per weight; undecayed weights have decay 0.
    decays: Vec<f64>,
    velocities: Vec<Tensor>,
}

impl Sgd {
    /// At rest. `weights` come with their decay λ.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn new(weights: &[(&Tensor, f64)], momentum: f64) -> Result<Self, CsamError> {
        let velocities = weights.iter().map(|(w, _)| w.detach().f_zeros_like()).collect::<Result<_, _>>()?;
        Ok(Self { momentum, decays: weights.iter().map(|(_, decay)| *decay).collect(), velocities })
    }

    /// Without weights.
    pub fn none() -> Self {
        Self { momentum: 0.0, decays: Vec::new(), velocities: Vec::new() }
    }

    /// One step at rate η. A gradient that is not defined belongs to a weight that took no part. Gradients are used up:
    /// all is computed in their memory, so they have to be contiguous and must not share it.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn step(&mut self, weights: &mut [Tensor], gradients: Vec<Tensor>, rate: f64) -> Result<(), CsamError> {
        no_grad(|| {
            for (((weight, mut pull), velocity), decay) in
                weights.iter_mut().zip(gradients).zip(&mut self.velocities).zip(&self.decays)
            {
                if !pull.defined() {
                    continue;
                }
                if *decay != 0.0 {
                    add(&mut pull, *decay, weight)?;
                }
                let _ = velocity.f_mul_scalar_(self.momentum)?.f_add_(&pull)?;
                add(&mut pull, self.momentum, velocity)?;
                add(weight, -rate, &pull)?;
            }
            Ok(())
        })
    }

    /// The velocities, in the order of the weights.
    pub fn velocities(&self) -> &[Tensor] {
        &self.velocities
    }
}

/// The length of a gradient, over all weights that took part.
///
/// # Errors
/// libtorch refuses.
pub fn length(gradients: &[Tensor]) -> Result<f64, CsamError> {
    let lengths = gradients.iter().filter(|gradient| gradient.defined());
    let lengths = lengths.map(|gradient| gradient.f_norm()?.f_to_kind(Kind::Double)).collect::<Result<Vec<_>, _>>()?;
    if lengths.is_empty() {
        return Ok(0.0);
    }
    Ok(Tensor::f_stack(&lengths, 0)?.f_norm()?.f_double_value(&[])?)
}

/// `sum ← sum + factor · tensor`, in place.
pub(super) fn add(sum: &mut Tensor, factor: f64, tensor: &Tensor) -> Result<(), tch::TchError> {
    let factor = Tensor::f_full([] as [i64; 0], factor, (sum.kind(), sum.device()))?;
    sum.f_addcmul_(tensor, &factor).map(drop)
}

/// Adam on a vector of numbers: the scores of lanes.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    /// Running mean of gradients.
    pub mean: Vec<f64>,
    /// Running mean of squared gradients.
    pub square: Vec<f64>,
    /// Steps taken.
    pub steps: u64,
}

impl Adam {
    const BETA1: f64 = 0.9;
    const BETA2: f64 = 0.999;
    const EPSILON: f64 = 1e-8;

    /// At rest, for `n` numbers.
    pub fn new(n: usize) -> Self {
        Self { mean: vec![0.0; n], square: vec![0.0; n], steps: 0 }
    }

    /// One step at the given rate.
    pub fn step(&mut self, values: &mut [f64], gradients: &[f64], rate: f64) {
        self.steps += 1;
        let steps = self.steps as f64;
        let (first, second) = (1.0 - Self::BETA1.powf(steps), 1.0 - Self::BETA2.powf(steps));
        for (((value, gradient), mean), square) in
            values.iter_mut().zip(gradients).zip(&mut self.mean).zip(&mut self.square)
        {
            *mean += (1.0 - Self::BETA1) * (gradient - *mean);
            *square += (1.0 - Self::BETA2) * (gradient * gradient - *square);
            *value -= rate * (*mean / first) / ((*square / second).sqrt() + Self::EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sgd_takes_the_steps_computed_by_hand() {
        let mut weights = [Tensor::from_slice(&[1.0f64]), Tensor::from_slice(&[2.0f64])];
        let mut sgd = Sgd::new(&[(&weights[0], 0.1), (&weights[1], 0.0)], 0.9).unwrap();
        let gradient = || Tensor::from_slice(&[0.5f64]);
        let first = gradient();
        sgd.step(&mut weights, vec![first.shallow_clone(), Tensor::new()], 0.1).unwrap();
        // pull 0.6, velocity 0.6, change 0.6 + 0.54
        assert!((weights[0].double_value(&[0]) - (1.0 - 0.114)).abs() < 1e-12);
        assert!((first.double_value(&[0]) - 1.14).abs() < 1e-12, "all is computed in the gradient's memory");
        assert_eq!(weights[1].double_value(&[0]), 2.0);
        sgd.step(&mut weights, vec![gradient(), gradient()], 0.1).unwrap();
        // pull 0.5886, velocity 0.54 + 0.5886, change 0.5886 + 1.01574
        assert!((weights[0].double_value(&[0]) - (0.886 - 0.160434)).abs() < 1e-12);
        assert!((weights[1].double_value(&[0]) - (2.0 - 0.095)).abs() < 1e-12);
    }

    #[test]
    fn adams_first_step_has_the_size_of_the_rate() {
        let mut values = vec![1.0, 1.0];
        let mut adam = Adam::new(2);
        adam.step(&mut values, &[3.0, -0.2], 0.01);
        assert!((values[0] - 0.99).abs() < 1e-9 && (values[1] - 1.01).abs() < 1e-9);
        // Second step, gradient 0: mean 0.27/0.19, square 0.008991/0.001999.
        adam.step(&mut values, &[0.0, 0.0], 0.01);
        let change: f64 = 0.01 * (0.27 / 0.19) / (0.008991f64 / 0.001999).sqrt();
        assert!((values[0] - (0.99 - change)).abs() < 1e-8);
    }
}

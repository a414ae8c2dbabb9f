//! Optimisers whose whole state can be read and written, so that a run can be continued to the bit.

use tch::{Tensor, no_grad};

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

    /// One step at rate η. A gradient that is not defined belongs to a weight that took no part.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn step(&mut self, weights: &mut [Tensor], gradients: &[Tensor], rate: f64) -> Result<(), CsamError> {
        no_grad(|| {
            for (((weight, gradient), velocity), decay) in
                weights.iter_mut().zip(gradients).zip(&mut self.velocities).zip(&self.decays)
            {
                if !gradient.defined() {
                    continue;
                }
                let mut pull = gradient.f_contiguous()?;
                if *decay != 0.0 {
                    pull = pull.f_add(&weight.f_mul_scalar(*decay)?)?;
                }
                let mut moved = velocity.f_mul_scalar_(self.momentum)?;
                let moved = moved.f_add_(&pull)?;
                let change = pull.f_add(&moved.f_mul_scalar(self.momentum)?)?;
                let _ = weight.f_sub_(&change.f_mul_scalar(rate)?)?;
            }
            Ok(())
        })
    }

    /// The velocities, in the order of the weights.
    pub fn velocities(&self) -> &[Tensor] {
        &self.velocities
    }
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
        sgd.step(&mut weights, &[gradient(), Tensor::new()], 0.1).unwrap();
        // pull 0.6, velocity 0.6, change 0.6 + 0.54
        assert!((weights[0].double_value(&[0]) - (1.0 - 0.114)).abs() < 1e-12);
        assert_eq!(weights[1].double_value(&[0]), 2.0);
        sgd.step(&mut weights, &[gradient(), gradient()], 0.1).unwrap();
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

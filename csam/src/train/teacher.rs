//! The dense network as a teacher.

use tch::{Tensor, no_grad};

use super::feed::Batch;
use crate::{
    CsamError,
    network::{Network, Pass},
};

/// A network that is asked and never changed.
pub struct Teacher {
    network: Network,
    beta: f64,
}

/// The teacher's logits t* for one batch.
#[derive(Debug)]
pub struct Lesson {
    /// For the `n` clean images: dense(x).
    pub clean: Tensor,
    /// For the transformed copies: `β·dense(x) + (1−β)·dense(x′)`, `draws` × `k` rows; none without copies.
    pub changed: Option<Tensor>,
}

impl Teacher {
    /// A teacher with the dial β.
    pub fn new(network: Network, beta: f64) -> Self {
        Self { network, beta }
    }

    /// The teacher's network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What the teacher says about a batch. With β = 1 it need not look at transformed copies.
    ///
    /// # Errors
    /// The network cannot be run.
    pub fn teach(&self, batch: &Batch) -> Result<Lesson, CsamError> {
        no_grad(|| {
            if batch.k == 0 {
                return Ok(Lesson { clean: predict(&self.network, &batch.images)?, changed: None });
            }
            let copies = batch.k * batch.draws;
            if self.beta == 1.0 {
                let clean = predict(&self.network, &batch.clean()?)?;
                let changed = clean.f_narrow(0, 0, batch.k)?.f_repeat([batch.draws, 1])?;
                return Ok(Lesson { clean, changed: Some(changed) });
            }
            let all = predict(&self.network, &batch.images)?;
            let front = all.f_narrow(0, 0, batch.k)?;
            let rest = all.f_narrow(0, batch.k + copies, batch.n - batch.k)?;
            let seen = all.f_narrow(0, batch.k, copies)?.f_mul_scalar(1.0 - self.beta)?;
            let changed = front.f_repeat([batch.draws, 1])?.f_mul_scalar(self.beta)?.f_add(&seen)?;
            Ok(Lesson { clean: Tensor::f_cat(&[front, rest], 0)?, changed: Some(changed) })
        })
    }
}

impl Lesson {
    /// For [`Batch::mixed`]: the first `k` images transformed, the others clean.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn mixed(&self, batch: &Batch) -> Result<Tensor, CsamError> {
        let Some(changed) = &self.changed else { return Ok(self.clean.shallow_clone()) };
        let last = changed.f_narrow(0, batch.k * (batch.draws - 1), batch.k)?;
        let rest = self.clean.f_narrow(0, batch.k, batch.n - batch.k)?;
        Ok(Tensor::f_cat(&[last, rest], 0)?)
    }
}

/// Class scores, [images, classes], of a network as it is.
///
/// # Errors
/// The network cannot be run, or its first output is no class score.
pub fn predict(network: &Network, images: &Tensor) -> Result<Tensor, CsamError> {
    logits(network, images, &mut Pass::default())
}

/// Class scores, [images, classes], of a given pass through a network.
///
/// # Errors
/// The network cannot be run, or its first output is no class score.
pub fn logits(network: &Network, images: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor, CsamError> {
    let outputs = network.forward(images, pass)?;
    let scores = network.logits(&outputs)?;
    let shape = scores.size();
    let flat = shape.len() >= 2 && shape[1] >= 2 && shape[2..].iter().all(|extent| *extent == 1);
    if !flat || shape[0] != images.size()[0] {
        return Err(CsamError::NoClasses { shape });
    }
    Ok(scores.f_reshape([shape[0], shape[1]])?)
}

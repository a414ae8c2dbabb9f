//! One look at a part of a batch: every branch of the network that the loss asks for, the loss, and its gradients.

use tch::Tensor;

use super::objective::{Objective, Views, objective};
use crate::{
    CsamError,
    job::{Search, Stability},
    network::{Masks, Network, Pass, Statistics},
    train::{
        feed::Batch,
        teacher::{Teacher, logits},
        team::{Part, Slope},
        weights::backward,
    },
};

/// What is looked at.
pub(super) struct Look<'a> {
    pub search: &'a Search,
    pub network: &'a Network,
    /// m, as a leaf.
    pub still: Tensor,
    /// m̃, as a leaf, where it is perturbed.
    pub moved: Option<Tensor>,
    /// Whether the clean branch moves running statistics.
    pub updates: bool,
}

impl Look<'_> {
    /// The loss and its gradients by the given weights and by the masks behind them.
    pub(super) fn slope(
        &self,
        teacher: Option<&Teacher>,
        part: &mut Part,
        weights: &[Tensor],
    ) -> Result<Slope, CsamError> {
        if self.search.task.distil > 0.0 {
            part.ask(teacher)?;
        }
        let views = self.views(&part.batch)?;
        let Objective { loss, terms } = objective(self.search, &part.batch, part.lesson.as_ref(), &views)?;
        let leaves: Vec<Tensor> =
            weights.iter().chain([&self.still]).chain(&self.moved).map(Tensor::shallow_clone).collect();
        let gradients = backward(&loss, &leaves)?;
        Ok(Slope { loss: loss.f_double_value(&[])?, figures: terms, gradients })
    }

    /// All branches that the loss asks for. Only the clean one moves statistics.
    fn views(&self, batch: &Batch) -> Result<Views, CsamError> {
        let (search, moved) = (self.search, self.moved.as_ref().unwrap_or(&self.still));
        let clean = batch.clean()?;
        let changed = match batch.k {
            0 => None,
            _ if search.twin => Some(self.branch(&batch.changed()?, moved, Statistics::Batch)?),
            _ => Some(self.branch(&batch.changed()?, &self.still, Statistics::Batch)?),
        };
        let moved = match search.stability {
            Stability::Off => None,
            _ if search.twin => None,
            _ => Some(self.branch(&clean, moved, Statistics::Batch)?),
        };
        let statistics = if self.updates { Statistics::BatchUpdate } else { Statistics::Batch };
        Ok(Views { clean: self.branch(&clean, &self.still, statistics)?, changed, moved })
    }

    fn branch(&self, images: &Tensor, mask: &Tensor, statistics: Statistics) -> Result<Tensor, CsamError> {
        let masks = Masks { lanes: mask.shallow_clone(), fills: None };
        logits(self.network, images, &mut Pass { masks: Some(&masks), statistics, taps: None })
    }
}

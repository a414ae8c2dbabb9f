//! One evaluation of a part of a batch: every branch of the network that the loss asks for, the loss, and its gradients.

use job::{Csam, Stability, Task};
use tch::Tensor;

use super::objective::{Objective, Views, objective};
use crate::{
    CsamError,
    network::{Answers, Feeds, Masks, Network, Pass, Statistics},
    train::{
        feed::Batch,
        statistics::Normalising,
        teacher::Teacher,
        team::{LossGradients, Part},
        weights::backward,
    },
};

/// What is evaluated.
pub(super) struct Evaluation<'a> {
    pub search: &'a Csam,
    pub task: Task,
    pub normalising: Normalising,
    pub network: &'a Network,
    /// m, as a leaf.
    pub still: Tensor,
    /// m̃, as a leaf, where it is perturbed.
    pub moved: Option<Tensor>,
    /// Whether the clean branch moves running statistics.
    pub updates: bool,
}

impl Evaluation<'_> {
    /// The loss and its gradients by the given weights and by the masks behind them.
    pub(super) fn slope(
        &self,
        teacher: Option<&Teacher>,
        part: &mut Part,
        weights: &[Tensor],
    ) -> Result<LossGradients, CsamError> {
        if self.task.distil > 0.0 {
            part.ask(teacher)?;
        }
        let views = self.views(&part.batch)?;
        let units = teacher.map(|teacher| teacher.units().clone()).unwrap_or_default();
        let asked = (self.search, &self.task);
        let Objective { loss, terms } = objective(asked, &part.batch, part.soft_targets.as_ref(), &units, &views)?;
        let leaves: Vec<Tensor> =
            weights.iter().chain([&self.still]).chain(&self.moved).map(Tensor::shallow_clone).collect();
        let gradients = backward(&loss, &leaves)?;
        Ok(LossGradients { loss: loss.f_double_value(&[])?, figures: terms, gradients })
    }

    /// All branches that the loss asks for. Only the clean one moves statistics.
    fn views(&self, batch: &Batch) -> Result<Views, CsamError> {
        let (search, moved) = (self.search, self.moved.as_ref().unwrap_or(&self.still));
        let (clean, still) = (batch.clean()?, self.normalising.still());
        let changed = match batch.k {
            0 => None,
            _ if search.twin => Some(self.branch(&batch.changed()?, moved, still)?),
            _ => Some(self.branch(&batch.changed()?, &self.still, still)?),
        };
        let moved = match search.stability {
            Stability::Off => None,
            _ if search.twin => None,
            _ => Some(self.branch(&clean, moved, still)?),
        };
        let statistics = if self.updates { self.normalising.moving() } else { still };
        Ok(Views { clean: self.branch(&clean, &self.still, statistics)?, changed, moved })
    }

    fn branch(&self, images: &Feeds, mask: &Tensor, statistics: Statistics) -> Result<Answers, CsamError> {
        let masks = Masks { lanes: mask.shallow_clone(), fills: None };
        Ok(self.network.answers(images, &mut Pass { masks: Some(&masks), statistics, taps: None })?)
    }
}

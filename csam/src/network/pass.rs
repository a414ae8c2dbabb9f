//! What one forward run does besides computing outputs.

use tch::{Tensor, no_grad};

use super::masks::Masks;
use super::op::Torch;

/// Where normalisations get mean and variance from, and what becomes of their running statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Statistics {
    /// The running statistics, which stay.
    #[default]
    Running,
    /// The batch's own; running statistics stay. For perturbed branches.
    Batch,
    /// The batch's own; running statistics move by the operator's rule, `old · momentum + batch · (1 − momentum)`.
    BatchUpdate,
    /// The batch's own; running statistics become the plain average over batches. For re-estimation.
    Accumulate {
        /// How many batches the average holds already; 0 forgets what was there.
        seen: u64,
    },
}

/// One forward run.
#[derive(Debug, Default)]
pub struct Pass<'a> {
    /// Lane masks on the readers' weights; without them no multiplication happens.
    pub masks: Option<&'a Masks>,
    /// What normalisations do.
    pub statistics: Statistics,
    /// Collects what readers read.
    pub taps: Option<&'a mut Taps>,
}

/// Mean inputs of the readers, over images and positions, as a running average over passes.
#[derive(Debug, Default)]
pub struct Taps {
    means: Vec<Option<Tensor>>,
    images: f64,
}

impl Taps {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The mean per read index for each reader of the lanes; `None` where a reader takes no fill.
    pub fn means(&self) -> &[Option<Tensor>] {
        &self.means
    }

    /// Adds what one reader sees in a batch of `images`.
    pub(super) fn add(&mut self, reader: usize, data: &Tensor, axis: usize, images: i64) -> Torch<()> {
        let others: Vec<i64> = (0..data.dim() as i64).filter(|&other| other != axis as i64).collect();
        let batch = no_grad(|| data.f_detach()?.f_mean_dim(&others[..], false, None))?;
        if self.means.len() <= reader {
            self.means.resize_with(reader + 1, || None);
        }
        let share = images as f64 / (self.images + images as f64);
        self.means[reader] = Some(match self.means[reader].take() {
            None => batch,
            Some(old) => no_grad(|| old.f_lerp(&batch, share))?,
        });
        Ok(())
    }

    /// Closes a batch of `images`.
    pub(super) fn close(&mut self, images: i64) {
        self.images += images as f64;
    }
}

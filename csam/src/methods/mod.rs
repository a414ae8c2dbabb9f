//! Methods of choosing which lanes stay. They see a network with masks, data and a budget, and no ONNX.

pub mod csam;
mod magnitude;
mod random;
mod taylor;

use std::sync::Arc;

use images::laws::Law;
use import::lanes::{AllocateError, Budget, Kept, Lanes, Quantity, Ranking, allocate};
use job::{MethodName, Search, Task, Tune};
use tch::Device;

use crate::{
    CsamError,
    network::Network,
    train::{
        Clock, Rehearsal, batch_sizes::BatchSizes, samples::Samples, statistics::Normalising, teacher::Teacher,
        team::Replica,
    },
};

/// What every method is given.
pub struct SearchContext<'a> {
    /// The dense network. A method that trains it leaves the trained weights in it.
    pub network: &'a Network,
    /// What may be removed.
    pub lanes: &'a Lanes,
    /// Which groups rank together, and how many lanes each keeps.
    pub ranking: &'a Ranking,
    /// Score per lane of its weights alone: what is known without data.
    pub norms: &'a [f64],
    /// What may remain.
    pub budgets: &'a [Budget],
    /// The dense network as it was.
    pub teacher: &'a Teacher,
    /// What normalisations do in steps that train.
    pub normalising: Normalising,
    /// Makes copies of both for further threads.
    pub replica: &'a dyn Fn() -> Result<Replica, CsamError>,
    /// Images at once.
    pub batch_sizes: BatchSizes,
    /// Training pictures.
    pub samples: &'a Arc<Samples>,
    /// The transformations to be robust against.
    pub laws: &'a [Law],
    /// The switches of the search.
    pub search: &'a Search,
    /// What the network is asked to answer.
    pub task: Task,
    /// The training that follows, for what the two share.
    pub tune: &'a Tune,
    /// Every draw is a function of this.
    pub seed: u64,
    /// Take up from a checkpoint.
    pub resume: bool,
    /// Threads to use.
    pub threads: usize,
    /// Where tensors live.
    pub device: Device,
}

/// What a method found.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The lanes that stay.
    pub kept: Kept,
    /// Image-copies used.
    pub copies: u64,
    /// Whether the network's weights have changed.
    pub trained: bool,
}

/// A way of choosing lanes.
pub trait Method {
    /// Chooses.
    ///
    /// # Errors
    /// The budget cannot be met, the network cannot be run, or the user interrupted.
    fn choose(&self, context: &SearchContext<'_>, clock: &mut Clock) -> Result<Choice, CsamError>;

    /// Computes one step, to see that it can be done and how long it takes; none where there are no steps.
    ///
    /// # Errors
    /// As [`choose`](Self::choose).
    fn rehearse(&self, context: &SearchContext<'_>, clock: &mut Clock) -> Result<Option<Rehearsal>, CsamError>;
}

/// The method of this name.
pub fn named(name: MethodName) -> &'static dyn Method {
    match name {
        MethodName::Csam => &csam::Csam,
        MethodName::Magnitude => &magnitude::Magnitude,
        MethodName::Taylor => &taylor::Taylor,
        MethodName::Random => &random::Random,
    }
}

impl SearchContext<'_> {
    /// The lanes that stay for given scores under given budgets.
    ///
    /// # Errors
    /// The budgets cannot be met.
    pub fn allocate(&self, scores: &[f64], budgets: &[Budget]) -> Result<Kept, AllocateError> {
        allocate(self.lanes, scores, budgets, self.ranking)
    }

    /// Scores divided by what a lane costs in the dense network, in the quantity of the first budget: what a ranking
    /// across groups needs.
    pub fn per_cost(&self, scores: &[f64]) -> Vec<f64> {
        let quantity = self.budgets.first().map_or(Quantity::Macs, |budget| budget.quantity);
        let dense = vec![1.0; scores.len()];
        let costs = csam::cost::gradient(self.lanes, quantity, &dense);
        scores.iter().zip(costs).map(|(score, cost)| score / cost.max(1.0)).collect()
    }
}

//! The budget as an augmented Lagrangian on the cost of the scores: `ν·g + (β/2)·max(0, g)²` for each budget, with
//! `g = cost(C)/dense − κ_t` one-sided, ν by ascent, β doubled (to at most 100) when g has not fallen by a quarter.

use import::lanes::{Budget, Lanes};

use super::cost;
use crate::train::checkpoint::State;

/// Steps after which g should have fallen.
const PATIENCE: u64 = 200;

/// One multiplier per budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Dual {
    /// ν.
    multipliers: Vec<f64>,
    /// β, which is also the ascent's step.
    penalty: f64,
    /// The largest g when β was last looked at.
    before: f64,
    steps: u64,
}

impl Dual {
    /// ν = 0, β = 10.
    pub fn new(budgets: usize) -> Self {
        Self { multipliers: vec![0.0; budgets], penalty: 10.0, before: f64::INFINITY, steps: 0 }
    }

    /// Adds the gradient by C to `slopes`, and ascends. Gives the largest g.
    pub fn act(&mut self, lanes: &Lanes, budgets: &[Budget], scores: &[f64], slopes: &mut [f64]) -> f64 {
        let dense = vec![1.0; scores.len()];
        let mut worst = f64::NEG_INFINITY;
        for (budget, multiplier) in budgets.iter().zip(&mut self.multipliers) {
            let whole = budget.spent(lanes, &dense);
            let g = (budget.spent(lanes, scores) - budget.limit(lanes)) / whole;
            let pull = (*multiplier + self.penalty * g.max(0.0)) / whole;
            for (slope, cost) in slopes.iter_mut().zip(cost::gradient(lanes, budget.quantity, scores)) {
                *slope += pull * cost;
            }
            *multiplier = (*multiplier + self.penalty * g).max(0.0);
            worst = worst.max(g);
        }
        self.harden(worst);
        worst
    }

    fn harden(&mut self, worst: f64) {
        self.steps += 1;
        if self.steps.is_multiple_of(PATIENCE) {
            if worst > 0.0 && worst > 0.75 * self.before {
                self.penalty = (2.0 * self.penalty).min(100.0);
            }
            self.before = worst;
        }
    }

    /// The largest multiplier.
    pub fn multiplier(&self) -> f64 {
        self.multipliers.iter().copied().fold(0.0, f64::max)
    }

    /// Puts everything into a checkpoint.
    pub fn save(&self, state: &mut State) {
        state.put_numbers("dual/multipliers", &self.multipliers);
        state.put_numbers("dual/history", &[self.penalty, self.before]);
        state.put_counter("dual/steps", self.steps);
    }

    /// Takes it back.
    ///
    /// # Errors
    /// Something is missing.
    pub fn load(&mut self, state: &State) -> Result<(), String> {
        self.multipliers = state.numbers("dual/multipliers")?;
        let history = state.numbers("dual/history")?;
        let [penalty, before] = history[..] else { return Err("`dual/history` is incomplete".to_owned()) };
        (self.penalty, self.before) = (penalty, before);
        self.steps = state.counter("dual/steps")?;
        Ok(())
    }
}

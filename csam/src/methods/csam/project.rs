//! The soft mask that meets the budget exactly at every step, and its gradient.
//!
//! `c = σ((C + b)/τ)` with the shift b found by bisection so that a constraint holds: each group's expected width, where
//! widths are given, or the expected cost of the network. By the implicit function theorem (one Newton step that
//! carries the gradient) `∂L/∂C_k = c'_k·(G_k − F_k·Σ G c' / Σ F c')` with G = ∂L/∂c and F the constraint's gradient.

use import::lanes::{Budget, Lanes};

use super::cost;

/// The soft mask and what its gradient needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Projected {
    /// c, per lane.
    pub soft: Vec<f64>,
    /// Lanes under one constraint each, with the constraint's gradient F by lane.
    constraints: Vec<(Vec<usize>, Vec<f64>)>,
    temperature: f64,
}

/// Meets the width of every group that a mask has.
pub fn to_widths(lanes: &Lanes, scores: &[f64], kept: &[bool], temperature: f64) -> Projected {
    let mut projected = Projected { soft: vec![1.0; scores.len()], constraints: Vec::new(), temperature };
    for group in &lanes.groups {
        let members: Vec<usize> = group.lanes.iter().map(|lane| lane.0 as usize).collect();
        let width = members.iter().filter(|lane| kept[**lane]).count() as f64;
        let sum = |shift: f64| members.iter().map(|lane| sigmoid((scores[*lane] + shift) / temperature)).sum::<f64>();
        let shift = bisect(|shift| sum(shift) - width, temperature);
        members.iter().for_each(|lane| projected.soft[*lane] = sigmoid((scores[*lane] + shift) / temperature));
        let ones = vec![1.0; members.len()];
        projected.constraints.push((members, ones));
    }
    projected
}

/// Meets the first budget of the whole network.
pub fn to_cost(lanes: &Lanes, scores: &[f64], budget: &Budget, temperature: f64) -> Projected {
    let soft = |shift: f64| -> Vec<f64> { scores.iter().map(|c| sigmoid((c + shift) / temperature)).collect() };
    let limit = budget.limit(lanes);
    let shift = bisect(|shift| budget.spent(lanes, &soft(shift)) - limit, temperature);
    let soft = soft(shift);
    let slopes = cost::gradient(lanes, budget.quantity, &soft);
    let constraints = vec![((0..soft.len()).collect(), slopes)];
    Projected { soft, constraints, temperature }
}

impl Projected {
    /// ∂L/∂C from ∂L/∂c.
    pub fn pull_back(&self, by_soft: &[f64]) -> Vec<f64> {
        let mut by_score = vec![0.0; by_soft.len()];
        for (members, slopes) in &self.constraints {
            let steep = |lane: usize| self.soft[lane] * (1.0 - self.soft[lane]) / self.temperature;
            let along: f64 = members.iter().map(|lane| by_soft[*lane] * steep(*lane)).sum();
            let across: f64 = members.iter().zip(slopes).map(|(lane, f)| f * steep(*lane)).sum();
            // A saturated constraint leaves nothing to share.
            let shared = if across > 0.0 { along / across } else { 0.0 };
            for (lane, f) in members.iter().zip(slopes) {
                by_score[*lane] = steep(*lane) * (by_soft[*lane] - f * shared);
            }
        }
        by_score
    }
}

/// The root of an increasing function of the shift, in the range where a sigmoid of scores in [0, 1] is not yet flat.
fn bisect(f: impl Fn(f64) -> f64, temperature: f64) -> f64 {
    let reach = 1.0 + 40.0 * temperature;
    let (mut low, mut high) = (-reach, reach);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if f(middle) < 0.0 { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

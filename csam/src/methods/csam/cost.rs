//! How costs change with single lanes, and the budget on its way from the dense network to the target.

use import::lanes::{Amount, Budget, Lanes, Quantity, Term};

/// Derivative of a cost by each lane's mask; for channels, every lane counts one.
pub fn gradient(lanes: &Lanes, quantity: Quantity, kept: &[f64]) -> Vec<f64> {
    let terms: &[Term] = match quantity {
        Quantity::Macs => &lanes.cost.macs,
        Quantity::Params => &lanes.cost.params,
        Quantity::Channels => return vec![1.0; kept.len()],
    };
    let sizes: Vec<f64> = lanes.cost.widths.iter().map(|width| width.size(kept)).collect();
    let mut by_width = vec![0.0; sizes.len()];
    for term in terms {
        for (position, width) in term.widths.iter().enumerate() {
            let others = term.widths.iter().enumerate().filter(|(other, _)| *other != position);
            by_width[*width] += others.fold(term.coefficient, |product, (_, other)| product * sizes[*other]);
        }
    }
    let mut by_lane = vec![0.0; kept.len()];
    for (width, slope) in lanes.cost.widths.iter().zip(by_width) {
        for (lane, count) in &width.lanes {
            by_lane[lane.0 as usize] += slope * count;
        }
    }
    by_lane
}

/// The budgets after `done` of the way, from 0 (dense) to 1 (the target): each shrinks by the same factor per round.
pub fn ramp(lanes: &Lanes, budgets: &[Budget], done: f64) -> Vec<Budget> {
    let dense = vec![1.0; lanes.lanes.len()];
    let shrunk = |budget: &Budget| {
        let whole = budget.spent(lanes, &dense);
        let share = match budget.amount {
            Amount::Share(share) => share,
            Amount::Absolute(number) => (number / whole).min(1.0),
        };
        let share = share.powf(done);
        let amount = match budget.quantity {
            Quantity::Channels => Amount::Share(share),
            Quantity::Macs | Quantity::Params => Amount::Absolute(share * whole),
        };
        Budget { quantity: budget.quantity, amount }
    };
    if done >= 1.0 { budgets.to_vec() } else { budgets.iter().map(shrunk).collect() }
}

/// What the first budget counts, as a share of the dense network's.
pub fn share(lanes: &Lanes, budgets: &[Budget], kept: &[f64]) -> f64 {
    let budget = budgets.first().copied().unwrap_or(Budget { quantity: Quantity::Macs, amount: Amount::Share(1.0) });
    budget.spent(lanes, kept) / budget.spent(lanes, &vec![1.0; kept.len()])
}

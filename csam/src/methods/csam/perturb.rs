//! Perturbations of the mask: the step that makes the method flat with respect to structure.
//!
//! Each law takes the scores C in [0, 1], the mask m, and how many lanes should flip, and gives m̃. Every group keeps
//! at least its best lane.

use images::draw;
use import::lanes::{LaneId, Lanes};

use job::Perturb;

/// What a perturbation starts from.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// The groups.
    pub lanes: &'a Lanes,
    /// Scores in [0, 1].
    pub scores: &'a [f64],
    /// The mask m.
    pub kept: &'a [bool],
    /// Lanes that should flip; expected, for laws that draw. An exchange counts two.
    pub flips: f64,
    /// For the draws.
    pub seed: u64,
    /// For the draws.
    pub step: u64,
}

/// m̃ by a law. `slope` is ∂L/∂m at m, which the gradient law alone needs.
pub fn perturb(law: Perturb, start: &Start<'_>, slope: &[f64]) -> Vec<bool> {
    match law {
        Perturb::Uniform => uniform(start),
        Perturb::Gradient => along_gradient(start, slope),
        Perturb::Flip => exchange(start),
        Perturb::None => start.kept.to_vec(),
    }
}

/// `m̃ = 1[C + ρ(2u − 1) ≥ s]` with u uniform, ρ such that the expected number of flips is the wanted one.
fn uniform(start: &Start<'_>) -> Vec<bool> {
    let thresholds = thresholds(start);
    let radius = radius(start.scores, &thresholds, start.flips);
    let noisy = |lane: usize| {
        let u = f64::from(draw::unit(&mut draw::rng(start.seed, "mask-noise", start.step, lane as u64)));
        start.scores[lane] + radius * (2.0 * u - 1.0) >= thresholds[lane]
    };
    let drawn: Vec<bool> =
        (0..start.kept.len()).map(|lane| if radius == 0.0 { start.kept[lane] } else { noisy(lane) }).collect();
    with_best(start, drawn)
}

/// The radius ρ at which `Σ_j max(0, ½ − |C_j − s|/(2ρ))` lanes flip on average.
pub fn radius(scores: &[f64], thresholds: &[f64], flips: f64) -> f64 {
    let expected = |radius: f64| -> f64 {
        let share = |(score, threshold): (&f64, &f64)| (0.5 - (score - threshold).abs() / (2.0 * radius)).max(0.0);
        scores.iter().zip(thresholds).map(share).sum()
    };
    if flips <= 0.0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 4.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if expected(middle) < flips { low = middle } else { high = middle }
    }
    high
}

/// `m̃ = 1[C + δ ≥ s]` with `δ_g = γ‖C_g‖·G_g/‖G_g‖` for each group, γ such that the wanted number of lanes flips.
fn along_gradient(start: &Start<'_>, slope: &[f64]) -> Vec<bool> {
    let thresholds = thresholds(start);
    let mut crossings: Vec<(f64, usize)> = Vec::new();
    for group in &start.lanes.groups {
        let norm = |values: &[f64]| group.lanes.iter().map(|l| values[l.0 as usize].powi(2)).sum::<f64>().sqrt();
        let unit = norm(start.scores) / (norm(slope) + 1e-12);
        for lane in group.lanes.iter().map(|lane| lane.0 as usize) {
            let direction = unit * slope[lane];
            // The γ at which this lane's score reaches its threshold from its own side.
            let gamma = (thresholds[lane] - start.scores[lane]) / direction;
            let crosses = if start.kept[lane] { direction < 0.0 } else { direction > 0.0 };
            if crosses && gamma.is_finite() {
                crossings.push((gamma, lane));
            }
        }
    }
    crossings.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut moved = start.kept.to_vec();
    for (_, lane) in crossings.into_iter().take(start.flips.round() as usize) {
        moved[lane] = !moved[lane];
    }
    with_best(start, moved)
}

/// In each group, kept lanes of low score change places with removed ones of high score, so that widths and with them
/// the cost stay. Which ones is drawn: the lane r-th from the threshold with weight 1/(1+r).
fn exchange(start: &Start<'_>) -> Vec<bool> {
    let mut moved = start.kept.to_vec();
    let all = start.kept.iter().filter(|kept| **kept).count().max(1) as f64;
    for (number, group) in start.lanes.groups.iter().enumerate() {
        let score = |lane: &LaneId| start.scores[lane.0 as usize];
        let (mut inside, mut outside): (Vec<LaneId>, Vec<LaneId>) =
            group.lanes.iter().copied().partition(|lane| start.kept[lane.0 as usize]);
        inside.sort_by(|a, b| score(a).total_cmp(&score(b)).then(b.cmp(a)));
        outside.sort_by(|a, b| score(b).total_cmp(&score(a)).then(a.cmp(b)));
        let wanted = start.flips / 2.0 * inside.len() as f64 / all;
        let u = f64::from(draw::unit(&mut draw::rng(start.seed, "mask-exchanges", start.step, number as u64)));
        let pairs = ((wanted + u).floor() as usize).min(outside.len()).min(inside.len().saturating_sub(1));
        for lane in chosen(start, &inside, pairs).into_iter().chain(chosen(start, &outside, pairs)) {
            moved[lane.0 as usize] = !moved[lane.0 as usize];
        }
    }
    moved
}

/// `count` of the lanes without replacement, the r-th with weight 1/(1+r) (exponential race).
fn chosen(start: &Start<'_>, ranked: &[LaneId], count: usize) -> Vec<LaneId> {
    if count == 0 {
        return Vec::new();
    }
    let arrival = |(rank, lane): (usize, &LaneId)| {
        let u = f64::from(draw::unit(&mut draw::rng(start.seed, "mask-exchange", start.step, u64::from(lane.0))));
        (-(1.0 - u).ln() * (1.0 + rank as f64), *lane)
    };
    let mut race: Vec<(f64, LaneId)> = ranked.iter().enumerate().map(arrival).collect();
    race.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    race.into_iter().take(count).map(|(_, lane)| lane).collect()
}

/// The score between kept and removed lanes of each lane's group; 0 where nothing is removed.
pub fn thresholds(start: &Start<'_>) -> Vec<f64> {
    let mut thresholds = vec![0.0; start.scores.len()];
    for group in &start.lanes.groups {
        let scores = |wanted: bool| {
            let members =
                group.lanes.iter().map(|lane| lane.0 as usize).filter(move |lane| start.kept[*lane] == wanted);
            members.map(|lane| start.scores[lane])
        };
        let lowest = scores(true).fold(f64::INFINITY, f64::min);
        let highest = scores(false).fold(f64::NEG_INFINITY, f64::max);
        let between = match (lowest.is_finite(), highest.is_finite()) {
            (true, true) => 0.5 * (lowest + highest),
            (false, true) => highest,
            (_, false) => 0.0,
        };
        group.lanes.iter().for_each(|lane| thresholds[lane.0 as usize] = between);
    }
    thresholds
}

fn with_best(start: &Start<'_>, mut mask: Vec<bool>) -> Vec<bool> {
    for group in &start.lanes.groups {
        let best = group
            .lanes
            .iter()
            .max_by(|a, b| start.scores[a.0 as usize].total_cmp(&start.scores[b.0 as usize]).then(b.cmp(a)));
        if let Some(best) = best.filter(|_| !group.lanes.iter().any(|lane| mask[lane.0 as usize])) {
            mask[best.0 as usize] = true;
        }
    }
    mask
}

//! The mask's mathematics on the lanes of a real chain of convolutions: costs, projections, perturbations.

#![allow(clippy::unwrap_used)]

use csam::methods::csam::{
    cost,
    perturb::{Start, perturb, radius, thresholds},
    project::{Projected, to_cost, to_widths},
};
use fixtures::models::{Conv, Dim, Init, Layers};
use import::{
    Model,
    lanes::{Amount, Budget, Lanes, Quantity, Ranking, allocate},
};
use job::Perturb;
use proptest::prelude::*;

const HALF: Budget = Budget { quantity: Quantity::Macs, amount: Amount::Share(0.5) };

/// Lanes of 1×1 convolutions with these many channels, one after the other.
fn lanes(sizes: &[usize]) -> Lanes {
    let mut net = Layers::new("chain", 17, 0, Init::Lively);
    let batch = Dim::Symbol("batch");
    let mut x = net.pictures(batch, 3, 4);
    for (at, size) in sizes.iter().enumerate() {
        let y = net.conv(&format!("conv{at}"), &x, *size, Conv::same(1));
        x = net.map("Relu", &y);
    }
    let bytes = net.classify(&x, 5, batch);
    let lanes = Lanes::of(&Model::from_bytes(bytes.into()).unwrap().graph, &[]);
    assert_eq!(lanes.groups.iter().map(|group| group.lanes.len()).collect::<Vec<_>>(), sizes);
    lanes
}

fn half(lanes: &Lanes, scores: &[f64]) -> Vec<bool> {
    allocate(lanes, scores, &[HALF], &Ranking::uniform(lanes, 1)).unwrap().0
}

fn flipped(a: &[bool], b: &[bool]) -> usize {
    a.iter().zip(b).filter(|(a, b)| a != b).count()
}

fn numbers(mask: &[bool]) -> Vec<f64> {
    mask.iter().map(|kept| f64::from(u8::from(*kept))).collect()
}

#[test]
fn the_gradient_of_the_cost_is_its_derivative() {
    let lanes = lanes(&[4, 3]);
    let kept: Vec<f64> = (0..7).map(|i| 0.3 + 0.1 * f64::from(i)).collect();
    let slopes = cost::gradient(&lanes, Quantity::Macs, &kept);
    for lane in 0..7 {
        let at = |by: f64| {
            let mut moved = kept.clone();
            moved[lane] += by;
            lanes.cost.macs(&moved)
        };
        let measured = (at(1e-4) - at(-1e-4)) / 2e-4;
        assert!((slopes[lane] - measured).abs() < 1e-4, "{lane}: {} {measured}", slopes[lane]);
    }
}

#[test]
fn the_ramp_goes_from_all_to_the_target() {
    let lanes = lanes(&[4, 4]);
    let budgets = [Budget { quantity: Quantity::Macs, amount: Amount::Share(0.25) }];
    let limit = |done| cost::ramp(&lanes, &budgets, done)[0].limit(&lanes) / lanes.cost.macs(&[1.0; 8]);
    assert!((limit(0.0) - 1.0).abs() < 1e-12);
    assert!((limit(0.5) - 0.5).abs() < 1e-12);
    assert_eq!(cost::ramp(&lanes, &budgets, 1.0), budgets);
}

#[test]
fn uniform_noise_flips_as_often_as_the_formula_says() {
    let lanes = lanes(&[40]);
    let scores: Vec<f64> = (0..40).map(|i| f64::from(i) / 40.0).collect();
    let kept: Vec<bool> = (0..40).map(|i| i >= 20).collect();
    let (wanted, draws) = (4.0, 4000);
    let at = |step| Start { lanes: &lanes, scores: &scores, kept: &kept, flips: wanted, seed: 9, step };
    let mut counts = [0u32; 40];
    for step in 0..draws {
        let moved = perturb(Perturb::Uniform, &at(step), &[]);
        counts.iter_mut().zip(moved).for_each(|(count, kept)| *count += u32::from(kept));
    }
    let thresholds = thresholds(&at(0));
    let radius = radius(&scores, &thresholds, wanted);
    let (mut expected, n) = (0.0, draws as f64);
    for lane in 0..40 {
        let p: f64 = (0.5 + (scores[lane] - thresholds[lane]) / (2.0 * radius)).clamp(0.0, 1.0);
        expected += if kept[lane] { 1.0 - p } else { p };
        let slack = 4.0 * (p * (1.0 - p) / n).sqrt() + 1e-9;
        assert!((f64::from(counts[lane]) / n - p).abs() <= slack, "lane {lane}: {} of {draws}, p {p}", counts[lane]);
    }
    assert!((expected - wanted).abs() < 1e-6);
}

/// A way onto the budget.
type Project<'a> = dyn Fn(&[f64]) -> Projected + 'a;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_flips_give_the_mask_itself(scores in prop::collection::vec(0.0..1.0f64, 24), seed: u64) {
        let lanes = lanes(&[8, 16]);
        let kept = half(&lanes, &scores);
        let start = Start { lanes: &lanes, scores: &scores, kept: &kept, flips: 0.0, seed, step: 3 };
        for law in [Perturb::Uniform, Perturb::Gradient, Perturb::Flip, Perturb::None] {
            prop_assert_eq!(&perturb(law, &start, &scores), &kept);
        }
    }

    #[test]
    fn exchanges_keep_every_width_and_so_the_budget(
        scores in prop::collection::vec(0.0..1.0f64, 24), seed: u64, flips in 0.0..12.0f64,
    ) {
        let lanes = lanes(&[8, 16]);
        let kept = half(&lanes, &scores);
        let start = Start { lanes: &lanes, scores: &scores, kept: &kept, flips, seed, step: 1 };
        let moved = perturb(Perturb::Flip, &start, &[]);
        prop_assert_eq!(lanes.cost.macs(&numbers(&moved)), lanes.cost.macs(&numbers(&kept)));
        // One pair more than wanted in each of the two groups at most.
        prop_assert!(flipped(&moved, &kept) as f64 <= flips + 4.0);
    }

    #[test]
    fn the_gradient_law_flips_uphill_and_not_more_than_wanted(
        scores in prop::collection::vec(0.01..1.0f64, 24), slope in prop::collection::vec(-1.0..1.0f64, 24),
    ) {
        let lanes = lanes(&[8, 16]);
        let kept = half(&lanes, &scores);
        let start = Start { lanes: &lanes, scores: &scores, kept: &kept, flips: 3.0, seed: 0, step: 0 };
        let moved = perturb(Perturb::Gradient, &start, &slope);
        // A group that would be left empty gets its best lane back.
        let best = |lane: usize| moved[lane];
        prop_assert!(flipped(&moved, &kept) <= 3 + 2);
        prop_assert!((0..24).all(|lane| moved[lane] == kept[lane] || moved[lane] == (slope[lane] > 0.0) || best(lane)));
    }

    #[test]
    fn the_projected_budget_is_met_exactly(scores in prop::collection::vec(0.0..1.0f64, 24)) {
        let lanes = lanes(&[8, 16]);
        let projected = to_cost(&lanes, &scores, &HALF, 0.1);
        let spent = lanes.cost.macs(&projected.soft) / HALF.limit(&lanes);
        prop_assert!((spent - 1.0).abs() < 1e-9, "{}", spent);
        let kept = half(&lanes, &scores);
        let widths = to_widths(&lanes, &scores, &kept, 0.1).soft;
        for group in &lanes.groups {
            let sum = |mask: &[f64]| group.lanes.iter().map(|lane| mask[lane.0 as usize]).sum::<f64>();
            prop_assert!((sum(&widths) - sum(&numbers(&kept))).abs() < 1e-9);
        }
    }

    #[test]
    fn the_projections_gradient_is_its_derivative(
        scores in prop::collection::vec(0.0..1.0f64, 12), weights in prop::collection::vec(-1.0..1.0f64, 12),
    ) {
        let lanes = lanes(&[4, 8]);
        let kept: Vec<bool> = (0..12).map(|lane| lane % 2 == 0).collect();
        let both: [&Project; 2] =
            [&|c| to_cost(&lanes, c, &HALF, 0.3), &|c| to_widths(&lanes, c, &kept, 0.3)];
        for project in both {
            let value = |c: &[f64]| -> f64 { project(c).soft.iter().zip(&weights).map(|(c, w)| c * w).sum() };
            let gradient = project(&scores).pull_back(&weights);
            for lane in 0..12 {
                let moved = |by: f64| {
                    let mut c = scores.clone();
                    c[lane] += by;
                    value(&c)
                };
                let measured = (moved(1e-4) - moved(-1e-4)) / 2e-4;
                prop_assert!((gradient[lane] - measured).abs() < 1e-5, "{} {}", gradient[lane], measured);
            }
        }
    }
}

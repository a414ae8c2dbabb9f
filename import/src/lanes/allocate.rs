//! How many lanes each group keeps, and which: scores in, an exact choice out.

use super::analysis::Lanes;
use super::budget::{Amount, Budget, Quantity};
use super::cost::Running;
use super::kept::Kept;
use super::lane::{Group, LaneId};
use super::ranking::{Allocation, Ranking};

/// A sum kept by differences is trusted up to this, relative to the limit; closer to it, everything is summed anew.
const CLOSE: f64 = 1e-9;

/// A fifth: how far a group's share may be from the uniform share, relative to it, when banded.
pub const BAND: f64 = 0.2;

/// Why no choice of lanes meets the budgets.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AllocateError {
    /// Even the smallest network costs more.
    #[error(
        "the budget {budget} cannot be met: with {floor} channels left in every group (--floor), the network still takes {smallest:.1} % of the dense one; `espalier inspect` shows what is pinned and why"
    )]
    TooSmall {
        /// The budget.
        budget: String,
        /// Percent of the dense network.
        smallest: f64,
        /// Channels that every group keeps.
        floor: usize,
    },
    /// Every group is as small as it may be.
    #[error(
        "the budget {budget} would remove nothing: no group has more than the {floor} channels that each keeps, or so few that the share of them rounds to all; give a smaller --floor or budget"
    )]
    AtTheFloor {
        /// The budget.
        budget: String,
        /// Channels that every group keeps.
        floor: usize,
    },
    /// Nothing can be cut.
    #[error("nothing in this network can be cut; `espalier inspect` shows what is pinned and why")]
    NoLanes,
    /// Scores do not fit the lanes.
    #[error("{found} scores for {expected} lanes")]
    Scores {
        /// Number of lanes.
        expected: usize,
        /// Number of scores.
        found: usize,
    },
}

/// Chooses the lanes to keep: every budget holds, each group keeps as many lanes as the ranking lets it, and no further
/// lane would fit. Higher scores stay; ties go to the lower lane.
///
/// # Errors
/// When even the fewest lanes cost too much, or a share of channels removes none.
pub fn allocate(lanes: &Lanes, scores: &[f64], budgets: &[Budget], ranking: &Ranking) -> Result<Kept, AllocateError> {
    if lanes.lanes.is_empty() {
        return Err(AllocateError::NoLanes);
    }
    if scores.len() != lanes.lanes.len() {
        return Err(AllocateError::Scores { expected: lanes.lanes.len(), found: scores.len() });
    }
    let problem = Problem::new(lanes, scores, budgets, ranking);
    problem.check_smallest()?;
    if ranking.allocation == Allocation::Isomorphic {
        let share = largest_share(|share| problem.fits(&problem.counts_by_form(share)));
        return Ok(problem.keep(&problem.fill_by_form(share)));
    }
    let uniform = largest_share(|share| problem.fits(&problem.counts_at(share)));
    let counts = match ranking.allocation {
        Allocation::Uniform | Allocation::Isomorphic => problem.fill_by_share(uniform),
        Allocation::Global => problem.fill_by_score(&vec![(0.0, 1.0); lanes.groups.len()]),
        Allocation::Banded => {
            let band = (uniform * (1.0 - BAND), (uniform * (1.0 + BAND)).min(1.0));
            problem.fill_by_score(&vec![band; lanes.groups.len()])
        }
    };
    Ok(problem.keep(&counts))
}

struct Problem<'a> {
    lanes: &'a Lanes,
    budgets: &'a [Budget],
    limits: Vec<f64>,
    ranking: &'a Ranking,
    scores: &'a [f64],
    /// Lanes of each group, best first.
    ranked: Vec<Vec<LaneId>>,
}

impl<'a> Problem<'a> {
    fn new(lanes: &'a Lanes, scores: &'a [f64], budgets: &'a [Budget], ranking: &'a Ranking) -> Self {
        let rank = |group: &Group| {
            let mut ranked = group.lanes.clone();
            ranked.sort_by(|a, b| scores[b.0 as usize].total_cmp(&scores[a.0 as usize]).then(a.cmp(b)));
            ranked
        };
        Self {
            lanes,
            budgets,
            limits: budgets.iter().map(|b| b.limit(lanes)).collect(),
            ranking,
            scores,
            ranked: lanes.groups.iter().map(rank).collect(),
        }
    }

    fn keep(&self, counts: &[usize]) -> Kept {
        let mut kept = vec![false; self.lanes.lanes.len()];
        for (ranked, &count) in self.ranked.iter().zip(counts) {
            ranked.iter().take(count).for_each(|lane| kept[lane.0 as usize] = true);
        }
        Kept(kept)
    }

    /// The most lanes of a group that its bounds and channel budgets allow.
    fn cap(&self, group: usize) -> usize {
        let size = self.ranked[group].len();
        let shares = self.budgets.iter().filter_map(|budget| match (budget.quantity, budget.amount) {
            (Quantity::Channels, Amount::Share(share)) => Some((share * size as f64 + 1e-9).floor() as usize),
            _ => None,
        });
        shares.min().unwrap_or(size).min(*self.ranking.widths[group].end()).max(self.floor(group))
    }

    fn floor(&self, group: usize) -> usize {
        *self.ranking.widths[group].start()
    }

    fn floors(&self) -> Vec<usize> {
        (0..self.ranked.len()).map(|group| self.floor(group)).collect()
    }

    /// Budgets of the whole network with their limits; those of channels are kept by [`Self::cap`].
    fn of_the_whole(&self) -> impl Iterator<Item = (&'a Budget, f64)> {
        let limits = self.budgets.iter().zip(&self.limits);
        limits
            .filter(|(budget, _)| budget.quantity != Quantity::Channels)
            .map(|(budget, &limit)| (budget, limit * (1.0 + 1e-12)))
    }

    /// Whether the budgets of the whole network hold.
    fn fits(&self, counts: &[usize]) -> bool {
        let mut kept = None;
        self.of_the_whole().all(|(budget, limit)| {
            let kept = kept.get_or_insert_with(|| self.keep(counts).as_numbers());
            budget.spent(self.lanes, kept) <= limit
        })
    }

    /// What the budgets of the whole network count, for a choice that grows.
    fn running(&self, counts: &[usize]) -> Vec<(Running<'a>, f64)> {
        let kept = self.keep(counts).as_numbers();
        let cost = &self.lanes.cost;
        let terms = |budget: &Budget| if budget.quantity == Quantity::Params { &cost.params } else { &cost.macs };
        self.of_the_whole().map(|(budget, limit)| (Running::new(cost, terms(budget), &kept), limit)).collect()
    }

    fn check_smallest(&self) -> Result<(), AllocateError> {
        let smallest = self.keep(&self.floors()).as_numbers();
        let dense = vec![1.0; smallest.len()];
        let whole = (0..self.ranked.len()).all(|group| self.cap(group) == self.ranked[group].len());
        let asks = |budget: &&Budget| budget.quantity == Quantity::Channels && budget.amount != Amount::Share(1.0);
        if let Some(budget) = self.budgets.iter().find(asks).filter(|_| whole) {
            return Err(AllocateError::AtTheFloor { budget: budget.to_string(), floor: self.ranking.floor });
        }
        for (budget, limit) in self.budgets.iter().zip(&self.limits) {
            let spent = budget.spent(self.lanes, &smallest);
            if budget.quantity != Quantity::Channels && spent > limit * (1.0 + 1e-12) {
                let smallest = 100.0 * spent / budget.spent(self.lanes, &dense);
                let (budget, floor) = (budget.to_string(), self.ranking.floor);
                return Err(AllocateError::TooSmall { budget, smallest, floor });
            }
        }
        Ok(())
    }

    fn counts_at(&self, share: f64) -> Vec<usize> {
        let count = |group: usize| {
            let size = self.ranked[group].len();
            let count = (share * size as f64 + 1e-9).floor() as usize;
            count.clamp(self.floor(group), self.cap(group))
        };
        (0..self.ranked.len()).map(count).collect()
    }

    /// The groups of each form.
    fn by_form(&self) -> Vec<Vec<usize>> {
        let mut forms = vec![Vec::new(); self.ranking.forms.iter().max().map_or(0, |last| last + 1)];
        self.ranking.forms.iter().enumerate().for_each(|(group, &form)| forms[form].push(group));
        forms
    }

    /// The lanes of some groups, best first, without those that the groups keep anyway.
    fn open_lanes(&self, groups: &[usize]) -> Vec<(usize, LaneId)> {
        let of = |&group: &usize| self.ranked[group][self.floor(group)..].iter().map(move |&lane| (group, lane));
        let mut open: Vec<_> = groups.iter().flat_map(of).collect();
        open.sort_by(|a, b| self.score(b.1).total_cmp(&self.score(a.1)).then(a.1.cmp(&b.1)));
        open
    }

    fn score(&self, lane: LaneId) -> f64 {
        self.scores[lane.0 as usize]
    }

    /// The best lanes of all groups of a form, a share of them, rounded down.
    fn counts_by_form(&self, share: f64) -> Vec<usize> {
        let mut counts = self.floors();
        for groups in self.by_form() {
            let size: usize = groups.iter().map(|&group| self.ranked[group].len()).sum();
            let mut left = ((share * size as f64 + 1e-9).floor() as usize)
                .saturating_sub(groups.iter().map(|&group| counts[group]).sum());
            for (group, _) in self.open_lanes(&groups) {
                if left > 0 && counts[group] < self.cap(group) {
                    counts[group] += 1;
                    left -= 1;
                }
            }
        }
        counts
    }

    /// That, then single lanes, each form's best in turn.
    fn fill_by_form(&self, share: f64) -> Vec<usize> {
        let mut counts = self.counts_by_form(share);
        let open = self.by_form().into_iter().map(|groups| self.open_lanes(&groups)).collect::<Vec<_>>();
        let mut running = self.running(&counts);
        let first = counts.clone();
        let kept = |group: usize, lane: LaneId| self.ranked[group][..first[group]].contains(&lane);
        let next = |lanes: Vec<(usize, LaneId)>| lanes.into_iter().find(|&(group, lane)| !kept(group, lane));
        for (group, _) in open.into_iter().filter_map(next) {
            self.try_one_more(&mut running, &mut counts, group, self.cap(group));
        }
        counts
    }

    /// Widths at a share, then single lanes where rounding down took most.
    fn fill_by_share(&self, share: f64) -> Vec<usize> {
        let mut counts = self.counts_at(share);
        let lack = |counts: &[usize], g: usize| share * self.ranked[g].len() as f64 - counts[g] as f64;
        let mut open: Vec<usize> = (0..counts.len()).collect();
        open.sort_by(|&a, &b| lack(&counts, b).total_cmp(&lack(&counts, a)).then(a.cmp(&b)));
        let mut running = self.running(&counts);
        for group in open {
            self.try_one_more(&mut running, &mut counts, group, self.cap(group));
        }
        counts
    }

    /// Keeps the next lane of a group where that fits.
    fn try_one_more(&self, running: &mut [(Running, f64)], counts: &mut [usize], group: usize, cap: usize) {
        if counts[group] >= cap {
            return;
        }
        let lane = self.ranked[group][counts[group]];
        counts[group] += 1;
        running.iter_mut().for_each(|(sum, _)| sum.add(lane, 1.0));
        let is_close = |(sum, limit): &(Running, f64)| (sum.total() - limit).abs() <= CLOSE * limit.abs();
        let fits = match running.iter().any(is_close) {
            true => self.fits(counts),
            false => running.iter().all(|(sum, limit)| sum.total() <= *limit),
        };
        if !fits {
            counts[group] -= 1;
            running.iter_mut().for_each(|(sum, _)| sum.add(lane, -1.0));
        }
    }

    /// The best lanes by score whose groups stay within their bands, as many as fit.
    fn fill_by_score(&self, bands: &[(f64, f64)]) -> Vec<usize> {
        let size = |g: usize| self.ranked[g].len() as f64;
        let low: Vec<usize> = (0..bands.len())
            .map(|g| ((bands[g].0 * size(g)).floor() as usize).clamp(self.floor(g), self.cap(g)))
            .collect();
        let mut counts = if self.fits(&low) { low } else { self.floors() };
        let mut order: Vec<(usize, LaneId)> = Vec::new();
        for (group, ranked) in self.ranked.iter().enumerate() {
            order.extend(ranked[counts[group]..].iter().map(|&lane| (group, lane)));
        }
        order.sort_by(|a, b| self.score(b.1).total_cmp(&self.score(a.1)).then(a.1.cmp(&b.1)));
        let mut running = self.running(&counts);
        for (group, _) in order {
            let top = ((bands[group].1 * size(group)).ceil() as usize).min(self.cap(group));
            self.try_one_more(&mut running, &mut counts, group, top);
        }
        counts
    }
}

/// The largest share that fits, where all smaller ones do.
fn largest_share(fits: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    if fits(high) {
        return high;
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if fits(middle) { low = middle } else { high = middle }
    }
    low
}

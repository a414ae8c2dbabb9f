//! C-SAM as implemented here (after He & Chen, 2026): a score per lane, a mask from the scores under the budget, a
//! perturbed mask, and a loss that asks for the right answer, for the same answer under the perturbed mask, and for the
//! same answer on transformed images.
//!
//! One step: the mask m meets the ramp's budget ([`cost`]); m̃ is drawn ([`perturb`]); the loss ([`objective`]) is
//! taken, and its gradients by m and m̃ move the scores ([`scores`], [`project`], [`dual`]) straight through the
//! threshold, and where asked the weights. Branches under m̃, or on transformed images, normalise by their own batch
//! and leave the running statistics alone.

pub mod cost;
pub mod dual;
mod look;
pub mod objective;
pub mod perturb;
pub mod project;
pub mod scores;

use import::lanes::{Allocation, Budget, Kept, Quantity};
use job::{Control, Perturb, Robustness, Stability, Update};
use tch::{Device, Kind, Tensor};

use super::{Choice, Ground, Method, taylor::add_squares};
use crate::{
    CsamError,
    train::{
        Begun, Clock, Phase, Progress, Rehearsal,
        checkpoint::State,
        drive,
        drive::Outcome,
        feed::{Recipe, augment},
        portions::Portions,
        rate, rehearse,
        schedule::Schedule,
        team::{Part, Shares, Slope, Team},
        weights::{Weights, leaves},
    },
};
use dual::Dual;
use look::Look;
use perturb::{Start, perturb};
use project::Projected;
use scores::Scores;

/// The weights' usual rate, for 128 images a step.
const RATE: f64 = 0.01;
/// Steps over which the weights' rate rises.
const WARM_UP: u64 = 100;
/// From this share of the search on, scores are pushed to 0 or 1.
const BINARY_FROM: f64 = 0.7;

/// See the module.
pub(super) struct Csam;

impl Method for Csam {
    fn choose(&self, ground: &Ground<'_>, clock: &mut Clock) -> Result<Choice, CsamError> {
        let mut hunt = Hunt::new(ground)?;
        let (recipe, total) = (recipe(ground, hunt.team.parts()), hunt.total);
        let begun = match clock.resume(&mut hunt, ground.resume)? {
            Some(begun) => begun,
            None if ground.search.csam.rate.is_none() => {
                Begun::after(rate::choose(&mut hunt, ground.samples, &recipe, clock)?)
            }
            None => Begun::default(),
        };
        let Progress { copies, .. } = drive(&mut hunt, ground.samples, &recipe, total, begun, clock)?;
        Ok(Choice { kept: hunt.settle()?, copies, trained: ground.search.csam.train_weights })
    }

    fn rehearse(&self, ground: &Ground<'_>, clock: &mut Clock) -> Result<Option<Rehearsal>, CsamError> {
        let mut hunt = Hunt::new(ground)?;
        let (recipe, total) = (recipe(ground, hunt.team.parts()), hunt.total);
        rehearse(&mut hunt, ground.samples, &recipe, total, clock).map(Some)
    }
}

/// Clean images per step.
fn images(ground: &Ground<'_>) -> usize {
    let (search, batch) = (&ground.search.csam, ground.portions.search);
    if search.twin { (batch / (1 + search.draws)).max(1) } else { batch }
}

/// What one of the parts of a step is given.
fn recipe(ground: &Ground<'_>, parts: usize) -> Recipe {
    let job::Csam { twin, draws, .. } = ground.search.csam;
    let images = images(ground) / parts;
    Recipe {
        seed: ground.seed ^ SEARCH,
        batch: images,
        augment: augment(ground.tune.augment, ground.samples.preprocess()),
        laws: ground.laws.to_vec(),
        transformed: if twin || ground.search.csam.robustness != Robustness::None { images } else { 0 },
        draws,
    }
}

/// Keeps the order of pictures apart from that of the training that follows.
const SEARCH: u64 = 0x5ea7_c400_0000_0000;

/// Image-copies of one step: every branch is a forward and backward of its images.
fn copies_per_step(ground: &Ground<'_>) -> u64 {
    let (search, batch) = (&ground.search.csam, ground.portions.search as u64);
    let once = if search.twin {
        images(ground) as u64 * (1 + search.draws as u64)
    } else {
        let changed = if search.robustness == Robustness::None { 0 } else { search.draws as u64 };
        let moved = u64::from(search.stability != Stability::Off);
        batch * (1 + changed + moved)
    };
    // The weights' perturbation, and the gradient law's look at m, are passes of their own.
    once * (1 + u64::from(search.sam > 0.0) + u64::from(search.perturb == Perturb::Gradient))
}

fn steps(ground: &Ground<'_>) -> u64 {
    let images = ground.samples.len() as f64;
    let epochs = ground.search.csam.epochs.unwrap_or(ground.search.csam.share * ground.tune.epochs);
    ((epochs * images / copies_per_step(ground) as f64).round() as u64).max(u64::from(ground.search.csam.rounds))
}

/// The search as a phase.
struct Hunt<'a> {
    ground: &'a Ground<'a>,
    team: Team<'a>,
    scores: Scores,
    dual: Dual,
    weights: Weights,
    schedule: Schedule,
    kept: Kept,
    total: u64,
}

/// The masks of one step, as numbers that threads can share.
struct Pair {
    /// m.
    still: Vec<f32>,
    /// m̃, where it is perturbed.
    moved: Option<Vec<f32>>,
    /// Lanes in which the two differ.
    flips: usize,
}

impl<'a> Hunt<'a> {
    fn new(ground: &'a Ground<'a>) -> Result<Self, CsamError> {
        let search = &ground.search.csam;
        let shares = Shares::of(ground.threads, images(ground), ground.device);
        let team = Team::of(ground.network, Some(ground.teacher), shares, ground.replica)?;
        let total = steps(ground);
        let rate = search.rate.unwrap_or_else(|| Portions::rate(RATE, ground.portions.search));
        let target = ground.allocate(ground.norms, ground.budgets)?;
        let share = target.count() as f64 / target.0.len() as f64;
        Ok(Self {
            ground,
            team,
            scores: Scores::new(ground.lanes, ground.norms, search, share),
            dual: Dual::new(ground.budgets.len()),
            weights: match search.train_weights {
                true => Weights::of(ground.network, ground.tune.momentum, ground.tune.decay)?,
                false => Weights::none(),
            },
            schedule: Schedule { rate, warm_up: WARM_UP, total, falls: false },
            kept: Kept::all(ground.lanes),
            total,
        })
    }

    /// The budgets at a step, and whether the step begins a round.
    fn budgets(&self, step: u64) -> (Vec<Budget>, bool) {
        let rounds = u64::from(self.ground.search.csam.rounds);
        let length = self.ground.search.csam.ramp * self.total as f64 / rounds as f64;
        let round = |step: u64| if length > 0.0 { ((step as f64 / length) as u64).min(rounds) } else { rounds };
        let begins = round(step) > if step == 0 { 0 } else { round(step - 1) };
        let done = round(step) as f64 / rounds as f64;
        (cost::ramp(self.ground.lanes, self.ground.budgets, done), begins)
    }

    /// Brings the mask within a step's budget.
    fn choose_mask(&mut self, budgets: &[Budget], begins: bool) -> Result<(), CsamError> {
        let update = self.ground.search.csam.update;
        if update == Update::Average {
            if !begins {
                return Ok(());
            }
            self.scores.close_round(self.ground.lanes, &self.kept.0);
        }
        self.kept = self.ground.allocate(&self.scores.ranking(update, &self.kept.0), budgets)?;
        Ok(())
    }

    /// Lanes that should flip at a step.
    fn flips(&self, step: u64) -> f64 {
        let [first, last] = self.ground.search.csam.flips;
        let done = step as f64 / self.total.max(1) as f64;
        (first + (last - first) * done) * self.kept.count() as f64
    }

    fn masks(&self, step: u64, parts: &mut [Part], soft: Option<&Projected>) -> Result<Pair, CsamError> {
        let search = &self.ground.search.csam;
        let still = self.values(&self.kept.0, soft);
        let slope = match search.perturb {
            Perturb::None => return Ok(Pair { still, moved: None, flips: 0 }),
            Perturb::Gradient => self.slope_at(&still, parts)?,
            Perturb::Uniform | Perturb::Flip => Vec::new(),
        };
        let start = Start {
            lanes: self.ground.lanes,
            scores: &self.scores.values,
            kept: &self.kept.0,
            flips: self.flips(step),
            seed: self.ground.seed,
            step,
        };
        let moved = perturb(search.perturb, &start, &slope);
        let flips = moved.iter().zip(&self.kept.0).filter(|(a, b)| a != b).count();
        Ok(Pair { moved: Some(self.values(&moved, soft)), still, flips })
    }

    /// A mask as numbers: hard, or soft where the search is relaxed (flipped lanes take the opposite value).
    fn values(&self, mask: &[bool], soft: Option<&Projected>) -> Vec<f32> {
        let value = |lane: usize| {
            let hard = if mask[lane] { 1.0 } else { 0.0 };
            if !self.ground.search.csam.relaxed {
                return hard;
            }
            let own = soft.map_or(self.scores.values[lane], |soft| soft.soft[lane]);
            if mask[lane] == self.kept.0[lane] { own } else { 1.0 - own }
        };
        (0..mask.len()).map(|lane| value(lane) as f32).collect()
    }

    /// ∂L/∂m at m.
    fn slope_at(&self, still: &[f32], parts: &mut [Part]) -> Result<Vec<f64>, CsamError> {
        let Ground { task, device, normalising, .. } = *self.ground;
        let search = &self.ground.search.csam;
        let found = self.team.run(parts, &|network, teacher, part| {
            let look =
                Look { search, task, normalising, network, still: leaf(still, device)?, moved: None, updates: false };
            look.slope(teacher, part, &[])
        })?;
        let mut slope = vec![0.0; self.kept.0.len()];
        Slope::mean(found)?.gradients.iter().try_for_each(|gradient| add(gradient, &mut slope))?;
        Ok(slope)
    }

    /// The soft mask, where scores are moved by gradient under a projected budget.
    fn project(&self, budgets: &[Budget]) -> Option<Projected> {
        let search = &self.ground.search.csam;
        if search.update != Update::Gradient || search.control != Control::Projection {
            return None;
        }
        let (lanes, scores, temperature) = (self.ground.lanes, &self.scores.values, search.temperature);
        let whole = budgets.iter().find(|budget| budget.quantity != Quantity::Channels);
        Some(match (self.ground.search.allocation, whole) {
            (Allocation::Global | Allocation::Banded, Some(budget)) => {
                project::to_cost(lanes, scores, budget, temperature)
            }
            _ => project::to_widths(lanes, scores, &self.kept.0, temperature),
        })
    }

    /// Moves the scores by the gradients of both masks. Gives the Lagrangian's g, where there is one.
    fn update(
        &mut self,
        step: u64,
        gradients: &[Tensor],
        soft: Option<&Projected>,
        budgets: &[Budget],
    ) -> Result<Option<f64>, CsamError> {
        let search = &self.ground.search.csam;
        if search.update == Update::Average {
            return gradients.iter().try_for_each(|g| add_squares(g, self.scores.gathered_mut())).map(|()| None);
        }
        let mut by_mask = vec![0.0; self.kept.0.len()];
        gradients.iter().try_for_each(|g| add(g, &mut by_mask))?;
        let mut by_score = soft.map_or_else(|| by_mask.clone(), |soft| soft.pull_back(&by_mask));
        let mut excess = None;
        if search.control == Control::Dual {
            excess = Some(self.dual.act(self.ground.lanes, budgets, &self.scores.values, &mut by_score));
        }
        if step as f64 >= BINARY_FROM * self.total as f64 {
            let share = search.lambda_b / by_score.len() as f64;
            by_score.iter_mut().zip(&self.scores.values).for_each(|(g, c)| *g += share * (1.0 - 2.0 * c));
        }
        self.scores.descend(&by_score, search.score_rate);
        Ok(excess)
    }

    /// The final mask, within the whole budget.
    fn settle(mut self) -> Result<Kept, CsamError> {
        let update = self.ground.search.csam.update;
        if update == Update::Average {
            self.scores.close_round(self.ground.lanes, &self.kept.0);
        }
        let ranking = self.scores.ranking(update, &self.kept.0);
        Ok(self.ground.allocate(&ranking, self.ground.budgets)?)
    }
}

impl Phase for Hunt<'_> {
    fn name(&self) -> &'static str {
        "search"
    }

    fn parts(&self) -> usize {
        self.team.parts()
    }

    fn step(&mut self, step: u64, parts: &mut [Part]) -> Result<Outcome, CsamError> {
        let Ground { task, device, normalising, .. } = *self.ground;
        let search = &self.ground.search.csam;
        let (budgets, begins) = self.budgets(step);
        self.choose_mask(&budgets, begins)?;
        let soft = self.project(&budgets);
        let pair = self.masks(step, parts, soft.as_ref())?;
        let (still, moved) = (&pair.still, pair.moved.as_ref());
        let mut told = None;
        let team = &self.team;
        let gradients = self.weights.gradients(search.sam, &mut |first| {
            let found = team.run(parts, &|network, teacher, part| {
                let weights = if search.train_weights { leaves(network) } else { Vec::new() };
                let moved = moved.map(|moved| leaf(moved, device)).transpose()?;
                let updates = first && search.train_weights;
                Look { search, task, normalising, network, still: leaf(still, device)?, moved, updates }
                    .slope(teacher, part, &weights)
            })?;
            let Slope { loss, figures, gradients } = Slope::mean(found)?;
            told.get_or_insert((loss, figures));
            Ok(gradients)
        })?;
        let (value, mut figures) = told.unwrap_or_default();
        let gradient = Weights::length(&gradients)?;
        let (by_weight, by_mask) = gradients.split_at(self.weights.len());
        let excess = self.update(step, by_mask, soft.as_ref(), &budgets)?;
        self.weights.step(by_weight, self.schedule.at(step))?;
        let spent = cost::share(self.ground.lanes, self.ground.budgets, &self.kept.as_numbers());
        figures.extend([("budget", spent), ("flips", pair.flips as f64), ("lanes", self.kept.count() as f64)]);
        if let Some(excess) = excess {
            figures.extend([("excess", excess), ("dual", self.dual.multiplier())]);
        }
        Ok(Outcome { loss: value, gradient, copies: copies_per_step(self.ground), figures, last: false })
    }

    fn schedule(&mut self) -> Option<&mut Schedule> {
        (!self.weights.is_empty()).then_some(&mut self.schedule)
    }

    fn save(&self, state: &mut State) {
        self.weights.save(state);
        self.scores.save(state);
        self.dual.save(state);
        let kept: Vec<f64> = self.kept.as_numbers();
        state.put_numbers("kept", &kept);
    }

    fn load(&mut self, state: &State) -> Result<(), String> {
        self.weights.load(state)?;
        self.scores.load(state)?;
        self.dual.load(state)?;
        self.kept = Kept(state.numbers("kept")?.into_iter().map(|kept| kept > 0.5).collect());
        Ok(())
    }
}

/// A mask as a leaf.
fn leaf(values: &[f32], device: Device) -> Result<Tensor, CsamError> {
    Ok(Tensor::f_from_slice(values)?.f_to_device(device)?.f_set_requires_grad(true)?)
}

/// Adds a gradient by lane; one that is not defined is zero.
fn add(gradient: &Tensor, sums: &mut [f64]) -> Result<(), CsamError> {
    if gradient.defined() {
        let values: Vec<f64> = Vec::try_from(gradient.f_to_kind(Kind::Double)?)?;
        sums.iter_mut().zip(values).for_each(|(sum, g)| *sum += g);
    }
    Ok(())
}

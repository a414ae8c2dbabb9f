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
mod evaluation;
pub mod objective;
pub mod perturb;
pub mod project;
pub mod scores;

use import::lanes::{Allocation, Budget, Kept, Quantity};
use job::{Control, Perturb, Robustness, Stability, Update};
use tch::{Device, Kind, Tensor};

use super::{Choice, Method, SearchContext, taylor::add_squares};
use crate::{
    CsamError,
    train::{
        Begun, Clock, Phase, Progress, Rehearsal,
        batch_sizes::BatchSizes,
        checkpoint::State,
        drive,
        drive::Outcome,
        feed::{Recipe, augment},
        optimiser::length,
        rate, rehearse,
        schedule::Schedule,
        team::{LossGradients, Parallelism, Part, Team},
        weights::{Weights, leaves},
    },
};
use dual::Dual;
use evaluation::Evaluation;
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
    fn choose(&self, context: &SearchContext<'_>, clock: &mut Clock) -> Result<Choice, CsamError> {
        let mut phase = MaskSearch::new(context)?;
        let (recipe, total) = (recipe(context, phase.team.parts()), phase.total);
        let begun = match clock.resume(&mut phase, context.resume)? {
            Some(begun) => begun,
            None if context.search.csam.rate.is_none() => {
                Begun::after(rate::choose(&mut phase, context.samples, &recipe, clock)?)
            }
            None => Begun::default(),
        };
        let Progress { copies, .. } = drive(&mut phase, context.samples, &recipe, total, begun, clock)?;
        Ok(Choice { kept: phase.settle()?, copies, trained: context.search.csam.train_weights })
    }

    fn rehearse(&self, context: &SearchContext<'_>, clock: &mut Clock) -> Result<Option<Rehearsal>, CsamError> {
        let mut phase = MaskSearch::new(context)?;
        let (recipe, total) = (recipe(context, phase.team.parts()), phase.total);
        rehearse(&mut phase, context.samples, &recipe, total, clock).map(Some)
    }
}

/// Clean images per step.
fn images(context: &SearchContext<'_>) -> usize {
    let (search, batch) = (&context.search.csam, context.batch_sizes.search);
    if search.twin { (batch / (1 + search.draws)).max(1) } else { batch }
}

/// What one of the parts of a step is given.
fn recipe(context: &SearchContext<'_>, parts: usize) -> Recipe {
    let job::Csam { twin, draws, .. } = context.search.csam;
    let images = images(context) / parts;
    Recipe {
        seed: context.seed ^ SEARCH,
        batch: images,
        augment: augment(context.tune.augment, context.samples.intake()),
        laws: context.laws.to_vec(),
        transformed: if twin || context.search.csam.robustness != Robustness::None { images } else { 0 },
        draws,
    }
}

/// Keeps the order of pictures apart from that of the training that follows.
const SEARCH: u64 = 0x5ea7_c400_0000_0000;

/// Image-copies of one step: every branch is a forward and backward of its images.
fn copies_per_step(context: &SearchContext<'_>) -> u64 {
    let (search, batch) = (&context.search.csam, context.batch_sizes.search as u64);
    let once = if search.twin {
        images(context) as u64 * (1 + search.draws as u64)
    } else {
        let changed = if search.robustness == Robustness::None { 0 } else { search.draws as u64 };
        let moved = u64::from(search.stability != Stability::Off);
        batch * (1 + changed + moved)
    };
    // The weights' perturbation, and the gradient law's look at m, are passes of their own.
    once * (1 + u64::from(search.sam > 0.0) + u64::from(search.perturb == Perturb::Gradient))
}

fn steps(context: &SearchContext<'_>) -> u64 {
    let images = context.samples.len() as f64;
    let epochs = context.search.csam.epochs.unwrap_or(context.search.csam.share * context.tune.epochs);
    ((epochs * images / copies_per_step(context) as f64).round() as u64).max(u64::from(context.search.csam.rounds))
}

/// The search as a phase.
struct MaskSearch<'a> {
    context: &'a SearchContext<'a>,
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

impl<'a> MaskSearch<'a> {
    fn new(context: &'a SearchContext<'a>) -> Result<Self, CsamError> {
        let search = &context.search.csam;
        let parallelism = Parallelism::of(context.threads, images(context), context.device);
        let team = Team::of(context.network, Some(context.teacher), parallelism, context.replica)?;
        let total = steps(context);
        let rate = search.rate.unwrap_or_else(|| BatchSizes::rate(RATE, context.batch_sizes.search));
        let target = context.allocate(context.norms, context.budgets)?;
        let share = target.count() as f64 / target.0.len() as f64;
        Ok(Self {
            context,
            team,
            scores: Scores::new(context.lanes, context.norms, search, share),
            dual: Dual::new(context.budgets.len()),
            weights: match search.train_weights {
                true => Weights::of(context.network, context.tune.momentum, context.tune.decay)?,
                false => Weights::none(),
            },
            schedule: Schedule { rate, warm_up: WARM_UP, total, falls: false },
            kept: Kept::all(context.lanes),
            total,
        })
    }

    /// The budgets at a step, and whether the step begins a round.
    fn budgets(&self, step: u64) -> (Vec<Budget>, bool) {
        let rounds = u64::from(self.context.search.csam.rounds);
        let length = self.context.search.csam.ramp * self.total as f64 / rounds as f64;
        let round = |step: u64| if length > 0.0 { ((step as f64 / length) as u64).min(rounds) } else { rounds };
        let begins = round(step) > if step == 0 { 0 } else { round(step - 1) };
        let done = round(step) as f64 / rounds as f64;
        (cost::ramp(self.context.lanes, self.context.budgets, done), begins)
    }

    /// Brings the mask within a step's budget.
    fn choose_mask(&mut self, budgets: &[Budget], begins: bool) -> Result<(), CsamError> {
        let update = self.context.search.csam.update;
        if update == Update::Average {
            if !begins {
                return Ok(());
            }
            self.scores.close_round(self.context.lanes, &self.kept.0);
        }
        self.kept = self.context.allocate(&self.scores.ranking(update, &self.kept.0), budgets)?;
        Ok(())
    }

    /// Lanes that should flip at a step.
    fn flips(&self, step: u64) -> f64 {
        let [first, last] = self.context.search.csam.flips;
        let done = step as f64 / self.total.max(1) as f64;
        (first + (last - first) * done) * self.kept.count() as f64
    }

    fn masks(&self, step: u64, parts: &mut [Part], soft: Option<&Projected>) -> Result<Pair, CsamError> {
        let search = &self.context.search.csam;
        let still = self.values(&self.kept.0, soft);
        let slope = match search.perturb {
            Perturb::None => return Ok(Pair { still, moved: None, flips: 0 }),
            Perturb::Gradient => self.slope_at(&still, parts)?,
            Perturb::Uniform | Perturb::Flip => Vec::new(),
        };
        let start = Start {
            lanes: self.context.lanes,
            scores: &self.scores.values,
            kept: &self.kept.0,
            flips: self.flips(step),
            seed: self.context.seed,
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
            if !self.context.search.csam.relaxed {
                return hard;
            }
            let own = soft.map_or(self.scores.values[lane], |soft| soft.soft[lane]);
            if mask[lane] == self.kept.0[lane] { own } else { 1.0 - own }
        };
        (0..mask.len()).map(|lane| value(lane) as f32).collect()
    }

    /// ∂L/∂m at m.
    fn slope_at(&self, still: &[f32], parts: &mut [Part]) -> Result<Vec<f64>, CsamError> {
        let SearchContext { task, device, normalising, .. } = *self.context;
        let search = &self.context.search.csam;
        let found = self.team.run(parts, &|network, teacher, part| {
            let look = Evaluation {
                search,
                task,
                normalising,
                network,
                still: leaf(still, device)?,
                moved: None,
                updates: false,
            };
            look.slope(teacher, part, &[])
        })?;
        let mut slope = vec![0.0; self.kept.0.len()];
        LossGradients::mean(found)?.gradients.iter().try_for_each(|gradient| add(gradient, &mut slope))?;
        Ok(slope)
    }

    /// The soft mask, where scores are moved by gradient under a projected budget.
    fn project(&self, budgets: &[Budget]) -> Option<Projected> {
        let search = &self.context.search.csam;
        if search.update != Update::Gradient || search.control != Control::Projection {
            return None;
        }
        let (lanes, scores, temperature) = (self.context.lanes, &self.scores.values, search.temperature);
        let whole = budgets.iter().find(|budget| budget.quantity != Quantity::Channels);
        Some(match (self.context.search.allocation, whole) {
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
        let search = &self.context.search.csam;
        if search.update == Update::Average {
            return gradients.iter().try_for_each(|g| add_squares(g, self.scores.gathered_mut())).map(|()| None);
        }
        let mut by_mask = vec![0.0; self.kept.0.len()];
        gradients.iter().try_for_each(|g| add(g, &mut by_mask))?;
        let mut by_score = soft.map_or_else(|| by_mask.clone(), |soft| soft.pull_back(&by_mask));
        let mut excess = None;
        if search.control == Control::Dual {
            excess = Some(self.dual.act(self.context.lanes, budgets, &self.scores.values, &mut by_score));
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
        let update = self.context.search.csam.update;
        if update == Update::Average {
            self.scores.close_round(self.context.lanes, &self.kept.0);
        }
        let ranking = self.scores.ranking(update, &self.kept.0);
        Ok(self.context.allocate(&ranking, self.context.budgets)?)
    }
}

impl Phase for MaskSearch<'_> {
    fn name(&self) -> &'static str {
        "search"
    }

    fn parts(&self) -> usize {
        self.team.parts()
    }

    fn step(&mut self, step: u64, parts: &mut [Part]) -> Result<Outcome, CsamError> {
        let SearchContext { task, device, normalising, .. } = *self.context;
        let search = &self.context.search.csam;
        let (budgets, begins) = self.budgets(step);
        self.choose_mask(&budgets, begins)?;
        let soft = self.project(&budgets);
        let pair = self.masks(step, parts, soft.as_ref())?;
        let (still, moved) = (&pair.still, pair.moved.as_ref());
        let mut told = None;
        let team = &self.team;
        let mut gradients = self.weights.gradients(search.sam, &mut |first| {
            let found = team.run(parts, &|network, teacher, part| {
                let weights = if search.train_weights { leaves(network) } else { Vec::new() };
                let moved = moved.map(|moved| leaf(moved, device)).transpose()?;
                let updates = first && search.train_weights;
                Evaluation { search, task, normalising, network, still: leaf(still, device)?, moved, updates }
                    .slope(teacher, part, &weights)
            })?;
            let LossGradients { loss, figures, gradients } = LossGradients::mean(found)?;
            told.get_or_insert((loss, figures));
            Ok(gradients)
        })?;
        let (value, mut figures) = told.unwrap_or_default();
        let gradient = length(&gradients)?;
        let by_mask = gradients.split_off(self.weights.len());
        let excess = self.update(step, &by_mask, soft.as_ref(), &budgets)?;
        self.weights.step(gradients, self.schedule.at(step))?;
        let spent = cost::share(self.context.lanes, self.context.budgets, &self.kept.as_numbers());
        figures.extend([("budget", spent), ("flips", pair.flips as f64), ("lanes", self.kept.count() as f64)]);
        if let Some(excess) = excess {
            figures.extend([("excess", excess), ("dual", self.dual.multiplier())]);
        }
        Ok(Outcome { loss: value, gradient, copies: copies_per_step(self.context), figures, last: false })
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

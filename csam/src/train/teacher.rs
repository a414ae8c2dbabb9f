//! The dense network as a teacher.

use tch::{Tensor, no_grad};

use super::{
    feed::{Batch, Recipe, prepare},
    losses::Units,
    samples::Samples,
};
use crate::{
    CsamError,
    network::{Answer, Answers, Feeds, Network, Pass},
};

/// A network that is asked and never changed.
pub struct Teacher {
    network: Network,
    beta: f64,
    units: Units,
}

/// The teacher's answers t* for one batch.
#[derive(Debug)]
pub struct SoftTargets {
    /// For the `n` clean images: dense(x).
    pub clean: Answers,
    /// For the transformed copies: `β·dense(x) + (1−β)·dense(x′)`, `draws` × `k` rows; none without copies. A
    /// transformation moves what maps and boxes say, so that for these β is 0.
    pub changed: Option<Answers>,
}

impl Teacher {
    /// A teacher with the dial β, whose answers are told in these units.
    pub fn new(network: Network, beta: f64, units: Units) -> Self {
        Self { network, beta, units }
    }

    /// The teacher's network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// From now on reads its weights where another teacher from the same model keeps them.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn share(&mut self, other: &Self) -> Result<(), CsamError> {
        Ok(self.network.share(&other.network)?)
    }

    /// The units of its answers.
    pub fn units(&self) -> &Units {
        &self.units
    }

    /// What the teacher says about a batch. With β = 1 it need not look at transformed copies.
    ///
    /// # Errors
    /// The network cannot be run.
    pub fn teach(&self, batch: &Batch) -> Result<SoftTargets, CsamError> {
        no_grad(|| {
            if batch.k == 0 {
                return Ok(SoftTargets { clean: predict(&self.network, &batch.images)?, changed: None });
            }
            let copies = batch.k * batch.draws;
            if self.beta == 1.0 {
                let clean = predict(&self.network, &batch.clean()?)?;
                if clean.0.iter().all(|answer| answer.meaning.ranks_images()) {
                    let changed = repeated(&clean.narrow(0, batch.k)?, batch.draws)?;
                    return Ok(SoftTargets { clean, changed: Some(changed) });
                }
            }
            let all = predict(&self.network, &batch.images)?;
            let front = all.narrow(0, batch.k)?;
            let rest = all.narrow(batch.k + copies, batch.n - batch.k)?;
            let seen = all.narrow(batch.k, copies)?;
            let changed = repeated(&front, batch.draws)?.with(&seen, |clean, seen| self.between(clean, seen))?;
            Ok(SoftTargets { clean: front.then(&rest)?, changed: Some(changed) })
        })
    }

    /// β·clean + (1−β)·seen where an answer ranks whole images.
    fn between(&self, clean: &Answer, seen: &Answer) -> Result<Tensor, tch::TchError> {
        if !clean.meaning.ranks_images() {
            return Ok(seen.values.shallow_clone());
        }
        clean.values.f_mul_scalar(self.beta)?.f_add(&seen.values.f_mul_scalar(1.0 - self.beta)?)
    }
}

/// Answers for `draws` copies of each image, copy by copy.
fn repeated(answers: &Answers, draws: i64) -> Result<Answers, tch::TchError> {
    answers.map(|answer| answer.values.f_repeat([draws, 1, 1]))
}

impl SoftTargets {
    /// For [`Batch::mixed`]: the first `k` images transformed, the others clean.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn mixed(&self, batch: &Batch) -> Result<Answers, CsamError> {
        let Some(changed) = &self.changed else { return Ok(self.clean.narrow(0, batch.n)?) };
        let last = changed.narrow(batch.k * (batch.draws - 1), batch.k)?;
        Ok(last.then(&self.clean.narrow(batch.k, batch.n - batch.k)?)?)
    }
}

/// The answers of a network as it is.
///
/// # Errors
/// The network cannot be run.
pub fn predict(network: &Network, images: &Feeds) -> Result<Answers, CsamError> {
    Ok(network.answers(images, &mut Pass::default())?)
}

/// Pictures on which units are measured.
const MEASURED: usize = 256;
/// A channel that moves less than this share of the answer's liveliest one (or of 1, whatever is less) counts as if it
/// moved that much: what hardly moves is not worth all the attention.
const LEAST: f64 = 1e-3;

/// How far each channel of each answer moves over pictures: the standard deviation at each place, root mean square over
/// places. What differs between places alone, as boxes do that stand each at its own corner, is no answer to a picture.
/// Without numbers there are none.
///
/// # Errors
/// The network cannot be run.
pub fn units(network: &Network, samples: &Samples, at_once: usize, device: tch::Device) -> Result<Units, CsamError> {
    let recipe = Recipe::plain(0, at_once);
    let mut sums: Vec<Moments> = Vec::new();
    for step in 0..MEASURED.min(samples.len()).div_ceil(at_once).max(1) {
        let batch = prepare(samples, &recipe, step as u64, device)?;
        let answers = no_grad(|| predict(network, &batch.images))?;
        if !answers.have_units() {
            return Ok(Vec::new());
        }
        let moments = answers.0.iter().map(Moments::of).collect::<Result<Vec<_>, _>>()?;
        match sums.is_empty() {
            true => sums = moments,
            false => sums.iter_mut().zip(moments).try_for_each(|(sum, new)| sum.add(&new))?,
        }
    }
    Ok(sums.iter().map(Moments::deviations).collect::<Result<_, _>>()?)
}

/// Sums over pictures at each place and channel of an answer.
struct Moments {
    pictures: f64,
    sum: Tensor,
    squares: Tensor,
}

impl Moments {
    fn of(answer: &Answer) -> Result<Self, tch::TchError> {
        let wide = answer.values.f_to_kind(tch::Kind::Double)?;
        let sum = |values: &Tensor| values.f_sum_dim_intlist(0i64, false, tch::Kind::Double);
        Ok(Self { pictures: wide.size()[0] as f64, sum: sum(&wide)?, squares: sum(&wide.f_square()?)? })
    }

    fn add(&mut self, other: &Self) -> Result<(), tch::TchError> {
        self.pictures += other.pictures;
        self.sum = self.sum.f_add(&other.sum)?;
        self.squares = self.squares.f_add(&other.squares)?;
        Ok(())
    }

    /// One deviation per channel.
    fn deviations(&self) -> Result<Vec<f32>, tch::TchError> {
        let mean = self.sum.f_div_scalar(self.pictures)?;
        let variance = self.squares.f_div_scalar(self.pictures)?.f_sub(&mean.f_square()?)?.f_clamp_min(0.0)?;
        let all = Vec::<f64>::try_from(variance.f_mean_dim(0i64, false, tch::Kind::Double)?.f_sqrt()?)?;
        let liveliest = all.iter().copied().fold(0.0, f64::max);
        let least = if liveliest > 0.0 { LEAST * liveliest.min(1.0) } else { 1.0 };
        Ok(all.iter().map(|deviation| deviation.max(least) as f32).collect())
    }
}

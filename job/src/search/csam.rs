//! The settings of C-SAM.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SettingError;

/// What C-SAM alone reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Csam {
    /// Share of the whole run's image-copies (`tune.epochs`) that the search uses.
    #[schemars(range(min = 0, max = 1))]
    pub share: f64,
    /// Passes over the training pictures instead of `share`.
    #[schemars(range(min = 0))]
    pub epochs: Option<f64>,
    /// Images per step, both halves of a twin batch counted; by default 128, fewer where pictures are few or large.
    #[schemars(range(min = 2))]
    pub batch: Option<usize>,
    /// How scores are updated.
    pub update: Update,
    /// Percentile of each group's norms that becomes score 1 at the start.
    #[schemars(range(min = 0, max = 100))]
    pub percentile: f64,
    /// The law of the mask's perturbation.
    pub perturb: Perturb,
    /// Expected share of lanes that flip, at the start and at the end of the search.
    #[schemars(inner(range(min = 0, max = 1)))]
    pub flips: [f64; 2],
    /// Half of each batch clean under the mask, the same images transformed under the perturbed one.
    pub twin: bool,
    /// Multiply by scores instead of by the hard mask.
    pub relaxed: bool,
    /// The stability term.
    pub stability: Stability,
    /// Its weight λ_s.
    #[schemars(range(min = 0))]
    pub lambda_s: f64,
    /// The robustness term.
    pub robustness: Robustness,
    /// Its weight λ_r.
    #[schemars(range(min = 0))]
    pub lambda_r: f64,
    /// Transformed draws per image; `chernoff` needs at least 4.
    #[schemars(range(min = 1))]
    pub draws: usize,
    /// With `update = "gradient"`: how the budget reaches the scores' gradient.
    pub control: Control,
    /// With `control = "projection"`: temperature of the soft mask.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub temperature: f64,
    /// With `update = "gradient"`: weight λ_b of mean C(1−C) in the last 30 %.
    #[schemars(range(min = 0))]
    pub lambda_b: f64,
    /// With `update = "gradient"`: Adam's rate on scores.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub score_rate: f64,
    /// Rounds in which the budget shrinks, geometrically.
    #[schemars(range(min = 1))]
    pub rounds: u32,
    /// Share of the search over which it shrinks.
    #[schemars(range(min = 0, max = 1))]
    pub ramp: f64,
    /// Train weights along with the mask.
    pub train_weights: bool,
    /// The weights' rate; by default 0.01 for 128 images a step, in proportion for fewer. A trained network loses
    /// at 0.05 what it knows before anything is cut.
    #[schemars(range(min = 0))]
    pub rate: Option<f64>,
    /// Radius ρ of a weight perturbation (SAM); 0 is none. Doubles the copies.
    #[schemars(range(min = 0))]
    pub sam: f64,
}

/// How C-SAM's scores move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Update {
    /// A running average of the squared gradient of the mask; removed lanes stay removed.
    Average,
    /// Adam on the scores through a straight-through mask; removed lanes can return.
    Gradient,
}

/// The laws of the mask's perturbation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Perturb {
    /// Uniform noise on the scores; the radius is chosen by expected flips.
    Uniform,
    /// Along the loss's gradient, one normalisation per group; the radius is chosen by flips.
    Gradient,
    /// Kept lanes of low score change places with removed ones of high score: the budget stays met.
    Flip,
    /// None.
    None,
}

/// The stability term L_stab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stability {
    /// mean relu(ℓ(m̃) − ℓ(m)).
    Gap,
    /// The task loss is taken at the perturbed mask instead.
    Sam,
    /// KL(sg p(m) ‖ p(m̃)).
    Kl,
    /// None.
    Off,
}

/// The robustness term L_rob, of Z = ‖p(x) − p(x_T)‖_∞ and the margin d = (p₁ − p₂)/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Robustness {
    /// min(Z/(sg d + 0.05), 2) + relu(0.1 − d).
    Ratio,
    /// relu(Z − d + 0.05).
    Hinge,
    /// log(mean_T exp(t(Z − d)))/t with t = 20.
    Chernoff,
    /// Jensen–Shannon divergence of p(x) and p(x_T).
    Jsd,
    /// None.
    None,
}

/// How the budget reaches the gradient of the scores. The mask of the forward pass meets it in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Control {
    /// All scores are shifted so that the soft mask meets the budget; the shift carries its gradient.
    Projection,
    /// An augmented Lagrangian on the cost of the soft mask.
    Dual,
}

impl Default for Csam {
    fn default() -> Self {
        Self {
            share: 1.0 / 6.0,
            epochs: None,
            batch: None,
            update: Update::Average,
            percentile: 90.0,
            perturb: Perturb::Flip,
            flips: [0.05, 0.01],
            twin: true,
            relaxed: false,
            stability: Stability::Off,
            lambda_s: 1.0,
            robustness: Robustness::Jsd,
            lambda_r: 2.0,
            draws: 1,
            control: Control::Projection,
            temperature: 0.1,
            lambda_b: 0.1,
            score_rate: 3e-2,
            rounds: 10,
            ramp: 0.8,
            train_weights: true,
            rate: None,
            sam: 0.0,
        }
    }
}

impl Csam {
    /// Refuses what no range can say.
    ///
    /// # Errors
    /// Two settings do not go together.
    pub(super) fn check(&self) -> Result<(), SettingError> {
        /// An average of fewer exponentials says little of their tail.
        const LEAST_FOR_CHERNOFF: usize = 4;
        if self.robustness == Robustness::Chernoff && self.draws < LEAST_FOR_CHERNOFF {
            return Err(SettingError::Range {
                key: "search.csam.draws".to_owned(),
                value: self.draws.to_string(),
                wanted: format!("at least {LEAST_FOR_CHERNOFF} for the robustness `chernoff`"),
            });
        }
        Ok(())
    }
}

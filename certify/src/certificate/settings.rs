//! What a certificate run is asked to do.

use std::str::FromStr;

use images::laws::Law;
use serde::{Deserialize, Serialize};

use crate::error::CertifyError;
use crate::statistics::binomial::{certifies, draws_needed};
use crate::statistics::chernoff::Chernoff;

/// One run: threat models, strength and effort.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The tolerated probability ε that a transformation changes the class.
    pub epsilon: f64,
    /// The error α of each image's certificate.
    pub alpha: f64,
    /// Draws per image and law, n.
    pub draws: u64,
    /// Images, drawn from the set by the seed; all of a smaller set.
    pub images: usize,
    /// The laws.
    pub laws: Vec<Law>,
    /// The Chernoff–Cramér figure beside the certificate. It needs all draws, so runs with it stop early only where the
    /// figure's verdict at ε is settled too.
    pub chernoff: Option<Chernoff>,
    /// Seed of images and draws.
    pub seed: u64,
    /// Images worked on at once, each on one thread. Results do not depend on it.
    pub threads: usize,
    /// At most so many images as fit into these minutes with all their draws, by the time that draws take before the
    /// first image is judged.
    pub minutes: Option<f64>,
}

/// A named amount of effort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// No certificates.
    Off,
    /// ε 5e-2, α 1e-2, 200 draws, 100 images; rotation, brightness and noise.
    Quick,
    /// ε 1e-2, α 1e-3, 1,000 draws, 200 images, all five laws.
    Standard,
    /// ε 1e-2, α 1e-3, 2,000 draws, 1,000 images, all five laws: seven failures are allowed instead of one, so images
    /// whose failure rate is well below ε are rarely missed.
    Full,
}

impl Preset {
    /// The settings, for images whose shorter side is `side` pixels; none when certificates are off.
    #[must_use]
    pub fn settings(self, side: usize) -> Option<Settings> {
        let mut laws = Law::defaults(side);
        let (epsilon, alpha, draws, images) = match self {
            Self::Off => return None,
            Self::Quick => {
                laws.retain(|law| ["rotation", "brightness", "noise"].contains(&law.name()));
                (0.05, 0.01, 200, 100)
            }
            Self::Standard => (0.01, 0.001, 1000, 200),
            Self::Full => (0.01, 0.001, 2000, 1000),
        };
        let chernoff = Some(Chernoff::default());
        Some(Settings { epsilon, alpha, draws, images, laws, chernoff, seed: 0, threads: 1, minutes: None })
    }
}

impl FromStr for Preset {
    type Err = CertifyError;

    fn from_str(name: &str) -> Result<Self, CertifyError> {
        match name {
            "off" => Ok(Self::Off),
            "quick" => Ok(Self::Quick),
            "standard" => Ok(Self::Standard),
            "full" => Ok(Self::Full),
            _ => Err(CertifyError::Preset { name: name.to_owned() }),
        }
    }
}

impl Settings {
    /// Refuses what cannot be done, before any work.
    ///
    /// # Errors
    /// When a number is out of range, or the draws can never certify.
    pub fn check(&self) -> Result<(), CertifyError> {
        within("ε", self.epsilon, self.epsilon > 0.0 && self.epsilon < 1.0, "between 0 and 1")?;
        within("α", self.alpha, self.alpha > 0.0 && self.alpha < 1.0, "between 0 and 1")?;
        within("images", self.images as f64, self.images > 0, "at least 1")?;
        within("laws", self.laws.len() as f64, !self.laws.is_empty(), "at least 1")?;
        if let Some(minutes) = self.minutes {
            within("minutes", minutes, minutes > 0.0 && minutes <= 1e6, "above 0 and at most a million")?;
        }
        if let Some(chernoff) = self.chernoff {
            within("δ", chernoff.delta, chernoff.delta > 0.0 && chernoff.delta <= 1.0, "above 0 and at most 1")?;
            let fits = chernoff.groups > 0 && chernoff.groups as u64 <= self.draws;
            within("groups", chernoff.groups as f64, fits, "at least 1 and at most the draws")?;
        }
        if certifies(0, self.draws, self.epsilon, self.alpha) {
            return Ok(());
        }
        let needed = draws_needed(self.epsilon, self.alpha);
        Err(CertifyError::NeverCertifies { draws: self.draws, epsilon: self.epsilon, alpha: self.alpha, needed })
    }
}

fn within(name: &'static str, value: f64, holds: bool, allowed: &'static str) -> Result<(), CertifyError> {
    if holds { Ok(()) } else { Err(CertifyError::Setting { name, value, allowed }) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn presets_can_certify() {
        for preset in [Preset::Quick, Preset::Standard, Preset::Full] {
            preset.settings(32).unwrap().check().unwrap();
        }
        assert!(Preset::Off.settings(32).is_none());
        assert_eq!(Preset::Quick.settings(32).unwrap().laws.len(), 3);
        assert_eq!(Preset::Standard.settings(224).unwrap().laws.len(), 5);
    }

    #[test]
    fn too_few_draws_are_refused_with_the_number_needed() {
        let settings = Settings { draws: 687, ..Preset::Standard.settings(32).unwrap() };
        let error = settings.check().unwrap_err();
        assert!(error.to_string().contains("at least 688 draws"), "{error}");
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let good = Preset::Quick.settings(32).unwrap();
        for bad in [
            Settings { epsilon: 0.0, ..good.clone() },
            Settings { epsilon: f64::NAN, ..good.clone() },
            Settings { alpha: 1.0, ..good.clone() },
            Settings { images: 0, ..good.clone() },
            Settings { laws: vec![], ..good.clone() },
            Settings { minutes: Some(f64::INFINITY), ..good.clone() },
            Settings { chernoff: Some(Chernoff { groups: 0, delta: 0.9 }), ..good.clone() },
        ] {
            assert!(matches!(bad.check(), Err(CertifyError::Setting { .. })), "{bad:?}");
        }
    }
}

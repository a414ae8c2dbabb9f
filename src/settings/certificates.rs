//! How much evidence of robustness: a preset, and the flags that change one thing of it.

use anyhow::Result;
use certify::certificate::{Preset, Settings};
use images::laws::Law;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Certify {
    /// Where the rest comes from: `quick`, `standard`, `full`, or `off`; `quick` unless set.
    #[schemars(with = "Option<String>")]
    pub(crate) preset: Option<Preset>,
    /// The tolerated probability that a transformation changes the prediction.
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub(crate) epsilon: Option<f64>,
    /// The probability that a certificate is wrong.
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub(crate) alpha: Option<f64>,
    /// Random transformations per image.
    #[schemars(range(min = 1))]
    pub(crate) draws: Option<u64>,
    /// Images.
    #[schemars(range(min = 1))]
    pub(crate) images: Option<usize>,
    /// The transformations, `NAME` or `NAME=SIZE`: `rotation`, `brightness`, `contrast`, `blur`, `noise`.
    pub(crate) laws: Option<Vec<String>>,
}

impl Certify {
    /// Decides everything, for pictures whose shorter side is `side`; `None` when certificates are off.
    ///
    /// # Errors
    /// When a law is none, a number is out of its range, or the draws can never certify.
    pub(crate) fn decide(
        &self,
        side: usize,
        seed: u64,
        threads: usize,
        minutes: Option<f64>,
    ) -> Result<Option<Settings>> {
        let Some(preset) = self.preset.unwrap_or(Preset::Quick).settings(side) else { return Ok(None) };
        let laws = match &self.laws {
            Some(laws) => laws.iter().map(|law| Ok(Law::parse(law, side)?)).collect::<Result<_>>()?,
            None => preset.laws,
        };
        let decided = Settings {
            epsilon: self.epsilon.unwrap_or(preset.epsilon),
            alpha: self.alpha.unwrap_or(preset.alpha),
            draws: self.draws.unwrap_or(preset.draws),
            images: self.images.unwrap_or(preset.images),
            chernoff: preset.chernoff,
            laws,
            seed,
            threads,
            minutes,
        };
        decided.check()?;
        Ok(Some(decided))
    }
}

/// Where `flags` name a preset, the settings below them lose what they say of certificates: a preset stands for all of it.
pub(super) fn give_way(below: &mut Map<String, Value>, flags: &Map<String, Value>) {
    let preset = flags.get("certify").and_then(|certify| certify.get("preset"));
    if preset.is_some() {
        below.remove("certify");
    }
}

impl Certify {
    /// The settings that ask for exactly this, whatever presets come to mean.
    pub(super) fn asking_for(&self, decided: &Settings) -> Self {
        Self {
            preset: Some(self.preset.unwrap_or(Preset::Quick)),
            epsilon: Some(decided.epsilon),
            alpha: Some(decided.alpha),
            draws: Some(decided.draws),
            images: Some(decided.images),
            laws: Some(decided.laws.iter().map(ToString::to_string).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn presets_are_changed_one_thing_at_a_time() {
        let decide = |asked: &Certify| asked.decide(32, 5, 2, None);
        let quick = decide(&Certify::default()).unwrap().unwrap();
        assert_eq!((quick.draws, quick.images, quick.seed), (200, 100, 5));
        let asked = Certify { draws: Some(300), laws: Some(vec!["blur=2".to_owned()]), ..Certify::default() };
        let decided = decide(&asked).unwrap().unwrap();
        assert_eq!((decided.draws, decided.images), (300, 100));
        assert_eq!(decided.laws, [Law::Blur { sigma: 2.0 }]);
        let off = Certify { preset: Some(Preset::Off), ..Certify::default() };
        assert_eq!(decide(&off).unwrap(), None);
    }

    #[test]
    fn a_preset_on_the_command_line_replaces_what_the_file_says_of_certificates() {
        let object = |value: Value| value.as_object().unwrap().clone();
        let mut below = object(json!({ "certify": { "preset": "quick", "draws": 300 } }));
        let before = below.clone();
        give_way(&mut below, &object(json!({ "certify": { "draws": 90 } })));
        assert_eq!(below, before);
        give_way(&mut below, &object(json!({ "certify": { "preset": "off" } })));
        assert!(below.is_empty());
    }

    #[test]
    fn what_was_decided_asks_for_itself() {
        for preset in [Preset::Quick, Preset::Full] {
            let asked = Certify { preset: Some(preset), ..Certify::default() };
            let decided = asked.decide(32, 5, 2, None).unwrap().unwrap();
            assert_eq!(asked.asking_for(&decided).decide(32, 5, 2, None).unwrap().unwrap(), decided);
        }
    }

    #[test]
    fn draws_that_can_never_certify_are_refused_up_front() {
        let few = Certify { draws: Some(50), ..Certify::default() };
        assert!(few.decide(32, 0, 1, None).unwrap_err().to_string().contains("never certify"));
    }
}

//! How a sample of a data set becomes what a network reads: something for each of its inputs.

use std::fmt;
use std::str::FromStr;

use rayon::prelude::*;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::Pixels;
use crate::data::{DataError, ImageSet};
use crate::draw;
use crate::preprocess::Preprocess;
use crate::values::{Element, Values};

/// What every input of a network is fed, in the network's order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Intake(pub Vec<Input>);

/// What one input is fed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The input's name.
    pub name: String,
    /// Sizes of one sample, without a batch axis.
    pub sample: Vec<usize>,
    /// The axis along which samples lie; none where the network takes one at a time.
    pub axis: Option<usize>,
    /// The type of its elements.
    pub element: Element,
    /// Where they come from.
    pub from: Origin,
}

/// Where an input's elements come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The sample's picture.
    Picture(Preprocess),
    /// The sample's array of this name.
    Array(String),
    /// Random numbers, a function of the seed, the input's name and the sample's number.
    Random {
        /// What is drawn.
        law: Numbers,
        /// The seed.
        seed: u64,
    },
}

/// Random numbers: `normal`, `normal:MEAN:DEVIATION`, `uniform:LOW:HIGH` or `ints:LOW:HIGH`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Numbers {
    /// Normally distributed.
    Normal {
        /// Their mean.
        mean: f32,
        /// Their standard deviation.
        deviation: f32,
    },
    /// Evenly spread.
    Uniform {
        /// The least.
        low: f32,
        /// What they stay below.
        high: f32,
    },
    /// Whole numbers, each as likely.
    Ints {
        /// The least.
        low: i64,
        /// The largest.
        high: i64,
    },
}

impl Intake {
    /// Pictures for a network's only input.
    #[must_use]
    pub fn of_pictures(name: &str, preprocess: Preprocess) -> Self {
        Self(vec![Input::of_pictures(name, preprocess)])
    }

    /// How pictures become an input, where any do.
    #[must_use]
    pub fn picture(&self) -> Option<&Preprocess> {
        self.0.iter().find_map(|input| match &input.from {
            Origin::Picture(preprocess) => Some(preprocess),
            _ => None,
        })
    }

    /// How pictures become a network's only input, where that is what it takes.
    #[must_use]
    pub fn only_picture(&self) -> Option<&Preprocess> {
        self.picture().filter(|_| self.0.len() == 1)
    }

    /// The arrays that a sample needs, each with its number of axes.
    pub fn arrays(&self) -> impl Iterator<Item = (&str, usize)> {
        self.0.iter().filter_map(|input| match &input.from {
            Origin::Array(key) => Some((key.as_str(), input.sample.len())),
            _ => None,
        })
    }

    /// Values that one sample feeds to all inputs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(Input::len).sum()
    }

    /// Whether a sample feeds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a sample feeds to each input.
    ///
    /// # Errors
    /// It cannot be read, or does not fit the input.
    pub fn values(&self, set: &ImageSet, index: usize) -> Result<Vec<Values>, DataError> {
        self.0.iter().map(|input| input.values(set, index)).collect()
    }

    /// What some samples feed, read on all threads, in order.
    ///
    /// # Errors
    /// As [`values`](Self::values).
    pub fn values_all(&self, set: &ImageSet, chosen: &[usize]) -> Result<Vec<Vec<Values>>, DataError> {
        chosen.par_iter().map(|index| self.values(set, *index)).collect()
    }

    /// The same, with a changed picture in place of the sample's own.
    ///
    /// # Errors
    /// As [`values`](Self::values).
    pub fn values_with(&self, set: &ImageSet, index: usize, pixels: &Pixels) -> Result<Vec<Values>, DataError> {
        let one = |input: &Input| match &input.from {
            Origin::Picture(preprocess) => Ok(preprocess.batch(std::iter::once(pixels)).into()),
            _ => input.values(set, index),
        };
        self.0.iter().map(one).collect()
    }

    /// What samples are called: pictures, where one is fed.
    #[must_use]
    pub fn samples_called(&self) -> &'static str {
        if self.picture().is_some() { "pictures" } else { "samples" }
    }

    /// One line for a person.
    #[must_use]
    pub fn describe(&self) -> String {
        match self.0.as_slice() {
            [Input { from: Origin::Picture(preprocess), .. }] => preprocess.describe(),
            inputs => inputs.iter().map(Input::describe).collect::<Vec<_>>().join("; "),
        }
    }
}

impl Input {
    fn of_pictures(name: &str, preprocess: Preprocess) -> Self {
        Self {
            name: name.to_owned(),
            sample: preprocess.input_shape(1)[1..].to_vec(),
            axis: Some(0),
            element: Element::F32,
            from: Origin::Picture(preprocess),
        }
    }

    /// Values of one sample.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sample.iter().product()
    }

    /// Whether a sample has no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a sample feeds.
    ///
    /// # Errors
    /// It cannot be read, or does not fit.
    pub fn values(&self, set: &ImageSet, index: usize) -> Result<Values, DataError> {
        match &self.from {
            Origin::Picture(preprocess) => {
                Ok(preprocess.batch(std::iter::once(&set.pixels(index, preprocess)?)).into())
            }
            Origin::Array(key) => {
                let array = set.array(index, key)?;
                let (from, into) = (array.values.element(), self.element);
                if array.shape != self.sample || (from.is_float() && !into.is_float()) {
                    return Err(DataError::Array {
                        name: set.picture_name(index),
                        key: key.clone(),
                        found: described(from, &array.shape),
                        wanted: described(into, &self.sample),
                    });
                }
                Ok(array.values.cast(into).into_owned())
            }
            Origin::Random { law, seed } => {
                let mut rng = draw::rng(*seed, &format!("input {}", self.name), 0, set.number(index) as u64);
                Ok(law.draw(&mut rng, self.len()).cast(self.element).into_owned())
            }
        }
    }

    fn describe(&self) -> String {
        let from = match &self.from {
            Origin::Picture(preprocess) => preprocess.describe(),
            Origin::Array(key) => format!("{} from the array `{key}`", described(self.element, &self.sample)),
            Origin::Random { law, seed } => {
                format!("{} drawn {law} (seed {seed})", described(self.element, &self.sample))
            }
        };
        format!("`{}` {from}", self.name)
    }
}

/// A type and sizes, as in `f32 [1, 64]`.
fn described(element: Element, shape: &[usize]) -> String {
    format!("{} {shape:?}", format!("{element:?}").to_lowercase())
}

impl Numbers {
    fn draw(self, rng: &mut draw::ChaCha8Rng, count: usize) -> Values {
        match self {
            Self::Normal { mean, deviation } => {
                let pairs = std::iter::repeat_with(|| draw::normal_pair(rng)).flat_map(|(a, b)| [a, b]);
                pairs.map(|normal| mean + deviation * normal).take(count).collect::<Vec<f32>>().into()
            }
            Self::Uniform { low, high } => {
                (0..count).map(|_| draw::uniform(rng, low, high)).collect::<Vec<f32>>().into()
            }
            Self::Ints { low, high } => {
                let span = usize::try_from(high.abs_diff(low)).unwrap_or(usize::MAX).saturating_add(1);
                (0..count)
                    .map(|_| low.saturating_add_unsigned(draw::below(rng, span) as u64))
                    .collect::<Vec<i64>>()
                    .into()
            }
        }
    }
}

impl FromStr for Numbers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no way to draw numbers; write normal, normal:MEAN:DEVIATION, uniform:LOW:HIGH or ints:LOW:HIGH"
            )
        };
        let parts: Vec<&str> = text.split(':').collect();
        let float = |text: &str| text.parse::<f32>().ok().filter(|value| value.is_finite()).ok_or_else(wrong);
        let int = |text: &str| text.parse::<i64>().map_err(|_| wrong());
        let found = match parts.as_slice() {
            ["normal"] => Self::Normal { mean: 0.0, deviation: 1.0 },
            ["normal", mean, deviation] => Self::Normal { mean: float(mean)?, deviation: float(deviation)? },
            ["uniform", low, high] => Self::Uniform { low: float(low)?, high: float(high)? },
            ["ints", low, high] => Self::Ints { low: int(low)?, high: int(high)? },
            _ => return Err(wrong()),
        };
        let in_order = match found {
            Self::Normal { deviation, .. } => deviation >= 0.0,
            Self::Uniform { low, high } => low < high,
            Self::Ints { low, high } => low <= high && high.abs_diff(low) < 1 << 32,
        };
        if in_order {
            Ok(found)
        } else {
            Err(format!("`{text}` has an empty or impossible range; give the lower number first"))
        }
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal { mean, deviation } => write!(f, "normal:{mean}:{deviation}"),
            Self::Uniform { low, high } => write!(f, "uniform:{low}:{high}"),
            Self::Ints { low, high } => write!(f, "ints:{low}:{high}"),
        }
    }
}

impl TryFrom<String> for Numbers {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Numbers> for String {
    fn from(numbers: Numbers) -> Self {
        numbers.to_string()
    }
}

impl JsonSchema for Numbers {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Numbers".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<String>()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::data;

    fn random(law: &str, element: Element) -> Input {
        let from = Origin::Random { law: law.parse().unwrap(), seed: 3 };
        Input { name: "x".into(), sample: vec![2, 50], axis: Some(0), element, from }
    }

    #[test]
    fn random_inputs_are_a_function_of_the_sample_and_stay_in_their_range() {
        let set = &data::random(20).splits[0];
        let input = random("ints:-2:1", Element::I64);
        let values = input.values(set, 4).unwrap();
        assert_eq!(values, input.values(&set.select(&[7, 4]), 1).unwrap());
        assert_ne!(values, input.values(set, 5).unwrap());
        assert_eq!(values.element(), Element::I64);
        let seen: std::collections::BTreeSet<i64> = values.to_f64().into_iter().map(|value| value as i64).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [-2, -1, 0, 1]);
        let uniform = random("uniform:0.5:0.75", Element::F32).values(set, 0).unwrap().to_f64();
        assert!(uniform.iter().all(|value| (0.5..0.75).contains(value)));
        let flags = random("ints:0:1", Element::Bool).values(set, 0).unwrap();
        assert_eq!((flags.element(), flags.len()), (Element::Bool, 100));
    }

    #[test]
    fn ways_to_draw_are_read_as_they_are_written() {
        for text in ["normal:0:1", "normal:-1.5:2", "uniform:-1:1", "ints:0:9"] {
            assert_eq!(text.parse::<Numbers>().unwrap().to_string(), text);
        }
        assert_eq!("normal".parse(), Ok(Numbers::Normal { mean: 0.0, deviation: 1.0 }));
        for wrong in [
            "",
            "norm",
            "uniform",
            "uniform:1:0",
            "uniform:1",
            "ints:0.5:2",
            "ints:3:2",
            "normal:0:-1",
            "uniform:0:inf",
        ] {
            assert!(wrong.parse::<Numbers>().unwrap_err().contains(wrong), "{wrong}");
        }
    }
}

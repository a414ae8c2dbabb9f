//! What an output is, from its type, its shape and the range of the large network's answers.
//!
//! In this order, for the part of the output that belongs to one picture (axes of extent 1 do not count, unless said):
//!
//! 1. integers or truth values, one for each picture or one for each pixel: classes, or a map of classes;
//! 2. other integers: values;
//! 3. floats, one axis of at least two: class scores, unless every answer has length 1 (an embedding): values;
//! 4. floats `[C, H, W]` or `[H, W, C]` with one or three channels, at least as large as the input, within the range of
//!    pictures ([0, 1], [0, 255] or [−1, 1], a twentieth more either way), and not probabilities over channels: a picture;
//!    but with one channel of which four fifths lie within a tenth of 0 or 1: a mask;
//! 5. floats `[1, H, W]` of both signs whose sigmoid lies there: a mask;
//! 6. floats `[C, H, W]` or `[H, W, C]` of at least two channels that are probabilities over channels, or the only output
//!    of that form, of at least an eighth of the input's size: a map of classes;
//! 7. anything else: values.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::CertifyError;
use crate::runtimes::Output;

/// What an output holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One score per class, or a class, for each picture.
    Classes,
    /// One score per class, or a class, for each pixel.
    Map,
    /// One number for each pixel, above a threshold or not.
    Mask,
    /// A picture.
    Image,
    /// Numbers.
    Values,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classes => "classes",
            Self::Map => "map of classes",
            Self::Mask => "mask",
            Self::Image => "picture",
            Self::Values => "values",
        })
    }
}

/// How the elements of one picture's answer lie in memory, and how they are read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Form {
    pub(super) kind: Kind,
    pub(super) because: String,
    /// How the classes, or entries, of one place lie.
    pub(super) channels: Channels,
    /// For masks: what is above it belongs to the mask.
    pub(super) threshold: f64,
    /// For pictures: the width of the range.
    pub(super) peak: f64,
    /// Whether the elements are classes themselves.
    pub(super) labels: bool,
}

/// `count` channels, `inner` elements apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Channels {
    pub(super) count: usize,
    pub(super) inner: usize,
}

/// Two axes of places and one of channels.
struct Plane {
    sides: [usize; 2],
    channels: Channels,
}

/// What can be seen of the large network's answers.
struct Seen<'a> {
    output: &'a Output,
    /// Axes of one picture's answer, of any extent.
    shape: Vec<usize>,
    samples: Vec<Vec<f64>>,
    low: f64,
    high: f64,
}

/// Decides what an output of the large network is, from its answers to `samples` pictures of `input` rows and columns.
///
/// # Errors
/// When `set`, which overrides the rule, does not fit the output.
pub(super) fn decide(
    output: &Output,
    all: &[Output],
    samples: usize,
    input: [usize; 2],
    set: Option<Kind>,
) -> Result<Form, CertifyError> {
    let seen = Seen::of(output, samples);
    let form = match set {
        Some(kind) => seen.forced(kind, input),
        None => Some(seen.found(all, samples, input)),
    };
    form.ok_or_else(|| CertifyError::Kind {
        output: output.name.clone(),
        kind: set.unwrap_or(Kind::Values).to_string(),
        shape: output.shape.clone(),
    })
}

impl<'a> Seen<'a> {
    fn of(output: &'a Output, samples: usize) -> Self {
        let batch = output.batch_axis(samples);
        let axes = output.shape.iter().enumerate();
        let shape = match batch {
            Some(batch) if output.shape[batch] == samples => {
                axes.filter(|(axis, _)| *axis != batch).map(|(_, extent)| *extent).collect()
            }
            Some(_) => axes.map(|(axis, extent)| if axis == 0 { extent / samples } else { *extent }).collect(),
            None => output.shape.clone(),
        };
        let samples: Vec<Vec<f64>> = output.samples(samples).map(|sample| sample.to_f64()).collect();
        let finite = || samples.iter().flatten().copied().filter(|value| value.is_finite());
        let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        Self { output, shape, samples, low, high }
    }

    /// The rule at the head of this file.
    fn found(&self, all: &[Output], samples: usize, input: [usize; 2]) -> Form {
        let plane = self.plane(input);
        if !self.output.values.element().is_float() {
            return match (self.extents().len(), &plane) {
                (0, _) => self.labels(Kind::Classes, "one integer for each picture"),
                (2, Some(_)) => self.labels(Kind::Map, "one integer for each pixel"),
                _ => self.values("integers of another shape"),
            };
        }
        if let [classes] = self.extents()[..] {
            return if self.samples.iter().all(|sample| (length(sample) - 1.0).abs() < 1e-3) && !self.adds_to_one() {
                self.values("vectors of length 1")
            } else {
                self.form(Kind::Classes, Channels { count: classes, inner: 1 }, "one score for each class")
            };
        }
        let Some(plane) = plane else { return self.values("a shape that is neither classes nor pixels") };
        let values = |because| Form { channels: plane.channels, ..self.values(because) };
        if plane.channels.count == 1 && self.is_mask(0.0, 1.0, |value| value) {
            return Form { threshold: 0.5, ..self.form(Kind::Mask, plane.channels, "one channel close to 0 or 1") };
        }
        let probabilities = plane.channels.count > 1 && self.are_probabilities(plane.channels);
        let large = plane.sides[0] >= input[0] && plane.sides[1] >= input[1];
        if let Some(peak) = self.peak().filter(|_| large && [1, 3].contains(&plane.channels.count) && !probabilities) {
            let because = "one or three channels in the range of pictures";
            return Form { peak, ..self.form(Kind::Image, plane.channels, because) };
        }
        if plane.channels.count == 1 {
            let logits = self.low < 0.0 && self.high > 0.0;
            return if logits && self.is_mask(f64::NEG_INFINITY, f64::INFINITY, sigmoid) {
                self.form(Kind::Mask, plane.channels, "one channel far from 0 on both sides")
            } else {
                values("one channel that is neither picture nor mask")
            };
        }
        let alone = all.iter().filter(|other| Seen::of(other, samples).plane(input).is_some()).count() == 1;
        let fine = plane.sides[0] * 8 >= input[0] && plane.sides[1] * 8 >= input[1];
        if probabilities {
            self.form(Kind::Map, plane.channels, "probabilities over channels at each pixel")
        } else if alone && fine {
            self.form(Kind::Map, plane.channels, "the only output of pixels, with one score for each class")
        } else {
            values("a map that is coarse, or one of several")
        }
    }

    /// The form of a kind that was set, where the shape allows it.
    fn forced(&self, kind: Kind, input: [usize; 2]) -> Option<Form> {
        let because = "set so";
        let labels = !self.output.values.element().is_float();
        match kind {
            Kind::Values => Some(self.values(because)),
            Kind::Classes if labels && self.extents().is_empty() => Some(self.labels(kind, because)),
            Kind::Classes => match self.extents()[..] {
                [classes] if !labels => Some(self.form(kind, Channels { count: classes, inner: 1 }, because)),
                _ => None,
            },
            Kind::Map if labels => Some(self.labels(kind, because)),
            Kind::Map => {
                let channels = self.plane(input)?.channels;
                (channels.count > 1).then(|| self.form(kind, channels, because))
            }
            Kind::Mask => {
                let threshold = if self.low < 0.0 { 0.0 } else { 0.5 * self.high.min(1.0) };
                Some(Form { threshold, ..self.form(kind, Channels { count: 1, inner: 1 }, because) })
            }
            Kind::Image => {
                let peak = self.peak().unwrap_or(self.high - self.low);
                Some(Form { peak, ..self.form(kind, self.plane(input)?.channels, because) })
            }
        }
    }

    fn form(&self, kind: Kind, channels: Channels, because: &str) -> Form {
        Form { kind, because: because.to_owned(), channels, threshold: 0.0, peak: 1.0, labels: false }
    }

    fn labels(&self, kind: Kind, because: &str) -> Form {
        Form { labels: true, ..self.form(kind, Channels { count: 1, inner: 1 }, because) }
    }

    /// Numbers; where several axes are left, the last one is taken for the channels of detections and sequences.
    fn values(&self, because: &str) -> Form {
        let channels = match self.extents()[..] {
            [_, .., last] => Channels { count: last, inner: 1 },
            _ => Channels { count: self.shape.iter().product::<usize>().max(1), inner: 1 },
        };
        self.form(Kind::Values, channels, because)
    }

    /// Extents above 1.
    fn extents(&self) -> Vec<usize> {
        self.shape.iter().copied().filter(|extent| *extent > 1).collect()
    }

    /// Places and channels, where two axes have the proportions of the input and the third, if any, is before or behind
    /// them.
    fn plane(&self, input: [usize; 2]) -> Option<Plane> {
        let proportional = |rows: usize, columns: usize| {
            let (a, b) = (rows as f64 / input[0] as f64, columns as f64 / input[1] as f64);
            rows > 1 && columns > 1 && (a / b - 1.0).abs() < 0.1
        };
        match self.shape[..] {
            [rows, columns] if proportional(rows, columns) => {
                Some(Plane { sides: [rows, columns], channels: Channels { count: 1, inner: 1 } })
            }
            [count, rows, columns] if proportional(rows, columns) => {
                Some(Plane { sides: [rows, columns], channels: Channels { count, inner: rows * columns } })
            }
            [rows, columns, count] if proportional(rows, columns) => {
                Some(Plane { sides: [rows, columns], channels: Channels { count, inner: 1 } })
            }
            _ => None,
        }
    }

    fn adds_to_one(&self) -> bool {
        self.low >= 0.0 && self.samples.iter().all(|sample| (sample.iter().sum::<f64>() - 1.0).abs() < 1e-3)
    }

    fn are_probabilities(&self, channels: Channels) -> bool {
        let sums_to_one = |place: Vec<f64>| (place.iter().sum::<f64>() - 1.0).abs() < 1e-2;
        self.low >= 0.0 && self.samples.iter().all(|sample| channels.places(sample).all(sums_to_one))
    }

    /// Whether all values lie within some limits, and four fifths of them, once moved, within a tenth of 0 or 1, with
    /// some at either end.
    fn is_mask(&self, low: f64, high: f64, moved: impl Fn(f64) -> f64) -> bool {
        let slack = 1e-3;
        if self.low < low - slack || self.high > high + slack {
            return false;
        }
        let (mut zeros, mut ones, mut all) = (0usize, 0usize, 0usize);
        for value in self.samples.iter().flatten() {
            let value = moved(*value);
            zeros += usize::from(value <= 0.1);
            ones += usize::from(value >= 0.9);
            all += 1;
        }
        zeros > 0 && ones > 0 && (zeros + ones) * 5 >= all * 4
    }

    /// The width of the range of pictures that the values fill, where they fill one.
    fn peak(&self) -> Option<f64> {
        let fills = |low: f64, high: f64| {
            let slack = (high - low) / 20.0;
            self.low >= low - slack && self.high <= high + slack && self.high - self.low > (high - low) / 20.0
        };
        [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)]
            .into_iter()
            .find(|(low, high)| fills(*low, *high))
            .map(|(low, high)| high - low)
    }
}

impl Channels {
    /// The channels of every place of a sample.
    pub(super) fn places(self, sample: &[f64]) -> impl Iterator<Item = Vec<f64>> {
        let Self { count, inner } = self;
        let block = (count * inner).max(1);
        (0..sample.len() / block).flat_map(move |outer| {
            (0..inner)
                .map(move |place| (0..count).map(|channel| sample[outer * block + channel * inner + place]).collect())
        })
    }

    /// The channel of an element.
    pub(super) fn of(self, element: usize) -> usize {
        element / self.inner.max(1) % self.count.max(1)
    }
}

fn length(sample: &[f64]) -> f64 {
    sample.iter().map(|value| value * value).sum::<f64>().sqrt()
}

fn sigmoid(value: f64) -> f64 {
    1.0 / (1.0 + (-value).exp())
}

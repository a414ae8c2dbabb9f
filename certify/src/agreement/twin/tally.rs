//! What was seen at one place of a network over all probes, and whether it is the same on both sides.
//!
//! Every channel is judged on its own, so that one of large numbers does not hide another. A difference is measured
//! against the largest number of its channel; where rounding amounts to more (behind a cancellation, a Floor, in half
//! precision), against what rounding does to the twin itself, measured by running it with inputs and parameters moved
//! by about as much.

use images::each_pair;
use images::values::Number;

use super::shown::Shown;
use crate::runtimes::Values;

/// What may differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Of a channel's largest number.
    pub(super) tolerance: f64,
    /// A difference up to so many times the twin's own noise (root mean square) cannot be told apart from it.
    pub(super) noise: f64,
}

/// A channel whose noise is more than this share of its numbers says nothing of others.
const DROWNED: f64 = 0.1;
/// A channel's noise says something of another's whose numbers are not smaller than by this factor.
const ALIKE: f64 = 1e4;
/// A channel varies when it moves by so many times what may differ.
const MOVES: f64 = 16.0;

/// All that was seen at one place.
#[derive(Debug)]
pub(super) struct Place {
    /// Along which axes channels lie; empty when the place is one channel.
    axes: Vec<usize>,
    /// One part for each kind of probe: numbers of one size.
    parts: Vec<Part>,
    unlike_shapes: Option<(Vec<usize>, Vec<usize>)>,
    noisy_shapes: bool,
}

/// What was seen at a place on one kind of probe, by the axes of the place.
#[derive(Clone, Debug, Default)]
struct Part(Vec<Vec<Channel>>);

/// One index of an axis.
#[derive(Clone, Debug)]
struct Channel {
    low: f64,
    high: f64,
    count: usize,
    /// Elements of all runs that rounding moved.
    moved: usize,
    /// The sum of all squares.
    power: f64,
    slim: Gap,
    noise: Gap,
    exact: bool,
}

/// How far another run is from the twin's.
#[derive(Clone, Debug, Default)]
struct Gap {
    largest: f64,
    sample: usize,
    energy: f64,
    /// Elements that are not finite on one side and not the same on the other.
    unlike: usize,
}

/// Which run is compared with the twin's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Against {
    /// The twin itself, moved by rounding.
    Noise,
    /// What has to be the same.
    Slim,
}

/// What became of a place.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// The same, up to the tolerance.
    Same,
    /// Not to be told apart from the twin's own rounding noise.
    WithinNoise,
    /// Another function.
    Differs,
}

/// A place, judged.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    /// The largest difference over its channel's scale; `None` where the twin has zeros only, a value is not finite, or
    /// shapes differ.
    pub(super) relative: Option<f64>,
    pub(super) sample: usize,
    /// Shapes, where they differ.
    pub(super) shapes: Option<(Vec<usize>, Vec<usize>)>,
    /// Channels that varied, and all.
    pub(super) seen: usize,
    pub(super) channels: usize,
}

impl Place {
    pub(super) fn new(axes: Vec<usize>) -> Self {
        Self { axes, parts: Vec::new(), unlike_shapes: None, noisy_shapes: false }
    }

    /// The axes along which channels lie, where they are not known: those of class scores, maps and boxes.
    pub(super) fn usual_axes(rank: usize) -> Vec<usize> {
        match rank {
            0 => Vec::new(),
            1 => vec![0],
            2 => vec![1],
            _ => vec![1, rank - 1],
        }
    }

    /// Compares one run with the twin's on the same probe, of kind `part`; its samples count from `start`.
    pub(super) fn add(&mut self, part: usize, twin: &Shown, other: &Shown, start: usize, against: Against) {
        if twin.shape != other.shape {
            match against {
                Against::Noise => self.noisy_shapes = true,
                Against::Slim => self.unlike_shapes = Some((twin.shape.clone(), other.shape.clone())),
            }
            return;
        }
        if self.parts.len() <= part {
            self.parts.resize(part + 1, Part::default());
        }
        let axes: Vec<Option<usize>> = match self.axes.as_slice() {
            [] => vec![None],
            axes => axes.iter().map(|&axis| (axis < twin.shape.len()).then_some(axis)).collect(),
        };
        self.parts[part].0.resize(axes.len(), Vec::new());
        for (channels, axis) in self.parts[part].0.iter_mut().zip(axes) {
            Strip::of(&twin.shape, axis, start).compare(channels, &twin.values, &other.values, against);
        }
    }

    /// Whether both sides are the same.
    pub(super) fn judge(&self, limits: Limits) -> Judged {
        let mut judged = self.shapes_judged();
        let reaches = self.reaches();
        for (channels, reach) in self.parts.iter().flat_map(|part| part.0.iter().zip(&reaches)) {
            judged.verdict = worse(judged.verdict, verdict(channels, reach, limits));
            for channel in channels {
                let found = channel.relative();
                if judged.relative.is_some_and(|known| found > known || found.is_nan()) {
                    judged.relative = found.is_finite().then_some(found);
                    judged.sample = channel.slim.sample;
                }
            }
        }
        (judged.seen, judged.channels) = self.seen(limits.tolerance);
        judged
    }

    /// The largest number of every channel over all kinds of probes, by axis.
    fn reaches(&self) -> Vec<Vec<f64>> {
        let mut reaches: Vec<Vec<f64>> = Vec::new();
        for part in &self.parts {
            reaches.resize(reaches.len().max(part.0.len()), Vec::new());
            for (reach, channels) in reaches.iter_mut().zip(&part.0) {
                reach.resize(reach.len().max(channels.len()), 0.0);
                reach.iter_mut().zip(channels).for_each(|(reach, channel)| *reach = reach.max(channel.scale()));
            }
        }
        reaches
    }

    fn shapes_judged(&self) -> Judged {
        let verdict = match (&self.unlike_shapes, self.noisy_shapes) {
            (None, _) => Verdict::Same,
            (Some(_), true) => Verdict::WithinNoise,
            (Some(_), false) => Verdict::Differs,
        };
        let relative = self.unlike_shapes.is_none().then_some(0.0);
        Judged { verdict, relative, sample: 0, shapes: self.unlike_shapes.clone(), seen: 0, channels: 0 }
    }

    /// Channels of the first axis that vary on some kind of probe or from one to another, and all.
    fn seen(&self, tolerance: f64) -> (usize, usize) {
        let parts: Vec<&Vec<Channel>> = self.parts.iter().filter_map(|part| part.0.first()).collect();
        let channels = parts.iter().map(|part| part.len()).max().unwrap_or(0);
        let varies = |index: usize| {
            let mut all = parts.iter().filter_map(|part| part.get(index));
            let alone = all.clone().any(|channel| channel.varies(tolerance));
            let first = all.next().cloned();
            alone || first.is_some_and(|first| all.fold(first, Channel::with).varies(tolerance))
        };
        ((0..channels).filter(|&index| varies(index)).count(), channels)
    }
}

/// How elements of one run lie along an axis.
struct Strip {
    extent: usize,
    inner: usize,
    /// Elements of one sample, and the first sample's number.
    sample: usize,
    start: usize,
}

impl Strip {
    fn of(shape: &[usize], axis: Option<usize>, start: usize) -> Self {
        let after = |axis: usize| shape[axis + 1..].iter().product::<usize>();
        let all = shape.iter().product::<usize>().max(1);
        Self {
            extent: axis.map_or(1, |axis| shape[axis]),
            inner: axis.map_or(all, after).max(1),
            sample: all / shape.first().copied().unwrap_or(1).max(1),
            start,
        }
    }

    fn compare(&self, channels: &mut Vec<Channel>, twin: &Values, other: &Values, against: Against) {
        if channels.len() < self.extent {
            channels.resize(self.extent, Channel::new());
        }
        each_pair!(
            (twin, other),
            (a, b) => self.each(channels, a, b, |channel, a, b, sample| channel.add(*a, *b, sample, against)),
            // Another type is another function.
            else channels.iter_mut().for_each(|channel| channel.exact(0.0, true, self.start, against))
        );
    }

    fn each<T>(&self, channels: &mut [Channel], a: &[T], b: &[T], mut add: impl FnMut(&mut Channel, &T, &T, usize)) {
        let blocks = a.chunks(self.inner).zip(b.chunks(self.inner));
        for (block, (a, b)) in blocks.enumerate() {
            let channel = &mut channels[block % self.extent.max(1)];
            let sample = self.start + block * self.inner / self.sample.max(1);
            a.iter().zip(b).for_each(|(a, b)| add(channel, a, b, sample));
        }
    }
}

impl Channel {
    fn new() -> Self {
        let gap = Gap::default();
        let (low, high) = (f64::INFINITY, f64::NEG_INFINITY);
        Self { low, high, count: 0, moved: 0, power: 0.0, slim: gap.clone(), noise: gap, exact: false }
    }

    /// A pair of elements of one type.
    fn add<T: Number + PartialEq>(&mut self, a: T, b: T, sample: usize, against: Against) {
        match a.to_i128() {
            Some(_) => self.exact(a.to_f64(), a != b, sample, against),
            None => self.floats(a.to_f64(), b.to_f64(), sample, against),
        }
    }

    fn floats(&mut self, a: f64, b: f64, sample: usize, against: Against) {
        if against == Against::Slim && a.is_finite() {
            (self.low, self.high, self.count) = (self.low.min(a), self.high.max(a), self.count + 1);
            self.power += a * a;
        }
        self.moved += usize::from(against == Against::Noise && a.is_finite());
        let gap = self.gap(against);
        if a.is_finite() && b.is_finite() {
            gap.add((a - b).abs(), sample);
        } else if a != b && !(a.is_nan() && b.is_nan()) {
            gap.unlike += 1;
        }
    }

    /// Elements that are either the same or not.
    fn exact(&mut self, a: f64, differs: bool, sample: usize, against: Against) {
        self.exact = true;
        if against == Against::Slim {
            (self.low, self.high, self.count) = (self.low.min(a), self.high.max(a), self.count + 1);
        }
        self.moved += usize::from(against == Against::Noise);
        if differs {
            self.gap(against).add(1.0, sample);
        }
    }

    fn gap(&mut self, against: Against) -> &mut Gap {
        match against {
            Against::Noise => &mut self.noise,
            Against::Slim => &mut self.slim,
        }
    }

    /// The largest number; 1 for what is the same or not.
    fn scale(&self) -> f64 {
        if self.exact { 1.0 } else { self.low.abs().max(self.high.abs()) }
    }

    /// The root mean square of what rounding does.
    fn noise(&self) -> f64 {
        (self.noise.energy / self.moved.max(1) as f64).sqrt()
    }

    /// The energy of what rounding does in one run.
    fn noise_energy(&self) -> f64 {
        self.noise.energy / self.moved.max(1) as f64 * self.count as f64
    }

    /// The root mean square of the difference.
    fn difference(&self) -> f64 {
        (self.slim.energy / self.count.max(1) as f64).sqrt()
    }

    /// The largest difference over the scale; infinite where specials differ.
    fn relative(&self) -> f64 {
        match self.slim.unlike {
            0 if self.slim.largest == 0.0 => 0.0,
            0 => self.slim.largest / self.scale(),
            _ => f64::INFINITY,
        }
    }

    fn is_same(&self, tolerance: f64) -> bool {
        let allowed = if self.exact { 0.0 } else { tolerance * self.scale() };
        self.slim.unlike == 0 && (self.slim.largest == 0.0 || self.slim.largest <= allowed)
    }

    fn varies(&self, tolerance: f64) -> bool {
        let range = self.high - self.low;
        if self.exact {
            return range > 0.0;
        }
        range.is_finite() && range > MOVES * self.noise().max(tolerance * self.scale())
    }

    /// Both together.
    fn with(mut self, other: &Self) -> Self {
        if self.noise() < other.noise() {
            (self.noise, self.moved) = (other.noise.clone(), other.moved);
        }
        (self.low, self.high) = (self.low.min(other.low), self.high.max(other.high));
        self
    }
}

impl Gap {
    fn add(&mut self, difference: f64, sample: usize) {
        if difference > self.largest {
            (self.largest, self.sample) = (difference, sample);
        }
        self.energy += difference * difference;
    }
}

/// The verdict on the channels of one axis, whose largest numbers over all probes are `reach`.
fn verdict(channels: &[Channel], reach: &[f64], limits: Limits) -> Verdict {
    let places = 0..channels.len();
    let off: Vec<usize> = places.filter(|&place| !channels[place].is_same(limits.tolerance)).collect();
    if off.is_empty() {
        return Verdict::Same;
    }
    // A channel that is barely alive, or of few elements, may happen to move less than others like it.
    let usual = |place: usize| {
        let alike = channels.iter().zip(reach).filter(|(_, other)| **other <= ALIKE * reach[place]);
        lower_quartile(alike.map(|(channel, _)| channel.noise()).filter(|&noise| noise > 0.0).collect())
    };
    let drowned = |place: &usize| {
        let channel = &channels[*place];
        let specials = channel.slim.unlike as f64 <= limits.noise * channel.noise.unlike as f64;
        specials && channel.difference() <= limits.noise * channel.noise().max(usual(*place))
    };
    let within = off.iter().all(drowned)
        || within_all(off.iter().map(|&place| &channels[place]), channels, limits.noise)
        || all_noise(channels, limits.noise);
    if within { Verdict::WithinNoise } else { Verdict::Differs }
}

/// Whether the whole place holds little else than noise, as behind a sum that cancels, and what is off is no more.
fn all_noise(channels: &[Channel], factor: f64) -> bool {
    let sum = |of: fn(&Channel) -> f64| channels.iter().map(of).sum::<f64>();
    let noise = sum(Channel::noise_energy);
    let specials = channels.iter().all(|channel| channel.slim.unlike == 0);
    let drowned = noise >= DROWNED * DROWNED * sum(|channel| channel.power);
    specials && drowned && sum(|channel| channel.slim.energy) <= factor * factor * noise
}

/// Whether what is off altogether is no more than the noise of all channels: rounding steps that are rare in each.
fn within_all<'a>(off: impl Iterator<Item = &'a Channel>, all: &[Channel], factor: f64) -> bool {
    let share = |channel: &Channel, energy: f64| energy / channel.scale().powi(2);
    let clear = |channel: &&Channel| channel.noise() <= DROWNED * channel.scale();
    let noise: f64 = all.iter().filter(clear).map(|channel| share(channel, channel.noise_energy())).sum();
    let unlike = |gap: fn(&Channel) -> &Gap| all.iter().map(|channel| gap(channel).unlike).sum::<usize>() as f64;
    let found: f64 = off.map(|channel| share(channel, channel.slim.energy)).sum();
    let specials = unlike(|channel| &channel.slim) <= factor * unlike(|channel| &channel.noise);
    specials && found <= factor * factor * noise
}

fn lower_quartile(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 4).copied().unwrap_or(0.0)
}

fn worse(a: Verdict, b: Verdict) -> Verdict {
    let rank = |verdict: &Verdict| match verdict {
        Verdict::Same => 0,
        Verdict::WithinNoise => 1,
        Verdict::Differs => 2,
    };
    if rank(&b) > rank(&a) { b } else { a }
}

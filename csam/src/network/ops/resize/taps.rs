//! Which elements along an axis make up each element of the resized axis, and with what weights.
//!
//! Positions are computed in single precision, as ONNX Runtime computes them: a tie is a tie in both.

/// Where an element of the output lies among those of the input, `s` being the scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// `(x + ½)/s − ½`.
    HalfPixel,
    /// The same, about the middle of the axis where its size was rounded.
    HalfPixelSymmetric,
    /// The same as the first, and 0 for an axis of one element.
    HalfPixelButOne,
    /// The first and last elements lie on one another.
    AlignCorners,
    /// `x/s`.
    Asymmetric,
    /// `(x + ½)/s`.
    Middle,
    /// The first and last elements lie on the ends of a region.
    Region,
}

/// Which of two neighbours is the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    /// Half way, the lower.
    PreferFloor,
    /// Half way, the upper.
    PreferCeil,
    /// The lower.
    Floor,
    /// The upper.
    Ceil,
    /// The lower where an axis grows, the upper where it shrinks: what runtimes do before version 11.
    Outward,
}

/// How far an element of the output reaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reach {
    /// One element.
    Nearest(Rounding),
    /// Two, by distance.
    Linear,
    /// Four, by the cubic with this second derivative at its knots (Keys 1981).
    Cubic {
        /// The standard's `cubic_coeff_a`.
        coefficient: f64,
    },
}

/// A rule for one axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampling {
    pub(super) reach: Reach,
    pub(super) position: Position,
    /// Whether an axis that shrinks is smoothed: the reach grows by as much as the axis shrinks.
    pub(super) antialias: bool,
    /// Whether weights beyond the border are dropped; otherwise the border's element stands in.
    pub(super) exclude_outside: bool,
}

/// One list of places, and one of weights, for each tap; as long as the new axis.
pub(super) struct Taps {
    pub(super) places: Vec<Vec<i64>>,
    pub(super) weights: Vec<Vec<f32>>,
    /// Whether each element of the new axis lies among the old ones, which only one of a region may not.
    pub(super) inside: Vec<bool>,
}

/// A rule that torch has under a name of its own.
pub(super) enum Native {
    /// Whole factors only, where every rounding repeats each element so many times.
    Repeated,
    /// Weighted by distance, with the outermost elements' corners or middles staying where they are.
    Linear {
        /// Which of the two.
        corners: bool,
    },
}

impl Sampling {
    /// The rule as torch has it.
    pub(super) fn form(&self) -> Option<Native> {
        use Position::{AlignCorners, Asymmetric, HalfPixel, HalfPixelButOne};
        match (self.reach, self.position) {
            _ if self.antialias || self.exclude_outside => None,
            (Reach::Nearest(Rounding::Floor | Rounding::Outward), Asymmetric) => Some(Native::Repeated),
            (Reach::Nearest(Rounding::PreferFloor | Rounding::PreferCeil), HalfPixel | HalfPixelButOne) => {
                Some(Native::Repeated)
            }
            (Reach::Linear, HalfPixel) => Some(Native::Linear { corners: false }),
            (Reach::Linear, AlignCorners) => Some(Native::Linear { corners: true }),
            _ => None,
        }
    }

    /// Where every element of the new axis comes from.
    pub(super) fn taps(&self, old: i64, new: i64, scale: f64, region: (f32, f32)) -> Taps {
        let positions: Vec<f32> = match self.position {
            Position::Region => (0..new).map(|element| in_region(element, old, new, region)).collect(),
            _ => (0..new).map(|element| self.position(element, old, new, scale)).collect(),
        };
        let by_element: Vec<Vec<(i64, f64)>> =
            positions.iter().map(|&position| self.sources(position, old, scale)).collect();
        let among = |&position: &f32| self.position != Position::Region || (0.0..=(old - 1) as f32).contains(&position);
        let most = by_element.iter().map(Vec::len).max().unwrap_or(0);
        let tap = |tap: usize| by_element.iter().map(move |sources| sources.get(tap).copied().unwrap_or((0, 0.0)));
        Taps {
            places: (0..most).map(|at| tap(at).map(|(place, _)| place).collect()).collect(),
            weights: (0..most).map(|at| tap(at).map(|(_, weight)| weight as f32).collect()).collect(),
            inside: positions.iter().map(among).collect(),
        }
    }

    fn position(&self, element: i64, old: i64, new: i64, scale: f64) -> f32 {
        let (x, by) = (element as f32, scale as f32);
        let half_pixel = (x + 0.5) / by - 0.5;
        match self.position {
            Position::HalfPixel => half_pixel,
            Position::HalfPixelButOne => {
                if new > 1 {
                    half_pixel
                } else {
                    0.0
                }
            }
            Position::HalfPixelSymmetric => {
                let adjustment = new as f32 / (by * old as f32);
                old as f32 / 2.0 * (1.0 - adjustment) + half_pixel
            }
            Position::AlignCorners => {
                if new > 1 {
                    x * (old - 1) as f32 / (new - 1) as f32
                } else {
                    0.0
                }
            }
            Position::Asymmetric => x / by,
            Position::Middle => (x + 0.5) / by,
            Position::Region => x,
        }
    }

    /// The elements that one at this position is made of, with weights that sum to one.
    fn sources(&self, position: f32, old: i64, scale: f64) -> Vec<(i64, f64)> {
        let last = old - 1;
        let shrinks = self.antialias && scale < 1.0;
        match self.reach {
            Reach::Nearest(rounding) => vec![(nearest(position, rounding, scale < 1.0).clamp(0, last), 1.0)],
            Reach::Linear if !shrinks => {
                let position = position.clamp(0.0, last as f32);
                let (low, share) = (position.floor() as i64, f64::from(position.fract()));
                vec![(low, 1.0 - share), ((low + 1).min(last), share)]
            }
            Reach::Linear => {
                self.weighted(f64::from(position), 1.0, old, scale.min(1.0), &|distance| (1.0 - distance).max(0.0))
            }
            Reach::Cubic { coefficient } => {
                let by = if shrinks { scale } else { 1.0 };
                self.weighted(f64::from(position), 2.0, old, by, &|distance| cubic(distance, coefficient))
            }
        }
    }

    /// All elements within reach, by a function of their distance.
    fn weighted(&self, position: f64, reach: f64, old: i64, by: f64, weight: &dyn Fn(f64) -> f64) -> Vec<(i64, f64)> {
        let (first, end) = ((position - reach / by).floor() as i64, (position + reach / by).ceil() as i64);
        let sources = (first..=end).map(|place| (place, weight(((place as f64) - position).abs() * by)));
        let inside = |place: i64| (0..old).contains(&place);
        let sources = sources.filter(|&(place, weight)| weight != 0.0 && (!self.exclude_outside || inside(place)));
        let mut sources: Vec<(i64, f64)> = sources.map(|(place, weight)| (place.clamp(0, old - 1), weight)).collect();
        let sum: f64 = sources.iter().map(|(_, weight)| weight).sum();
        sources.iter_mut().for_each(|(_, weight)| *weight /= sum);
        sources
    }
}

fn in_region(element: i64, old: i64, new: i64, (start, end): (f32, f32)) -> f32 {
    let last = (old - 1) as f32;
    match new {
        1 => 0.5 * (start + end) * last,
        _ => start * last + element as f32 * (end - start) * last / (new - 1) as f32,
    }
}

fn nearest(position: f32, rounding: Rounding, shrinks: bool) -> i64 {
    let nearest = match rounding {
        Rounding::Outward if shrinks => position.ceil(),
        Rounding::Floor | Rounding::Outward => position.floor(),
        Rounding::Ceil => position.ceil(),
        Rounding::PreferFloor if position.fract().abs() == 0.5 => position.floor(),
        Rounding::PreferCeil if position.fract().abs() == 0.5 => position.ceil(),
        Rounding::PreferFloor | Rounding::PreferCeil => position.round(),
    };
    nearest as i64
}

/// The convolution kernel of Keys (1981), for a distance of at least zero.
fn cubic(distance: f64, a: f64) -> f64 {
    match distance {
        d if d <= 1.0 => ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0,
        d if d < 2.0 => ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a,
        _ => 0.0,
    }
}

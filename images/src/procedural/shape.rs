//! The outlines of the classes, as signed distances: negative inside, about 1 unit in radius.

/// A point or a direction: right, down.
pub(super) type Point = [f32; 2];

/// A class of the procedural set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Arrow,
    Crescent,
    Cross,
    Disc,
    Frame,
    Pair,
    Ring,
    Square,
    Star,
    Triangle,
}

impl Shape {
    /// In label order.
    pub(super) const ALL: [Self; 10] = [
        Self::Arrow,
        Self::Crescent,
        Self::Cross,
        Self::Disc,
        Self::Frame,
        Self::Pair,
        Self::Ring,
        Self::Square,
        Self::Star,
        Self::Triangle,
    ];

    /// The class name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Arrow => "arrow",
            Self::Crescent => "crescent",
            Self::Cross => "cross",
            Self::Disc => "disc",
            Self::Frame => "frame",
            Self::Pair => "pair",
            Self::Ring => "ring",
            Self::Square => "square",
            Self::Star => "star",
            Self::Triangle => "triangle",
        }
    }

    /// Distance from `p` to the outline, negative inside.
    pub(super) fn distance(self, p: Point) -> f32 {
        let from = |x: f32, y: f32| length([p[0] - x, p[1] - y]);
        match self {
            Self::Disc => from(0.0, 0.0) - 0.85,
            Self::Ring => (from(0.0, 0.0) - 0.68).abs() - 0.22,
            Self::Pair => from(-0.52, 0.0).min(from(0.52, 0.0)) - 0.42,
            Self::Crescent => (from(0.0, 0.0) - 0.95).max(0.72 - from(0.42, 0.0)),
            Self::Frame => polygon(p, &SQUARE).abs() - 0.19,
            Self::Square => polygon(p, &SQUARE) - 0.08,
            Self::Triangle => polygon(p, &TRIANGLE),
            Self::Cross => polygon(p, &CROSS),
            Self::Star => polygon(p, &STAR),
            Self::Arrow => polygon(p, &ARROW),
        }
    }
}

const SQUARE: [Point; 4] = [[-0.66, -0.66], [0.66, -0.66], [0.66, 0.66], [-0.66, 0.66]];

const TRIANGLE: [Point; 3] = [[0.0, -1.0], [0.95, 0.72], [-0.95, 0.72]];

const CROSS: [Point; 12] = [
    [-0.27, -0.92],
    [0.27, -0.92],
    [0.27, -0.27],
    [0.92, -0.27],
    [0.92, 0.27],
    [0.27, 0.27],
    [0.27, 0.92],
    [-0.27, 0.92],
    [-0.27, 0.27],
    [-0.92, 0.27],
    [-0.92, -0.27],
    [-0.27, -0.27],
];

/// Five points at radius 1.05 and five notches at radius 0.44.
const STAR: [Point; 10] = [
    [0.0, -1.05],
    [0.259, -0.356],
    [0.999, -0.324],
    [0.418, 0.136],
    [0.617, 0.849],
    [0.0, 0.44],
    [-0.617, 0.849],
    [-0.418, 0.136],
    [-0.999, -0.324],
    [-0.259, -0.356],
];

const ARROW: [Point; 7] =
    [[0.0, -1.0], [0.8, -0.1], [0.26, -0.1], [0.26, 0.95], [-0.26, 0.95], [-0.26, -0.1], [-0.8, -0.1]];

/// Distance to a polygon: the least over its edges, with the sign from crossing counting.
fn polygon(p: Point, corners: &[Point]) -> f32 {
    let mut least = f32::INFINITY;
    let mut inside = false;
    for (i, a) in corners.iter().enumerate() {
        let b = corners[(i + 1) % corners.len()];
        least = least.min(to_segment_squared(p, *a, b));
        let crosses = (a[1] > p[1]) != (b[1] > p[1]);
        if crosses && p[0] < a[0] + (b[0] - a[0]) * (p[1] - a[1]) / (b[1] - a[1]) {
            inside = !inside;
        }
    }
    if inside { -least.sqrt() } else { least.sqrt() }
}

/// Distance from a point to the segment between two others.
pub(super) fn to_segment(p: Point, a: Point, b: Point) -> f32 {
    to_segment_squared(p, a, b).sqrt()
}

fn to_segment_squared(p: Point, a: Point, b: Point) -> f32 {
    let (along, to) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
    let squared = (along[0] * along[0] + along[1] * along[1]).max(f32::MIN_POSITIVE);
    let t = ((to[0] * along[0] + to[1] * along[1]) / squared).clamp(0.0, 1.0);
    let (x, y) = (to[0] - t * along[0], to[1] - t * along[1]);
    x * x + y * y
}

fn length([x, y]: Point) -> f32 {
    (x * x + y * y).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_has_the_distances_of_a_square() {
        for (p, wanted) in [([0.0, 0.0], -0.66), ([1.0, 0.0], 0.34), ([0.96, 1.06], 0.5), ([0.5, 0.0], -0.16)] {
            assert!((polygon(p, &SQUARE) - wanted).abs() < 1e-6, "{p:?}");
        }
    }

    #[test]
    fn outlines_cover_between_a_quarter_and_two_thirds_of_their_square() {
        for shape in Shape::ALL {
            let grid = (0..10_000).map(|i| [(i % 100) as f32 / 50.0 - 0.99, (i / 100) as f32 / 50.0 - 0.99]);
            let covered = grid.filter(|p| shape.distance(*p) < 0.0).count();
            assert!((2000..6700).contains(&covered), "{shape:?} covers {covered}");
        }
    }
}

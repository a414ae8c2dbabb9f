//! One scene: background, clutter, the solid with its shadow and shading, an occluding bar, light and noise.

use super::{
    SIDE,
    shape::{Point, Shape, to_segment},
    texture::Texture,
};
use crate::{Picture, draw};
use rand_chacha::ChaCha8Rng;

type Colour = [f32; 3];

/// Least distance between the solid's colour and the background's, so that the outline can be seen.
const CONTRAST: f32 = 0.5;

/// No outline goes further from its middle than this many units.
const REACH: f32 = 1.2;

/// Draws one scene with a solid of this shape.
pub(super) fn picture(shape: Shape, rng: &mut ChaCha8Rng) -> Picture {
    let mut canvas = Canvas { pixels: vec![[0.0; 3]; SIDE * SIDE] };
    let ground = colour(rng);
    canvas.background(ground, rng);
    for _ in 0..1 + draw::below(rng, 4) {
        canvas.clutter(rng);
    }
    canvas.solid(&Solid::new(shape, ground, rng), rng);
    if draw::coin(rng) {
        canvas.bar(rng);
    }
    canvas.light(rng);
    canvas.exposed(rng)
}

/// Colours by row, before exposure; values may leave [0, 1].
struct Canvas {
    pixels: Vec<Colour>,
}

/// A shape with its pose, colour and surface.
struct Solid {
    shape: Shape,
    /// Of its middle, in pixels.
    centre: Point,
    /// Pixels per unit, to the right and down.
    size: Point,
    /// Cosine and sine of its turn.
    turn: Point,
    colour: Colour,
    /// Where light comes from, in the picture's plane.
    light: Point,
    /// Width of its rounded edge in pixels.
    bevel: f32,
}

impl Solid {
    fn new(shape: Shape, ground: Colour, rng: &mut ChaCha8Rng) -> Self {
        let radius = draw::uniform(rng, 9.0, 13.0);
        let aspect = draw::uniform(rng, 0.88, 1.13);
        let size = [radius * aspect, radius / aspect];
        let room = 15.0 - radius;
        let middle = SIDE as f32 / 2.0;
        let mut coordinate = || middle + draw::uniform(rng, -room, room);
        let centre = [coordinate(), coordinate()];
        let angle = draw::uniform(rng, -25.0, 25.0f32).to_radians();
        Self {
            shape,
            centre,
            size,
            turn: [angle.cos(), angle.sin()],
            colour: colour_apart(ground, rng),
            light: direction(rng),
            bevel: draw::uniform(rng, 2.0, 6.0),
        }
    }

    /// About the distance in pixels from a point of the picture to the outline, negative inside.
    fn distance(&self, [x, y]: Point) -> f32 {
        let (dx, dy) = (x - self.centre[0], y - self.centre[1]);
        let [cos, sin] = self.turn;
        let p = [(cos * dx + sin * dy) / self.size[0], (cos * dy - sin * dx) / self.size[1]];
        let scale = self.size[0].min(self.size[1]);
        let beyond = (p[0] * p[0] + p[1] * p[1]).sqrt() - REACH;
        // Far outside, the distance to the circle around the outline is as good and much cheaper.
        if beyond > 0.5 { beyond * scale } else { self.shape.distance(p) * scale }
    }

    /// Brightness of the surface: edges turned to the light are bright, those turned away dark.
    fn shade(&self, point: Point, distance: f32) -> f32 {
        let slope = [
            self.distance([point[0] + 0.5, point[1]]) - self.distance([point[0] - 0.5, point[1]]),
            self.distance([point[0], point[1] + 0.5]) - self.distance([point[0], point[1] - 0.5]),
        ];
        let edge = (1.0 + distance / self.bevel).clamp(0.0, 1.0);
        1.0 + 0.35 * edge * (slope[0] * self.light[0] + slope[1] * self.light[1])
    }
}

impl Canvas {
    /// Two colours running into each other, with texture.
    fn background(&mut self, ground: Colour, rng: &mut ChaCha8Rng) {
        let other = mixed(ground, colour(rng), 0.4);
        let towards = direction(rng);
        let texture = Texture::new(rng);
        let strength = draw::uniform(rng, 0.05, 0.25);
        self.paint(|[x, y], _| {
            let (u, v) = (x / SIDE as f32, y / SIDE as f32);
            let share = 0.5 + 0.7 * (towards[0] * (u - 0.5) + towards[1] * (v - 0.5));
            let value = strength * texture.at(u, v);
            mixed(ground, other, share.clamp(0.0, 1.0)).map(|c| c + value)
        });
    }

    /// A small spot or stroke anywhere.
    fn clutter(&mut self, rng: &mut ChaCha8Rng) {
        let (from, towards, tint) = (anywhere(rng), direction(rng), colour(rng));
        let length = draw::uniform(rng, 0.0, 8.0);
        let to = [from[0] + length * towards[0], from[1] + length * towards[1]];
        let radius = draw::uniform(rng, 0.6, 2.0);
        let strength = draw::uniform(rng, 0.3, 0.8);
        self.paint(|p, under| mixed(under, tint, strength * coverage(to_segment(p, from, to) - radius)));
    }

    /// The solid over its shadow.
    fn solid(&mut self, solid: &Solid, rng: &mut ChaCha8Rng) {
        let texture = Texture::new(rng);
        let strength = draw::uniform(rng, 0.0, 0.15);
        let fall = draw::uniform(rng, 1.0, 3.0);
        let shadow = draw::uniform(rng, 0.0, 0.4);
        self.paint(|point, under| {
            let lit_from = [point[0] + fall * solid.light[0], point[1] + fall * solid.light[1]];
            let dark = 1.0 - shadow * coverage(solid.distance(lit_from) / 2.0);
            let distance = solid.distance(point);
            let under = under.map(|c| c * dark);
            let visible = coverage(distance);
            if visible == 0.0 {
                return under;
            }
            let value = strength * texture.at(point[0] / SIDE as f32, point[1] / SIDE as f32);
            let shade = solid.shade(point, distance);
            mixed(under, solid.colour.map(|c| (c + value) * shade), visible)
        });
    }

    /// A thin bar right across.
    fn bar(&mut self, rng: &mut ChaCha8Rng) {
        let (through, towards, tint) = (anywhere(rng), direction(rng), colour(rng));
        let half = draw::uniform(rng, 0.4, 1.2);
        self.paint(|[x, y], under| {
            let across = (x - through[0]) * towards[1] - (y - through[1]) * towards[0];
            mixed(under, tint, coverage(across.abs() - half))
        });
    }

    /// Brightness, a colour cast, and light falling off across the picture.
    fn light(&mut self, rng: &mut ChaCha8Rng) {
        let level = draw::uniform(rng, 0.75, 1.15);
        let cast: Colour = std::array::from_fn(|_| level * draw::uniform(rng, 0.9, 1.1));
        let towards = direction(rng);
        let fall = draw::uniform(rng, 0.0, 0.4);
        self.paint(|[x, y], under| {
            let (u, v) = (x / SIDE as f32 - 0.5, y / SIDE as f32 - 0.5);
            let here = 1.0 + fall * (towards[0] * u + towards[1] * v);
            std::array::from_fn(|i| under[i] * cast[i] * here)
        });
    }

    /// Adds the sensor's noise and stores 8 bits.
    fn exposed(&self, rng: &mut ChaCha8Rng) -> Picture {
        let sigma = draw::uniform(rng, 0.005, 0.03);
        let mut values: Vec<f32> = self.pixels.iter().flatten().copied().collect();
        for pair in values.chunks_exact_mut(2) {
            let (first, second) = draw::normal_pair(rng);
            pair[0] += sigma * first;
            pair[1] += sigma * second;
        }
        let bytes: Vec<u8> = values.iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
        Picture::from_bytes(3, SIDE, SIDE, &bytes)
    }

    /// Replaces every pixel by a function of its middle and its colour.
    fn paint(&mut self, f: impl Fn(Point, Colour) -> Colour) {
        for (index, pixel) in self.pixels.iter_mut().enumerate() {
            let middle = [(index % SIDE) as f32 + 0.5, (index / SIDE) as f32 + 0.5];
            *pixel = f(middle, *pixel);
        }
    }
}

/// How much of a pixel is covered when its middle is this far (pixels) outside the outline.
fn coverage(distance: f32) -> f32 {
    (0.5 - distance).clamp(0.0, 1.0)
}

fn mixed(a: Colour, b: Colour, share: f32) -> Colour {
    std::array::from_fn(|i| a[i] + share * (b[i] - a[i]))
}

fn colour(rng: &mut ChaCha8Rng) -> Colour {
    std::array::from_fn(|_| draw::uniform(rng, 0.1, 0.95))
}

/// A colour at least [`CONTRAST`] away from `ground`; the cube of colours is wide enough for the loop to end soon.
fn colour_apart(ground: Colour, rng: &mut ChaCha8Rng) -> Colour {
    loop {
        let found = colour(rng);
        let squared: f32 = found.iter().zip(ground).map(|(a, b)| (a - b).powi(2)).sum();
        if squared.sqrt() >= CONTRAST {
            return found;
        }
    }
}

fn direction(rng: &mut ChaCha8Rng) -> Point {
    let (sin, cos) = draw::uniform(rng, 0.0, std::f32::consts::TAU).sin_cos();
    [cos, sin]
}

fn anywhere(rng: &mut ChaCha8Rng) -> Point {
    std::array::from_fn(|_| draw::uniform(rng, 0.0, SIDE as f32))
}

//! Rotation about the centre.

use crate::Pixels;

/// Turns a picture by an angle (counter-clockwise as seen, degrees) about its centre: inverse mapping of the pixel
/// centres, bilinear between the four neighbours, zero outside.
pub fn rotate(pixels: &Pixels, degrees: f32) -> Pixels {
    let (sin, cos) = degrees.to_radians().sin_cos();
    // With pixel centres at i + ½ the centre (W/2, H/2) has the index (W − 1)/2, (H − 1)/2.
    let (centre_x, centre_y) = ((pixels.width as f32 - 1.0) / 2.0, (pixels.height as f32 - 1.0) / 2.0);
    let mut out = Pixels::zeros(pixels.channels, pixels.height, pixels.width);
    for y in 0..pixels.height {
        for x in 0..pixels.width {
            let (dx, dy) = (x as f32 - centre_x, y as f32 - centre_y);
            let corner = Corner::at(cos * dx - sin * dy + centre_x, sin * dx + cos * dy + centre_y);
            corner.interpolate(pixels, &mut out.data, y * pixels.width + x);
        }
    }
    out
}

/// A point between four pixels: the upper left one and the weights of its right and lower neighbours.
struct Corner {
    left: isize,
    top: isize,
    right_share: f32,
    lower_share: f32,
}

impl Corner {
    fn at(x: f32, y: f32) -> Self {
        let (left, top) = (x.floor(), y.floor());
        Self { left: left as isize, top: top as isize, right_share: x - left, lower_share: y - top }
    }

    /// Writes the interpolated value of every channel into `out` at `index` of its plane.
    fn interpolate(&self, pixels: &Pixels, out: &mut [f32], index: usize) {
        let (height, width) = (pixels.height as isize, pixels.width as isize);
        let plane = pixels.plane();
        for (dy, row_share) in [(0, 1.0 - self.lower_share), (1, self.lower_share)] {
            let y = self.top + dy;
            if y < 0 || y >= height {
                continue;
            }
            for (dx, column_share) in [(0, 1.0 - self.right_share), (1, self.right_share)] {
                let x = self.left + dx;
                if x < 0 || x >= width {
                    continue;
                }
                let from = (y * width + x) as usize;
                for channel in 0..pixels.channels {
                    out[channel * plane + index] += row_share * column_share * pixels.data[channel * plane + from];
                }
            }
        }
    }
}

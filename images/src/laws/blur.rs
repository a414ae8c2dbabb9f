//! Gaussian blur.

use crate::Pixels;

/// Below this deviation (pixels) the kernel's neighbours weigh less than 10⁻²¹ of its centre, so blur is the identity.
const SHARP: f32 = 0.1;

/// Blurs with a sampled Gaussian of deviation `sigma` pixels, cut at 3 deviations and normalised; the border is
/// reflected without repeating the edge.
pub fn blur(pixels: &Pixels, sigma: f32) -> Pixels {
    if sigma < SHARP {
        return pixels.clone();
    }
    let kernel = kernel(sigma);
    let (height, width) = (pixels.height, pixels.width);
    let mut out = Pixels::zeros(pixels.channels, height, width);
    let mut halfway = vec![0.0; pixels.plane()];
    let mut line = vec![0.0; width + kernel.len() - 1];
    for (plane, source) in out.data.chunks_exact_mut(pixels.plane()).zip(pixels.data.chunks_exact(pixels.plane())) {
        for (row, target) in source.chunks_exact(width).zip(halfway.chunks_exact_mut(width)) {
            blur_row(row, &kernel, &mut line, target);
        }
        for (y, target) in plane.chunks_exact_mut(width).enumerate() {
            blur_column(&halfway, &kernel, y, height, target);
        }
    }
    // Weights sum to one up to rounding.
    out.data.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
    out
}

fn kernel(sigma: f32) -> Vec<f32> {
    let radius = (3.0 * sigma).ceil() as i32;
    let weights: Vec<f32> = (-radius..=radius).map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp()).collect();
    let sum: f32 = weights.iter().sum();
    weights.into_iter().map(|w| w / sum).collect()
}

/// Convolves one row into `target`; `line` holds the row with its reflected borders.
fn blur_row(row: &[f32], kernel: &[f32], line: &mut [f32], target: &mut [f32]) {
    let radius = kernel.len() / 2;
    for (i, value) in line.iter_mut().enumerate() {
        *value = row[reflected(i as isize - radius as isize, row.len())];
    }
    target.fill(0.0);
    for (offset, weight) in kernel.iter().enumerate() {
        for (sum, value) in target.iter_mut().zip(&line[offset..]) {
            *sum += weight * value;
        }
    }
}

/// Adds up the rows around row `y` of a plane into `target`.
fn blur_column(plane: &[f32], kernel: &[f32], y: usize, height: usize, target: &mut [f32]) {
    let (radius, width) = (kernel.len() / 2, target.len());
    for (offset, weight) in kernel.iter().enumerate() {
        let from = reflected((y + offset) as isize - radius as isize, height);
        for (sum, value) in target.iter_mut().zip(&plane[from * width..][..width]) {
            *sum += weight * value;
        }
    }
}

/// Index into 0..n after reflection at both ends: … 2 1 [0 1 2 … n−1] n−2 …, any number of times.
fn reflected(index: isize, n: usize) -> usize {
    if n == 1 {
        return 0;
    }
    let period = 2 * (n as isize - 1);
    let within = index.rem_euclid(period);
    within.min(period - within) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflection_does_not_repeat_the_edge() {
        let seen: Vec<usize> = (-4..7).map(|i| reflected(i, 3)).collect();
        assert_eq!(seen, [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]);
    }

    #[test]
    fn a_point_becomes_the_product_of_two_kernels() {
        let mut point = Pixels::zeros(1, 9, 9);
        point.data[4 * 9 + 4] = 1.0;
        let kernel = kernel(1.0);
        assert_eq!(kernel.len(), 7);
        let blurred = blur(&point, 1.0);
        for y in 0..7 {
            for x in 0..7 {
                let got = blurred.data[(y + 1) * 9 + x + 1];
                assert!((got - kernel[y] * kernel[x]).abs() < 1e-7);
            }
        }
    }
}

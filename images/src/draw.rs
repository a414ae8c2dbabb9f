//! Counter-based randomness: every draw is a function of (seed, purpose, step, sample).
//!
//! A run that is interrupted and resumed, and two networks that are compared, see the same numbers, because no
//! generator's state outlives the thing it was made for. Conversions to floats are written out here, so that the numbers
//! do not change with a version of a library.

pub use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The generator for one sample at one step, for one purpose.
///
/// The 256-bit key is the four arguments side by side (the purpose as its 64-bit FNV-1a hash), so that different
/// arguments give independent streams.
pub fn rng(seed: u64, purpose: &str, step: u64, sample: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (slot, word) in key.chunks_exact_mut(8).zip([seed, fnv1a(purpose.as_bytes()), step, sample]) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// A number in [0, 1), a multiple of 2⁻²⁴.
pub fn unit(rng: &mut ChaCha8Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 * (1.0 / (1 << 24) as f32)
}

/// A number in [low, high).
pub fn uniform(rng: &mut ChaCha8Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * unit(rng)
}

/// An integer in 0..bound, without bias; 0 when `bound` is 0.
pub fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    let bound = bound as u128;
    if bound == 0 {
        return 0;
    }
    // Multiply-shift (Lemire): the top half of a 128-bit product, with the uneven low part drawn again.
    loop {
        let product = u128::from(rng.next_u64()) * bound;
        let threshold = (1u128 << 64) % bound;
        if product & u128::from(u64::MAX) >= threshold {
            return (product >> 64) as usize;
        }
    }
}

/// True with probability one half.
pub fn coin(rng: &mut ChaCha8Rng) -> bool {
    rng.next_u32() >> 31 == 1
}

/// Two independent standard normal numbers (Box–Muller).
pub fn normal_pair(rng: &mut ChaCha8Rng) -> (f32, f32) {
    // One minus a number in [0, 1) is never zero, so the logarithm is finite.
    let radius = (-2.0 * (1.0 - unit(rng)).ln()).sqrt();
    let (sin, cos) = (std::f32::consts::TAU * unit(rng)).sin_cos();
    (radius * cos, radius * sin)
}

/// The numbers 0..n in random order (Fisher–Yates).
pub fn permutation(n: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last, below(rng, last + 1));
    }
    order
}

fn fnv1a(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_argument_changes_the_stream_and_equal_arguments_do_not() {
        let first = |seed, purpose, step, sample| rng(seed, purpose, step, sample).next_u64();
        let base = first(1, "noise", 2, 3);
        assert_eq!(base, first(1, "noise", 2, 3));
        for other in [
            first(2, "noise", 2, 3),
            first(1, "blur", 2, 3),
            first(1, "noise", 3, 3),
            first(1, "noise", 2, 4),
            first(1, "noise", 3, 2),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn normal_numbers_have_the_moments_of_the_normal_law() {
        let mut rng = rng(0, "test", 0, 0);
        let n = 100_000;
        let (mut sum, mut squares, mut fourth) = (0.0, 0.0, 0.0);
        for _ in 0..n / 2 {
            let (a, b) = normal_pair(&mut rng);
            for x in [f64::from(a), f64::from(b)] {
                sum += x;
                squares += x * x;
                fourth += x.powi(4);
            }
        }
        let n = f64::from(n);
        assert!((sum / n).abs() < 0.015);
        assert!((squares / n - 1.0).abs() < 0.02);
        assert!((fourth / n - 3.0).abs() < 0.15);
    }

    #[test]
    fn a_permutation_holds_every_number_once() {
        let mut order = permutation(1000, &mut rng(7, "test", 0, 0));
        assert_ne!(order[..10], (0..10).collect::<Vec<_>>()[..]);
        order.sort_unstable();
        assert!(order.into_iter().eq(0..1000));
    }

    #[test]
    fn integers_below_a_bound_are_even() {
        let mut rng = rng(1, "test", 0, 0);
        let mut counts = [0u32; 7];
        (0..70_000).for_each(|_| counts[below(&mut rng, 7)] += 1);
        assert!(counts.iter().all(|n| n.abs_diff(10_000) < 500), "{counts:?}");
    }
}

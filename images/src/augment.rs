//! Augmentation for training: a random mirror image and a random shift.

use crate::{Pixels, draw};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Which random changes training pictures get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Mirror left and right with probability one half.
    pub flip: bool,
    /// Shift by up to this many pixels in both directions, black coming in.
    pub shift: usize,
}

impl Augment {
    /// No change at all.
    pub const NONE: Self = Self { flip: false, shift: 0 };

    /// What is usual for pictures of this shape: an eighth of the shorter side as the shift (4 for 32), and mirroring
    /// for colour pictures only, since grey ones are mostly writing.
    pub fn usual(channels: usize, height: usize, width: usize) -> Self {
        Self { flip: channels > 1, shift: height.min(width) / 8 }
    }

    /// One augmented copy.
    pub fn apply(&self, pixels: &Pixels, rng: &mut ChaCha8Rng) -> Pixels {
        let mirrored = self.flip && draw::coin(rng);
        let mut offset = || draw::below(rng, 2 * self.shift + 1) as isize - self.shift as isize;
        let (down, right) = (offset(), offset());
        moved(pixels, mirrored, down, right)
    }
}

/// Mirrors where asked, then moves the content down and right, zeros coming in.
fn moved(pixels: &Pixels, mirrored: bool, down: isize, right: isize) -> Pixels {
    let (height, width) = (pixels.height as isize, pixels.width as isize);
    let mut out = Pixels::zeros(pixels.channels, pixels.height, pixels.width);
    let columns = right.clamp(0, width)..(width + right).clamp(0, width);
    for (plane, source) in out.data.chunks_exact_mut(pixels.plane()).zip(pixels.data.chunks_exact(pixels.plane())) {
        for y in down.clamp(0, height)..(height + down).clamp(0, height) {
            let row = &source[((y - down) * width) as usize..][..pixels.width];
            let target = &mut plane[(y * width) as usize..][..pixels.width];
            for x in columns.clone() {
                let from = if mirrored { width - 1 - (x - right) } else { x - right };
                target[x as usize] = row[from as usize];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Pixels {
        Pixels { channels: 1, height: 2, width: 3, data: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0] }
    }

    #[test]
    fn moves_and_mirrors_with_zeros_coming_in() {
        assert_eq!(moved(&ramp(), false, 0, 1).data, [0.0, 1.0, 2.0, 0.0, 4.0, 5.0]);
        assert_eq!(moved(&ramp(), false, 1, -1).data, [0.0, 0.0, 0.0, 2.0, 3.0, 0.0]);
        assert_eq!(moved(&ramp(), true, 0, 0).data, [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
        assert_eq!(moved(&ramp(), false, -5, 7).data, [0.0; 6]);
    }

    #[test]
    fn none_changes_nothing() {
        let mut rng = draw::rng(0, "test", 0, 0);
        assert_eq!(Augment::NONE.apply(&ramp(), &mut rng), ramp());
    }

    #[test]
    fn every_shift_and_both_mirrors_occur() {
        let augment = Augment { flip: true, shift: 1 };
        let copies: std::collections::BTreeSet<String> =
            (0..400).map(|i| format!("{:?}", augment.apply(&ramp(), &mut draw::rng(0, "test", 0, i)).data)).collect();
        assert_eq!(copies.len(), 18);
    }
}

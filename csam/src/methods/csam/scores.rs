//! The scores C: one number in [0, 1] per lane, and how they move.

use import::lanes::{Group, Lanes};
use job::{Csam, Update};

use crate::train::{checkpoint::State, optimiser::Adam};

/// Scores with what their updates remember.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// C.
    pub values: Vec<f64>,
    /// Group norms, which break ties.
    norms: Vec<f64>,
    /// Running average of squared gradients, for `update = "average"`.
    average: Vec<f64>,
    /// Squares gathered since the last round.
    gathered: Vec<f64>,
    /// Rounds that the average holds.
    rounds: u64,
    adam: Adam,
    percentile: f64,
}

impl Scores {
    /// `C = clip(norm / Q_τ, 0, 1)`, Q_τ the τ-percentile of the group's norms. Since the lanes above it tie at 1, τ is
    /// raised where needed so that they are at most half of those that may stay (`share`).
    pub fn new(lanes: &Lanes, norms: &[f64], search: &Csam, share: f64) -> Self {
        let percentile = search.percentile.max(100.0 * (1.0 - share / 2.0));
        let n = norms.len();
        Self {
            values: scaled(&lanes.groups, norms, percentile),
            norms: norms.to_vec(),
            average: vec![0.0; n],
            gathered: vec![0.0; n],
            rounds: 0,
            adam: Adam::new(n),
            percentile,
        }
    }

    /// What lanes are ranked by.
    pub fn ranking(&self, update: Update, kept: &[bool]) -> Vec<f64> {
        match update {
            // A lane that was removed does not come back: its squared gradient says nothing comparable.
            Update::Average if self.rounds > 0 => {
                self.average.iter().zip(kept).map(|(a, kept)| if *kept { *a } else { -1.0 }).collect()
            }
            _ => {
                let largest = self.norms.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
                self.values.iter().zip(&self.norms).map(|(c, norm)| c + 1e-9 * norm / largest).collect()
            }
        }
    }

    /// Where squared gradients are added, for `update = "average"`.
    pub fn gathered_mut(&mut self) -> &mut [f64] {
        &mut self.gathered
    }

    /// Ends a round: the average moves half way to what was gathered, and C follows it for the lanes that are kept.
    pub fn close_round(&mut self, lanes: &Lanes, kept: &[bool]) {
        let weight = if self.rounds == 0 { 1.0 } else { 0.5 };
        for ((average, gathered), kept) in self.average.iter_mut().zip(&mut self.gathered).zip(kept) {
            if *kept {
                *average += weight * (*gathered - *average);
            }
            *gathered = 0.0;
        }
        self.rounds += 1;
        self.values = scaled(&lanes.groups, &self.average, self.percentile);
    }

    /// One step of Adam; the gradient's length is at most 1, and C stays in [0, 1].
    pub fn descend(&mut self, gradient: &[f64], rate: f64) {
        let length = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let clip = if length > 1.0 { 1.0 / length } else { 1.0 };
        let clipped: Vec<f64> = gradient.iter().map(|g| g * clip).collect();
        self.adam.step(&mut self.values, &clipped, rate);
        self.values.iter_mut().for_each(|c| *c = c.clamp(0.0, 1.0));
    }

    /// Puts everything that moves into a checkpoint.
    pub fn save(&self, state: &mut State) {
        let Self { values, average, gathered, adam, .. } = self;
        let all = [
            ("values", values),
            ("average", average),
            ("gathered", gathered),
            ("mean", &adam.mean),
            ("square", &adam.square),
        ];
        all.into_iter().for_each(|(name, numbers)| state.put_numbers(&format!("score/{name}"), numbers));
        state.put_counter("score/rounds", self.rounds);
        state.put_counter("score/steps", adam.steps);
    }

    /// Takes it back.
    ///
    /// # Errors
    /// Something is missing.
    pub fn load(&mut self, state: &State) -> Result<(), String> {
        let read = |name: &str| state.numbers(&format!("score/{name}"));
        (self.values, self.average, self.gathered) = (read("values")?, read("average")?, read("gathered")?);
        (self.adam.mean, self.adam.square) = (read("mean")?, read("square")?);
        (self.rounds, self.adam.steps) = (state.counter("score/rounds")?, state.counter("score/steps")?);
        Ok(())
    }
}

/// `clip(value / Q, 0, 1)` with Q the percentile of each group; a group of zeros is all 1, and the loss decides.
fn scaled(groups: &[Group], values: &[f64], percentile: f64) -> Vec<f64> {
    let mut scaled = vec![1.0; values.len()];
    for group in groups {
        let mut sorted: Vec<f64> = group.lanes.iter().map(|lane| values[lane.0 as usize]).collect();
        sorted.sort_by(f64::total_cmp);
        let quantile = quantile(&sorted, percentile);
        if quantile > 0.0 {
            for lane in group.lanes.iter().map(|lane| lane.0 as usize) {
                scaled[lane] = (values[lane] / quantile).clamp(0.0, 1.0);
            }
        }
    }
    scaled
}

/// The percentile of sorted values, between neighbours by straight lines.
fn quantile(sorted: &[f64], percentile: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = last as f64 * percentile / 100.0;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use import::lanes::LaneId;

    fn group(lanes: std::ops::Range<u32>) -> Group {
        Group { name: String::new(), lanes: lanes.map(LaneId).collect(), sites: Vec::new(), width: 1 }
    }

    #[test]
    fn scores_are_scaled_within_each_group() {
        let groups = [group(0..3), group(3..5), group(5..6)];
        let scaled = scaled(&groups, &[1.0, 2.0, 4.0, 30.0, 10.0, 0.0], 50.0);
        assert_eq!(scaled, [0.5, 1.0, 1.0, 1.0, 0.5, 1.0]);
    }

    #[test]
    fn the_hundredth_percentile_is_the_largest() {
        assert_eq!(quantile(&[1.0, 2.0, 5.0], 100.0), 5.0);
        assert_eq!(quantile(&[1.0, 2.0, 5.0], 75.0), 3.5);
        assert_eq!(quantile(&[], 75.0), 0.0);
    }
}

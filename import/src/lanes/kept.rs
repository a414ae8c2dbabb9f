//! A choice of lanes.

use super::analysis::Lanes;
use super::lane::LaneId;

/// Which lanes are kept, by lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept(pub Vec<bool>);

impl Kept {
    /// Everything.
    pub fn all(lanes: &Lanes) -> Self {
        Self(vec![true; lanes.lanes.len()])
    }

    /// Whether a lane is kept.
    pub fn keeps(&self, lane: LaneId) -> bool {
        self.0[lane.0 as usize]
    }

    /// One and zero per lane, as the cost model wants them.
    pub fn as_numbers(&self) -> Vec<f64> {
        self.0.iter().map(|&kept| f64::from(u8::from(kept))).collect()
    }

    /// How many lanes are kept.
    pub fn count(&self) -> usize {
        self.0.iter().filter(|&&kept| kept).count()
    }
}

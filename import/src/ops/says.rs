//! Words that many lane rules are told in: what becomes of the lanes of what a node reads.

pub(super) const PASS: &str = "pass";
pub(super) const STAY: &str = "what it touches stays";
pub(super) const TOGETHER: &str = "operands go together, index by index";
pub(super) const CHANNELS: &str = "channels pass, other axes stay";
pub(super) const AXES: &str = "the axes it works along stay, others pass";
pub(super) const WHOLE: &str =
    "are left out along the axes it works on as a whole, where they lie along one; others pass";
pub(super) const REGROUPED: &str = "are regrouped as the data is";
pub(super) const COUNTED: &str = "are counted: where the number states a size, it follows";
pub(super) const NONE: &str = "has none";

//! Deformable convolution: every tap of the window reads where an offset sends it.

use super::conv::{self, Reads};
use super::row::{Fact, Family, InferView, OpRow, Role};
use crate::graph::Refusal;
use crate::labels::{LaneView, PinCode};

pub(super) const ROWS: &[OpRow] = &[OpRow::new("DeformConv", &[19, 22], infer, lanes)
    .says("as a convolution's; channels whose offsets differ stay")
    .notes("images only")
    .cost(|view| conv::cost_of(view, READS))
    .parameters(&[(1, Role::Weight), (3, Role::Bias)])
    .fan_in(conv::fan_in)
    .counts(|resized| conv::counts_of(resized, READS))
    .family(Family::Contraction)];

/// Taps that an offset sends beyond the border read zeros: no one constant stands in for a channel.
const READS: Reads = Reads { data: 0, weight: 1, bias: Some(3), fillable: false };

fn infer(view: &mut InferView) -> Result<Vec<Fact>, Box<Refusal>> {
    let shape = conv::shape_of(view, READS)?;
    view.like_first(shape)
}

/// As a convolution's, where all channels are sent to the same places; otherwise those of one group of offsets stay.
fn lanes(view: &mut LaneView) {
    for input in [2, 4] {
        view.pin_input(input, PinCode::NoExactForm);
    }
    if view.node().int_or("offset_group", 1) != 1 {
        view.pin_input(0, PinCode::NoExactForm);
    }
    conv::lanes_of(view, READS);
}

//! Operators that join values: Concat.

use tch::Tensor;

use super::{Lowered, Row};
use crate::network::op::pure;
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[Row::new("Concat", concat)];

fn concat(view: &View) -> Lowered {
    let axis = view.node.int_or("axis", 1);
    Ok(pure(move |x| Tensor::f_cat(&x.present().collect::<Vec<_>>(), axis)))
}

//! Comparisons, logic, and choices by them.

use tch::{Kind, Tensor};

use super::{Lowered, Row};
use crate::network::op::{Torch, pure};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[
    Row::new("Equal", |_| joint(|a, b| a.f_eq_tensor(b))),
    Row::new("Less", |_| joint(|a, b| a.f_less_tensor(b))),
    Row::new("Greater", |_| joint(|a, b| a.f_greater_tensor(b))),
    Row::new("LessOrEqual", |_| joint(|a, b| a.f_less_equal_tensor(b))),
    Row::new("GreaterOrEqual", |_| joint(|a, b| a.f_greater_equal_tensor(b))),
    Row::new("And", |_| joint(|a, b| a.f_logical_and(b))),
    Row::new("Or", |_| joint(|a, b| a.f_logical_or(b))),
    Row::new("Xor", |_| joint(|a, b| a.f_logical_xor(b))),
    Row::new("Not", |_| Ok(pure(|x| x.at(0)?.f_logical_not()))),
    Row::new("IsNaN", |_| Ok(pure(|x| x.at(0)?.f_isnan()))),
    Row::new("IsInf", is_infinite),
    Row::new("Where", |_| Ok(pure(|x| x.at(1)?.f_where_self(&x.at(0)?.f_to_kind(Kind::Bool)?, x.at(2)?)))),
];

/// Two operands, one of which may be a number of shape arithmetic and lie elsewhere.
fn joint(function: fn(&Tensor, &Tensor) -> Torch<Tensor>) -> Lowered {
    Ok(pure(move |x| function(x.at(0)?, &x.at(1)?.f_to_device(x.at(0)?.device())?)))
}

fn is_infinite(view: &View) -> Lowered {
    let counts = |name: &str| view.node.int_or(name, 1) != 0;
    let (positive, negative) = (counts("detect_positive"), counts("detect_negative"));
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let found = data.f_isinf()?;
        match (positive, negative) {
            (true, true) => Ok(found),
            (true, false) => found.f_logical_and(&data.f_gt(0.0)?),
            (false, true) => found.f_logical_and(&data.f_lt(0.0)?),
            (false, false) => found.f_zeros_like(),
        }
    }))
}

//! Lanes: which indices of which axes can only be cut together, and what that costs.
//!
//! Labels start at stored tensors and flow through the graph by each operator's lane rule; classes of labels that are
//! not pinned are the lanes. [`Lanes::of`] runs the whole analysis.

mod allocate;
mod analysis;
mod budget;
mod cost;
mod follow;
mod freeze;
mod kept;
mod lane;
mod parameters;
mod plan;
mod quantized;
mod ranking;
mod resolve;
pub mod score;

pub use allocate::{AllocateError, BAND, allocate};
pub use analysis::Lanes;
pub use budget::{Amount, Budget, BudgetError, Quantity};
pub use cost::{CostModel, Term, Width};
pub use kept::Kept;
pub use lane::{Group, Home, Lane, LaneId, Pin, Reader, Refused, Slot, Summarised};
pub use parameters::{Parameter, parameters, trainable};
pub use plan::{Fill, Plan, PlanError, Removal, Replacement, SCHEMA as PLAN_SCHEMA, TensorShape};
pub use ranking::{Allocation, Bounds, Ranking, RankingError};

pub use crate::labels::{Frozen, LaneView, PinCode, Reason};

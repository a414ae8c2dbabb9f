//! Labels on axes, on which operators' lane rules work: which indices go together, which may not be cut and why.
//!
//! Nothing here knows an operator.

mod axis;
mod counted;
mod label;
mod view;

pub(crate) use axis::{Axis, Block, LABEL_LIMIT, Layout, Projection, pin};

pub(crate) use counted::{Counted, Site};
pub(crate) use label::{Label, Labels};
pub use label::{PinCode, Reason};
pub(crate) use view::{Bucket, RawReader, State};
pub use view::{Frozen, LaneView};

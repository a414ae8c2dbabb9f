//! The statistics behind the evidence: pure functions of counts, no model and no image in sight.

pub mod binomial;
pub mod chernoff;
pub mod curtailed;
pub mod paired;

//! Whether two ways to compute a network give the same answers.

pub mod across;
pub mod compare;
pub mod floor;
pub mod twin;
pub mod verify;

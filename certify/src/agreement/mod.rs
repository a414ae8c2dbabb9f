//! Whether two ways to compute a network give the same answers.

pub mod compare;
pub mod twin;
pub mod verify;

//! What `espalier` and `espalier-torch` say to each other: a job, and the settings that it carries.
//!
//! - [`Job`]: one search, tuning, training or check, as its JSON file holds it;
//! - [`Search`] with the settings of each method, [`Tune`], [`Task`], [`Device`]: what may be set, each with its default, its
//!   range and its one description, from which `docs/settings.md` is made;
//! - [`settings`]: reading them, with an error that names the key, and the nearest one that there is.

mod device;
mod error;
mod job;
mod search;
pub mod settings;
mod tune;

pub use device::Device;
pub use error::JobError;
pub use job::Job;
pub use search::csam::{Control, Csam, Perturb, Robustness, Stability, Update};
pub use search::taylor::Taylor;
pub use search::{Fill, MethodName, Search};
pub use settings::SettingError;
pub use tune::{Normalise, Task, Tune, check_laws};

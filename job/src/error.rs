//! Why a file is no job.

use std::path::PathBuf;

use crate::SettingError;

/// Why a job cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The file cannot be read.
    #[error("{}: reading failed ({source})", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is not JSON.
    #[error("{}: is not a job for espalier-torch ({source})", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// One of its settings is wrong.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

//! Which run a command speaks of: a new one, one to replace, or one that goes on from its folder alone.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

use super::{Begun, Given, SETTINGS, Start};
use crate::settings::flags;
use crate::shared::Shared;

/// What the words of a command come to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    /// The model.
    pub(crate) model: PathBuf,
    /// What to do about a run that is there.
    pub(crate) start: Start,
    /// How the run to continue was begun, and its folder, where the command names it.
    pub(crate) known: Option<(PathBuf, Given)>,
}

impl Asked {
    /// Reads `--resume` and `--force` beside the model that was named, if any.
    ///
    /// # Errors
    /// When no model is named, or the folder named holds no run of this command.
    pub(crate) fn of(command: &str, model: Option<&Path>, which: &flags::WhichRun) -> Result<Self> {
        let start = match (&which.resume, which.force) {
            (Some(_), _) => Start::Resume,
            (None, true) => Start::Replace,
            (None, false) => Start::New,
        };
        // `--resume MODEL …`: the flag alone, in front of the model.
        let named = which.resume.as_ref().and_then(Option::as_deref);
        let (model, folder) = match (model, named) {
            (None, Some(file)) if file.is_file() => (Some(file), None),
            other => other,
        };
        let known =
            folder.map(|folder| Ok::<_, anyhow::Error>((folder.to_path_buf(), Begun::of(folder, command)?.given)));
        let known = known.transpose()?;
        let model = model.or(known.as_ref().map(|(_, given)| given.model.as_path()));
        let model = model.ok_or_else(|| {
            anyhow!("no model was given; name an ONNX file, or the folder of a run to continue: --resume RUN")
        })?;
        Ok(Self { model: model.to_path_buf(), start, known })
    }

    /// Where settings are read: those of the run to continue, unless a file is named.
    pub(crate) fn shared(&self, shared: &Shared) -> Shared {
        let of_run = self.known.as_ref().map(|(folder, _)| folder.join(SETTINGS));
        Shared { config: shared.config.clone().or(of_run), ..shared.clone() }
    }
}

/// The path from anywhere. One that cannot be told stays as it is.
pub(crate) fn whole(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

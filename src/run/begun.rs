//! How a run was begun, as `run.json` keeps it: enough to go on from the folder alone, and to begin it again elsewhere.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use super::{whole, write_json};

/// Its file in the run folder.
pub(super) const FILE: &str = "run.json";

/// The command that began a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// The version that began it.
    pub(crate) espalier: String,
    /// `prune` or `train`.
    pub(crate) command: String,
    /// What the command was given beside settings.
    pub(crate) given: Given,
    /// How to begin the same run again.
    pub(crate) again: Again,
}

/// What a command is given beside settings, with whole paths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Given {
    /// The model to prune or to train.
    pub(crate) model: PathBuf,
    /// What the result was to be called: the run folder of `prune`, the file of `train`.
    pub(crate) out: PathBuf,
    /// The network whose answers `train` learns too.
    pub(crate) teacher: Option<PathBuf>,
    /// Whether `train` begins from new weights.
    pub(crate) fresh: bool,
}

/// Words and the folder they were said in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Again {
    /// The folder.
    pub(crate) folder: PathBuf,
    /// The words.
    pub(crate) words: Vec<String>,
}

impl Again {
    /// The words of this process.
    ///
    /// # Errors
    /// When the working folder is gone.
    pub(crate) fn these_words() -> Result<Self> {
        let folder = std::env::current_dir().context("the working folder is gone; change to another")?;
        Ok(Self { folder, words: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect() })
    }

    /// One line for a shell.
    pub(crate) fn line(&self) -> String {
        // Words cannot hold a zero byte, which is all that a shell cannot be told.
        let quoted = |word: &str| shlex::try_quote(word).map_or_else(|_| word.to_owned(), |word| word.into_owned());
        let words: Vec<String> = self.words.iter().map(|word| quoted(word)).collect();
        format!("cd {} && {}", quoted(&self.folder.to_string_lossy()), words.join(" "))
    }
}

impl Begun {
    /// A run that begins now.
    ///
    /// # Errors
    /// When the working folder is gone.
    pub(crate) fn now(command: &str, given: Given) -> Result<Self> {
        Ok(Self {
            espalier: env!("CARGO_PKG_VERSION").to_owned(),
            command: command.to_owned(),
            given,
            again: Again::these_words()?,
        })
    }

    /// The same run from a settings file.
    ///
    /// # Errors
    /// When the working folder is gone.
    pub(super) fn with_settings(&self, settings: &Path) -> Result<Again> {
        let Again { folder, words } = Again::these_words()?;
        let Given { model, out, teacher, fresh } = &self.given;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let settings = whole(settings);
        let mut again: Vec<String> = words.into_iter().take(1).chain([self.command.clone(), text(model)]).collect();
        again.extend(teacher.iter().flat_map(|teacher| ["--teacher".to_owned(), text(teacher)]));
        again.extend(fresh.then(|| "--fresh".to_owned()));
        again.extend(["--config".to_owned(), text(&settings), "-o".to_owned(), text(out)]);
        Ok(Again { folder, words: again })
    }

    /// How the run in a folder was begun; `None` when there is none.
    ///
    /// # Errors
    /// When there is a file that says nothing of the kind.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if missing(&error) => return Ok(None),
            Err(error) => return Err(anyhow!("cannot read `{}` ({error}); check its permissions", path.display())),
        };
        let damaged = |error| anyhow!("`{}` is damaged ({error}); choose another --out", path.display());
        serde_json::from_str(&text).map(Some).map_err(damaged)
    }

    /// How the run of a command in a folder was begun.
    ///
    /// # Errors
    /// When there is none, or it is another command's.
    pub(crate) fn of(folder: &Path, command: &str) -> Result<Self> {
        let shown = folder.display();
        let begun = Self::read(folder)?.ok_or_else(|| {
            anyhow!("`{shown}` holds no run to continue; name the folder that `espalier {command}` made")
        })?;
        if begun.command != command {
            return Err(anyhow!(
                "`{shown}` is a run of `{0}`; continue it with `espalier {0} --resume`",
                begun.command
            ));
        }
        Ok(begun)
    }

    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        write_json(&folder.join(FILE), self)
    }
}

fn missing(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_a_shell_is_quoted() {
        let words = ["espalier", "prune", "my model.onnx", "--to", "macs=50%", "it's"].map(str::to_owned);
        let again = Again { folder: "/home/my work".into(), words: words.to_vec() };
        let line = again.line();
        let mut said = shlex::Shlex::new(&line);
        let spoken: Vec<String> = said.by_ref().collect();
        assert_eq!(spoken[..3], ["cd", "/home/my work", "&&"]);
        assert_eq!(spoken[3..], words);
    }
}

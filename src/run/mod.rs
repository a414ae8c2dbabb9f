//! The run folder: what a run was asked, what each stage gave, and which stages need not be done again.
//!
//! ```text
//! RUN/run.json        what was asked; --resume continues only the same
//! RUN/settings.toml   the settings, in the form of espalier.toml
//! RUN/stages/*.json   one marker per finished stage: its time and its result
//! RUN/work/           plans, candidates, checkpoints
//! RUN/log.jsonl       every step of the search and the training
//! RUN/slim.onnx, plan.json, report.json, report.md
//! ```

mod recipe;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use import::proto::{ModelFile, copy_external, external_files, write_atomic};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(crate) use recipe::Recipe;

use crate::interrupt;
use crate::progress::Progress;

/// How an interrupted run goes on.
pub(crate) const RESUME: &str = "the same command with --resume continues";

/// An open run folder.
#[derive(Debug)]
pub(crate) struct Run {
    folder: PathBuf,
    digest: String,
    progress: Progress,
    stages: Vec<StageTime>,
    _lock: File,
}

/// How long a stage took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StageTime {
    /// The stage.
    pub(crate) stage: String,
    /// Its seconds; of a stage that was interrupted, those of its last part.
    pub(crate) seconds: f64,
}

/// A finished stage, as its marker holds it.
#[derive(Serialize, Deserialize)]
struct Marker<T> {
    run: String,
    seconds: f64,
    result: T,
}

impl Run {
    /// Begins a run in a new or empty folder, or continues one.
    ///
    /// # Errors
    /// When the folder holds something already and `resume` is not set, or holds a run of another recipe, or cannot
    /// be written.
    pub(crate) fn open(folder: &Path, recipe: &Recipe, resume: bool, progress: &Progress) -> Result<Self> {
        let known = recipe::read(&folder.join(recipe::FILE))?;
        match known {
            Some(known) if resume => recipe.must_equal(&known, folder)?,
            Some(_) => {
                return Err(anyhow!(
                    "`{}` already holds a run; add --resume to continue it, or choose another --out",
                    folder.display()
                ));
            }
            None => must_be_empty(folder)?,
        }
        // The recipe goes first: from then on the folder is known to hold this run.
        fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))?;
        recipe.write(folder)?;
        for folder in [folder.join("stages"), folder.join("work")] {
            fs::create_dir_all(&folder).map_err(|error| cannot_write(&folder, &error))?;
        }
        Ok(Self {
            _lock: lock(&folder.join("work"))?,
            folder: folder.to_path_buf(),
            digest: recipe.digest(),
            progress: progress.clone(),
            stages: Vec::new(),
        })
    }

    /// A place in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A place among the things that are only needed on the way.
    pub(crate) fn work(&self, name: &str) -> PathBuf {
        self.folder.join("work").join(name)
    }

    /// The stages so far.
    pub(crate) fn times(&self) -> &[StageTime] {
        &self.stages
    }

    /// Does a stage, or takes its result from its marker when it and all of `files` are there.
    ///
    /// # Errors
    /// What the work reports, [`interrupt::Interrupted`] before it begins, or a marker that cannot be written.
    pub(crate) fn stage<T>(&mut self, name: &str, files: &[&Path], work: impl FnOnce(&Self) -> Result<T>) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
    {
        interrupt::check(RESUME)?;
        let marker = self.folder.join("stages").join(format!("{name}.json"));
        if let Some(done) = self.finished(&marker, files) {
            self.progress.note(&format!("{name}: done before"));
            self.stages.push(StageTime { stage: name.to_owned(), seconds: done.seconds });
            return Ok(done.result);
        }
        let begun = Instant::now();
        let result = work(self)?;
        let seconds = begun.elapsed().as_secs_f64();
        let done = Marker { run: self.digest.clone(), seconds, result };
        write_json(&marker, &done)?;
        self.stages.push(StageTime { stage: name.to_owned(), seconds });
        Ok(done.result)
    }

    fn finished<T: DeserializeOwned>(&self, marker: &Path, files: &[&Path]) -> Option<Marker<T>> {
        let text = fs::read_to_string(marker).ok()?;
        let done: Marker<T> = serde_json::from_str(&text).ok()?;
        (done.run == self.digest && files.iter().all(|file| file.exists())).then_some(done)
    }
}

/// Writes a JSON file whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).context("a result cannot be written as JSON; report this")?;
    write_text(path, &text)
}

/// Writes a JSON file into a folder, which is made where it is missing.
///
/// # Errors
/// When either cannot be written.
pub(crate) fn write_json_in(folder: &Path, name: &str, value: &impl Serialize) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))?;
    write_json(&folder.join(name), value)
}

/// Writes a text file whole or not at all, with a line end.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<()> {
    Ok(write_atomic(path, |file| file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")))?)
}

/// Puts a finished model in its place, data files first: it appears whole.
///
/// # Errors
/// When it cannot be read or moved.
pub(crate) fn publish(candidate: &Path, target: &Path) -> Result<()> {
    let model = ModelFile::open(candidate)?;
    let folder = target.parent().unwrap_or(Path::new(""));
    copy_external(&external_files(&model.proto)?, model.folder(), folder)?;
    fs::rename(candidate, target).map_err(|error| cannot_write(target, &error))
}

/// Keeps other runs out of a folder for as long as this one lives, however it ends.
fn lock(folder: &Path) -> Result<File> {
    let file = File::create(folder.join("lock")).map_err(|error| cannot_write(folder, &error))?;
    match file.try_lock() {
        // Where the file system knows no locks, one run at a time is up to the user.
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(cannot_write(folder, &error)),
        Err(TryLockError::WouldBlock) => {
            Err(anyhow!("another run is at work in `{}`; wait for it, or choose another --out", folder.display()))
        }
    }
}

fn must_be_empty(folder: &Path) -> Result<()> {
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(anyhow!("`{}` is not empty and holds no run; choose another --out", folder.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot_write(folder, &error)),
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> anyhow::Error {
    anyhow!("cannot write in `{}` ({error}); choose another --out", path.display())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::settings::Settings;

    fn recipe(seed: u64) -> Recipe {
        let settings = Settings { seed: Some(seed), ..Settings::default() };
        Recipe::new("prune", "model digest", None, &settings).unwrap()
    }

    fn open(folder: &Path, seed: u64, resume: bool) -> Result<Run> {
        Run::open(folder, &recipe(seed), resume, &Progress::Quiet)
    }

    #[test]
    fn finished_stages_are_not_done_again_unless_their_files_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("run");
        let file = out.join("work/file");
        let work = |value: u32| {
            let file = file.clone();
            move |_: &Run| {
                fs::write(&file, "x").unwrap();
                Ok(value)
            }
        };
        let first = open(&out, 1, false).unwrap().stage("cut", &[&file], work(1)).unwrap();
        let again = open(&out, 1, true).unwrap().stage("cut", &[&file], work(2)).unwrap();
        fs::remove_file(&file).unwrap();
        let anew = open(&out, 1, true).unwrap().stage("cut", &[&file], work(3)).unwrap();
        assert_eq!([first, again, anew], [1, 1, 3]);
    }

    #[test]
    fn a_failed_stage_leaves_no_marker() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = open(folder.path(), 1, false).unwrap();
        assert!(run.stage::<u32>("cut", &[], |_| Err(anyhow!("no"))).is_err());
        assert_eq!(run.stage("cut", &[], |_| Ok(5)).unwrap(), 5);
        assert_eq!(run.times().len(), 1);
    }

    #[test]
    fn two_runs_at_a_time_do_not_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path(), 1, false).unwrap();
        let second = open(folder.path(), 1, true).unwrap_err().to_string();
        assert!(second.contains("another run"), "{second}");
        drop(first);
        open(folder.path(), 1, true).unwrap();
    }

    #[test]
    fn a_folder_in_use_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), 1, false).unwrap();
        let again = open(folder.path(), 1, false).unwrap_err().to_string();
        assert!(again.contains("--resume"), "{again}");
        let other = open(folder.path(), 2, true).unwrap_err().to_string();
        assert!(other.contains("seed") && other.contains("was 1") && other.contains("is 2"), "{other}");
        let foreign = tempfile::tempdir().unwrap();
        fs::write(foreign.path().join("thesis.tex"), "").unwrap();
        assert!(open(foreign.path(), 1, true).unwrap_err().to_string().contains("not empty"));
    }
}

//! The run folder: how a run was begun, what each stage gave, and which stages need not be done again.
//!
//! ```text
//! RUN/run.json        how the run was begun; --resume RUN goes on from it
//! RUN/settings.toml   the settings, in the form of espalier.toml
//! RUN/stages/*.json   one record per stage: what it is made from, its time and its result
//! RUN/work/           plans, candidates, checkpoints
//! RUN/log.jsonl       every step of the search and the training
//! RUN/slim.onnx, plan.json, report.json, report.md
//! ```

mod asked;
mod begun;
mod folder;
mod recipe;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use import::external::{copy_external_beside, external_files};
use import::proto::{ModelFile, move_to, write_atomic};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use asked::{Asked, whole};
pub(crate) use begun::{Again, Begun, Given};
use folder::{Folder, cannot_write, remove};
pub(crate) use recipe::{Recipe, StageKind};
use recipe::{StageRecipe, first_difference};

use crate::interrupt::{self, Interrupted};
use crate::progress::Progress;
use crate::settings::Settings;

/// How an interrupted run goes on.
pub(crate) const RESUME: &str = "the same command with --resume continues";
/// The settings of a run, as a settings file.
pub(crate) const SETTINGS: &str = "settings.toml";

/// What to do about a folder that holds a run already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Leave it alone.
    New,
    /// Go on with it.
    Resume,
    /// Put a new run in its place.
    Replace,
}

/// Everything that a run is begun with.
pub(crate) struct Opening<'a> {
    /// Where it goes.
    pub(crate) folder: &'a Path,
    /// What to do about one that is there.
    pub(crate) start: Start,
    /// The command and what it was given.
    pub(crate) begun: Begun,
    /// The settings, everything decided.
    pub(crate) settings: &'a Settings,
    /// What its stages are made from.
    pub(crate) recipe: Recipe,
    /// Files and folders that the run reads, which it must not remove.
    pub(crate) sources: Vec<PathBuf>,
}

/// An open run folder.
#[derive(Debug)]
pub(crate) struct Run {
    folder: Folder,
    recipe: Recipe,
    again: Again,
    progress: Progress,
    stages: Vec<StageTime>,
    /// Whether this process began it.
    new: bool,
}

/// How long a stage took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StageTime {
    /// The stage.
    pub(crate) stage: String,
    /// Its seconds; of a stage that was interrupted, those of its last part.
    pub(crate) seconds: f64,
}

/// What is known of a stage.
#[derive(Serialize, Deserialize)]
struct Record<T> {
    /// What it is made from.
    of: Value,
    state: State<T>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State<T> {
    /// It may have left a checkpoint.
    Begun,
    /// It gave up by itself, so that it may be tried with other settings.
    Failed,
    Done {
        seconds: f64,
        result: T,
    },
}

impl Run {
    /// Begins a run in a new or empty folder, continues one, or replaces one. What is refused leaves everything as it was.
    ///
    /// # Errors
    /// When another run is at work in the folder, it holds something that the start does not allow for, a stage that is
    /// not to be repeated was made from something else, or the folder cannot be written.
    pub(crate) fn open(opening: Opening<'_>, progress: &Progress) -> Result<Self> {
        let folder = Folder::lock(opening.folder)?;
        let opened = Self::prepare(&folder, &opening);
        match opened {
            Ok((again, new)) => {
                Ok(Self { folder, recipe: opening.recipe, again, progress: progress.clone(), stages: Vec::new(), new })
            }
            Err(error) => {
                folder.undo_made();
                Err(error)
            }
        }
    }

    /// Checks the folder, then writes what has to stand in it. Says how to begin the run again, and whether it is new.
    fn prepare(folder: &Folder, opening: &Opening<'_>) -> Result<(Again, bool)> {
        let shown = folder.path.display();
        let known = Begun::read(&folder.path)?;
        let mut begun = opening.begun.clone();
        match (&known, opening.start) {
            (Some(_), Start::New) => {
                return Err(anyhow!(
                    "`{shown}` already holds a run; add --resume to continue it or --force to replace it, or choose another --out"
                ));
            }
            (Some(known), Start::Resume) => {
                opening.recipe.stages().iter().try_for_each(|stage| may_continue(folder, stage))?;
                begun.again = again(folder, known, opening)?;
            }
            (Some(_), Start::Replace) => {
                must_not_hold(folder, &opening.sources)?;
                folder.clear()?;
            }
            (None, _) if folder.is_empty()? => {}
            (None, _) => return Err(anyhow!("`{shown}` is not empty and holds no run; choose another --out")),
        }
        begun.write(&folder.path)?;
        write_text(&folder.path.join(SETTINGS), opening.settings.to_toml()?.trim_end())?;
        for part in ["stages", "work"].map(|name| folder.path.join(name)) {
            fs::create_dir_all(&part).map_err(|error| cannot_write(&part, &error))?;
        }
        Ok((begun.again, known.is_none() || opening.start == Start::Replace))
    }

    /// Does the work of a run. A new run that fails before anything was done leaves no folder.
    ///
    /// # Errors
    /// What the work reports.
    pub(crate) fn follow<T>(mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outcome = work(&mut self);
        if let Err(error) = &outcome
            && !error.is::<Interrupted>()
            && self.new
            && self.nothing_was_done()
        {
            self.folder.undo();
        }
        outcome
    }

    /// Whether no stage is finished and no step was made.
    fn nothing_was_done(&self) -> bool {
        let log = fs::metadata(self.path("log.jsonl"));
        self.stages.is_empty() && !log.is_ok_and(|log| log.len() > 0)
    }

    /// A place in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path.join(name)
    }

    /// A place among the things that are only needed on the way.
    pub(crate) fn work(&self, name: &str) -> PathBuf {
        self.path("work").join(name)
    }

    /// The stages so far.
    pub(crate) fn times(&self) -> &[StageTime] {
        &self.stages
    }

    /// How to begin the same run again.
    pub(crate) fn again(&self) -> &Again {
        &self.again
    }

    /// Does a stage of the recipe, or takes its result from its record when that is made from the same, and all of
    /// `files` are there.
    ///
    /// # Errors
    /// What the work reports, [`Interrupted`] before it begins, or a record that cannot be written.
    pub(crate) fn stage<T>(&mut self, name: &str, files: &[&Path], work: impl FnOnce(&Self) -> Result<T>) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
    {
        interrupt::check(RESUME)?;
        let of = self.recipe.stage(name).map(|stage| stage.of.clone());
        let of = of.with_context(|| format!("the stage {name} is not in the recipe; report this"))?;
        let path = record_path(&self.folder, name);
        match read_record::<T>(&path) {
            Some(Record { of: known, state: State::Done { seconds, result } })
                if known == of && files.iter().all(|file| file.exists()) =>
            {
                self.progress.note(&format!("{name}: done before"));
                self.stages.push(StageTime { stage: name.to_owned(), seconds });
                return Ok(result);
            }
            Some(known) if known.of != of => self.drop_work(name)?,
            _ => {}
        }
        write_json(&path, &Record::<T> { of: of.clone(), state: State::Begun })?;
        let begun = Instant::now();
        let outcome = work(self);
        let seconds = begun.elapsed().as_secs_f64();
        match &outcome {
            Ok(result) => {
                write_json(&path, &Record { of, state: State::Done { seconds, result } })?;
                self.stages.push(StageTime { stage: name.to_owned(), seconds });
            }
            Err(error) if error.is::<Interrupted>() => {}
            Err(_) => write_json(&path, &Record::<T> { of, state: State::Failed })?,
        }
        outcome
    }

    /// Removes what a stage left that was made from something else.
    fn drop_work(&self, name: &str) -> Result<()> {
        [self.work(name), self.work(&format!("{name}.checkpoint"))]
            .iter()
            .try_for_each(|path| remove(path).map_err(|error| cannot_write(path, &error)))
    }
}

fn record_path(folder: &Folder, stage: &str) -> PathBuf {
    folder.path.join("stages").join(format!("{stage}.json"))
}

/// A record that cannot be read is as good as none: its stage is done again.
fn read_record<T: DeserializeOwned>(path: &Path) -> Option<Record<T>> {
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}

/// Refuses a run of which hours of work would have to be thrown away. A stage that failed may be tried otherwise.
fn may_continue(folder: &Folder, stage: &StageRecipe) -> Result<()> {
    let record = read_record::<Value>(&record_path(folder, stage.name));
    let Some(Record { of, state: State::Begun | State::Done { .. } }) = record else { return Ok(()) };
    match first_difference(&of, &stage.of) {
        Some(difference) if stage.kind == StageKind::Training => Err(anyhow!(
            "the {} in `{}` was made from something else ({difference}); put that back, begin anew with --force, or choose \
             another --out",
            stage.name,
            folder.path.display()
        )),
        _ => Ok(()),
    }
}

/// How a continued run is begun again: as it was, or from its settings where something has changed since.
fn again(folder: &Folder, known: &Begun, opening: &Opening<'_>) -> Result<Again> {
    let path = folder.path.join(SETTINGS);
    let now = opening.settings.to_toml()?;
    let same = fs::read_to_string(&path).is_ok_and(|then| then.trim_end() == now.trim_end());
    if same && known.given == opening.begun.given {
        Ok(known.again.clone())
    } else {
        opening.begun.with_settings(&path)
    }
}

/// Refuses to remove a folder together with what the new run reads.
fn must_not_hold(folder: &Folder, sources: &[PathBuf]) -> Result<()> {
    let whole = |path: &Path| path.canonicalize().ok();
    let Some(own) = whole(&folder.path) else { return Ok(()) };
    match sources.iter().find(|source| whole(source).is_some_and(|source| source.starts_with(&own))) {
        None => Ok(()),
        Some(source) => Err(anyhow!(
            "`{}` lies in `{}`, which --force would remove; choose another --out",
            source.display(),
            folder.path.display()
        )),
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
    copy_external_beside(&external_files(&model.proto)?, model.folder(), target)?;
    Ok(move_to(candidate, target)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    struct Asked {
        seed: u64,
        draws: u64,
        start: Start,
    }

    const NEW: Asked = Asked { seed: 1, draws: 1, start: Start::New };
    const RESUME: Asked = Asked { start: Start::Resume, ..NEW };
    const REPLACE: Asked = Asked { start: Start::Replace, ..NEW };

    fn open(folder: &Path, asked: &Asked) -> Result<Run> {
        open_with(folder, asked, Vec::new())
    }

    fn open_with(folder: &Path, asked: &Asked, sources: Vec<PathBuf>) -> Result<Run> {
        let recipe = Recipe::default().with("search", StageKind::Training, &[], &json!({ "seed": asked.seed }))?.with(
            "certify",
            StageKind::Repeatable,
            &["search"],
            &json!({ "draws": asked.draws }),
        )?;
        let given = Given { model: "/m.onnx".into(), out: folder.into(), teacher: None, fresh: false };
        let settings = Settings { seed: Some(asked.seed), ..Settings::default() };
        let begun = Begun::now("prune", given)?;
        Run::open(Opening { folder, start: asked.start, begun, settings: &settings, recipe, sources }, &Progress::Quiet)
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn finished_stages_are_not_done_again_unless_their_files_are_gone() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("run");
        let file = out.join("work/file");
        let work = |value: u32| {
            let file = file.clone();
            move |_: &Run| {
                fs::write(&file, "x").unwrap();
                Ok(value)
            }
        };
        let first = open(&out, &NEW).unwrap().stage("search", &[&file], work(1)).unwrap();
        let again = open(&out, &RESUME).unwrap().stage("search", &[&file], work(2)).unwrap();
        fs::remove_file(&file).unwrap();
        let anew = open(&out, &RESUME).unwrap().stage("search", &[&file], work(3)).unwrap();
        assert_eq!([first, again, anew], [1, 1, 3]);
    }

    #[test]
    fn a_setting_of_a_later_stage_may_change_and_one_of_a_finished_training_may_not() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("run");
        let mut run = open(&out, &NEW).unwrap();
        run.stage("search", &[], |_| Ok(1)).unwrap();
        run.stage("certify", &[], |_| Ok(1)).unwrap();
        drop(run);
        let mut run = open(&out, &Asked { draws: 2, ..RESUME }).unwrap();
        assert_eq!(run.stage("search", &[], |_| Ok(2)).unwrap(), 1);
        assert_eq!(run.stage("certify", &[], |_| Ok(2)).unwrap(), 2);
        drop(run);
        let other = open(&out, &Asked { seed: 2, ..RESUME }).unwrap_err().to_string();
        assert!(other.contains("seed was 1 and is 2") && other.contains("--force"), "{other}");
    }

    #[test]
    fn a_training_that_was_interrupted_goes_on_as_it_was_and_one_that_failed_may_be_tried_otherwise() {
        for (error, may) in [(anyhow!(Interrupted { advice: "" }), false), (anyhow!("it diverged"), true)] {
            let place = tempfile::tempdir().unwrap();
            let out = place.path().join("run");
            let mut run = open(&out, &NEW).unwrap();
            let checkpoint = run.work("search.checkpoint");
            let work = |_: &Run| {
                fs::write(&checkpoint, "half").unwrap();
                Err(error)
            };
            assert!(run.stage::<u32>("search", &[], work).is_err());
            drop(run);
            let other = open(&out, &Asked { seed: 2, ..RESUME });
            assert_eq!(other.is_ok(), may);
            if let Ok(mut run) = other {
                assert!(!run.stage("search", &[], |_| Ok(checkpoint.exists())).unwrap());
            }
        }
    }

    #[test]
    fn a_start_that_fails_leaves_no_folder() {
        let place = tempfile::tempdir().unwrap();
        let run = open(&place.path().join("a/b"), &NEW).unwrap();
        assert!(run.follow(|run| run.stage::<u32>("search", &[], |_| Err(anyhow!("no")))).is_err());
        assert!(names(place.path()).is_empty());
        let run = open(&place.path().join("a/b"), &NEW).unwrap();
        let log = run.path("log.jsonl");
        let work = |run: &mut Run| {
            fs::write(&log, "{}\n").unwrap();
            run.stage::<u32>("search", &[], |_| Err(anyhow!("no")))
        };
        assert!(run.follow(work).is_err());
        assert!(log.exists(), "what was done is kept");
    }

    #[test]
    fn two_runs_at_a_time_do_not_share_a_folder_and_the_second_writes_nothing() {
        let place = tempfile::tempdir().unwrap();
        let first = open(place.path(), &NEW).unwrap();
        let settings = fs::read(place.path().join(SETTINGS)).unwrap();
        for asked in [&RESUME, &REPLACE] {
            let second = open(place.path(), &Asked { seed: 5, ..*asked }).unwrap_err().to_string();
            assert!(second.contains("another run"), "{second}");
        }
        assert_eq!(fs::read(place.path().join(SETTINGS)).unwrap(), settings);
        drop(first);
        open(place.path(), &RESUME).unwrap();
    }

    #[test]
    fn a_folder_in_use_is_left_alone_unless_it_is_to_be_replaced() {
        let place = tempfile::tempdir().unwrap();
        open(place.path(), &NEW).unwrap().stage("search", &[], |_| Ok(1)).unwrap();
        let again = open(place.path(), &NEW).unwrap_err().to_string();
        assert!(again.contains("--resume") && again.contains("--force"), "{again}");
        let model = place.path().join("slim.onnx");
        fs::write(&model, "").unwrap();
        let own = open_with(place.path(), &REPLACE, vec![model.clone()]).unwrap_err().to_string();
        assert!(own.contains("slim.onnx") && model.exists(), "{own}");
        open(place.path(), &REPLACE).unwrap();
        assert!(!model.exists() && !place.path().join("stages/search.json").exists());
        let foreign = tempfile::tempdir().unwrap();
        fs::write(foreign.path().join("thesis.tex"), "").unwrap();
        for asked in [&RESUME, &REPLACE] {
            assert!(open(foreign.path(), asked).unwrap_err().to_string().contains("not empty"));
        }
        assert_eq!(names(foreign.path()), ["thesis.tex"]);
    }

    #[test]
    fn a_run_with_other_settings_since_is_begun_again_from_its_settings() {
        let place = tempfile::tempdir().unwrap();
        let words = |asked: &Asked| open(place.path(), asked).unwrap().again().words.clone();
        let first = words(&NEW);
        assert_eq!(words(&RESUME), first);
        let changed = words(&Asked { seed: 3, ..RESUME });
        assert!(changed.contains(&"--config".to_owned()) && changed[1..3] == ["prune", "/m.onnx"], "{changed:?}");
    }
}

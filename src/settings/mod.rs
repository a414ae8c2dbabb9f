//! Settings: flags, then `espalier.toml`, then defaults. The file has the same keys as the flags.
//!
//! ```toml
//! data = "pictures"
//! to = ["macs=50%"]
//! [input]
//! mean = [0.49, 0.48, 0.45]
//! [search]        # and [tune]: every key of espalier-torch, passed on as it is
//! method = "csam"
//! [certify]
//! preset = "quick"
//! ```

pub(crate) mod certificates;
pub(crate) mod flags;
mod merge;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use certify::runtimes::Kind;
use images::data::Choice;
use images::preprocess::InputSettings;
use import::lanes::{Allocation, Budget};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::cli::Shared;
use crate::machine;
use crate::numbers;
use crate::pictures::Pictures;

/// The file that is read where no other is named.
const FILE: &str = "espalier.toml";

/// What was asked for, from flags and file together. What nobody asked for is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// The pictures.
    pub(crate) data: Option<PathBuf>,
    /// What may remain.
    pub(crate) to: Option<Vec<String>>,
    /// Stored tensors that stay whole: a part of their name each.
    pub(crate) keep: Option<Vec<String>>,
    /// What every random number is a function of.
    pub(crate) seed: Option<u64>,
    /// Threads of every computation.
    pub(crate) threads: Option<usize>,
    /// The most memory that checking a cut may take: `4GiB`, `500MB`, or bytes.
    pub(crate) memory: Option<String>,
    /// Where torch computes.
    pub(crate) device: Option<String>,
    /// The most time certificates may take.
    pub(crate) minutes: Option<f64>,
    /// Whether labels are used in training.
    pub(crate) labels: Option<bool>,
    /// Whether the slim file shall take any batch.
    pub(crate) free_batch: Option<bool>,
    /// Which pictures are trained on.
    pub(crate) train: Part,
    /// Which pictures figures are measured on.
    pub(crate) measure: Part,
    /// What decides which pictures are held out.
    pub(crate) division: DivisionSeed,
    /// From pictures to inputs.
    pub(crate) input: InputSettings,
    /// How lanes are chosen; read by espalier-torch.
    pub(crate) search: Table,
    /// How the slim network is tuned; read by espalier-torch.
    pub(crate) tune: Table,
    /// Which certificates.
    pub(crate) certify: certificates::Certify,
    /// How runtimes are compared.
    pub(crate) verify: Verify,
}

/// Some of the pictures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Part {
    /// Their split.
    pub(crate) split: Option<String>,
}

/// What decides, beside their names, which pictures are held out where no split serves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DivisionSeed {
    /// Not the run's seed: several runs, and measurements after them, share one division.
    pub(crate) seed: Option<u64>,
}

/// How runtimes are compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Verify {
    /// The largest difference that is still agreement, relative to a sample's largest score.
    pub(crate) tolerance: Option<f64>,
    /// Pictures to compare on.
    pub(crate) samples: Option<usize>,
    /// Pictures in one run of a runtime.
    pub(crate) at_once: Option<usize>,
    /// The runtimes; the first one is the reference.
    pub(crate) runtimes: Option<Vec<Kind>>,
}

impl Settings {
    /// Makes flags, file and `--set` one.
    ///
    /// # Errors
    /// When the file cannot be read, has unknown keys or values of another kind, or a `--set` is not `KEY=VALUE`.
    pub(crate) fn resolve(shared: &Shared, flags: &impl Serialize, set: &[String]) -> Result<Self> {
        let mut table = match &shared.config {
            Some(path) => read(path)?,
            None if Path::new(FILE).exists() => read(Path::new(FILE))?,
            None => Table::new(),
        };
        let flags = Table::try_from(flags).context("the flags cannot be read as settings; report this")?;
        certificates::give_way(&mut table, &flags);
        merge::over(&mut table, flags);
        for assignment in set {
            merge::over(&mut table, merge::assignment(assignment)?);
        }
        let problem = |error: toml::de::Error| anyhow!("a flag has a value of the wrong kind: {}", error.message());
        table.try_into().map_err(problem)
    }

    /// The pictures, where a command cannot do without.
    ///
    /// # Errors
    /// When nobody named any.
    pub(crate) fn data(&self) -> Result<&Path> {
        self.data
            .as_deref()
            .ok_or_else(|| anyhow!("no pictures were given; name them with --data FOLDER (or `--data procedural`)"))
    }

    /// How the pictures are divided: the same for every command and for espalier-torch.
    pub(crate) fn division(&self) -> Choice {
        Choice {
            train: self.train.split.clone(),
            measure: self.measure.split.clone(),
            seed: self.division.seed.unwrap_or_default(),
        }
    }

    /// The budgets.
    ///
    /// # Errors
    /// When there is none, or one is not a budget.
    pub(crate) fn budgets(&self) -> Result<Vec<Budget>> {
        let texts = self.to.as_deref().unwrap_or_default();
        if texts.is_empty() {
            return Err(anyhow!("no budget was given; say how much may remain, such as --to macs=50%"));
        }
        texts.iter().map(|text| Ok(text.parse()?)).collect()
    }

    /// Name parts of what stays whole.
    pub(crate) fn keep(&self) -> &[String] {
        self.keep.as_deref().unwrap_or_default()
    }

    /// Whether the slim file shall take any batch; the batch stays as declared unless set.
    pub(crate) fn free_batch(&self) -> bool {
        self.free_batch.unwrap_or(false)
    }

    /// The seed; 0 unless set.
    pub(crate) fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }

    /// Threads; as many as the processor offers unless set.
    ///
    /// # Errors
    /// When 0 were asked for.
    pub(crate) fn threads(&self) -> Result<usize> {
        match self.threads {
            Some(0) => Err(anyhow!("threads = 0 computes nothing; give at least 1")),
            Some(threads) => Ok(threads),
            None => Ok(machine::cores()),
        }
    }

    /// Bytes that checking a cut may take; a share of what is free unless set.
    ///
    /// # Errors
    /// When it is no size.
    pub(crate) fn memory(&self) -> Result<u64> {
        match &self.memory {
            None => Ok(machine::spare_memory()),
            Some(text) => numbers::parse_bytes(text)
                .ok_or_else(|| anyhow!("memory = {text} is no size; write a number with its unit, such as 4GiB")),
        }
    }

    /// How many lanes each group keeps; uniform unless set.
    ///
    /// # Errors
    /// When the key holds something else.
    pub(crate) fn allocation(&self) -> Result<Allocation> {
        match self.search.get("allocation") {
            None => Ok(Allocation::default()),
            Some(value) => {
                let text = value.as_str().ok_or_else(|| anyhow!("search.allocation is {value}; give a name"))?;
                text.parse().map_err(|problem: String| anyhow!(problem))
            }
        }
    }

    /// The fewest lanes a group keeps.
    ///
    /// # Errors
    /// When the key holds something else than a number.
    pub(crate) fn floor(&self) -> Result<usize> {
        match self.search.get("floor") {
            None => Ok(DEFAULT_FLOOR),
            Some(value) => value
                .as_integer()
                .and_then(|n| usize::try_from(n).ok())
                .ok_or_else(|| anyhow!("search.floor is {value}; give a whole number of lanes")),
        }
    }

    /// `[search]`, whose task is that of `[tune]` unless it has its own: one dial for both phases.
    pub(crate) fn search_with_task(&self) -> Table {
        let mut search = self.search.clone();
        if let Some(task) = self.tune.get("task") {
            search.entry("task").or_insert_with(|| task.clone());
        }
        search
    }

    /// The part of `[tune]` that a search reads, so that the rest of it may still change when the search is done.
    pub(crate) fn tune_for_search(&self) -> Table {
        const READ: [&str; 5] = ["epochs", "augment", "laws", "momentum", "decay"];
        let read = self.tune.iter().filter(|(key, _)| READ.contains(&key.as_str()));
        read.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// The same with everything decided that can be: what a run folder keeps and a report shows.
    ///
    /// # Errors
    /// When threads or certificates are impossible.
    pub(crate) fn decided(&self, pictures: &Pictures) -> Result<Self> {
        let input = &pictures.input;
        let threads = self.threads()?;
        let side = input.height.min(input.width);
        let certify = match self.certify.decide(side, self.seed(), threads, self.minutes)? {
            Some(decided) => self.certify.asking_for(&decided),
            None => self.certify.clone(),
        };
        Ok(Self {
            data: Some(whole_path(self.data()?)?),
            measure: Part { split: pictures.measured_split() },
            division: DivisionSeed { seed: Some(self.division().seed) },
            seed: Some(self.seed()),
            threads: Some(threads),
            device: Some(self.device().to_owned()),
            input: InputSettings {
                layout: Some(input.layout),
                order: Some(input.order),
                scale: Some(input.scale),
                mean: Some(input.mean.clone()),
                std: Some(input.std.clone()),
                resize: Some(input.resize),
                height: Some(input.height),
                width: Some(input.width),
                orient: Some(input.orient),
            },
            certify,
            ..self.clone()
        })
    }

    /// Where torch computes; on the processor unless set.
    pub(crate) fn device(&self) -> &str {
        self.device.as_deref().unwrap_or("cpu")
    }

    /// The form in which a run folder keeps them.
    ///
    /// # Errors
    /// When they cannot be written as TOML, which is a fault of this program.
    pub(crate) fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).context("the settings cannot be written as TOML; report this")
    }
}

/// A path that means the same from any folder.
fn whole_path(data: &Path) -> Result<PathBuf> {
    if data == Path::new(images::data::PROCEDURAL) && !data.exists() {
        return Ok(data.to_path_buf());
    }
    std::path::absolute(data)
        .map_err(|error| anyhow!("cannot tell where `{}` is ({error}); give its whole path", data.display()))
}

/// The floor of espalier-torch too.
const DEFAULT_FLOOR: usize = 2;

/// Reads a settings file, checking keys and kinds. A relative path in it is relative to its folder.
fn read(path: &Path) -> Result<Table> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| anyhow!("cannot read the settings file `{shown}` ({error}); check --config"))?;
    let problem = |error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        let message = error.message().lines().next().unwrap_or_default().to_owned();
        anyhow!("`{shown}` line {line} is not a setting ({message}); correct it or leave it out")
    };
    let typed: Settings = toml::from_str(&text).map_err(problem)?;
    let mut table: Table = toml::from_str(&text).map_err(problem)?;
    if let (Some(data), Some(folder)) = (typed.data, path.parent())
        && data != Path::new(images::data::PROCEDURAL)
    {
        table.insert("data".to_owned(), folder.join(data).to_string_lossy().into_owned().into());
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::Format;

    fn shared(config: Option<&Path>) -> Shared {
        Shared { config: config.map(Path::to_path_buf), format: Format::Text, quiet: false, verbose: false }
    }

    fn file(text: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), text).unwrap();
        folder
    }

    #[test]
    fn flags_win_over_the_file_and_what_nobody_says_is_absent() {
        let folder = file("seed = 1\nthreads = 3\n[input]\nmean = [0.5]\n[search]\nfloor = 4\n");
        let flags = flags::Run { seed: Some(7), ..flags::Run::default() };
        let set = ["search.flips=[0.1, 0.2]".to_owned(), "search.method=taylor".to_owned()];
        let found = Settings::resolve(&shared(Some(&folder.path().join(FILE))), &flags, &set).unwrap();
        assert_eq!((found.seed, found.threads, found.minutes), (Some(7), Some(3), None));
        assert_eq!(found.input.mean, Some(vec![0.5]));
        assert_eq!(found.floor().unwrap(), 4);
        assert_eq!(found.search["method"].as_str(), Some("taylor"));
        assert_eq!(found.search["flips"].as_array().unwrap().len(), 2);
        let again: Settings = toml::from_str(&found.to_toml().unwrap()).unwrap();
        assert_eq!(again, found);
    }

    #[test]
    fn relative_data_is_beside_the_file() {
        let folder = file("data = \"pictures\"\n");
        let path = folder.path().join(FILE);
        let found = Settings::resolve(&shared(Some(&path)), &Table::new(), &[]).unwrap();
        assert_eq!(found.data().unwrap(), folder.path().join("pictures"));
    }

    #[test]
    fn a_wrong_file_is_named_with_its_line() {
        let folder = file("seed = 1\nepoch = 3\n");
        let path = folder.path().join(FILE);
        let error = Settings::resolve(&shared(Some(&path)), &Table::new(), &[]).unwrap_err().to_string();
        assert!(error.contains("espalier.toml` line 2") && error.contains("unknown field `epoch`"), "{error}");
    }

    #[test]
    fn impossible_requests_are_sentences() {
        let settings = Settings { to: Some(vec!["macs=0%".to_owned()]), threads: Some(0), ..Settings::default() };
        assert!(settings.budgets().unwrap_err().to_string().contains("more than 0 %"));
        assert!(settings.threads().unwrap_err().to_string().contains("at least 1"));
        assert!(Settings::default().data().unwrap_err().to_string().contains("--data"));
    }
}

//! Settings: flags, then `espalier.toml`, then defaults. The file has the same keys as the flags.
//!
//! ```toml
//! data = "pictures"
//! to = ["macs=50%"]
//! [input]
//! mean = [0.49, 0.48, 0.45]
//! [search]        # and [tune]: espalier-torch reads them, and the crate `job` says what they hold
//! method = "csam"
//! [certify]
//! preset = "quick"
//! ```

pub(crate) mod certificates;
mod file;
pub(crate) mod flags;
mod job;
mod merge;
#[cfg(test)]
mod page;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::job::{Device, Search, SettingError, Tune, check_laws};
use anyhow::{Context, Result, anyhow};
use certify::runtimes::{Kind, different, named_once};
use images::data::Choice;
use images::preprocess::{InputSettings, Preprocess};
use import::InputSizes;
use import::lanes::Budget;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use toml::Table;

use crate::inputs::{self, Feed, Sizes};
use crate::machine;
use crate::numbers;
use crate::pictures::Pictures;
use crate::shared::Shared;

/// The file that is read where no other is named.
const FILE: &str = "espalier.toml";

/// What was asked for, from flags and file together. What nobody asked for is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// The pictures or arrays (`--data`): a folder or file, or one of the words `procedural`, `random` and `random:N`. A
    /// relative path is relative to the file.
    pub(crate) data: Option<PathBuf>,
    /// What inputs are fed (`--input`), `NAME=HOW` each, or `HOW` for the only one: `picture`, `array`, `array:NAME`,
    /// `normal`, `normal:MEAN:DEVIATION`, `uniform:LOW:HIGH` or `ints:LOW:HIGH`; what the data suggests unless set.
    pub(crate) feed: Option<Vec<String>>,
    /// Sizes of inputs that the file leaves open (`--shape`), `NAME=1x3x224x224` each, or without a name for the only one.
    pub(crate) shape: Option<Vec<String>>,
    /// What may remain (`--to`): `macs=50%`, `params=1.2M`, `channels=50%`. Several budgets all hold.
    pub(crate) to: Option<Vec<String>>,
    /// Stored tensors that stay whole (`--keep`): a part of their name each.
    pub(crate) keep: Option<Vec<String>>,
    /// Values that are trained up to (`--until`), by their whole name; the outputs, or what lies before those that cannot be
    /// trained, unless set.
    pub(crate) until: Option<Vec<String>>,
    /// What every random number is a function of (`--seed`); 0 unless set.
    pub(crate) seed: Option<u64>,
    /// Threads of every computation (`--threads`); all cores unless set.
    #[schemars(range(min = 1))]
    pub(crate) threads: Option<usize>,
    /// The most memory that checking a cut may take (`--memory`): `4GiB`, `500MB`; half of what is free unless set.
    pub(crate) memory: Option<String>,
    /// Where torch computes (`--device`): `cpu`, `cuda` or `cuda:N`; `cpu` unless set.
    pub(crate) device: Option<Device>,
    /// The most time certificates may take (`--minutes`).
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(crate) minutes: Option<f64>,
    /// Whether labels are used (`--no-labels`); they are unless set.
    pub(crate) labels: Option<bool>,
    /// Whether the slim file shall take any batch, where the model declares one (`--free-batch`).
    pub(crate) free_batch: Option<bool>,
    /// Which pictures are trained on.
    pub(crate) train: TrainPart,
    /// Which pictures figures are measured on.
    pub(crate) measure: MeasurePart,
    /// What decides which pictures are held out where no split serves.
    pub(crate) division: DivisionSeed,
    /// From pictures to inputs: inferred unless set. Each key has a flag of its name.
    pub(crate) input: InputSettings,
    /// How lanes are chosen; every key by `--set search.KEY=VALUE`.
    pub(crate) search: Search,
    /// How the slim network is tuned, or one is trained; every key by `--set tune.KEY=VALUE`.
    pub(crate) tune: Tune,
    /// Which certificates. Each key has a flag of its name.
    pub(crate) certify: certificates::Certify,
    /// How runtimes are compared. Each key has a flag of its name.
    pub(crate) verify: Verify,
}

/// The pictures that are trained on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TrainPart {
    /// Their split (`--train-split`); the training split, else the unsplit set, unless set.
    pub(crate) split: Option<String>,
}

/// The pictures that figures are measured on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MeasurePart {
    /// Their split (`--measure-split`; `--split` where nothing is trained, and in `prune`); test, else validation, else a
    /// tenth held out, unless set.
    pub(crate) split: Option<String>,
}

/// What decides, beside their names, which pictures are held out where no split serves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DivisionSeed {
    /// Which pictures are held out (`--division-seed`); 0 unless set. It is not the run's seed: several runs, and
    /// measurements after them, share one division.
    pub(crate) seed: Option<u64>,
}

/// How runtimes are compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Verify {
    /// The largest difference that is still agreement, relative to a sample's largest score; 1e-4 unless set, 1e-2 for
    /// half precision.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(crate) tolerance: Option<f64>,
    /// Pictures to compare on; 64 unless set.
    #[schemars(range(min = 1))]
    pub(crate) samples: Option<usize>,
    /// Pictures in one run of a runtime, where the model leaves its batch open; 16 unless set.
    #[schemars(range(min = 1))]
    pub(crate) at_once: Option<usize>,
    /// The runtimes, the reference first: `ort`, `tract`, `torch`; all of them unless set.
    #[schemars(with = "Option<Vec<String>>")]
    pub(crate) runtimes: Option<Vec<Kind>>,
}

impl Settings {
    /// Makes flags, file and `--set` one.
    ///
    /// # Errors
    /// When the file cannot be read, a key does not exist, a value is not of its kind or outside its range, or a `--set` is
    /// not `KEY=VALUE`.
    pub(crate) fn resolve(shared: &Shared, flags: &impl Serialize, set: &[String]) -> Result<Self> {
        let mut given = match &shared.config {
            Some(path) => file::read(path)?,
            None if Path::new(FILE).exists() => file::read(Path::new(FILE))?,
            None => Map::new(),
        };
        let flags = Table::try_from(flags).context("the flags cannot be read as settings; report this")?;
        let flags = merge::spelt_out(flags)?;
        certificates::give_way(&mut given, &flags);
        merge::over(&mut given, flags);
        for assignment in set {
            merge::over(&mut given, merge::assignment(assignment)?);
        }
        Ok(Self::checked(given)?)
    }

    /// Settings whose every key exists and holds what it may.
    ///
    /// # Errors
    /// One does not; the error names it.
    fn checked(given: Map<String, Value>) -> Result<Self, SettingError> {
        let settings: Self = ::job::settings::read(Value::Object(given))?;
        settings.search.check()?;
        settings.tune.check()?;
        check_laws("certify.laws", settings.certify.laws.as_deref().unwrap_or_default())?;
        let wrong = |key: &str, reason: String| SettingError::Value { key: key.to_owned(), reason };
        for text in settings.to.iter().flatten() {
            text.parse::<Budget>().map_err(|error| wrong("to", error.to_string()))?;
        }
        if let Some(runtimes) = &settings.verify.runtimes {
            named_once(runtimes).map_err(|error| wrong("verify.runtimes", error.to_string()))?;
        }
        settings.feeds().map_err(|error| wrong("feed", error.to_string()))?;
        settings.sizes().map_err(|error| wrong("shape", error.to_string()))?;
        settings.memory().map_err(|error| wrong("memory", error.to_string()))?;
        Ok(settings)
    }

    /// The pictures, where a command cannot do without.
    ///
    /// # Errors
    /// When nobody named any.
    pub(crate) fn data(&self) -> Result<&Path> {
        let drawn = self.feed.as_ref().map(|_| inputs::nothing_stored());
        self.data.as_deref().or(drawn).ok_or_else(|| {
            anyhow!("no pictures were given; name them with --data FOLDER (or `--data procedural`), or say what inputs are fed with --input")
        })
    }

    /// What inputs are said to be fed, by name; the empty name is the only input.
    ///
    /// # Errors
    /// When one is no way to feed an input.
    pub(crate) fn feeds(&self) -> Result<BTreeMap<String, Feed>> {
        let named = |text: &String| inputs::named(text).map_err(|error| anyhow!(error));
        self.feed.iter().flatten().map(named).collect()
    }

    /// Sizes of inputs that a file leaves open.
    ///
    /// # Errors
    /// When one is no shape.
    pub(crate) fn sizes(&self) -> Result<InputSizes> {
        let named = |text: &String| {
            let (name, Sizes(sizes)) = inputs::named(text).map_err(|error| anyhow!(error))?;
            Ok((name, sizes))
        };
        let shapes = self.shape.iter().flatten().map(named).collect::<Result<_>>()?;
        Ok(InputSizes { shapes, ..InputSizes::default() })
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

    /// What stays whole: stored tensors by a part of their name, and what is trained up to.
    pub(crate) fn keep(&self) -> Vec<String> {
        self.keep.iter().chain(&self.until).flatten().cloned().collect()
    }

    /// Whether the slim file shall take any batch; the batch stays as declared unless set.
    pub(crate) fn free_batch(&self) -> bool {
        self.free_batch.unwrap_or(false)
    }

    /// Refuses runtimes of which no two can be compared.
    ///
    /// # Errors
    /// When there are fewer than two.
    pub(crate) fn compares_runtimes(&self) -> Result<()> {
        self.verify.runtimes.as_deref().map_or(Ok(()), |kinds| Ok(different(kinds)?))
    }

    /// The seed; 0 unless set.
    pub(crate) fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }

    /// Threads; as many as the processor offers unless set.
    pub(crate) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(machine::cores)
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

    /// The same with everything decided that can be: what a run folder keeps and a report shows.
    ///
    /// # Errors
    /// When certificates are impossible.
    pub(crate) fn decided(&self, pictures: &Pictures) -> Result<Self> {
        let threads = self.threads();
        let only = pictures.inputs.only_picture();
        let side = only.map(|picture| picture.height.min(picture.width));
        let decided = side.map(|side| self.certify.decide(side, self.seed(), threads, self.minutes)).transpose()?;
        let certify = match decided.flatten() {
            Some(decided) => self.certify.asking_for(&decided),
            None => self.certify.clone(),
        };
        Ok(Self {
            data: Some(whole_path(self.data()?)?),
            measure: MeasurePart { split: pictures.measured_split() },
            division: DivisionSeed { seed: Some(self.division().seed) },
            seed: Some(self.seed()),
            threads: Some(threads),
            device: Some(self.device()),
            input: pictures.inputs.picture().map_or_else(|| self.input.clone(), spelt_out),
            certify,
            ..self.clone()
        })
    }

    /// Where torch computes; on the processor unless set.
    pub(crate) fn device(&self) -> Device {
        self.device.unwrap_or_default()
    }

    /// Whether labels may be read; they may unless set.
    pub(crate) fn labels(&self) -> bool {
        self.labels.unwrap_or(true)
    }

    /// The form in which a run folder keeps them.
    ///
    /// # Errors
    /// When they cannot be written as TOML, which is a fault of this program.
    pub(crate) fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).context("the settings cannot be written as TOML; report this")
    }
}

/// How pictures become inputs, as settings that leave nothing open.
fn spelt_out(input: &Preprocess) -> InputSettings {
    InputSettings {
        layout: Some(input.layout),
        order: Some(input.order),
        scale: Some(input.scale),
        mean: Some(input.mean.clone()),
        std: Some(input.std.clone()),
        resize: Some(input.resize),
        height: Some(input.height),
        width: Some(input.width),
        orient: Some(input.orient),
    }
}

/// A path that means the same from any folder.
fn whole_path(data: &Path) -> Result<PathBuf> {
    if images::data::is_word(data) {
        return Ok(data.to_path_buf());
    }
    std::path::absolute(data)
        .map_err(|error| anyhow!("cannot tell where `{}` is ({error}); give its whole path", data.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ::job::MethodName;

    use super::*;
    use crate::shared::Format;

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
        assert_eq!((found.search.floor, found.search.method), (4, Some(MethodName::Taylor)));
        assert_eq!(found.search.csam.flips, [0.1, 0.2]);
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
        for (text, line, words) in [
            ("seed = 1\nepoch = 3\n", 2, "`epoch` is no setting; did you mean `tune.epochs`?"),
            (
                "[tune]\n[tune.task]\n\nbetta = 1\n",
                4,
                "`tune.task.betta` is no setting; did you mean `tune.task.beta`?",
            ),
            ("[search]\nflips = [0, 2]", 2, "`search.csam.flips` is 2, but must be at least 0 and at most 1"),
            ("seed = 1\n[verify]\nruntimes = ['ort', 'onnx']", 3, "the setting `verify.runtimes[1]` cannot be read"),
            ("to = ['macs=0%']", 1, "the setting `to` cannot be read: the budget 'macs=0%' must be more than 0 %"),
            ("threads = 0", 1, "`threads` is 0, but must be at least 1"),
            ("\n[tune]\nrate = nan", 3, "the setting `tune.rate` cannot be read"),
            ("seed = 1\nseed = 2", 2, "duplicate key"),
        ] {
            let folder = file(text);
            let path = folder.path().join(FILE);
            let error = Settings::resolve(&shared(Some(&path)), &Table::new(), &[]).unwrap_err().to_string();
            assert!(error.contains(&format!("espalier.toml` line {line}: {words}")), "{error}");
        }
    }

    #[test]
    fn a_wrong_assignment_is_named_with_the_nearest_key() {
        for (set, words) in [
            ("search.pertrub=flip", "did you mean `search.csam.perturb`?"),
            ("certify.epsilom=0.1", "did you mean `certify.epsilon`?"),
            ("input.meen=[0.5]", "did you mean `input.mean`?"),
            ("tune.laws=['turn']", "`turn` is not a law"),
            ("memory=4 apples", "is no size"),
            ("device=gpu", "`gpu` is no device"),
            ("verify.runtimes=['ort', 'ort']", "named twice"),
            ("search.robustness=chernoff", "at least 4 for the robustness `chernoff`"),
        ] {
            let error = Settings::resolve(&shared(None), &Table::new(), &[set.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn what_is_missing_is_asked_for() {
        assert!(Settings::default().budgets().unwrap_err().to_string().contains("--to"));
        assert!(Settings::default().data().unwrap_err().to_string().contains("--data"));
    }
}

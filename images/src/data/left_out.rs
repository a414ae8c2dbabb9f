//! What lies in a folder and is no picture that is read, counted by reason: nothing vanishes without a word.

use std::{collections::BTreeMap, path::Path};

/// Why a file or folder is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Its name begins with a dot.
    Hidden,
    /// What macOS keeps beside files on foreign disks: `._name`, or the folder `__MACOSX`.
    ResourceFork,
    /// It has no bytes.
    Empty,
    /// No form of pictures that is read.
    UnknownForm,
    /// A link to a folder that it lies in.
    Circular,
}

impl Reason {
    fn describe(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::ResourceFork => "resource forks of macOS",
            Self::Empty => "empty",
            Self::UnknownForm => "of an unknown form",
            Self::Circular => "links to a folder around them",
        }
    }
}

/// The files and folders that were left out. A folder counts once, with all that is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut(BTreeMap<Reason, Found>);

/// How many, and the first by name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    count: usize,
    first: String,
}

impl LeftOut {
    pub(super) fn add(&mut self, reason: Reason, path: &Path) {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let found = self.0.entry(reason).or_insert_with(|| Found { count: 0, first: name.clone() });
        found.count += 1;
        if name < found.first {
            found.first = name;
        }
    }

    /// How many were left out for a reason.
    pub fn count(&self, reason: Reason) -> usize {
        self.0.get(&reason).map_or(0, |found| found.count)
    }

    /// One line for a person; none where nothing was left out.
    pub fn describe(&self) -> Option<String> {
        let part = |(reason, Found { count, first }): (&Reason, &Found)| {
            let example = if *count == 1 { format!("`{first}`") } else { format!("such as `{first}`") };
            format!("{count} {} ({example})", reason.describe())
        };
        let parts: Vec<String> = self.0.iter().map(part).collect();
        (!parts.is_empty()).then(|| format!("files and folders left out: {}", parts.join(", ")))
    }
}

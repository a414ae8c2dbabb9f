//! The runtimes there are, each as a value that says what the rest of the program has to know of it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Options, Session};
use crate::error::CertifyError;

/// What is to be known of a runtime.
#[derive(Debug)]
pub struct Runtime {
    /// The name on the command line and in reports.
    pub name: &'static str,
    /// The name that people know it by.
    pub title: &'static str,
    /// The device it runs on.
    pub device: &'static str,
    /// Whether it computes on one thread whatever is asked.
    pub one_thread: bool,
    /// Where it works.
    pub home: Home,
}

/// What loading a model gives.
pub(super) type Loaded = Result<Box<dyn Session>, CertifyError>;

/// Where a runtime works.
#[derive(Debug)]
pub enum Home {
    /// In this process, or in a child that is the same program.
    Here {
        /// Loads a model.
        load: fn(&Path, Options) -> Loaded,
        /// Its version; the error says why it cannot be used.
        version: fn() -> Result<String, CertifyError>,
        /// Its library, where it is not part of this program.
        library: fn() -> Option<PathBuf>,
    },
    /// In `espalier-torch`.
    Torch,
}

/// One of the runtimes.
#[derive(Clone, Copy)]
pub struct Kind(pub(super) &'static Runtime);

impl Kind {
    /// All of them, in the order in which they are asked.
    pub const ALL: [Self; 3] = [Self::ORT, Self::TRACT, Self::TORCH];

    /// The name used on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// The runtime of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Those that work in this process.
    pub fn here() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|kind| kind.is_here())
    }

    /// Whether it works in this process.
    #[must_use]
    pub fn is_here(self) -> bool {
        matches!(self.0.home, Home::Here { .. })
    }
}

/// Loads a model file into a runtime of this process.
///
/// # Errors
/// When the runtime refuses the file, or works in another process.
pub fn load(kind: Kind, model: &Path, options: Options) -> Loaded {
    match kind.home {
        Home::Here { load, .. } => load(model, options),
        Home::Torch => Err(CertifyError::NotInProcess { runtime: kind.name() }),
    }
}

/// Whether there are two runtimes to compare, and none is named twice.
///
/// # Errors
/// It is not so.
pub fn different(kinds: &[Kind]) -> Result<(), CertifyError> {
    named_once(kinds)?;
    if kinds.len() < 2 { Err(CertifyError::OneRuntime) } else { Ok(()) }
}

/// Whether no runtime is named twice.
///
/// # Errors
/// One is.
pub fn named_once(kinds: &[Kind]) -> Result<(), CertifyError> {
    let twice = kinds.iter().enumerate().find(|(at, kind)| kinds[..*at].contains(kind));
    twice.map_or(Ok(()), |(_, kind)| Err(CertifyError::RuntimeTwice { runtime: kind.name() }))
}

impl Deref for Kind {
    type Target = Runtime;

    fn deref(&self) -> &Runtime {
        self.0
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Kind {}

impl Hash for Kind {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::of_name(&name).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|kind| kind.name()).collect();
            de::Error::custom(format!("`{name}` is no runtime; choose from {}", known.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_written_and_read() {
        for kind in Kind::ALL {
            let written = serde_json::to_string(&kind).unwrap();
            assert_eq!(written, format!("\"{}\"", kind.name()));
            assert_eq!(serde_json::from_str::<Kind>(&written).unwrap(), kind);
        }
        let error = serde_json::from_str::<Kind>("\"onnx\"").unwrap_err().to_string();
        assert!(error.contains("ort, tract, torch"), "{error}");
    }

    #[test]
    fn two_different_runtimes_are_compared() {
        assert!(different(&Kind::ALL).is_ok());
        assert!(matches!(different(&[Kind::ORT]), Err(CertifyError::OneRuntime)));
        let twice = different(&[Kind::ORT, Kind::TRACT, Kind::ORT]);
        assert!(matches!(twice, Err(CertifyError::RuntimeTwice { runtime: "ort" })));
    }
}

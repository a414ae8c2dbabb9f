//! What a run was asked to do: the part of it that decides the result.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use super::{write_json, write_text};
use crate::digest;
use crate::settings::Settings;

/// Its file in the run folder.
pub(super) const FILE: &str = "run.json";

/// Command, inputs and settings of a run.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    content: Value,
    settings: String,
}

impl Recipe {
    /// Of a command on a model (by digest) and pictures (by digest).
    ///
    /// # Errors
    /// When the settings cannot be written, which is a fault of this program.
    pub(crate) fn new(command: &str, model: &str, data: Option<&Value>, settings: &Settings) -> Result<Self> {
        // Where the pictures lie says nothing that their digest does not, and time limits decide no result.
        let deciding = Settings { data: None, minutes: None, ..settings.clone() };
        let settings_json = serde_json::to_value(deciding).context("the settings cannot be written; report this")?;
        let content = json!({
            "espalier": env!("CARGO_PKG_VERSION"),
            "command": command,
            "model": model,
            "data": data,
            "settings": settings_json,
        });
        Ok(Self { content, settings: settings.to_toml()? })
    }

    /// A short name for all of it.
    pub(crate) fn digest(&self) -> String {
        digest::text(&self.content.to_string())
    }

    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        write_json(&folder.join(FILE), &self.content)?;
        write_text(&folder.join("settings.toml"), self.settings.trim_end())
    }

    /// # Errors
    /// When the known run was asked something else; the message names the first difference.
    pub(super) fn must_equal(&self, known: &Value, folder: &Path) -> Result<()> {
        match first_difference(known, &self.content, "") {
            None => Ok(()),
            Some((key, was, is)) => Err(anyhow!(
                "the run in `{}` was started with something else ({key} was {was} and is {is}); \
                 repeat that command, or choose another --out",
                folder.display()
            )),
        }
    }
}

/// The recipe of the run in a folder; `None` when there is none.
///
/// # Errors
/// When there is a file that is none.
pub(super) fn read(path: &Path) -> Result<Option<Value>> {
    let Ok(text) = std::fs::read_to_string(path) else { return Ok(None) };
    let damaged = |error| anyhow!("`{}` is damaged ({error}); choose another --out", path.display());
    serde_json::from_str(&text).map(Some).map_err(damaged)
}

fn first_difference(a: &Value, b: &Value, path: &str) -> Option<(String, String, String)> {
    let (Value::Object(fields), Value::Object(others)) = (a, b) else {
        return (a != b).then(|| (path.to_owned(), a.to_string(), b.to_string()));
    };
    let keys = fields.keys().chain(others.keys().filter(|key| !fields.contains_key(*key)));
    keys.into_iter().find_map(|key| {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
        first_difference(&of(fields), &of(others), &path)
    })
}

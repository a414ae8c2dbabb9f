//! A settings file: its values, or an error that names the line.

use std::path::Path;

use anyhow::{Result, anyhow};
use serde_json::{Map, Value};
use toml::Table;
use toml::de::{DeTable, DeValue};

use super::{Settings, merge};

/// Reads a settings file and checks it. A relative path in it is relative to its folder.
///
/// # Errors
/// When it cannot be read, is not TOML, or something in it is no setting.
pub(super) fn read(path: &Path) -> Result<Map<String, Value>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| anyhow!("cannot read the settings file `{shown}` ({error}); check --config"))?;
    let table: Table = toml::from_str(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let message = error.message().lines().next().unwrap_or_default().to_owned();
        anyhow!("`{shown}` line {}: {message}; correct it, the file is TOML", line(&text, at))
    })?;
    let wrong =
        |error: ::job::SettingError| anyhow!("`{shown}` line {}: {error}", line(&text, place(&text, error.key())));
    let mut given = merge::spelt_out(table).map_err(wrong)?;
    let checked = Settings::checked(given.clone()).map_err(wrong)?;
    if let (Some(data), Some(folder)) = (checked.data, path.parent())
        && data != Path::new(images::data::PROCEDURAL)
    {
        given.insert("data".to_owned(), folder.join(data).to_string_lossy().into());
    }
    Ok(given)
}

/// The line of a byte, from 1.
fn line(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Where a key stands. One that is written without its method's section is found without it.
fn place(text: &str, key: &str) -> usize {
    let Ok(root) = DeTable::parse(text) else { return 0 };
    let (mut table, mut at) = (root.get_ref(), 0);
    for part in key.split(['.', '[']) {
        let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref() == part) else { continue };
        at = name.span().start;
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    at
}

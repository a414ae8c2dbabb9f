//! One set of settings over another.

use anyhow::{Result, anyhow};
use job::SettingError;
use serde_json::{Map, Value};
use toml::Table;

use super::Settings;

/// Puts `upper` over `lower`: sections are merged, anything else is replaced.
pub(super) fn over(lower: &mut Map<String, Value>, upper: Map<String, Value>) {
    for (key, value) in upper {
        match (lower.get_mut(&key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => over(below, above),
            // A group of flags of which none was given.
            (None, Value::Object(above)) if above.is_empty() => {}
            (_, value) => {
                lower.insert(key, value);
            }
        }
    }
}

/// Settings with every key's whole name.
///
/// # Errors
/// When a key is given by its whole and by its short name.
pub(super) fn spelt_out(table: Table) -> Result<Map<String, Value>, SettingError> {
    let mut given = json(toml::Value::Table(table));
    job::settings::spell_out::<Settings>(&mut given)?;
    Ok(match given {
        Value::Object(given) => given,
        _ => Map::new(),
    })
}

/// `section.key=value` as settings. The value is read as TOML, and as a text where it is none.
///
/// # Errors
/// When there is no `=`, or nothing before it.
pub(super) fn assignment(text: &str) -> Result<Map<String, Value>> {
    let wrong = || anyhow!("`--set {text}` is not a setting; write --set search.KEY=VALUE or --set tune.KEY=VALUE");
    let (path, value) = text.split_once('=').ok_or_else(wrong)?;
    let parts: Vec<&str> = path.split('.').map(str::trim).collect();
    let (last, sections) = parts.split_last().ok_or_else(wrong)?;
    if parts.iter().any(|part| part.is_empty()) {
        return Err(wrong());
    }
    let key = Table::from_iter([((*last).to_owned(), parse(value.trim()))]);
    let nested = |inner: Table, section: &&str| Table::from_iter([((*section).to_owned(), toml::Value::Table(inner))]);
    Ok(spelt_out(sections.iter().rev().fold(key, nested))?)
}

fn parse(text: &str) -> toml::Value {
    let read = toml::from_str::<Table>(&format!("value = {text}"));
    read.ok().and_then(|mut table| table.remove("value")).unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

/// The same in JSON. A number that JSON does not have, and a date, become texts, which no number's key takes.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Float(number) if number.is_finite() => number.into(),
        toml::Value::Float(number) => number.to_string().into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(table) => Value::Object(table.into_iter().map(|(key, value)| (key, json(value))).collect()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn assignments_are_read_as_toml_or_text() {
        for (text, value) in [
            ("a.b.c=3", json!(3)),
            ("a.b.c=0.5", json!(0.5)),
            ("a.b.c=true", json!(true)),
            ("a.b.c=uniform", json!("uniform")),
            ("a.b.c=\"3\"", json!("3")),
            ("a.b.c=inf", json!("inf")),
        ] {
            assert_eq!(assignment(text).unwrap()["a"]["b"]["c"], value, "{text}");
        }
        for wrong in ["a.b", "=3", "a..b=3"] {
            assert!(assignment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sections_are_merged_and_lists_replaced() {
        let object = |value: Value| value.as_object().unwrap().clone();
        let mut lower = object(json!({ "x": 1, "t": { "a": [1, 2], "b": 2 } }));
        over(&mut lower, object(json!({ "t": { "a": [3] } })));
        assert_eq!(lower, object(json!({ "x": 1, "t": { "a": [3], "b": 2 } })));
    }
}

//! One table of settings over another.

use anyhow::{Result, anyhow};
use toml::{Table, Value};

/// Puts `upper` over `lower`: tables are merged, anything else is replaced.
pub(super) fn over(lower: &mut Table, upper: Table) {
    for (key, value) in upper {
        match (lower.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => over(below, above),
            // A group of flags of which none was given.
            (None, Value::Table(above)) if above.is_empty() => {}
            (_, value) => {
                lower.insert(key, value);
            }
        }
    }
}

/// `section.key=value` as a table. The value is read as TOML, and as a text where it is none.
///
/// # Errors
/// When there is no `=`, or nothing before it.
pub(super) fn assignment(text: &str) -> Result<Table> {
    let wrong = || anyhow!("`--set {text}` is not a setting; write --set search.KEY=VALUE or --set tune.KEY=VALUE");
    let (path, value) = text.split_once('=').ok_or_else(wrong)?;
    let parts: Vec<&str> = path.split('.').map(str::trim).collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(wrong());
    }
    let value = parse(value.trim());
    let nested = parts.iter().rev().fold(value, |inner, part| {
        let mut table = Table::new();
        table.insert((*part).to_owned(), inner);
        Value::Table(table)
    });
    match nested {
        Value::Table(table) => Ok(table),
        _ => Err(wrong()),
    }
}

fn parse(text: &str) -> Value {
    let read = toml::from_str::<Table>(&format!("value = {text}"));
    read.ok().and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn assignments_are_read_as_toml_or_text() {
        for (text, value) in [
            ("a.b.c=3", Value::Integer(3)),
            ("a.b.c=0.5", Value::Float(0.5)),
            ("a.b.c=true", Value::Boolean(true)),
            ("a.b.c=uniform", Value::String("uniform".to_owned())),
            ("a.b.c=\"3\"", Value::String("3".to_owned())),
        ] {
            assert_eq!(assignment(text).unwrap()["a"]["b"]["c"], value, "{text}");
        }
        for wrong in ["a.b", "=3", "a..b=3"] {
            assert!(assignment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tables_are_merged_and_lists_replaced() {
        let mut lower: Table = toml::from_str("x = 1\n[t]\na = [1, 2]\nb = 2").unwrap();
        over(&mut lower, toml::from_str("[t]\na = [3]").unwrap());
        assert_eq!(lower, toml::from_str("x = 1\n[t]\na = [3]\nb = 2").unwrap());
    }
}

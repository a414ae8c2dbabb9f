//! `docs/settings.md` says what the types say. `UPDATE_DOCS=1 cargo test` writes its tables anew.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use ::job::settings::{Entry, entries};
use serde_json::{Map, Value};

use super::*;

/// Everything behind this line is generated.
const MARK: &str = "<!-- Generated from the settings' types; what stands above is not. -->\n";

/// One table for each section.
fn tables() -> String {
    let entries = entries::<Settings>();
    let (sections, keys): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(|entry| entry.is_section());
    let mut page = MARK.to_owned();
    let outermost = ("", "## Everything\n".to_owned());
    let headed = sections
        .iter()
        .map(|section| (section.key.as_str(), format!("## `[{}]`\n\n{}\n", section.key, section.description())));
    for (section, heading) in std::iter::once(outermost).chain(headed) {
        let mut rows = String::new();
        for entry in &keys {
            let (of, name) = entry.key.rsplit_once('.').unwrap_or(("", &entry.key));
            if of == section {
                rows.push_str(&row(name, entry));
            }
        }
        if !rows.is_empty() {
            page.push_str(&format!(
                "\n{heading}\n| key | holds | unless set | what it is |\n|---|---|---|---|\n{rows}"
            ));
        }
    }
    page
}

fn row(name: &str, entry: &Entry) -> String {
    let default = entry.default().map(|default| format!("`{default}`")).unwrap_or_default();
    format!("| `{name}` | {} | {default} | {} |\n", entry.form(), entry.description())
}

fn page() -> (String, std::path::PathBuf) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
    (std::fs::read_to_string(&path).unwrap(), path)
}

#[test]
fn the_page_of_settings_is_current() {
    let (written, path) = page();
    let above = written.split(MARK).next().unwrap();
    let wanted = format!("{above}{}", tables());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    } else {
        assert!(written == wanted, "run UPDATE_DOCS=1 cargo test -p espalier page_of_settings");
    }
}

#[test]
fn the_example_on_the_page_is_a_settings_file() {
    let (written, _) = page();
    let example = written.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    Settings::checked(merge::spelt_out(toml::from_str(example).unwrap()).unwrap()).unwrap();
}

#[test]
fn a_typo_in_any_key_is_refused_with_the_nearest_one() {
    for entry in entries::<Settings>() {
        let typo = format!("{}x", entry.key);
        let given: Value =
            typo.rsplit('.').fold(1.into(), |inner, part| Map::from_iter([(part.to_owned(), inner)]).into());
        let error = Settings::checked(given.as_object().unwrap().clone()).unwrap_err();
        assert_eq!(error.to_string(), format!("`{typo}` is no setting; did you mean `{}`?", entry.key));
        assert!(!entry.description().is_empty(), "{} is not documented", entry.key);
    }
}

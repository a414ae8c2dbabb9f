//! What each stage of a run is made from: the settings and inputs that decide its result, and nothing else. A setting
//! that only a later stage reads may change when a run is continued; what an earlier one was made from may not.

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::digest;

/// The key under which the digests of earlier stages stand.
const AFTER: &str = "after";

/// The stages of a run, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recipe(Vec<StageRecipe>);

/// What one stage is made from.
#[derive(Clone, Debug)]
pub(super) struct StageRecipe {
    pub(super) name: &'static str,
    pub(super) kind: StageKind,
    pub(super) of: Value,
}

/// What happens to a stage's result when it would now be made from something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StageKind {
    /// Hours of work: the run is refused.
    Training,
    /// Minutes: it is done again.
    Repeatable,
}

impl Recipe {
    /// Adds a stage that reads what the stages `after` made, and what `of` (an object) names.
    ///
    /// # Errors
    /// When that cannot be written as JSON, which is a fault of this program.
    pub(crate) fn with(
        mut self,
        name: &'static str,
        kind: StageKind,
        after: &[&str],
        of: &impl Serialize,
    ) -> Result<Self> {
        let mut of = serde_json::to_value(of).context("a stage's settings cannot be written; report this")?;
        let earlier: Map<String, Value> =
            after.iter().map(|name| ((*name).to_owned(), json!(self.digest(name)))).collect();
        if let (Value::Object(fields), false) = (&mut of, earlier.is_empty()) {
            fields.insert(AFTER.to_owned(), Value::Object(earlier));
        }
        self.0.push(StageRecipe { name, kind, of });
        Ok(self)
    }

    pub(super) fn stages(&self) -> &[StageRecipe] {
        &self.0
    }

    pub(super) fn stage(&self, name: &str) -> Option<&StageRecipe> {
        self.0.iter().find(|stage| stage.name == name)
    }

    fn digest(&self, name: &str) -> Option<String> {
        self.stage(name).map(|stage| digest::text(&stage.of.to_string()))
    }
}

/// One difference, in words: the key, what was there and what is there.
pub(super) fn first_difference(was: &Value, is: &Value) -> Option<String> {
    let (key, was, is) = difference(was, is, "")?;
    Some(format!("{key} was {} and is {}", shown(&was), shown(&is)))
}

fn difference(a: &Value, b: &Value, path: &str) -> Option<(String, Value, Value)> {
    let (Value::Object(fields), Value::Object(others)) = (a, b) else {
        return (a != b).then(|| (path.to_owned(), a.clone(), b.clone()));
    };
    let keys = fields.keys().chain(others.keys().filter(|key| !fields.contains_key(*key)));
    keys.into_iter().find_map(|key| {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let of = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
        difference(&of(fields), &of(others), &path)
    })
}

/// A value as a person reads it: nothing set is no `null`, and eight digits tell two digests apart.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "not set".to_owned(),
        Value::String(text) if is_digest(text) => format!("{}…", &text[..8]),
        other => other.to_string(),
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn differences_are_told_in_words() {
        let of = |of: Value| of;
        let digests = [digest::text("a"), digest::text("b")];
        for (was, is, words) in [
            (of(json!({ "a": 1 })), of(json!({ "a": 1 })), None),
            (json!({ "a": { "b": 1 } }), json!({ "a": { "b": 2 } }), Some("a.b was 1 and is 2")),
            (json!({}), json!({ "rate": 0.5 }), Some("rate was not set and is 0.5")),
            (
                json!({ "model": digests[0] }),
                json!({ "model": digests[1] }),
                Some("model was ca978112… and is 3e23e816…"),
            ),
        ] {
            assert_eq!(first_difference(&was, &is).as_deref(), words);
        }
    }

    #[test]
    fn a_stage_depends_on_what_the_stages_before_it_are_made_from() {
        let recipe = |seed: u64| {
            let first = Recipe::default().with("search", StageKind::Training, &[], &json!({ "seed": seed })).unwrap();
            first.with("cut", StageKind::Repeatable, &["search"], &json!({ "threads": 2 })).unwrap()
        };
        let of = |recipe: &Recipe| recipe.stage("cut").unwrap().of.clone();
        assert_eq!(of(&recipe(1)), of(&recipe(1)));
        assert_ne!(of(&recipe(1)), of(&recipe(2)));
    }
}

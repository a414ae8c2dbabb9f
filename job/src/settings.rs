//! Reading settings. A schema made from the types says which keys there are, what each is for and what it may hold; the
//! same list serves the error that names the nearest key and the page of documentation.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// In a schema: the keys of this section may also stand in the section that holds it.
const SHORT: &str = "x-short";

/// Why something is no setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// The key does not exist.
    #[error("`{key}` is no setting; did you mean `{nearest}`?")]
    Unknown {
        /// The key.
        key: String,
        /// The one that looks most like it.
        nearest: String,
    },
    /// The value is not of the key's kind.
    #[error("the setting `{key}` cannot be read: {reason}")]
    Value {
        /// The key.
        key: String,
        /// What does not fit.
        reason: String,
    },
    /// The value is outside the key's range.
    #[error("`{key}` is {value}, but must be {wanted}")]
    Range {
        /// The key.
        key: String,
        /// What it holds.
        value: String,
        /// What it may hold.
        wanted: String,
    },
    /// A key that is given by its whole and by its short name.
    #[error("`{short}` and `{key}` are one setting; give it once")]
    Twice {
        /// The short name.
        short: String,
        /// The whole one.
        key: String,
    },
}

impl SettingError {
    /// The key that is wrong, with its sections.
    pub fn key(&self) -> &str {
        match self {
            Self::Unknown { key, .. } | Self::Value { key, .. } | Self::Range { key, .. } => key,
            Self::Twice { short, .. } => short,
        }
    }
}

/// One key, or one section of keys.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key with its sections, such as `search.csam.flips`.
    pub key: String,
    schema: Value,
}

/// Every section and key of settings of this type, a section before what it holds.
pub fn entries<T: JsonSchema>() -> Vec<Entry> {
    let inline = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = inline.into_generator().into_root_schema_for::<T>().to_value();
    let mut found = Vec::new();
    collect("", &schema, &mut found);
    found
}

/// Reads settings: every key known, every number in its range, every value of its kind.
///
/// # Errors
/// One is not so; the error names the key.
pub fn read<T: JsonSchema + DeserializeOwned>(given: Value) -> Result<T, SettingError> {
    check("", &given, &entries::<T>())?;
    serde_path_to_error::deserialize(given)
        .map_err(|error| SettingError::Value { key: error.path().to_string(), reason: error.inner().to_string() })
}

/// Gives every key its whole name: one of a method's own may be written without the method, `search.flips` for
/// `search.csam.flips`, and then holds for every method that has such a key.
///
/// # Errors
/// A key is given by both names.
pub fn spell_out<T: JsonSchema>(given: &mut Value) -> Result<(), SettingError> {
    let entries = entries::<T>();
    let known = |section: &str, key: &str| entries.iter().any(|entry| entry.key == join(section, key));
    let mut moved = Vec::new();
    for section in entries.iter().filter(|entry| entry.schema[SHORT] == true) {
        let Some((above, name)) = section.key.rsplit_once('.') else { continue };
        let Some(keys) = section_of(given, above) else { continue };
        let is_short = |key: &str| !known(above, key) && known(&section.key, key);
        let short: Vec<_> = keys.iter().filter(|(key, _)| is_short(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
        if short.is_empty() {
            continue;
        }
        let Value::Object(own) = keys.entry(name).or_insert_with(|| Map::new().into()) else { continue };
        for (key, value) in short {
            if own.insert(key.clone(), value).is_some() {
                return Err(SettingError::Twice { short: join(above, &key), key: join(&section.key, &key) });
            }
            moved.push((above, key));
        }
    }
    for (above, key) in moved {
        section_of(given, above).and_then(|keys| keys.shift_remove(&key));
    }
    Ok(())
}

fn section_of<'a>(given: &'a mut Value, section: &str) -> Option<&'a mut Map<String, Value>> {
    section.split('.').try_fold(given, |value, name| value.get_mut(name))?.as_object_mut()
}

fn collect(section: &str, schema: &Value, found: &mut Vec<Entry>) {
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let key = join(section, name);
        found.push(Entry { key: key.clone(), schema: schema.clone() });
        collect(&key, present(schema), found);
    }
}

fn check(section: &str, given: &Value, entries: &[Entry]) -> Result<(), SettingError> {
    given.as_object().into_iter().flatten().try_for_each(|(name, value)| {
        let key = join(section, name);
        match entries.iter().find(|entry| entry.key == key) {
            Some(entry) => entry.check(value).and_then(|()| check(&key, value, entries)),
            None => Err(SettingError::Unknown { nearest: nearest(&key, entries), key }),
        }
    })
}

/// The key whose own name is most like this one's; of several, one of the same section, or of the outermost.
fn nearest(key: &str, entries: &[Entry]) -> String {
    let (section, name) = split(key);
    let distance = |entry: &&Entry| {
        let (other, own) = split(&entry.key);
        (strsim::damerau_levenshtein(name, own), other != section, other.len())
    };
    entries.iter().min_by_key(distance).map(|entry| entry.key.clone()).unwrap_or_default()
}

fn join(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

/// The schema of a value that is there, where it may be absent too.
fn present(schema: &Value) -> &Value {
    let choices = schema["anyOf"].as_array().into_iter().flatten();
    choices.into_iter().find(|choice| choice["type"] != "null").unwrap_or(schema)
}

impl Entry {
    /// Whether this is a section.
    pub fn is_section(&self) -> bool {
        present(&self.schema)["properties"].is_object()
    }

    /// What it is for, with what each of its names means.
    pub fn description(&self) -> String {
        let text = |schema: &Value| schema["description"].as_str().unwrap_or_default().replace('\n', " ");
        let names = present(&self.schema)["oneOf"].as_array().into_iter().flatten();
        let names = names.filter_map(|name| Some(format!("`{}`: {}", name["const"].as_str()?, text(name))));
        std::iter::once(text(&self.schema)).chain(names).collect::<Vec<_>>().join(" ")
    }

    /// What it holds unless set, where that does not depend on anything.
    pub fn default(&self) -> Option<&Value> {
        self.schema.get("default").filter(|default| !default.is_null())
    }

    /// What may be written, in words.
    pub fn form(&self) -> String {
        form(present(&self.schema))
    }

    fn check(&self, value: &Value) -> Result<(), SettingError> {
        let schema = present(&self.schema);
        let outside = match value {
            Value::Array(items) => {
                items.iter().find(|item| !holds(&schema["items"], item)).map(|item| (item, &schema["items"]))
            }
            value => (!holds(schema, value)).then_some((value, schema)),
        };
        let Some((value, schema)) = outside else { return Ok(()) };
        let wanted = range(schema).unwrap_or_default();
        Err(SettingError::Range { key: self.key.clone(), value: value.to_string(), wanted })
    }
}

fn bound(schema: &Value, name: &str) -> Option<f64> {
    schema[name].as_f64()
}

/// Whether a number is in its range; anything else is.
fn holds(schema: &Value, value: &Value) -> bool {
    value.as_f64().is_none_or(|value| {
        bound(schema, "minimum").is_none_or(|least| value >= least)
            && bound(schema, "exclusiveMinimum").is_none_or(|below| value > below)
            && bound(schema, "maximum").is_none_or(|most| value <= most)
            && bound(schema, "exclusiveMaximum").is_none_or(|above| value < above)
    })
}

fn range(schema: &Value) -> Option<String> {
    let bounds = [
        bound(schema, "minimum").map(|least| format!("at least {least}")),
        bound(schema, "exclusiveMinimum").map(|below| format!("above {below}")),
        bound(schema, "maximum").map(|most| format!("at most {most}")),
        bound(schema, "exclusiveMaximum").map(|above| format!("below {above}")),
    ];
    let bounds: Vec<String> = bounds.into_iter().flatten().collect();
    (!bounds.is_empty()).then(|| bounds.join(" and "))
}

fn form(schema: &Value) -> String {
    let names = schema["oneOf"].as_array().into_iter().flatten().map(|name| &name["const"]);
    let names: Vec<_> =
        names.chain(schema["enum"].as_array().into_iter().flatten()).filter_map(Value::as_str).collect();
    if !names.is_empty() {
        return names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    }
    // `[kind, "null"]` where it may be absent.
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or_default();
    let kind = match (kind, schema["minItems"].as_u64()) {
        ("array", Some(count)) => return format!("{count} of: {}", form(&schema["items"])),
        ("array", None) => return format!("list of: {}", form(&schema["items"])),
        ("integer", _) if bound(schema, "minimum") == Some(0.0) => return "whole number".to_owned(),
        ("integer", _) => "whole number",
        ("string", _) => "text",
        ("boolean", _) => "true or false",
        (other, _) => other,
    };
    std::iter::once(kind.to_owned()).chain(range(schema)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::{Perturb, Search, Tune};

    /// Every section and key, and a value of another kind.
    fn wrong(entry: &Entry) -> [String; 2] {
        let (section, name) = split(&entry.key);
        [join(section, &format!("{name}x")), join(section, &format!("x{name}"))]
    }

    fn nested(key: &str, value: Value) -> Value {
        key.rsplit('.').fold(value, |inner, part| json!({ part: inner }))
    }

    fn every_typo_is_told<T: JsonSchema + DeserializeOwned>() {
        let entries = entries::<T>();
        assert!(!entries.is_empty());
        for entry in &entries {
            for key in wrong(entry) {
                let error = read::<T>(nested(&key, json!(1))).err().unwrap();
                let SettingError::Unknown { key: told, nearest } = &error else { panic!("{error}") };
                assert_eq!((told, nearest), (&key, &entry.key));
            }
            assert!(!entry.description().is_empty(), "{} is not documented", entry.key);
            assert!(read::<T>(nested(&entry.key, json!({ "no": ["such"] }))).is_err(), "{}", entry.key);
        }
    }

    #[test]
    fn a_typo_in_any_key_is_refused_with_the_nearest_one() {
        every_typo_is_told::<Search>();
        every_typo_is_told::<Tune>();
    }

    #[test]
    fn a_key_in_another_section_is_found() {
        let error = read::<crate::Job>(json!({ "tune": { "perturb": "flip" } })).unwrap_err();
        assert!(error.to_string().contains("did you mean `search.csam.perturb`?"), "{error}");
    }

    #[test]
    fn defaults_are_within_their_own_ranges() {
        read::<Search>(serde_json::to_value(Search::default()).unwrap()).unwrap();
        read::<Tune>(serde_json::to_value(Tune::default()).unwrap()).unwrap();
    }

    #[test]
    fn a_number_outside_of_its_range_is_refused_in_lists_too() {
        for (given, words) in [
            (json!({ "csam": { "flips": [0.5, 2] } }), "`csam.flips` is 2, but must be at least 0 and at most 1"),
            (json!({ "csam": { "batch": 1 } }), "`csam.batch` is 1, but must be at least 2"),
            (json!({ "csam": { "temperature": 0 } }), "`csam.temperature` is 0, but must be above 0"),
            (json!({ "floor": -1 }), "`floor` is -1, but must be at least 0"),
        ] {
            assert_eq!(read::<Search>(given).unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn a_methods_own_key_may_be_written_without_it() {
        #[derive(Default, serde::Serialize, serde::Deserialize, JsonSchema)]
        #[serde(default)]
        struct Settings {
            search: Search,
        }
        let read = |mut given: Value| {
            spell_out::<Settings>(&mut given)?;
            super::read::<Settings>(given)
        };
        let found = read(json!({ "search": { "perturb": "none", "micro": 3, "floor": 1 } })).unwrap().search;
        assert_eq!((found.csam.perturb, found.taylor.micro, found.floor), (Perturb::None, 3, 1));
        let twice = read(json!({ "search": { "perturb": "none", "csam": { "perturb": "flip" } } }));
        assert!(twice.err().unwrap().to_string().contains("give it once"));
    }
}

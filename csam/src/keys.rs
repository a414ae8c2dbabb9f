//! The keys that a job's sections may have, and which one was meant by a key that they may not.

use serde_json::{Map, Value};

use crate::{
    CsamError,
    job::{Search, Tune},
};

/// Refuses the first key of the sections `search` and `tune` that is no setting.
///
/// # Errors
/// There is one; the error names it and the nearest that exists.
pub(crate) fn check(job: &Value) -> Result<(), CsamError> {
    let known = [("search", serde_json::to_value(Search::default())), ("tune", serde_json::to_value(Tune::default()))];
    known.into_iter().try_for_each(|(section, known)| match (job.get(section), known) {
        (Some(given), Ok(known)) => compare(section, given, &known),
        _ => Ok(()),
    })
}

/// Every key of `given` has to be one of `known`, in nested sections too.
fn compare(section: &str, given: &Value, known: &Value) -> Result<(), CsamError> {
    let (Value::Object(given), Value::Object(known)) = (given, known) else { return Ok(()) };
    given.iter().try_for_each(|(key, value)| match known.get(key) {
        Some(known) => compare(&format!("{section}.{key}"), value, known),
        None => Err(CsamError::UnknownKey { key: format!("{section}.{key}"), nearest: nearest(section, key, known) }),
    })
}

fn nearest(section: &str, key: &str, known: &Map<String, Value>) -> String {
    let closest = known.keys().min_by_key(|other| strsim::damerau_levenshtein(key, other));
    format!("{section}.{}", closest.map_or("", String::as_str))
}

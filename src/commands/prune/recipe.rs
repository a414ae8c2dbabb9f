//! What each stage of `prune` is made from. A stage is done again, or the run refused, when any of it has changed.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::digest;
use crate::library;
use crate::machine::{Machine, cores};
use crate::pictures::{DataDigest, Pictures};
use crate::run::{Recipe, StageKind};
use crate::settings::Settings;
use crate::subject::Subject;
use crate::torch::deciding;

/// The files and programs that a run depends on.
pub(super) struct Sources {
    model: Value,
    pub(super) data: DataDigest,
    /// What espalier-torch says of itself.
    pub(super) torch: Map<String, Value>,
    /// SHA-256 of ONNX Runtime's library, which says little of its version by itself.
    runtime: Option<String>,
}

impl Sources {
    /// Reads them all: pictures by their files' bytes.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(super) fn of(subject: &Subject, pictures: &Pictures, torch: Map<String, Value>) -> Result<Self> {
        let runtime = library::find().map(|found| digest::file(&found.path)).transpose()?;
        Ok(Self { model: digest::model(&subject.model.file)?, data: pictures.digest()?, torch, runtime })
    }
}

/// The stages in order, each with what decides its result.
///
/// # Errors
/// When something set is impossible.
pub(super) fn of(sources: &Sources, settings: &Settings) -> Result<Recipe> {
    use StageKind::{Repeatable, Training};
    let Sources { model, data, torch, runtime } = sources;
    let espalier = env!("CARGO_PKG_VERSION");
    let (seed, threads) = (settings.seed(), settings.threads());
    let trained = json!({
        "espalier": espalier,
        "torch": deciding(torch),
        "instructions": Machine::here(cores()).instructions,
        "model": model,
        "pictures": { "trained": data.trained, "watched": data.watched },
        "division": settings.division(),
        "labels": settings.labels(),
        "input": settings.input,
        "feed": settings.feed,
        "shape": settings.shape,
        "to": settings.to,
        "keep": settings.keep,
        "until": settings.until,
        "search": settings.search_with_task(),
        "tune": settings.tune.read_by_search(),
        "seed": seed,
        "threads": threads,
        "device": settings.device(),
    });
    let ran = json!({ "espalier": espalier, "runtime": runtime, "pictures": data.measured, "threads": threads });
    let with = |more: Value| match (&ran, more) {
        (Value::Object(ran), Value::Object(more)) => Value::Object(ran.clone().into_iter().chain(more).collect()),
        (_, more) => more,
    };
    let certify = json!({
        "certify": settings.certify,
        "seed": seed,
        "minutes": settings.minutes,
        "labels": settings.labels,
    });
    Recipe::default()
        .with("search", Training, &[], &trained)?
        .with("cut", Repeatable, &["search"], &with(json!({ "seed": seed, "memory": settings.memory })))?
        .with("tune", Training, &["search"], &json!({ "tune": settings.tune }))?
        .with("splice", Repeatable, &["tune"], &with(json!({ "free_batch": settings.free_batch() })))?
        .with("answers", Repeatable, &["cut", "splice"], &with(json!({ "seed": seed })))?
        .with("verify", Repeatable, &["splice"], &with(json!({ "verify": settings.verify })))?
        .with("eval", Repeatable, &["splice"], &with(json!({ "labels": settings.labels })))?
        .with("certify", Repeatable, &["splice"], &with(certify))?
        .with("latency", Repeatable, &["splice"], &ran)
}

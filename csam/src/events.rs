//! JSON lines on standard output: how `espalier-torch` tells `espalier` what it is doing.

use std::io::Write;

use serde_json::{Map, Value, json};

use crate::session::Stop;

/// Numbers of one step beside the loss, by name, in the order they are written.
pub type Figures = Vec<(&'static str, f64)>;

/// Where events go.
pub struct Events {
    out: Box<dyn Write + Send>,
    stop: Stop,
}

/// One step of a phase, as it is told.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// What is being done: `search`, `tune`, `train`, `batch-norm`, `taylor`, ….
    pub phase: &'a str,
    /// Steps done.
    pub step: u64,
    /// Steps there will be.
    pub total: u64,
    /// Image-copies used so far: one is one forward and backward of one image.
    pub copies: u64,
    /// Copies per second since the last step.
    pub rate: f64,
    /// Everything else, `loss` among it.
    pub figures: &'a Figures,
}

impl Events {
    /// Events on standard output; `stop` is raised when nobody reads them any more, so that a job does not outlive the
    /// program that asked for it.
    pub fn stdout(stop: Stop) -> Self {
        Self { out: Box::new(std::io::stdout()), stop }
    }

    /// Events to any writer.
    pub fn to(out: Box<dyn Write + Send>) -> Self {
        Self { out, stop: Stop::default() }
    }

    /// One step was done. Figures that are not finite are left out, since JSON has no form for them.
    pub fn step(&mut self, step: &Step<'_>) {
        let mut event = Map::new();
        event.insert("event".to_owned(), json!("step"));
        event.insert("phase".to_owned(), json!(step.phase));
        event.insert("step".to_owned(), json!(step.step));
        event.insert("total".to_owned(), json!(step.total));
        event.insert("copies".to_owned(), json!(step.copies));
        for (name, value) in step.figures.iter().chain([&("rate", step.rate)]) {
            if value.is_finite() {
                event.insert((*name).to_owned(), json!(value));
            }
        }
        self.line(&Value::Object(event));
    }

    /// Something a person should know.
    pub fn note(&mut self, text: &str) {
        self.line(&json!({ "event": "note", "text": text }));
    }

    /// The job is done; `facts` is an object of what came out.
    pub fn done(&mut self, facts: Value) {
        let mut event = Map::from_iter([("event".to_owned(), json!("done"))]);
        if let Value::Object(facts) = facts {
            event.extend(facts);
        }
        self.line(&Value::Object(event));
    }

    /// The job cannot be done.
    pub fn error(&mut self, message: &str) {
        self.line(&json!({ "event": "error", "message": message }));
    }

    fn line(&mut self, event: &Value) {
        if writeln!(self.out, "{event}").and_then(|()| self.out.flush()).is_err() {
            self.stop.raise();
        }
    }
}

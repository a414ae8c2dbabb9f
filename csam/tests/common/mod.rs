//! Jobs on small models and small pictures, in a folder of their own.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use csam::{events::Events, session::Stop};
use images::draw;
use job::Job;
use serde_json::{Value, json};

/// Classes of the pictures, as many as the fixtures' small models have outputs.
const CLASSES: usize = 5;
/// Side of the pictures.
const SIDE: usize = 8;

/// A folder with pictures `train/CLASS/N.ppm` and a model.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    /// Pictures of noise whose brightness tells the class, and this model.
    pub(crate) fn new(model: &str) -> Self {
        Self::with(&fixtures::models::named(model).unwrap())
    }

    /// The same pictures and a model of this file.
    pub(crate) fn with(model: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for class in 0..CLASSES {
            let place = folder.path().join(format!("data/train/{class}"));
            fs::create_dir_all(&place).unwrap();
            for number in 0..24 {
                fs::write(place.join(format!("{number}.ppm")), picture(class, number)).unwrap();
            }
        }
        fs::write(folder.path().join("model.onnx"), model).unwrap();
        Self { folder }
    }

    /// A job on random samples for the inputs of its model that are drawn like this, each a name, the sizes of a sample
    /// and what is drawn.
    pub(crate) fn random_job(&self, out: &str, inputs: &[(&str, &[usize], &str)], changes: Value) -> Job {
        let input = |(name, sample, law): &(&str, &[usize], &str)| {
            let from = json!({ "random": { "law": law, "seed": 0 } });
            json!({ "name": name, "sample": sample, "axis": 0, "element": "f32", "from": from })
        };
        let mut job = json!({
            "model": self.path("model.onnx"), "data": "random:120", "budget": ["macs=60%"], "threads": 1,
            "inputs": inputs.iter().map(input).collect::<Vec<_>>(), "out": self.path(out),
        });
        job.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        Job::read(job).unwrap()
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A job whose results go to `out`; `changes` overwrites its keys.
    pub(crate) fn job(&self, out: &str, changes: Value) -> Job {
        let mut job = json!({
            "model": self.path("model.onnx"), "data": self.path("data"), "budget": ["macs=50%"], "threads": 1,
            "inputs": [{ "name": "", "sample": [3, SIDE, SIDE], "axis": 0, "element": "f32", "from": { "picture": {
                "layout": "nchw", "order": "rgb", "scale": 1.0 / 255.0, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25],
                "resize": "none", "height": SIDE, "width": SIDE,
            } } }],
            "out": self.path(out),
        });
        job.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        Job::read(job).unwrap()
    }
}

fn picture(class: usize, number: u64) -> Vec<u8> {
    let mut rng = draw::rng(class as u64, "picture", 0, number);
    let mut bytes = format!("P6\n{SIDE} {SIDE}\n255\n").into_bytes();
    let level = 25.0 + 50.0 * class as f32;
    bytes.extend((0..SIDE * SIDE * 3).map(|_| (level + draw::uniform(&mut rng, -20.0, 20.0)) as u8));
    bytes
}

/// Events that are kept, and that raise a flag after some steps of a phase.
#[derive(Clone, Default)]
pub(crate) struct Recorder {
    text: Arc<Mutex<Vec<u8>>>,
    /// Raised when the wanted step was told.
    pub(crate) stop: Stop,
    until: Option<(&'static str, u64)>,
}

impl Recorder {
    /// Raises the flag after this step of this phase.
    pub(crate) fn until(phase: &'static str, step: u64) -> Self {
        Self { until: Some((phase, step)), ..Self::default() }
    }

    /// Events that go here.
    pub(crate) fn events(&self) -> Events {
        Events::to(Box::new(self.clone()))
    }

    /// Everything that was told.
    pub(crate) fn told(&self) -> Vec<Value> {
        let text = self.text.lock().unwrap();
        text.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|l| serde_json::from_slice(l).unwrap())
            .collect()
    }

    /// The last event.
    pub(crate) fn last(&self) -> Value {
        self.told().pop().unwrap()
    }

    /// The steps of a phase.
    pub(crate) fn steps(&self, phase: &str) -> Vec<Value> {
        self.told().into_iter().filter(|event| event["event"] == "step" && event["phase"] == phase).collect()
    }
}

impl Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.text.lock().unwrap().extend_from_slice(bytes);
        if let Some((phase, step)) = self.until {
            let reached = bytes.ends_with(b"\n") && self.steps(phase).iter().any(|event| event["step"] == step);
            if reached {
                self.stop.raise();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Every file of a folder with its bytes, by name.
pub(crate) fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

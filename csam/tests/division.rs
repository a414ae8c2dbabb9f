//! Which pictures a search and a training read, seen by damaging the others: opening one of those would fail.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Bench, Recorder};
use csam::{CsamError, job::Job, search::search, tune::tune};
use images::data::{self, Choice, ForTraining, ImageSet};
use serde_json::{Value, json};

fn damage(set: &ImageSet, count: usize) {
    (0..count).for_each(|index| fs::write(set.picture_name(index), "P6\n8 8\n255\n").unwrap());
}

fn run(job: &Job, command: &str) -> Result<(), CsamError> {
    let recorder = Recorder::default();
    match command {
        "search" => search(job, recorder.events(), recorder.stop.clone()),
        "tune" => tune(job, "tune", recorder.events(), recorder.stop.clone()),
        _ => tune(job, "train", recorder.events(), recorder.stop.clone()),
    }
}

#[test]
fn no_command_reads_a_picture_that_is_measured() {
    let bench = Bench::new("chain");
    let division = data::open(&bench.path("data")).unwrap().divide(&Choice::default()).unwrap();
    let training = division.training.unwrap();
    assert!(division.measure.is_held_out());
    damage(&division.measure, division.measure.len());
    let search = |method: &str| json!({ "search": { "method": method, "epochs": 1.0, "batch": 20, "batches": 1 } });
    let tune = || json!({ "teacher": bench.path("model.onnx"), "tune": { "epochs": 1.0, "batch": 20, "batches": 1 } });
    let cases: [(&str, Value); 6] = [
        ("search", search("csam")),
        ("search", search("taylor")),
        ("search", search("magnitude")),
        ("search", search("random")),
        ("tune", tune()),
        ("train", json!({ "fresh": true, "tune": { "epochs": 1.0, "batch": 20 } })),
    ];
    for (at, (command, changes)) in cases.iter().enumerate() {
        run(&bench.job(&format!("out{at}"), changes.clone()), command).unwrap();
    }
    damage(training.validation.pictures(), 1);
    assert!(run(&bench.job("watched", tune()), "tune").is_err(), "the training is watched by these");
    damage(training.train.pictures(), 1);
    assert!(run(&bench.job("trained", search("csam")), "search").is_err(), "the search reads these");
}

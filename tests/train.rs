//! `train` from outside, with a script in the place of `espalier-torch`; and with the real one where it was built.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use support::{Place, said};

#[test]
fn the_result_appears_beside_its_log() {
    let place = Place::new();
    let (model, data) = (place.model("chain"), place.pictures("pictures"));
    support::stand_in(&place);
    let train = |more: &[&str]| {
        let arguments = ["train", &model, "--data", &data, "-o", "trained.onnx"];
        let mut command = place.espalier(&[&arguments[..], more].concat());
        command.env("ESPALIER_TORCH", place.path("torch.sh")).output().unwrap()
    };
    let output = train(&[]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read(&model).unwrap(), fs::read(place.path("trained.onnx")).unwrap());
    assert!(place.path("trained.onnx.run/log.jsonl").exists());
    assert_eq!(train(&[]).status.code(), Some(2));
    assert!(train(&["--resume"]).status.success());
    let calls = fs::read_to_string(place.path("calls")).unwrap();
    let calls: Vec<&str> = calls.lines().filter(|call| *call != "versions").collect();
    assert_eq!(calls, ["train"], "a finished training is not done again");
    let alone = place.espalier(&["train", "--resume", "trained.onnx.run"]);
    assert!({ alone }.env("ESPALIER_TORCH", place.path("torch.sh")).output().unwrap().status.success());
}

#[test]
fn fresh_weights_come_from_the_seed() {
    let Some(torch) = support::torch() else { return };
    let place = Place::new();
    let (model, data) = (place.model("chain"), place.pictures("pictures"));
    let few = ["--epochs", "2", "--batch", "10", "--set", "tune.warm_up=1", "--threads", "1"];
    let train = |out: &str, seed: &str| {
        let arguments = ["train", &model, "--fresh", "--data", &data, "--seed", seed, "-o", out];
        let output = place.espalier(&[&arguments[..], &few].concat()).env("ESPALIER_TORCH", &torch).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        fs::read(place.path(out)).unwrap()
    };
    let first = train("a.onnx", "1");
    assert_eq!(first, train("b.onnx", "1"));
    assert_ne!(first, train("c.onnx", "2"));
}

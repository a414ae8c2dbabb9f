//! What holds for every command: help with an example, JSON with a schema, exit statuses, closed pipes.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::process::Stdio;

use support::{Place, torch};

const COMMANDS: [&str; 9] = ["inspect", "explain", "prune", "slim", "train", "eval", "verify", "certify", "doctor"];

#[test]
fn every_help_shows_an_example() {
    let place = Place::new();
    for command in COMMANDS {
        let help = place.good(&[command, "--help"]);
        assert!(help.contains("Example") && help.contains(&format!("espalier {command}")), "{help}");
    }
}

#[test]
fn usage_errors_have_status_2() {
    let place = Place::new();
    for wrong in [vec!["slim"], vec!["fly"], vec!["eval", "m.onnx", "--mean", "dark"], vec![]] {
        let output = place.espalier(&wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(output.stdout.is_empty(), "{wrong:?}");
    }
}

#[test]
fn every_result_is_one_document_with_a_schema() {
    let place = Place::new();
    let (model, data) = (place.model("chain"), place.pictures("pictures"));
    let few = ["--draws", "90", "--images", "5", "--laws", "noise"];
    for arguments in [
        vec!["inspect", &model],
        vec!["slim", &model, "--to", "channels=50%", "-o", "slim.onnx"],
        vec!["eval", &model, "--data", &data],
        vec!["verify", &model, "--data", &data, "--runtimes", "ort,tract", "-o", "found"],
        [vec!["certify", &model, "slim.onnx", "--data", &data, "-o", "found"], few.to_vec()].concat(),
    ] {
        let document = place.json(&arguments);
        assert_eq!(document["schema"], 1, "{arguments:?}");
        assert_eq!(document["command"], arguments[0], "{arguments:?}");
    }
    for name in ["found/verify.json", "found/certify.json"] {
        assert!(place.path(name).exists(), "{name}");
    }
}

/// Every reason that `inspect` gives has a page.
#[test]
fn reasons_are_explained() {
    let place = Place::new();
    let list = place.good(&["explain"]);
    let said = place.json(&["inspect", &place.model("dropout-mask")]);
    let codes: Vec<&str> = said["pins"].as_array().unwrap().iter().map(|pin| pin["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"graph-input"), "{said}");
    for code in codes {
        assert!(list.contains(code), "{code} is not in {list}");
        assert!(place.good(&["explain", code]).starts_with(code));
    }
    let unknown = place.refused(&["explain", "no-such-reason"]);
    assert!(unknown.contains("no-such-reason") && unknown.contains("espalier explain"), "{unknown}");
}

/// Couplings are drawn so that a terminal of 80 columns shows them.
#[test]
fn inspect_is_readable_on_80_columns() {
    let place = Place::new();
    for name in ["resnet20", "group-norm-of-one", "gram"] {
        let text = place.good(&["inspect", &place.model(name)]);
        let drawn = text.split_once("layers that are cut together").unwrap().1;
        let longest = drawn.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= 80, "{longest} columns: {drawn}");
        if name == "resnet20" {
            insta::assert_snapshot!(drawn);
        }
    }
}

#[test]
fn errors_are_documents_too() {
    let place = Place::new();
    let output = place.espalier(&["inspect", "nothing.onnx", "--format", "json"]).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &document["command"]), (Some(2), &"inspect".into()));
    assert!(document["error"].as_str().unwrap().contains("nothing.onnx"));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    let model = place.model("resnet56");
    let mut child = place.espalier(&["inspect", &model]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_runtime_that_is_missing_fails_the_check_where_it_was_named() {
    let place = Place::new();
    let (model, data) = (place.model("chain"), place.pictures("pictures"));
    for (named, status) in [(&["--runtimes", "ort,tract,torch"][..], 1), (&[], 0)] {
        let verify = ["verify", &model, "--data", &data, "--format", "json"];
        let mut command = place.espalier(&[&verify[..], named].concat());
        let output = command.env("ESPALIER_TORCH", "/nonexistent/espalier-torch").output().unwrap();
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(status), "{document}");
        assert_eq!(document["findings"][0]["runtime"], "torch");
        assert_eq!(document["pairs"][0]["passed"], true, "{document}");
    }
}

#[test]
fn a_model_that_torch_refuses_is_a_finding_with_its_reason() {
    let Some(torch) = torch() else { return };
    let place = Place::new();
    let (model, data) = (place.model("opaque"), place.pictures("pictures"));
    let output = place
        .espalier(&["verify", &model, "--data", &data, "--runtimes", "ort,torch"])
        .env("ESPALIER_TORCH", torch)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("torch failed") && said.contains("QuickGelu"), "{said}");
}

#[test]
fn the_settings_file_has_the_same_keys_as_the_flags() {
    let place = Place::new();
    let (model, data) = (place.model("chain"), place.pictures("pictures"));
    let flags = ["--mean", "0.5", "--std", "0.25", "--scale", "1/255", "--split", "train", "--order", "bgr"];
    let by_flags = place.json(&[&["eval", &model, "--data", &data], &flags[..]].concat());
    let file =
        "data = \"pictures\"\n[measure]\nsplit = \"train\"\n[input]\nmean = [0.5]\nstd = [0.25]\norder = \"bgr\"\n";
    fs::write(place.path("espalier.toml"), file).unwrap();
    assert_eq!(place.json(&["eval", &model]), by_flags);
    assert_ne!(place.json(&["eval", &model, "--split", "test"]), by_flags);
}

#[test]
fn doctor_names_the_cure() {
    let place = Place::new();
    let output = place.espalier(&["doctor"]).env("ESPALIER_TORCH", "/nonexistent/espalier-torch").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("MISSING") && text.contains("cure:"), "{text}");
}

//! `prune` from outside: its stages, its run folder, interruption and resumption. A script stands in for
//! `espalier-torch`, so that none of this needs libtorch; the last test goes the whole way where it was built.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use support::said;
use support::stage::{Stage, interrupted, signalled, wait_for};

#[test]
fn a_run_leaves_a_slim_model_and_a_report() {
    let stage = Stage::set();
    let text = stage.good(&[]);
    assert!(
        text.contains("accuracy") && text.contains("certified, noise") && text.contains("wrote run/slim.onnx"),
        "{text}"
    );
    let report: Value = serde_json::from_slice(&stage.read("run/report.json")).unwrap();
    assert_eq!((&report["schema"], &report["command"]), (&1.into(), &"prune".into()));
    assert_eq!(report["copies"], 32);
    assert_eq!(report["budgets"][0]["budget"], "macs=60%");
    assert!(report["slim"]["cost"]["macs"].as_f64() < report["dense"]["cost"]["macs"].as_f64());
    assert_eq!(report["latency"].as_array().unwrap().len(), 2);
    assert_eq!(report["agreement"]["passed"], true);
    assert!(String::from_utf8(stage.read("run/settings.toml")).unwrap().contains("macs=60%"));
    assert_eq!(String::from_utf8(stage.read("run/log.jsonl")).unwrap().lines().count(), 2);
    for name in ["run/report.md", "run/plan.json"] {
        assert!(!stage.read(name).is_empty(), "{name}");
    }
}

#[test]
fn what_was_not_measured_says_so() {
    let stage = Stage::set();
    for number in 0..4 {
        stage.place.picture(&format!("flat/{number}.ppm"), 8, number * 40);
    }
    let output = stage.prune_on("flat", &["--preset", "off"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("not measured") && !text.contains("certified"), "{text}");
    let report: Value = serde_json::from_slice(&stage.read("run/report.json")).unwrap();
    assert!(report["dense"]["accuracy"].is_null() && report["certificates"].is_null());
}

#[test]
fn normalisation_that_was_not_given_is_asked_for() {
    let stage = Stage::set();
    let output = stage.prune(&["--preset", "off"]).output().unwrap();
    assert!(said(&output).contains("--mean and --std"), "{}", said(&output));
    let stage = Stage::set();
    let output = stage.prune(&["--preset", "off", "--mean", "0.5", "--std", "0.25"]).output().unwrap();
    assert!(output.status.success() && !said(&output).contains("--mean"), "{}", said(&output));
}

#[test]
fn a_finished_run_is_not_done_again() {
    let stage = Stage::set();
    stage.good(&[]);
    let slim = stage.read("run/slim.onnx");
    let again = stage.prune(&[]).output().unwrap();
    assert_eq!(again.status.code(), Some(2));
    assert!(said(&again).contains("--resume"), "{}", said(&again));
    stage.good(&["--resume"]);
    assert_eq!(stage.calls(), ["search", "tune"]);
    assert_eq!(stage.read("run/slim.onnx"), slim);
    let other = stage.prune(&["--resume", "--seed", "9"]).output().unwrap();
    assert_eq!(other.status.code(), Some(2));
    assert!(said(&other).contains("seed"), "{}", said(&other));
}

#[test]
fn ctrl_c_reaches_the_child_and_the_run_goes_on_afterwards() {
    let stage = Stage::set();
    fs::write(stage.place.path("wait"), "").unwrap();
    let child = stage.prune(&[]).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(|| stage.place.path("run/log.jsonl").metadata().is_ok_and(|log| log.len() > 0));
    let output = interrupted(child);
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(said(&output).contains("--resume"), "{}", said(&output));
    assert!(!stage.place.path("run/slim.onnx").exists());
    fs::remove_file(stage.place.path("wait")).unwrap();
    stage.good(&["--resume"]);
    assert_eq!(stage.calls(), ["search", "search", "tune"]);

    let unbroken = Stage::set();
    unbroken.good(&[]);
    assert_eq!(stage.read("run/slim.onnx"), unbroken.read("run/slim.onnx"));
}

#[test]
fn a_killed_run_goes_on_too() {
    let stage = Stage::set();
    fs::write(stage.place.path("wait"), "").unwrap();
    let mut child = stage.prune(&["--quiet"]).spawn().unwrap();
    wait_for(|| stage.place.path("run/log.jsonl").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    fs::remove_file(stage.place.path("wait")).unwrap();
    stage.good(&["--resume"]);
    assert!(stage.place.path("run/slim.onnx").exists());
}

#[test]
fn a_child_that_dies_is_one_sentence() {
    let stage = Stage::set();
    let script = "#!/bin/sh\n[ \"$1\" = versions ] && echo '{}' && exit 0\necho 'std::bad_alloc' >&2\nkill -SEGV $$\n";
    fs::write(stage.place.path("torch.sh"), script).unwrap();
    let output = stage.prune(&[]).output().unwrap();
    let sentence = support::one_sentence(&output);
    assert!(sentence.contains("signal 11") && sentence.contains("bad_alloc"), "{sentence}");
}

#[test]
fn without_the_second_program_prune_says_what_to_do() {
    let stage = Stage::set();
    let alone = stage.place.path("espalier");
    fs::copy(env!("CARGO_BIN_EXE_espalier"), &alone).unwrap();
    let output = Command::new(alone)
        .args(["prune", &stage.model, "--data", "pictures", "--to", "macs=60%"])
        .current_dir(stage.place.path("."))
        .env_remove("ESPALIER_TORCH")
        .output()
        .unwrap();
    let sentence = support::one_sentence(&output);
    assert!(sentence.contains("espalier-torch") && sentence.contains("install"), "{sentence}");
}

#[test]
fn a_dry_run_writes_nothing() {
    let stage = Stage::set();
    let before = stage.place.names();
    let text = stage.good(&["--dry-run"]);
    assert!(text.contains("can be met") && text.contains("graph-output"), "{text}");
    // The script notes its calls.
    fs::remove_file(stage.place.path("calls")).unwrap();
    assert_eq!(stage.place.names(), before);
    let impossible = stage.prune(&["--dry-run", "--to", "params=0.1%"]).output().unwrap();
    assert!(support::one_sentence(&impossible).contains("cannot be met"));
}

/// Search and training by libtorch, on pictures so few that nothing is learned.
#[test]
fn the_whole_way_with_libtorch() {
    let Some(torch) = support::torch() else { return };
    let stage = Stage::set();
    let few =
        ["--epochs", "2", "--batch", "10", "--set", "search.batch=10", "--set", "tune.warm_up=1", "--threads", "1"];
    let output = stage.prune(&few).env("ESPALIER_TORCH", torch).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output).matches("to watch the training by").count(), 1, "{}", said(&output));
    let report: Value = serde_json::from_slice(&stage.read("run/report.json")).unwrap();
    assert!(report["budgets"][0]["share"].as_f64().unwrap() <= 0.6);
    assert_eq!(report["agreement"]["passed"], true);
}

/// Interrupted in the search, killed, and interrupted in the tuning: the file of a run that nobody disturbed.
#[test]
fn a_run_with_libtorch_survives_interrupts_and_kills() {
    let Some(torch) = support::torch() else { return };
    let start = |stage: &Stage, more: &[&str]| {
        let settings = ["--epochs", "600", "--batch", "10", "--set", "search.batch=10", "--threads", "1"];
        let mut command = stage.prune(&[&settings[..], &["--preset", "off"], more].concat());
        command.env("ESPALIER_TORCH", &torch).stderr(Stdio::piped()).stdout(Stdio::null());
        command.spawn().unwrap()
    };
    let finish = |child: Child| {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    };
    let unbroken = Stage::set();
    finish(start(&unbroken, &[]));
    let broken = Stage::set();
    for (lines, signal) in [(60, "-INT"), (250, "-KILL"), (500, "-INT")] {
        let child = start(&broken, &["--resume"]);
        let log = broken.place.path("run/log.jsonl");
        wait_for(|| fs::read_to_string(&log).is_ok_and(|text| text.lines().count() > lines));
        let output = signalled(child, signal);
        assert_eq!(output.status.code(), (signal == "-INT").then_some(130), "{}", said(&output));
        assert!(!broken.place.path("run/slim.onnx").exists());
    }
    finish(start(&broken, &["--resume"]));
    assert_eq!(broken.read("run/slim.onnx"), unbroken.read("run/slim.onnx"));
}

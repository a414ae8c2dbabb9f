//! The run folder from outside: what continues, what is refused, what is left behind. A script stands in for
//! `espalier-torch`.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::stage::{Stage, signalled, wait_for};
use support::{one_sentence, said};

/// A run that was killed in its search.
fn killed() -> Stage {
    let stage = Stage::set();
    fs::write(stage.place.path("wait"), "").unwrap();
    let mut child = stage.prune(&["--quiet"]).spawn().unwrap();
    wait_for(|| stage.place.path("run/log.jsonl").metadata().is_ok_and(|log| log.len() > 0));
    child.kill().unwrap();
    child.wait().unwrap();
    fs::remove_file(stage.place.path("wait")).unwrap();
    stage
}

/// `espalier prune` with nothing of what `Stage` says by itself.
fn bare(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = stage.place.espalier(&[&["prune"], arguments].concat());
    command.env("ESPALIER_TORCH", stage.place.path("torch.sh"));
    command
}

fn refused(mut command: Command) -> String {
    one_sentence(&command.output().unwrap())
}

#[test]
fn the_folder_alone_is_enough_to_go_on() {
    let stage = killed();
    fs::create_dir(stage.place.path("elsewhere")).unwrap();
    let mut command = bare(&stage, &["--resume", "../run"]);
    let output = command.current_dir(stage.place.path("elsewhere")).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let unbroken = Stage::set();
    unbroken.good(&[]);
    assert_eq!(stage.read("run/slim.onnx"), unbroken.read("run/slim.onnx"));
    assert!(refused(bare(&stage, &["--resume", "elsewhere"])).contains("holds no run"));
}

#[test]
fn settings_of_later_stages_may_change() {
    let stage = Stage::set();
    stage.good(&[]);
    let output = bare(&stage, &["--resume", "run", "--preset", "off"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(stage.calls(), ["search", "tune"], "neither is done again");
    let report: Value = serde_json::from_slice(&stage.read("run/report.json")).unwrap();
    assert!(report["certificates"].is_null());
    let again = report["again"]["words"].as_array().unwrap();
    assert!(again.contains(&"--config".into()), "{again:?}");
}

#[test]
fn the_settings_of_a_run_are_a_settings_file() {
    let stage = Stage::set();
    stage.good(&[
        "--preset",
        "full",
        "--epsilon",
        "0.05",
        "--alpha",
        "0.01",
        "--mean",
        "0.5",
        "--std",
        "0.25",
        "--set",
        "tune.ema=0.5",
    ]);
    fs::create_dir(stage.place.path("elsewhere")).unwrap();
    let mut command = bare(&stage, &["../chain.onnx", "--config", "../run/settings.toml", "-o", "again"]);
    let output = command.current_dir(stage.place.path("elsewhere")).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    for name in ["settings.toml", "slim.onnx"] {
        let again = stage.read(&format!("elsewhere/again/{name}"));
        assert!(again == stage.read(&format!("run/{name}")), "{name}");
    }
}

#[test]
fn a_picture_that_was_replaced_meanwhile_is_refused() {
    let stage = killed();
    stage.place.picture("pictures/train/class0/0.ppm", 8, 99);
    let sentence = refused(bare(&stage, &["--resume", "run"]));
    assert!(sentence.contains("pictures.trained") || sentence.contains("pictures.watched"), "{sentence}");
    assert_eq!(stage.calls(), ["search"]);
}

#[test]
fn figures_are_measured_again_on_pictures_that_were_replaced() {
    let stage = Stage::set();
    stage.good(&["--preset", "off"]);
    let before: Value = serde_json::from_slice(&stage.read("run/report.json")).unwrap();
    for number in 0..2 {
        fs::remove_file(stage.place.path(&format!("pictures/test/class0/{number}.ppm"))).unwrap();
    }
    stage.place.picture("pictures/test/class0/9.ppm", 8, 99);
    stage.good(&["--preset", "off", "--resume"]);
    let after: Value = serde_json::from_slice(&stage.read("run/report.json")).unwrap();
    assert_eq!(stage.calls(), ["search", "tune"]);
    assert_eq!((&before["dense"]["accuracy"]["of"], &after["dense"]["accuracy"]["of"]), (&10.into(), &9.into()));
}

#[test]
fn another_number_of_threads_is_refused() {
    let stage = killed();
    let sentence = refused(bare(&stage, &["--resume", "run", "--threads", "3"]));
    assert!(sentence.contains("threads"), "{sentence}");
}

#[test]
fn a_start_that_fails_leaves_no_folder() {
    let stage = Stage::set();
    let script = "#!/bin/sh\n[ \"$1\" = versions ] && echo '{}' && exit 0\n\
                  [ \"$1\" = check ] && echo '{\"event\": \"done\"}' && exit 0\n\
                  echo '{\"event\": \"error\", \"message\": \"no search of this kind\"}'\nexit 2\n";
    fs::write(stage.place.path("torch.sh"), script).unwrap();
    let before = stage.place.names();
    assert!(refused(stage.prune(&[])).contains("no search of this kind"));
    assert_eq!(stage.place.names(), before);
}

#[test]
fn a_run_is_replaced_only_when_asked() {
    let stage = Stage::set();
    stage.good(&[]);
    assert!(refused(stage.prune(&["--seed", "5"])).contains("--force"));
    stage.good(&["--seed", "5", "--force"]);
    assert_eq!(stage.calls(), ["search", "tune", "search", "tune"]);
    let own = bare(&stage, &["run/slim.onnx", "--config", "run/settings.toml", "-o", "run", "--force"]);
    assert!(refused(own).contains("would remove"));
    assert!(stage.place.path("run/slim.onnx").exists());
}

#[test]
fn the_report_says_how_to_do_it_again_in_any_shell() {
    let stage = Stage::set();
    fs::rename(&stage.model, stage.place.path("my model.onnx")).unwrap();
    let arguments = ["my model.onnx", "--data", "pictures", "--to", "macs=60%", "-o", "run", "--preset", "off"];
    let output = bare(&stage, &[&arguments[..], &["--runtimes", "ort,tract"]].concat()).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let report = String::from_utf8(stage.read("run/report.md")).unwrap();
    let line = report.lines().find(|line| line.starts_with("cd ")).unwrap();
    let slim = stage.read("run/slim.onnx");
    let shell = Command::new("sh")
        .args(["-c", &format!("{line} --force")])
        .current_dir("/")
        .env("ESPALIER_TORCH", stage.place.path("torch.sh"))
        .output()
        .unwrap();
    assert!(shell.status.success(), "{line}: {}", said(&shell));
    assert_eq!(stage.read("run/slim.onnx"), slim);
}

/// Stopped by SIGTERM as by Ctrl-C, in a stage that this process does itself; its temporary folder goes with it.
#[test]
fn a_terminated_command_says_so_and_clears_up() {
    let stage = Stage::set();
    fs::create_dir(stage.place.path("tmp")).unwrap();
    let long = ["--draws", "2000000", "--images", "10", "--laws", "rotation", "--threads", "1"];
    let mut command = stage.place.espalier(&[&["certify", &stage.model, "--data", "pictures"], &long[..]].concat());
    command.env("TMPDIR", stage.place.path("tmp")).stderr(Stdio::piped()).stdout(Stdio::null());
    let child = command.spawn().unwrap();
    let temporary = || fs::read_dir(stage.place.path("tmp")).unwrap().count();
    wait_for(|| temporary() > 0);
    let output = signalled(child, "-TERM");
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(said(&output).contains("interrupted"), "{}", said(&output));
    assert_eq!(temporary(), 0);
}

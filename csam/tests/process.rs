//! `espalier-torch` as a process: it ends with the program that started it, and stops cleanly when it is asked to.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use common::Bench;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_espalier-torch");

/// A training that lasts for hours unless it is stopped.
fn endless(bench: &Bench) -> PathBuf {
    let tune = json!({ "epochs": 1e6, "batch": 12, "batches": 1, "rate": 1e-3 });
    let job =
        bench.job("out", json!({ "checkpoint": bench.path("checkpoint"), "checkpoint_seconds": 0, "tune": tune }));
    let path = bench.path("job.json");
    std::fs::write(&path, serde_json::to_string(&job).unwrap()).unwrap();
    path
}

/// Waits until a line of what a process says holds `word`, and gives everything before it.
fn wait_for(child: &mut Child, word: &str) -> Vec<String> {
    let mut said = Vec::new();
    for line in BufReader::new(child.stdout.as_mut().unwrap()).lines() {
        let line = line.unwrap();
        if line.contains(word) {
            return said;
        }
        said.push(line);
    }
    panic!("it ended after saying {said:?}");
}

/// Nobody may be there to collect the exit status of a process whose parent has ended, so that its entry stays.
fn has_ended(process: Pid) -> bool {
    let entry = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_pid()));
    entry.map_or(true, |entry| entry.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "this takes too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn it_ends_when_the_program_that_started_it_is_killed() {
    let bench = Bench::new("residual");
    let script = r#""$0" tune --job "$1" --parent $$ & echo "child $!"; wait"#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, PROGRAM]).arg(endless(&bench)).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut shell = shell.spawn().unwrap();
    let mut said = wait_for(&mut shell, r#""event":"step","phase":"tune""#);
    said.retain(|line| line.starts_with("child "));
    let child = Pid::from_raw(said[0]["child ".len()..].parse().unwrap()).unwrap();
    shell.kill().unwrap();
    shell.wait().unwrap();
    wait_until(|| has_ended(child));
}

#[test]
fn it_does_not_begin_for_a_program_that_has_ended() {
    let bench = Bench::new("residual");
    let output = Command::new(PROGRAM).args(["tune", "--parent", "1", "--job"]).arg(endless(&bench)).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stdout).contains("--parent"));
}

#[test]
fn terminate_stops_it_like_an_interrupt() {
    let bench = Bench::new("residual");
    for signal in [Signal::TERM, Signal::INT] {
        let mut program = Command::new(PROGRAM);
        program.args(["tune", "--job"]).arg(endless(&bench)).stdout(Stdio::piped());
        let mut child = program.spawn().unwrap();
        wait_for(&mut child, r#""event":"step","phase":"tune""#);
        kill_process(Pid::from_child(&child), signal).unwrap();
        wait_for(&mut child, "--resume");
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert!(bench.path("checkpoint/tune.safetensors").exists());
    }
}

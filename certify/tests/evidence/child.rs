//! Runtimes in child processes. The child is this test program itself, told to run only [`serves_as_a_child`].

use std::ffi::OsString;
use std::time::{Duration, Instant};

use certify::agreement::verify::{Asked, Tolerance, verify};
use certify::runtimes::child::{Fault, Launcher, Program, Request, run_in_child, serve};
use certify::runtimes::{Kind, Pieces};
use fixtures::{models::small, needs};

use crate::{Models, noise};

/// As a test it does nothing; as a child it serves the request after `--`.
#[test]
fn serves_as_a_child() {
    let mut arguments = std::env::args_os().skip_while(|argument| argument != "--").skip(1).peekable();
    if arguments.peek().is_none() {
        return;
    }
    let request = Request::from_arguments(arguments).unwrap();
    if let Err(error) = serve(&request) {
        // Straight to the stream: the harness keeps back what a test prints.
        use std::io::Write;
        writeln!(std::io::stderr(), "{error}").unwrap();
        std::process::exit(2);
    }
}

fn launcher(program: Program, seconds: f64) -> Launcher {
    Launcher { own: program, torch: None, threads: 1, timeout: Duration::from_secs_f64(seconds) }
}

fn itself() -> Program {
    let arguments = ["--exact", "child::serves_as_a_child", "--nocapture", "--"].map(OsString::from).to_vec();
    Program { path: std::env::current_exe().unwrap(), arguments }
}

/// A shell that runs a script whatever the request.
fn shell(script: &str) -> Program {
    Program { path: "/bin/sh".into(), arguments: vec!["-c".into(), script.into(), "sh".into()] }
}

#[test]
fn runtimes_agree_across_processes_and_a_missing_one_is_found() {
    if !needs::onnx_runtime() {
        return;
    }
    let models = Models::new();
    let model = models.file("residual.onnx", &small::residual());
    let inputs = noise(&[3, 8, 8], 5);
    let launcher = launcher(itself(), 60.0);
    let check = |kinds: &[Kind], tolerance: &Tolerance| {
        verify(
            &model,
            Asked { kinds, by_name: true, noise: true },
            &inputs,
            Pieces::AtMost(2),
            &launcher,
            tolerance,
            &mut |_| (),
        )
        .unwrap()
    };
    let agreement = check(&[Kind::ORT, Kind::TRACT], &Tolerance::default());
    assert!(agreement.passed, "{agreement:?}");
    assert_eq!((agreement.pairs.len(), agreement.answered.len(), agreement.samples), (1, 2, 5));
    assert_eq!(agreement.answered[1].identity.runtime, "tract");
    let own: Vec<Kind> = agreement.noise.iter().map(|noise| noise.runtime).collect();
    assert_eq!(own, [Kind::ORT, Kind::TRACT]);
    assert_eq!(agreement.noise[0].varied.len(), 4, "{:?}", agreement.noise);
    assert!(agreement.noise.iter().all(|noise| noise.floors[0].relative.unwrap() < 1e-4));

    // A tolerance below the runtimes' own difference fails, and the least passing one passes.
    let least = agreement.pairs[0].outputs[0].least_tolerance.unwrap();
    assert!(least > 0.0);
    let at = |relative| Tolerance { relative: Some(relative), ..Tolerance::default() };
    let below = check(&[Kind::ORT, Kind::TRACT], &at(least * 0.99));
    assert!(!below.passed || below.pairs[0].outputs[0].within_noise);
    assert!(check(&[Kind::ORT, Kind::TRACT], &at(least)).passed);

    let without = check(&[Kind::ORT, Kind::TORCH], &Tolerance::default());
    assert!(!without.passed && matches!(without.findings[0].fault, Fault::Missing { .. }));
    let json = serde_json::to_string(&without).unwrap();
    assert!(json.contains(r#""runtime":"torch""#) && json.contains(r#""fault":"missing""#), "{json}");
}

#[test]
fn a_bad_model_is_a_finding_with_the_runtimes_own_words() {
    let models = Models::new();
    let model = models.file("text.onnx", b"not a model");
    let launcher = launcher(itself(), 60.0);
    let finding =
        run_in_child(&launcher, Kind::TRACT, &model, &noise(&[1], 1), Pieces::AtMost(1), true).unwrap().unwrap_err();
    assert!(matches!(&finding.fault, Fault::Failed { message } if message.contains("cannot load")), "{finding}");
}

#[test]
fn crashes_hangs_and_empty_answers_are_findings() {
    let models = Models::new();
    let model = models.file("chain.onnx", &small::chain());
    let run = |script: &str, seconds: f64| {
        let launcher = launcher(shell(script), seconds);
        run_in_child(&launcher, Kind::TRACT, &model, &noise(&[3, 8, 8], 1), Pieces::AtMost(1), true)
            .unwrap()
            .unwrap_err()
            .fault
    };
    let crashed = run("echo out of luck >&2; kill -SEGV $$", 60.0);
    assert_eq!(crashed, Fault::Crashed { signal: 11, message: "out of luck".into() });
    let begun = Instant::now();
    assert_eq!(run("exec sleep 600", 0.2), Fault::Hung { seconds: 0.2 });
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert!(matches!(run("exit 0", 60.0), Fault::Failed { .. }));
    assert!(matches!(run("exit 3", 60.0), Fault::Failed { message } if message.contains("said nothing")));
    let nowhere = launcher(Program { path: "/nowhere".into(), arguments: vec![] }, 1.0);
    let missing =
        run_in_child(&nowhere, Kind::ORT, &model, &noise(&[3, 8, 8], 1), Pieces::AtMost(1), true).unwrap().unwrap_err();
    assert!(matches!(missing.fault, Fault::Missing { .. }));
}

/// As a test it does nothing; started with a file's name after `--` it waits for a runtime that never answers, whose
/// process writes its number to that file.
#[test]
fn waits_as_a_parent() {
    let Some(file) = std::env::args().skip_while(|argument| argument != "--").nth(1) else { return };
    let models = Models::new();
    let model = models.file("chain.onnx", &small::chain());
    let program = shell(&format!("echo $$ > {file}.new; mv {file}.new {file}; exec sleep 600"));
    let inputs = noise(&[3, 8, 8], 1);
    let answer = run_in_child(&launcher(program, 600.0), Kind::TRACT, &model, &inputs, Pieces::AtMost(1), true);
    panic!("it answered: {answer:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_runtime_process_ends_when_its_parent_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("number");
    let mut parent = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child::waits_as_a_parent", "--nocapture", "--"])
        .arg(&file)
        .env("TMPDIR", folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let pause = || std::thread::sleep(Duration::from_millis(10));
    while !file.exists() {
        pause();
    }
    let number = std::fs::read_to_string(&file).unwrap();
    parent.kill().unwrap();
    parent.wait().unwrap();
    // An ended process that nobody has waited for yet is in state Z.
    let runs = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", number.trim())).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|state| !state.is_empty() && !state.starts_with('Z'))
    };
    let begun = Instant::now();
    while runs() && begun.elapsed() < Duration::from_secs(30) {
        pause();
    }
    assert!(!runs(), "process {number} lives on");
}

//! How fast a network is trained, on its labels alone and pictures as they are:
//! `cargo bench -p espalier-csam --bench training -- MODEL.onnx --data FOLDER --transformed 0.5`.

#![allow(clippy::unwrap_used, reason = "nobody depends on it")]
#![allow(clippy::print_stdout, reason = "this is the result")]

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use clap::Parser;
use images::{
    intake::Intake,
    preprocess::{Preprocess, Resize},
};
use import::Model;
use serde_json::{Value, json};

/// Steps that warm caches and memory up, which do not count.
const WARM_UP: usize = 5;

#[derive(Parser)]
struct Args {
    /// The network.
    model: PathBuf,
    /// Pictures to train on.
    #[arg(long, default_value = "procedural")]
    data: PathBuf,
    /// Images in a step.
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Steps that count.
    #[arg(long, default_value_t = 30)]
    steps: usize,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// The share of pictures that are transformed; all are mirrored and shifted then.
    #[arg(long, default_value_t = 0.0)]
    transformed: f64,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.json");
    std::fs::write(&path, job(&args, folder.path().join("out")).to_string()).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_espalier-torch"));
    // As `espalier` starts it.
    program.env("MALLOC_TRIM_THRESHOLD_", "4000000000");
    program.env("MALLOC_MMAP_THRESHOLD_", "4000000000").env("MALLOC_TOP_PAD_", "268435456");
    let mut child = program.args(["train", "--job"]).arg(&path).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let events = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let steps = events.inspect(|event| assert_ne!(event["event"], "error", "{event}"));
    let steps: Vec<Value> = steps.filter(|event| event["phase"] == "train").skip(WARM_UP).take(args.steps).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    tell(&steps, args.batch);
}

/// A training that changes next to nothing, so that it goes on whatever it is given.
fn job(args: &Args, out: PathBuf) -> Value {
    let model = Model::open(&args.model).unwrap();
    let value = model.graph.value(model.graph.inputs[0]);
    let shape: Vec<Option<usize>> =
        value.shape.as_ref().unwrap().iter().map(|extent| extent.value()?.try_into().ok()).collect();
    let preprocess = Preprocess { resize: Resize::Exact, ..Preprocess::infer(&shape).unwrap() };
    let inputs = Intake::of_pictures(&value.name, preprocess);
    json!({
        "model": args.model, "data": args.data, "threads": args.threads, "out": out, "inputs": inputs,
        "tune": {
            "epochs": 1e6, "batch": args.batch, "rate": 1e-9, "validate": 0.0,
            "transformed": args.transformed, "augment": args.transformed > 0.0,
        },
    })
}

/// Medians over steps.
fn tell(steps: &[Value], batch: usize) {
    let median = |key: &str| {
        let mut numbers: Vec<f64> = steps.iter().map(|step| step[key].as_f64().unwrap()).collect();
        numbers.sort_by(f64::total_cmp);
        numbers[numbers.len() / 2]
    };
    let (rate, waited) = (median("rate"), median("waited"));
    println!(
        "{:.1} ms a step, {rate:.1} images a second, {:.3} ms of a step waiting for pictures (medians of {} steps)",
        1e3 * batch as f64 / rate,
        1e3 * waited,
        steps.len()
    );
}

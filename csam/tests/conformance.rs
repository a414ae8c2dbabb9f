//! Every case of the standard's own tests, through inference and through the lowered network.
//!
//! `docs/conformance.md` says what comes of each operator; `UPDATE_DOCS=1 cargo test` writes it anew.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use csam::network::{Lowering, Network, NetworkError, Pass};
use fixtures::needs;
use import::proto::onnx::TensorProto;
use import::{DType, Model, Tensor as Stored};
use prost::Message;
use tch::{Kind, Tensor, no_grad};

/// What the cases' own list compares with.
const RELATIVE: f64 = 1e-3;
const ABSOLUTE: f64 = 1e-5;

#[derive(serde::Deserialize)]
struct Case {
    case: String,
    ops: Vec<String>,
    onnxruntime: String,
}

/// What became of a case.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Passed,
    /// With the reason, without what is this case's alone.
    Refused(String),
    Wrong(String),
}

#[test]
fn the_standards_own_cases_are_computed_or_refused() {
    let Some(shared) = needs::shared("conformance") else { return };
    let folder = tempfile::tempdir().unwrap();
    let archive = shared.join("conformance.tar.xz");
    assert!(Command::new("tar").arg("-xJf").arg(archive).current_dir(folder.path()).status().unwrap().success());
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(shared.join("cases.json")).unwrap()).unwrap();
    let root = folder.path().join("conformance");
    let found: Vec<(&Case, Outcome)> = cases.iter().map(|case| (case, outcome(&root.join(&case.case)))).collect();
    if let Some(file) = std::env::var_os("CONFORMANCE_LOG") {
        let line = |(case, outcome): &(&Case, Outcome)| format!("{}\t{}\t{outcome:?}", case.case, case.onnxruntime);
        std::fs::write(file, found.iter().map(line).collect::<Vec<_>>().join("\n")).unwrap();
    }
    let judged = || found.iter().filter(|(case, _)| case.onnxruntime == "passed");
    let wrong: Vec<String> = judged()
        .filter_map(|(case, outcome)| match outcome {
            Outcome::Wrong(how) => Some(format!("{}: {how}", case.case)),
            _ => None,
        })
        .collect();
    assert!(wrong.is_empty(), "{} are wrong: {wrong:#?}", wrong.len());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance.md");
    let page = page(judged().map(|(case, outcome)| (*case, outcome)));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page, "run UPDATE_DOCS=1 cargo test -p espalier-csam --test conformance");
}

/// What became of the cases of each operator.
fn page<'a>(judged: impl Iterator<Item = (&'a Case, &'a Outcome)>) -> String {
    let mut rows: BTreeMap<&str, (usize, usize, BTreeSet<String>)> = BTreeMap::new();
    let (mut all, mut passed) = (0, 0);
    for (case, outcome) in judged {
        all += 1;
        passed += usize::from(*outcome == Outcome::Passed);
        // Whole networks and functions written out in other operators are cases of several.
        let name = if let [one] = case.ops.as_slice() { one.as_str() } else { "(several)" };
        let row = rows.entry(name).or_default();
        row.0 += 1;
        match outcome {
            Outcome::Passed => row.1 += 1,
            Outcome::Refused(why) => {
                row.2.insert(why.clone());
            }
            Outcome::Wrong(_) => {}
        }
    }
    let mut page = format!(
        "# Conformance\n\nGenerated. The ONNX project's own test cases that ONNX Runtime passes, through shape inference and the torch \
         network\n(relative tolerance {RELATIVE}, absolute {ABSOLUTE}): {passed} of {all} pass, none is wrong, the others are refused with \
         the reason.\n\n| operator | cases | passed | refused because |\n|---|---|---|---|\n"
    );
    for (name, (all, passed, reasons)) in rows {
        let reasons: Vec<String> = reasons.into_iter().collect();
        writeln!(page, "| {name} | {all} | {passed} | {} |", reasons.join("; ").replace('|', "/")).unwrap();
    }
    page
}

fn outcome(folder: &Path) -> Outcome {
    match run(folder) {
        Ok(()) => Outcome::Passed,
        Err(outcome) => outcome,
    }
}

fn run(folder: &Path) -> Result<(), Outcome> {
    let refused = |error: &dyn std::fmt::Display| Outcome::Refused(error.to_string());
    let model = Model::open(&folder.join("model.onnx")).map_err(|error| refused(&error))?;
    let network = Network::lower(&model, None, Lowering::inference()).map_err(|error| match error {
        NetworkError::Refused(refusals) => {
            let reasons: BTreeSet<String> = refusals.iter().map(|one| format!("{}: {}", one.op, one.reason)).collect();
            Outcome::Refused(reasons.into_iter().collect::<Vec<_>>().join(", "))
        }
        error => refused(&error),
    })?;
    for set in sets(folder) {
        let inputs = tensors(&set, "input", model.graph.inputs.len())?;
        let wanted = tensors(&set, "output", model.graph.outputs.len())?;
        let fed: Vec<Tensor> =
            inputs.iter().map(torch).collect::<Option<_>>().ok_or(Outcome::Refused("an input's type".to_owned()))?;
        let given = no_grad(|| network.forward(&fed, &mut Pass::default())).map_err(|error| match error {
            NetworkError::Inputs { .. } => refused(&error),
            _ => Outcome::Wrong(error.to_string()),
        })?;
        for ((value, wanted), given) in model.graph.outputs.iter().zip(&wanted).zip(&given) {
            check_inferred(model.graph.value(*value), wanted)?;
            compare(wanted, given)?;
        }
    }
    Ok(())
}

fn sets(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut sets: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    sets.sort();
    sets
}

fn tensors(set: &Path, what: &str, count: usize) -> Result<Vec<Stored>, Outcome> {
    let read = |place: usize| {
        let path = set.join(format!("{what}_{place}.pb"));
        let bytes = std::fs::read(&path).map_err(|_| Outcome::Refused(format!("{what} {place} is left out")))?;
        let proto = TensorProto::decode(bytes.as_slice())
            .map_err(|_| Outcome::Refused(format!("{what} {place} is no tensor")))?;
        Stored::from_proto(&proto, set).map_err(|error| Outcome::Refused(error.to_string()))
    };
    (0..count).map(read).collect()
}

fn torch(stored: &Stored) -> Option<Tensor> {
    let shape: Vec<i64> = stored.shape.iter().map(|&extent| extent as i64).collect();
    let flat = match stored.dtype {
        DType::F32 | DType::F16 | DType::BF16 => Tensor::from_slice(&stored.to_f32().ok()?),
        DType::F64 => Tensor::from_slice(&stored.to_f64().ok()?),
        _ => Tensor::from_slice(&stored.to_i64().ok()?),
    };
    Some(flat.reshape(&shape))
}

/// What inference says of an output must be so.
fn check_inferred(value: &import::graph::Value, wanted: &Stored) -> Result<(), Outcome> {
    let wrong = || {
        Outcome::Wrong(format!(
            "inferred {:?} {:?}, is {:?} {:?}",
            value.dtype, value.shape, wanted.dtype, wanted.shape
        ))
    };
    if value.dtype.is_some_and(|dtype| dtype != wanted.dtype) {
        return Err(wrong());
    }
    let Some(shape) = &value.shape else { return Ok(()) };
    let fits = shape.len() == wanted.shape.len()
        && shape.iter().zip(&wanted.shape).all(|(size, &is)| size.value().is_none_or(|size| size == is as i64));
    if fits { Ok(()) } else { Err(wrong()) }
}

fn compare(wanted: &Stored, given: &Tensor) -> Result<(), Outcome> {
    let shape: Vec<i64> = wanted.shape.iter().map(|&extent| extent as i64).collect();
    if given.size() != shape {
        return Err(Outcome::Wrong(format!("gives {:?}, wanted {shape:?}", given.size())));
    }
    let numbers = wanted.to_f64().or_else(|_| wanted.to_i64().map(|all| all.into_iter().map(|n| n as f64).collect()));
    let numbers = numbers.map_err(|error| Outcome::Refused(error.to_string()))?;
    let ours = Vec::<f64>::try_from(&given.to_kind(Kind::Double).contiguous().flatten(0, -1)).unwrap();
    let loose = if matches!(wanted.dtype, DType::F16 | DType::BF16) { 8.0 } else { 1.0 };
    let same = |(a, b): (&f64, &f64)| {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= loose * (ABSOLUTE + RELATIVE * b.abs())
    };
    match ours.iter().zip(&numbers).position(|pair| !same(pair)) {
        None => Ok(()),
        Some(at) => Err(Outcome::Wrong(format!("element {at} is {} and should be {}", ours[at], numbers[at]))),
    }
}

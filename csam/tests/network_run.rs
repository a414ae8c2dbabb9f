//! `espalier-torch run`, through its files.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use csam::run::{RunArgs, run};
use fixtures::models::{Builder, Dim, int, small, tensors};
use import::DType;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

/// Writes samples that are a function of their place, so many in each run.
fn write(path: &Path, runs: &[usize]) {
    let mut start = 0;
    let pieces: Vec<(String, usize, Vec<u8>)> = runs
        .iter()
        .enumerate()
        .map(|(run, samples)| {
            let values = (start..start + samples * 3 * 64).map(|i| (i as f32 * 0.37).sin());
            start += samples * 3 * 64;
            (format!("{run}:0:"), *samples, values.flat_map(f32::to_le_bytes).collect())
        })
        .collect();
    let views = pieces.iter().map(|(name, samples, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, vec![*samples, 3, 8, 8], bytes).unwrap())
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// Names, types, shapes and bytes of all outputs, run by run.
fn answers(model: &[u8], runs: &[usize]) -> Vec<(String, Dtype, Vec<usize>, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let [onnx, inputs, outputs] = ["m.onnx", "in.safetensors", "out.safetensors"].map(|name| folder.path().join(name));
    std::fs::write(&onnx, model).unwrap();
    write(&inputs, runs);
    run(&RunArgs { model: onnx, inputs, outputs: outputs.clone(), threads: 1 }).unwrap();
    let bytes = std::fs::read(&outputs).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone().unwrap();
    assert_eq!((metadata["runtime"].as_str(), metadata["device"].as_str()), ("torch", "cpu"));
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut found: Vec<_> = file
        .iter()
        .map(|(name, view)| (name.to_owned(), view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// The scores of all runs of a model with one output of floats.
fn scores(model: &[u8], runs: &[usize]) -> Vec<f32> {
    let floats = |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect::<Vec<_>>();
    answers(model, runs).iter().flat_map(|(.., bytes)| floats(bytes)).collect()
}

#[test]
fn several_inputs_are_fed_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let [onnx, inputs, outputs] = ["m.onnx", "in.safetensors", "out.safetensors"].map(|name| folder.path().join(name));
    std::fs::write(&onnx, tensors::levels()).unwrap();
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let (level, x, on) = (3i64.to_le_bytes(), floats(&[1.0, 2.0, 3.0, 4.0]), [1, 0, 1, 1]);
    let given = [
        ("0:0:level", TensorView::new(Dtype::I64, vec![], &level).unwrap()),
        ("0:1:x", TensorView::new(Dtype::F32, vec![1, 4], &x).unwrap()),
        ("0:2:on", TensorView::new(Dtype::BOOL, vec![1, 4], &on).unwrap()),
    ];
    let of = |count: usize| {
        safetensors::serialize_to_file(given[..count].iter().map(|(name, view)| (*name, view)), None, &inputs).unwrap();
        run(&RunArgs { model: onnx.clone(), inputs: inputs.clone(), outputs: outputs.clone(), threads: 1 })
    };
    of(3).unwrap();
    let bytes = std::fs::read(&outputs).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.iter().next().unwrap().1.data(), floats(&[3.0, 0.0, 9.0, 12.0]));
    let error = of(2).unwrap_err().to_string();
    assert!(error.contains("`on` is fed nothing"), "{error}");
}

#[test]
fn samples_are_answered_alike_in_runs_of_any_size() {
    let model = small::residual();
    let found = answers(&model, &[2, 3]);
    let named: Vec<(&str, &[usize])> = found.iter().map(|(name, _, shape, _)| (&name[..4], &shape[..])).collect();
    assert_eq!(named, [("0:0:", &[2, 5][..]), ("1:0:", &[3, 5][..])]);
    let (whole, parts) = (scores(&model, &[5]), scores(&model, &[2, 3]));
    assert_eq!((whole.len(), parts.len()), (25, 25));
    assert!(whole.iter().zip(&parts).all(|(a, b)| (a - b).abs() < 1e-5));
}

#[test]
fn outputs_keep_their_types() {
    let shape = [Dim::Symbol("batch"), Dim::Is(3), Dim::Is(8), Dim::Is(8)];
    let mut net = Builder::new("types", 13, 0);
    let x = net.input("x", &shape);
    for dtype in [DType::F64, DType::I64, DType::Bool] {
        let y = net.node("Cast", &[&x], vec![int("to", dtype.code().into())]);
        net.output_of(&y, dtype, &shape);
    }
    let types: Vec<Dtype> = answers(&net.finish(), &[1]).iter().map(|(_, dtype, ..)| *dtype).collect();
    assert_eq!(types, [Dtype::F64, Dtype::I64, Dtype::BOOL]);
}

#[test]
fn inputs_of_another_form_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let [onnx, inputs, outputs] = ["m.onnx", "in.safetensors", "out.safetensors"].map(|name| folder.path().join(name));
    std::fs::write(&onnx, small::chain()).unwrap();
    let args = RunArgs { model: onnx, inputs: inputs.clone(), outputs: outputs.clone(), threads: 1 };
    std::fs::write(&inputs, b"not tensors").unwrap();
    let error = run(&args).unwrap_err().to_string();
    assert!(error.contains("in.safetensors") && !error.contains('\n'), "{error}");
    write(&inputs, &[1, 1]);
    std::fs::write(&args.model, b"no model").unwrap();
    run(&args).unwrap_err();
    assert!(!outputs.exists());
}

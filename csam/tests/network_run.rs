//! `espalier-torch run`, through its files.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::Path;

use csam::run::{RunArgs, run};
use fixtures::models::small;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

fn write(path: &Path, samples: usize, batch: &str) {
    let values = (0..samples * 3 * 64).map(|i| (i as f32 * 0.37).sin());
    let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    let view = TensorView::new(Dtype::F32, vec![samples, 3, 8, 8], &bytes).unwrap();
    let metadata = HashMap::from([("batch".to_owned(), batch.to_owned())]);
    safetensors::serialize_to_file([("input", view)], Some(metadata), path).unwrap();
}

/// Shape and values of the only output.
fn answer(model: &[u8], samples: usize, batch: &str) -> (String, Vec<usize>, Vec<f32>) {
    let folder = tempfile::tempdir().unwrap();
    let [onnx, inputs, outputs] = ["m.onnx", "in.safetensors", "out.safetensors"].map(|name| folder.path().join(name));
    std::fs::write(&onnx, model).unwrap();
    write(&inputs, samples, batch);
    run(&RunArgs { model: onnx, inputs, outputs: outputs.clone(), threads: 1 }).unwrap();
    let bytes = std::fs::read(&outputs).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone().unwrap();
    assert_eq!((metadata["runtime"].as_str(), metadata["device"].as_str()), ("torch", "cpu"));
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (name, view) = file.iter().next().unwrap();
    let values = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    (name.to_owned(), view.shape().to_vec(), values)
}

#[test]
fn samples_are_answered_alike_in_batches_of_any_size() {
    let model = small::residual();
    let (name, shape, whole) = answer(&model, 5, "5");
    assert!(name.starts_with("0:"), "{name}");
    assert_eq!(shape, [5, 5]);
    let (_, shape, parts) = answer(&model, 5, "2");
    assert_eq!(shape, [5, 5]);
    assert!(whole.iter().zip(&parts).all(|(a, b)| (a - b).abs() < 1e-5));
}

#[test]
fn a_fixed_batch_is_kept_to() {
    let (_, shape, whole) = answer(&small::fixed_batch(), 3, "3");
    assert_eq!(shape, [3, 5]);
    let (_, _, first) = answer(&small::fixed_batch(), 1, "1");
    assert_eq!(whole[..5], first[..]);
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
    write(&inputs, 2, "1");
    std::fs::write(&args.model, b"no model").unwrap();
    run(&args).unwrap_err();
    assert!(!outputs.exists());
}

//! ONNX Runtime and tract in this process.

use std::time::Duration;

use certify::CertifyError;
use certify::agreement::compare::compare;
use certify::latency::{Effort, Latency, Speedup, compare as compare_latency};
use certify::runtimes::ort::OrtSession;
use certify::runtimes::{Batch, Element, Feed, Kind, Options, Session, Values, load};
use fixtures::{
    models::{Builder, Dim, int, small, tensors},
    needs,
};
use import::{DType, Tensor};

use crate::{Models, noise};

const SAMPLE: [usize; 3] = [3, 8, 8];

#[test]
fn both_runtimes_agree_on_every_small_model_at_any_batch() {
    if !needs::onnx_runtime() {
        return;
    }
    let models = Models::new();
    // tract does not know the opaque model's operator.
    for (name, bytes) in small::all().into_iter().filter(|(name, _)| *name != "opaque") {
        let path = models.file(&format!("{name}.onnx"), &bytes);
        let mut ort = load(Kind::ORT, &path, Options::default()).unwrap();
        let mut tract = load(Kind::TRACT, &path, Options::default()).unwrap();
        for n in [1, 4] {
            let batch = noise(&SAMPLE, n);
            let (a, b) = (ort.run(&batch).unwrap(), tract.run(&batch).unwrap());
            assert_eq!(a.len(), b.len(), "{name}");
            for (a, b) in a.iter().zip(&b) {
                let found = compare(a, b, n, 1e-4).unwrap();
                assert!(found.passed, "{name} at batch {n}: {found:?}");
                assert_eq!(a.shape[0], n, "{name}");
            }
        }
    }
}

#[test]
fn clones_of_a_session_run_side_by_side_and_give_what_one_gives_alone() {
    if !needs::onnx_runtime() {
        return;
    }
    let models = Models::new();
    let path = models.file("residual.onnx", &small::residual());
    let batches: Vec<Batch> = (1..9).map(|n| noise(&SAMPLE, n)).collect();
    let mut alone = OrtSession::load(&path, Options::default()).unwrap();
    let expected: Vec<_> = batches.iter().map(|batch| alone.run(batch).unwrap()).collect();
    let session = OrtSession::load(&path, Options::default()).unwrap();
    std::thread::scope(|scope| {
        for first in 0..4 {
            let (mut own, batches, expected) = (session.clone(), &batches, &expected);
            scope.spawn(move || {
                for at in (first..first + 40).map(|at| at % batches.len()) {
                    assert_eq!(own.run(&batches[at]).unwrap(), expected[at]);
                }
            });
        }
    });
}

#[test]
fn a_fixed_batch_gives_what_single_samples_give() {
    if !needs::onnx_runtime() {
        return;
    }
    let models = Models::new();
    let path = models.file("fixed.onnx", &small::fixed_batch());
    let batch = noise(&SAMPLE, 3);
    for kind in [Kind::ORT, Kind::TRACT] {
        let mut session = load(kind, &path, Options::default()).unwrap();
        assert_eq!(session.at_once(&batch), Some(1));
        let whole = &session.run(&batch).unwrap()[0];
        assert_eq!(whole.shape[0], 3);
        let single = &session.run(&batch.samples(2, 1)).unwrap()[0];
        assert_eq!(whole.samples(3).nth(2).unwrap(), single.values);
    }
}

#[test]
fn several_inputs_of_any_type_are_fed_by_name() {
    let models = Models::new();
    let path = models.file("levels.onnx", &tensors::levels());
    let feed =
        |name: &str, sample: &[usize], axis, values| Feed { name: name.into(), sample: sample.to_vec(), axis, values };
    // In another order than the model's.
    let feeds = vec![
        feed("level", &[], None, Values::I64(vec![3, -2])),
        feed("x", &[4], Some(0), Values::F32(vec![1., 2., 3., 4., 5., 6., 7., 8.])),
        feed("on", &[4], Some(0), Values::Bool(vec![true, false, true, true, false, true, false, false])),
    ];
    let batch = Batch::of(2, feeds).unwrap();
    for kind in [Kind::ORT, Kind::TRACT] {
        if kind == Kind::ORT && !needs::onnx_runtime() {
            continue;
        }
        let mut session = load(kind, &path, Options::default()).unwrap();
        let outputs = session.run(&batch).unwrap();
        assert_eq!(outputs[0].values.to_f64(), [3., 0., 9., 12., 0., -12., 0., 0.], "{kind:?}");
        let missing = Batch::of(2, batch.feeds()[1..].to_vec()).unwrap();
        let error = session.run(&missing).unwrap_err().to_string();
        assert!(error.contains("`level` is fed nothing"), "{error}");
    }
}

#[test]
fn samples_lie_on_the_axis_that_a_model_has_for_them() {
    let models = Models::new();
    let path = models.file("sequence.onnx", &tensors::sequence_first());
    let values: Vec<f32> = (0..36u8).map(f32::from).collect();
    let feed = Feed { name: String::new(), sample: vec![6, 3], axis: Some(1), values: values.into() };
    let batch = Batch::of(2, vec![feed]).unwrap();
    for kind in [Kind::ORT, Kind::TRACT] {
        if kind == Kind::ORT && !needs::onnx_runtime() {
            continue;
        }
        let mut session = load(kind, &path, Options::default()).unwrap();
        let both = session.run(&batch).unwrap().remove(0);
        assert_eq!(both.shape, [6, 2, 4], "{kind:?}");
        let second = session.run(&batch.samples(1, 1)).unwrap().remove(0);
        assert_eq!(both.samples(2).nth(1).unwrap().to_f64(), second.values.to_f64(), "{kind:?}");
    }
}

#[test]
fn what_is_no_model_is_refused_in_one_sentence() {
    let models = Models::new();
    let path = models.file("text.onnx", b"this is not a model");
    let empty = models.file("empty.onnx", b"");
    for kind in [Kind::ORT, Kind::TRACT] {
        if kind == Kind::ORT && !needs::onnx_runtime() {
            continue;
        }
        for path in [&path, &empty] {
            let loaded = load(kind, path, Options::default()).map(|_| ());
            assert!(matches!(loaded, Err(CertifyError::Load { .. })), "{kind:?} {path:?}");
        }
    }
    assert!(load(Kind::TORCH, &path, Options::default()).is_err());
}

#[test]
fn a_wrong_input_size_is_an_error_not_a_panic() {
    let models = Models::new();
    let path = models.file("chain.onnx", &small::flatten_gemm());
    for kind in [Kind::ORT, Kind::TRACT] {
        if kind == Kind::ORT && !needs::onnx_runtime() {
            continue;
        }
        let mut session = load(kind, &path, Options::default()).unwrap();
        let wrong = Batch::new(vec![1, 2, 5, 5], vec![0.0; 50]).unwrap();
        assert!(matches!(session.run(&wrong), Err(CertifyError::Run { .. })), "{kind:?}");
    }
}

#[test]
fn two_networks_are_timed_in_turns_on_both() {
    if !needs::onnx_runtime() {
        return;
    }
    let models = Models::new();
    let path = models.file("chain.onnx", &small::chain());
    let effort = Effort { at_most: Duration::ZERO, ..Effort::default() };
    for kind in [Kind::ORT, Kind::TRACT] {
        let found = compare_latency(kind, &path, &path, &noise(&SAMPLE, 1), effort).unwrap();
        let Latency { batch, runs, ref identity, p10_ms, median_ms, p90_ms, .. } = found.slim;
        assert_eq!((batch, runs, identity.runtime.as_str(), found.speedup.turns), (1, 6, kind.name(), 6));
        assert!(0.0 < p10_ms && p10_ms <= median_ms && median_ms <= p90_ms);
        let Speedup { ratio, lower, upper, confidence, .. } = found.speedup;
        assert!(lower <= ratio && ratio <= upper && confidence >= 0.95, "{found:?}");
    }
}

/// One output of each type, all of them a cast of the input times 100.
fn typed() -> Vec<u8> {
    let shape = [Dim::Symbol("batch"), Dim::Is(4)];
    let mut net = Builder::new("types", 13, 0);
    let x = net.input("x", &shape);
    let hundred = net.stored("hundred", &[1], &[100.0]);
    let scaled = net.node("Mul", &[&x, &hundred], vec![]);
    for dtype in [DType::I8, DType::I16, DType::I32, DType::I64, DType::U8, DType::F16, DType::Bool] {
        let y = net.node("Cast", &[&scaled], vec![int("to", dtype.code().into())]);
        net.output_of(&y, dtype, &shape);
    }
    let wide = net.node("Cast", &[&x], vec![int("to", DType::F64.code().into())]);
    let huge = net.constant_node(&Tensor::from_floats(DType::F64, &[1], &[1e300]).unwrap());
    let y = net.node("Mul", &[&wide, &huge], vec![]);
    net.output_of(&y, DType::F64, &shape);
    net.finish()
}

#[test]
fn outputs_keep_their_types() {
    let models = Models::new();
    let path = models.file("types.onnx", &typed());
    let batch = Batch::new(vec![2, 4], vec![0.0, 0.5, 1.0, 1.27, 0.25, 0.75, 0.01, 0.0]).unwrap();
    for kind in [Kind::ORT, Kind::TRACT] {
        if kind == Kind::ORT && !needs::onnx_runtime() {
            continue;
        }
        let outputs = load(kind, &path, Options::default()).unwrap().run(&batch).unwrap();
        let elements: Vec<Element> = outputs.iter().map(|output| output.values.element()).collect();
        let expected = [
            Element::I8,
            Element::I16,
            Element::I32,
            Element::I64,
            Element::U8,
            Element::F16,
            Element::Bool,
            Element::F64,
        ];
        assert_eq!(elements, expected, "{kind:?}");
        assert_eq!(outputs[0].values, Values::I8(vec![0, 50, 100, 127, 25, 75, 1, 0]), "{kind:?}");
        assert_eq!(outputs[7].values.to_f64()[1], 5e299, "{kind:?}");
    }
}

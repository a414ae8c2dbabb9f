//! ONNX Runtime and tract in this process.

use certify::CertifyError;
use certify::agreement::compare::compare;
use certify::latency::{Effort, latency};
use certify::runtimes::{Batch, Kind, Options, load};
use fixtures::models::small;

use crate::{Models, have_ort, noise};

const SAMPLE: [usize; 3] = [3, 8, 8];

#[test]
fn both_runtimes_agree_on_every_small_model_at_any_batch() {
    if !have_ort() {
        return;
    }
    let models = Models::new();
    // tract 0.23 wants the axis of the opaque model's CumSum as a scalar, ONNX Runtime takes a list too.
    for (name, bytes) in small::all().into_iter().filter(|(name, _)| *name != "opaque") {
        let path = models.file(&format!("{name}.onnx"), &bytes);
        let mut ort = load(Kind::Ort, &path, Options::default()).unwrap();
        let mut tract = load(Kind::Tract, &path, Options::default()).unwrap();
        for n in [1, 4] {
            let batch = noise(&SAMPLE, n);
            let (a, b) = (ort.run(&batch).unwrap(), tract.run(&batch).unwrap());
            assert_eq!(a.len(), b.len(), "{name}");
            for (a, b) in a.iter().zip(&b) {
                let found = compare(a, b, 1e-4).unwrap();
                assert!(found.passed, "{name} at batch {n}: {found:?}");
                assert_eq!(a.shape[0], n, "{name}");
            }
        }
    }
}

#[test]
fn a_fixed_batch_gives_what_single_samples_give() {
    if !have_ort() {
        return;
    }
    let models = Models::new();
    let path = models.file("fixed.onnx", &small::fixed_batch());
    let batch = noise(&SAMPLE, 3);
    for kind in [Kind::Ort, Kind::Tract] {
        let mut session = load(kind, &path, Options::default()).unwrap();
        assert_eq!(session.fixed_batch(), Some(1));
        let whole = &session.run(&batch).unwrap()[0];
        assert_eq!(whole.shape[0], 3);
        let single = &session.run(&batch.samples(2, 1)).unwrap()[0];
        assert_eq!(whole.data[2 * single.data.len()..], single.data);
    }
}

#[test]
fn what_is_no_model_is_refused_in_one_sentence() {
    let models = Models::new();
    let path = models.file("text.onnx", b"this is not a model");
    let empty = models.file("empty.onnx", b"");
    for kind in [Kind::Ort, Kind::Tract] {
        if kind == Kind::Ort && !have_ort() {
            continue;
        }
        for path in [&path, &empty] {
            let loaded = load(kind, path, Options::default()).map(|_| ());
            assert!(matches!(loaded, Err(CertifyError::Load { .. })), "{kind:?} {path:?}");
        }
    }
    assert!(load(Kind::Torch, &path, Options::default()).is_err());
}

#[test]
fn a_wrong_input_size_is_an_error_not_a_panic() {
    let models = Models::new();
    let path = models.file("chain.onnx", &small::flatten_gemm());
    for kind in [Kind::Ort, Kind::Tract] {
        if kind == Kind::Ort && !have_ort() {
            continue;
        }
        let mut session = load(kind, &path, Options::default()).unwrap();
        let wrong = Batch::new(vec![1, 2, 5, 5], vec![0.0; 50]).unwrap();
        assert!(matches!(session.run(&wrong), Err(CertifyError::Run { .. })), "{kind:?}");
    }
}

#[test]
fn latency_is_measured_on_both() {
    if !have_ort() {
        return;
    }
    let models = Models::new();
    let path = models.file("chain.onnx", &small::chain());
    for kind in [Kind::Ort, Kind::Tract] {
        let found = latency(kind, &path, &SAMPLE, Effort::default()).unwrap();
        assert_eq!((found.batch, found.runs, found.identity.runtime.as_str()), (1, 50, kind.name()));
        assert!(0.0 < found.p10_ms && found.p10_ms <= found.median_ms && found.median_ms <= found.p90_ms);
    }
}

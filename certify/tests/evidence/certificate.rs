//! The certificate engine against a plain loop, and what must not change its results.

use std::path::Path;

use certify::certificate::{Certificate, Preset, Settings, Subject, certify};
use certify::runtimes::{Batch, Kind, Options, load};
use certify::statistics::binomial::certifies;
use certify::{CertifyError, Progress};
use fixtures::{
    models::{Builder, Dim, small},
    needs,
};
use images::data::ImageSet;
use images::draw;
use images::laws::Law;

use crate::Models;
use crate::accuracy::{argmax, pictures, preprocess, scores};

/// Laws strong enough that a small network's verdicts differ.
fn settings() -> Settings {
    Settings {
        draws: 120,
        images: 12,
        laws: vec![Law::Rotation { degrees: 60.0 }, Law::Noise { sigma: 1.0 }],
        seed: 9,
        ..Preset::Quick.settings(8).unwrap()
    }
}

fn subject(name: &str, model: &Path) -> Subject {
    Subject { name: name.into(), model: model.into() }
}

fn run(subjects: &[Subject], set: &ImageSet, settings: &Settings) -> Certificate {
    certify(subjects, set, &preprocess(), settings, &mut |_| ()).unwrap()
}

/// Failures over all draws, one run at a time.
fn failures(model: &Path, set: &ImageSet, image: usize, law: &Law, class: u32, settings: &Settings) -> u64 {
    let mut session = load(Kind::ORT, model, Options::default()).unwrap();
    let preprocess = preprocess();
    let pixels = set.pixels(image, &preprocess).unwrap();
    let failed = |draw: &u64| {
        let moved = law.apply(&pixels, &mut draw::rng(settings.seed, &law.to_string(), image as u64, *draw));
        let batch = Batch::new(preprocess.input_shape(1), preprocess.batch(std::iter::once(&moved))).unwrap();
        argmax(&session.run(&batch).unwrap()[0].values.to_f64()) != class
    };
    (0..settings.draws).filter(failed).count() as u64
}

#[test]
fn verdicts_are_those_of_all_draws() {
    if !needs::onnx_runtime() {
        return;
    }
    let models = Models::new();
    let mut kinds = [0; 2];
    for (name, bytes) in
        [("residual", small::residual()), ("flat", small::flatten_gemm()), ("gate", small::squeeze_excite())]
    {
        let model = models.file(&format!("{name}.onnx"), &bytes);
        for settings in [settings(), Settings { chernoff: None, ..settings() }] {
            check_verdicts(&model, &settings, &mut kinds);
        }
    }
    assert!(kinds[0] > 0 && kinds[1] > 0, "all verdicts are alike: {kinds:?}");
}

/// Compares every verdict on one model with that of all draws, and counts them by kind.
fn check_verdicts(model: &Path, settings: &Settings, kinds: &mut [usize; 2]) {
    let labels: Vec<u32> = scores(model, &pictures(40, None)).iter().map(|scores| argmax(scores)).collect();
    let set = pictures(40, Some(labels.clone()));
    let found = run(&[subject("dense", model)], &set, settings);
    assert_eq!((found.images, found.clean[0].right.count, found.labelled), (12, 12, true));
    for law in &found.laws {
        for verdict in &law.subjects[0].images {
            let class = labels[verdict.image];
            let all = failures(model, &set, verdict.image, &law.law, class, settings);
            let holds = certifies(all, settings.draws, settings.epsilon, settings.alpha);
            assert_eq!(verdict.certified, holds, "{verdict:?} of {all}");
            assert!(verdict.draws == settings.draws || settings.chernoff.is_none() || !verdict.certified);
            if verdict.draws == settings.draws {
                assert_eq!(verdict.failures, all);
            }
            kinds[usize::from(holds)] += 1;
        }
    }
}

#[test]
fn threads_change_nothing() {
    if !needs::onnx_runtime() {
        return;
    }
    let models = Models::new();
    let subjects = [
        subject("dense", &models.file("residual.onnx", &small::residual())),
        subject("slim", &models.file("chain.onnx", &small::chain())),
    ];
    let set = pictures(30, None);
    let of = |threads| {
        let mut found = run(&subjects, &set, &Settings { threads, ..settings() });
        (found.seconds, found.settings.threads) = (0.0, 1);
        found
    };
    let (one, three) = (of(1), of(3));
    let lines = |found: &Certificate| serde_json::to_string_pretty(found).unwrap();
    assert_eq!(lines(&one), lines(&three));
    assert!(!one.labelled && one.notes.iter().any(|note| note.contains("no labels")));
    assert_eq!(one.clean[0].right.share, 1.0);
    assert_eq!((one.laws[0].paired.len(), one.laws[0].paired[0].table.cases()), (1, 12));
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<Certificate>(&text).unwrap(), one);
}

#[test]
fn a_model_is_no_better_than_itself() {
    if !needs::onnx_runtime() {
        return;
    }
    let models = Models::new();
    let model = models.file("softmax.onnx", &small::softmax());
    let found = run(&[subject("a", &model), subject("b", &model)], &pictures(20, None), &settings());
    for law in &found.laws {
        let [a, b] = law.subjects.as_slice() else { unreachable!() };
        assert_eq!((&a.images, a.certified), (&b.images, b.certified));
        let table = law.paired[0].table;
        assert_eq!((table.first_only, table.second_only, law.paired[0].mcnemar.p), (0, 0, 1.0));
    }
}

#[test]
fn time_bounds_images_and_never_draws() {
    if !needs::onnx_runtime() {
        return;
    }
    let models = Models::new();
    let subjects = [subject("dense", &models.file("residual.onnx", &small::residual()))];
    let settings = Settings { minutes: Some(1e-9), ..settings() };
    let mut heard = Vec::new();
    let found =
        certify(&subjects, &pictures(20, None), &preprocess(), &settings, &mut |said| heard.push(said)).unwrap();
    assert_eq!(found.images, 1);
    assert!(found.notes.iter().any(|note| note.contains("suffice for 1 of 12 images")));
    assert!(matches!(heard[0], Progress::Estimate { seconds, evaluations: 240 } if seconds > 0.0), "{heard:?}");
}

#[test]
fn what_cannot_be_certified_is_refused_first() {
    let nowhere = [subject("dense", Path::new("/nowhere.onnx"))];
    let refused = |settings: Settings, n| certify(&nowhere, &pictures(n, None), &preprocess(), &settings, &mut |_| ());
    let few = Settings { draws: 50, ..settings() };
    assert!(matches!(refused(few, 5), Err(CertifyError::NeverCertifies { needed: 90, .. })));
    assert!(matches!(refused(settings(), 0), Err(CertifyError::NoImages)));
}

#[test]
fn a_model_without_classes_is_refused() {
    if !needs::onnx_runtime() {
        return;
    }
    let models = Models::new();
    let mut net = Builder::new("picture to picture", 13, 0);
    let shape = [Dim::Symbol("batch"), Dim::Is(3), Dim::Is(8), Dim::Is(8)];
    let x = net.input("x", &shape);
    let y = net.node("Relu", &[&x], vec![]);
    net.output(&y, &shape);
    let subjects = [subject("dense", &models.file("relu.onnx", &net.finish()))];
    let error = certify(&subjects, &pictures(5, None), &preprocess(), &settings(), &mut |_| ()).unwrap_err();
    assert!(matches!(error, CertifyError::NotAClassifier { .. }), "{error}");
}

/// Scores by which of the mean colours is stronger, times `scale`; where that is not 1, the first class gets 1 more.
fn scaled(models: &Models, scale: f32) -> std::path::PathBuf {
    let mut net = Builder::new("scaled", 13, 0);
    let shape = [Dim::Symbol("batch"), Dim::Is(3), Dim::Is(8), Dim::Is(8)];
    let x = net.input("x", &shape);
    let mean = net.node("GlobalAveragePool", &[&x], vec![]);
    let flat = net.node("Flatten", &[&mean], vec![]);
    let weights = net.stored("w", &[3, 3], &[1.0, -1.0, 0.0, -1.0, 0.0, 1.0, 0.0, 1.0, -1.0].map(|w: f32| w * scale));
    let bias = net.stored("b", &[3], &[if scale == 1.0 { 0.0 } else { 1.0 }, 0.0, 0.0]);
    let y = net.node("Gemm", &[&flat, &weights, &bias], vec![]);
    net.output(&y, &[Dim::Symbol("batch"), Dim::Is(3)]);
    models.file(&format!("scaled{scale}.onnx"), &net.finish())
}

#[test]
fn collapsed_and_broken_networks_are_marked() {
    if !needs::onnx_runtime() {
        return;
    }
    let models = Models::new();
    let [dense, flat, broken] = [1.0, 1e-3, f32::NAN].map(|scale| scaled(&models, scale));
    let subjects = [subject("dense", &dense), subject("flat", &flat), subject("broken", &broken)];
    let settings = Settings { images: 40, draws: 120, laws: vec![Law::Noise { sigma: 0.05 }], ..settings() };
    let found = run(&subjects, &pictures(60, None), &settings);
    let [dense, flat, broken] = &found.clean[..] else { unreachable!() };
    assert!(dense.warning().is_none() && dense.distinct > 1, "{dense:?}");
    assert!(flat.collapse.is_some() && flat.distinct == 1, "{flat:?}");
    assert_eq!((broken.not_finite, broken.right.count, broken.distinct), (40, 0, 0));
    for expected in ["flat has collapsed", "broken gives scores that are not numbers for 40 images"] {
        assert!(found.notes.iter().any(|note| note.contains(expected)), "{:?}", found.notes);
    }
}

#[test]
fn two_laws_of_one_name_have_their_own_draws() {
    if !needs::onnx_runtime() {
        return;
    }
    let models = Models::new();
    let model = scaled(&models, 1.0);
    let verdicts = |laws: Vec<Law>| {
        let found = run(&[subject("a", &model)], &pictures(40, None), &Settings { laws, chernoff: None, ..settings() });
        found.laws.iter().map(|law| law.subjects[0].images.clone()).collect::<Vec<_>>()
    };
    // Noise so nearly as strong that the same draws would give the same verdicts.
    let found = verdicts(vec![Law::Noise { sigma: 0.1 }, Law::Noise { sigma: 0.100_001 }]);
    assert_ne!(found[0], found[1]);
    assert_eq!(verdicts(vec![Law::Noise { sigma: 0.100_001 }])[0], found[1]);
}

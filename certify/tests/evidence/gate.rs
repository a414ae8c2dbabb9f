//! What the checks of a cut have to see: two files that differ in a number that was made from a count of lanes, each
//! hidden in another way.

use certify::agreement::twin::{Feed, Job, Precision, Range, Twin, TwinReport, check};
use fixtures::{
    models::{Builder, DType, Dim, int},
    needs,
};

use crate::Models;

const SHAPE: [Dim; 4] = [Dim::Symbol("n"), Dim::Is(3), Dim::Symbol("h"), Dim::Symbol("w")];
/// The cast attribute's name for half precision.
const HALF: i64 = 10;
/// Side at which a number made from sizes happens to be right.
const SIDE: usize = 8;

/// A network over `x`, ending in one output of a type.
fn network(dtype: DType, build: impl FnOnce(&mut Builder, &str) -> String) -> Vec<u8> {
    let mut net = Builder::new("hole", 13, 0);
    let x = net.input("x", &SHAPE);
    let y = build(&mut net, &x);
    let y = net.node("Identity", &[&y], vec![]);
    net.output_of_any_shape(&y, dtype);
    net.finish()
}

fn compared(twin: &[u8], slim: &[u8], jittered: &[u8], precision: Precision) -> TwinReport {
    let models = Models::new();
    let masked = models.file("twin.onnx", twin);
    let output =
        certify::runtimes::ort::OrtSession::load(&masked, Default::default()).unwrap().output_names()[0].clone();
    let twin = Twin {
        poisoned: masked.clone(),
        masked,
        slim: models.file("slim.onnx", slim),
        jittered: models.file("jittered.onnx", jittered),
        outputs: vec![output],
        taps: vec![],
    };
    let feed = |width| vec![Feed { name: "x".into(), shape: vec![2, 3, SIDE, width] }];
    check(&Job {
        twin,
        sizes: vec![feed(SIDE), feed(SIDE * 2)],
        sizes_wanted: 2,
        ranges: vec![(Range::Normal, 2), (Range::Unit, 1), (Range::Bytes, 1)],
        pictures: None,
        precision,
        seed: 1,
        threads: 1,
        optimise: false,
        memory: None,
    })
    .unwrap()
}

/// Whether the checks tell a network with `twin` in it from one with `slim`, and accept one that is the same.
fn sees(name: &str, twin: f32, slim: f32, build: impl Fn(&mut Builder, &str, &str) -> String) {
    let of = |number: f32| {
        network(DType::F32, |net, x| {
            let number = net.stored("number", &[1], &[number]);
            build(net, x, &number)
        })
    };
    let same = compared(&of(twin), &of(twin), &of(twin), Precision::Single);
    assert!(same.passed(), "{name}: {same:?}");
    let other = compared(&of(twin), &of(slim), &of(twin), Precision::Single);
    assert!(other.culprit.is_some(), "{name}: {other:?}");
}

#[test]
fn a_wrong_number_shows_however_it_hides() {
    if !needs::onnx_runtime() {
        return;
    }
    sees("behind a logarithm of positive pictures", 0.5, 0.25, |net, x, number| {
        let x = net.node("Log", &[x], vec![]);
        net.node("Mul", &[&x, number], vec![])
    });
    sees("behind a threshold for pictures of bytes", 0.5, 0.25, |net, x, number| {
        let sixty = net.stored("sixty", &[1], &[60.0]);
        let x = net.node("Sub", &[x, &sixty], vec![]);
        let x = net.node("Relu", &[&x], vec![]);
        net.node("Mul", &[&x, number], vec![])
    });
    sees("beside a channel of large numbers", 0.5, 0.25, |net, x, number| {
        let large = net.stored("large", &[1], &[3e6]);
        let large = net.node("Mul", &[x, &large], vec![]);
        let small = net.node("Mul", &[x, number], vec![]);
        net.node("Concat", &[&large, &small], vec![int("axis", 1)])
    });
    // The number of elements over a constant is 1 at the first size alone.
    sees("at one size alone", (2 * 3 * SIDE * SIDE) as f32, (2 * 3 * SIDE * SIDE) as f32 * 1.1, |net, x, number| {
        let size = net.node("Size", &[x], vec![]);
        let size = net.node("Cast", &[&size], vec![int("to", 1)]);
        let clipped = net.node("Max", &[&size, number], vec![]);
        let share = net.node("Div", &[&size, &clipped], vec![]);
        net.node("Mul", &[x, &share], vec![])
    });
}

#[test]
fn whole_numbers_are_compared_exactly() {
    if !needs::onnx_runtime() {
        return;
    }
    let of = |last: i64| {
        network(DType::I64, |net, x| {
            let number = net.integers("number", &[(1 << 40) + last]);
            let size = net.node("Size", &[x], vec![]);
            net.node("Add", &[&size, &number], vec![])
        })
    };
    assert!(compared(&of(8), &of(8), &of(8), Precision::Single).passed());
    assert!(compared(&of(8), &of(4), &of(8), Precision::Single).culprit.is_some());
}

#[test]
fn half_precision_is_held_against_its_own_noise() {
    if !needs::onnx_runtime() {
        return;
    }
    let of = |scale: f32| {
        network(DType::F32, |net, x| {
            let scale = net.stored("scale", &[1], &[scale]);
            let half = |net: &mut Builder, value: &str| net.node("Cast", &[value], vec![int("to", HALF)]);
            let (x, scale) = (half(net, x), half(net, &scale));
            let y = net.node("Mul", &[&x, &scale], vec![]);
            net.node("Cast", &[&y], vec![int("to", 1)])
        })
    };
    let step = 1.0 + 2f32.powi(-10);
    assert!(compared(&of(1.0), &of(step), &of(step), Precision::Half).passed());
    assert!(compared(&of(1.0), &of(1.007), &of(step), Precision::Half).culprit.is_some());
}

#[test]
fn what_never_varies_proves_nothing() {
    if !needs::onnx_runtime() {
        return;
    }
    for (name, factor) in [("not finite", -1.0), ("constant", 0.0)] {
        let bytes = network(DType::F32, |net, x| {
            let factor = net.stored("factor", &[1], &[factor]);
            let x = net.node("Abs", &[x], vec![]);
            let x = net.node("Mul", &[&x, &factor], vec![]);
            net.node("Sqrt", &[&x], vec![])
        });
        let report = compared(&bytes, &bytes, &bytes, Precision::Single);
        assert!(report.culprit.is_none() && !report.passed(), "{name}: {report:?}");
        assert_eq!((report.seen, report.blind.len()), (0, 1), "{name}");
    }
}

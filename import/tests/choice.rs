//! Which lanes stay: scores of weights, groups that rank together, bounds of single layers.

#![allow(clippy::unwrap_used)]

use fixtures::models::{Conv, Dim, Init, Layers};
use import::Model;
use import::lanes::score::{self, Criterion, Normalise, Reduce, Score};
use import::lanes::{Budget, Lanes, Ranking, allocate};

fn opened(bytes: Vec<u8>) -> (Model, Lanes) {
    let model = Model::from_bytes(bytes.into()).unwrap();
    let lanes = Lanes::of(&model.graph, &[]);
    (model, lanes)
}

/// A convolution of three lanes whose filters are given, its normalisation, and a reader of ones.
fn three(filters: [[f32; 2]; 3], scale: [f32; 3]) -> (Model, Lanes) {
    let mut net = Layers::new("three", 17, 0, Init::Fresh);
    let x = net.pictures(Dim::Symbol("batch"), 2, 4);
    let weight = net.builder.stored("first.weight", &[3, 2, 1, 1], filters.as_flattened());
    let x = net.convolve(&[x.name, weight], 3, Conv::bare(1));
    let given = net.builder.stored("bn.weight", &[3], &scale);
    let others = [("bn.bias", 0.0), ("bn.mean", 0.0), ("bn.var", 1.0)];
    let [shift, mean, variance] = others.map(|(name, value)| net.builder.stored(name, &[3], &[value; 3]));
    let x = net.builder.node("BatchNormalization", &[&x.name, &given, &shift, &mean, &variance], vec![]);
    let weight = net.builder.stored("second.weight", &[2, 3, 1, 1], &[1.0; 6]);
    let x = net.builder.node("Conv", &[&x, &weight], vec![]);
    net.builder.output(&x, &[Dim::Symbol("batch"), Dim::Is(2), Dim::Is(4), Dim::Is(4)]);
    opened(net.builder.finish())
}

const RAW: Score = Score { criterion: Criterion::L2, reduce: Reduce::Sum, normalise: Normalise::None };

#[test]
fn each_criterion_measures_what_it_says() {
    let (model, lanes) = three([[3.0, 4.0], [0.0, 1.0], [0.0, 2.0]], [0.5, -2.0, 0.25]);
    assert_eq!(lanes.lanes.len(), 3);
    let of = |score: Score| score::of(&model.graph, &lanes, &score).unwrap();
    // The filters, the scale, the shift of nought, and two ones in the reader.
    assert_eq!(of(RAW), [25.0 + 0.25 + 2.0, 1.0 + 4.0 + 2.0, 4.0 + 0.0625 + 2.0]);
    assert_eq!(of(Score { criterion: Criterion::L1, ..RAW }), [7.0 + 0.5 + 2.0, 1.0 + 2.0 + 2.0, 2.0 + 0.25 + 2.0]);
    assert_eq!(of(Score { criterion: Criterion::BnScale, ..RAW }), [0.5, 2.0, 0.25]);
    // Distances at both weights; the reader's columns are all alike.
    let apart = |a: f64, b: f64| (a * a + b * b).sqrt();
    let [ab, ac, bc] = [apart(3.0, 3.0), apart(3.0, 2.0), 1.0];
    let fpgm = of(Score { criterion: Criterion::Fpgm, ..RAW });
    for (found, wanted) in fpgm.iter().zip([ab + ac, ab + bc, ac + bc]) {
        assert!((found - wanted).abs() < 1e-6, "{fpgm:?}");
    }
}

#[test]
fn figures_are_reduced_and_normalised_as_asked() {
    let (model, lanes) = three([[3.0, 4.0], [0.0, 1.0], [0.0, 2.0]], [1.0, 1.0, 1.0]);
    let of = |reduce, normalise| score::of(&model.graph, &lanes, &Score { reduce, normalise, ..RAW }).unwrap();
    let sum = of(Reduce::Sum, Normalise::None);
    assert_eq!(sum, [28.0, 4.0, 7.0]);
    assert_eq!(of(Reduce::Mean, Normalise::None), sum.iter().map(|score| score / 4.0).collect::<Vec<_>>());
    assert_eq!(of(Reduce::Max, Normalise::None), [25.0, 2.0, 4.0]);
    assert_eq!(of(Reduce::Sum, Normalise::Max), [1.0, 4.0 / 28.0, 0.25]);
    assert_eq!(of(Reduce::Sum, Normalise::Sum), sum.iter().map(|score| score / 39.0).collect::<Vec<_>>());
    assert_eq!(of(Reduce::Sum, Normalise::Mean), sum.iter().map(|score| score / 13.0).collect::<Vec<_>>());
}

/// A chain of five layers; the three between have one form.
fn chain() -> (Model, Lanes) {
    let mut net = Layers::new("chain", 17, 0, Init::Lively);
    let mut x = net.pictures(Dim::Symbol("batch"), 3, 8);
    for layer in ["a", "b", "c", "d"] {
        x = net.block(layer, &x, 10, Conv::bare(3));
    }
    opened(net.classify(&x, 5, Dim::Symbol("batch")))
}

#[test]
fn groups_of_one_form_rank_together() {
    let (model, lanes) = chain();
    assert_eq!(lanes.groups.len(), 4);
    // Weak lanes in the second group alone; the last group is read by a matrix and has a form of its own.
    let weak = |lane: usize| lanes.lanes[lane].group == 1 || lanes.lanes[lane].group == 3;
    let scores: Vec<f64> = (0..40).map(|lane| if weak(lane) { 0.1 + 0.01 * lane as f64 } else { 1.0 }).collect();
    let half: Budget = "macs=70%".parse().unwrap();
    let kept = |allocation: &str| {
        let ranking = Ranking::of(&model.graph, &lanes, allocation.parse().unwrap(), 1, &[]).unwrap();
        let kept = allocate(&lanes, &scores, &[half], &ranking).unwrap();
        assert!(half.holds(&lanes, &kept));
        let in_group = |group: usize| (0..40).filter(|&lane| kept.0[lane] && lanes.lanes[lane].group == group).count();
        [0, 1, 2, 3].map(in_group)
    };
    let names: Vec<&str> = lanes.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["a.conv.weight", "b.conv.weight", "c.conv.weight", "d.conv.weight"]);
    let [first, second, third, last] = kept("isomorphic");
    assert!(first == 10 && third == 10 && second < 8 && last > 6, "{:?}", kept("isomorphic"));
    assert!(kept("uniform").iter().all(|&count| count >= 8), "{:?}", kept("uniform"));
}

#[test]
fn layers_keep_what_their_bounds_say() {
    let (model, lanes) = chain();
    let scores = score::magnitude(&model.graph, &lanes).unwrap();
    let kept = |bounds: &[&str]| {
        let bounds: Vec<_> = bounds.iter().map(|text| text.parse().unwrap()).collect();
        let ranking = Ranking::of(&model.graph, &lanes, "uniform".parse().unwrap(), 2, &bounds);
        let kept = allocate(&lanes, &scores, &["macs=50%".parse().unwrap()], &ranking.map_err(|e| e.to_string())?);
        let kept = kept.map_err(|error| error.to_string())?;
        Ok::<_, String>(
            [0, 1, 2, 3].map(|group| (0..40).filter(|&lane| kept.0[lane] && lanes.lanes[lane].group == group).count()),
        )
    };
    let free = kept(&[]).unwrap();
    // A group is met by any tensor on which it lies: its writer's and its reader's.
    let bounded = kept(&["a.conv=9.."]).unwrap();
    assert!(bounded[0] >= 9 && free[0] < 9, "{free:?} {bounded:?}");
    assert!(kept(&["d.bn=..30%"]).unwrap()[3] <= 3);
    assert_eq!(kept(&["d.bn=3..3"]).unwrap()[3], 3);
    assert!(kept(&["nowhere=3.."]).unwrap_err().contains("`nowhere`"));
    assert!(kept(&["d.bn=8..3"]).unwrap_err().contains("at least 8 lanes and at most 3"));
    for wrong in ["a", "=3..", "a=..", "a=3", "a=3..x", "a=..101%"] {
        assert!(wrong.parse::<import::lanes::Bounds>().is_err(), "{wrong}");
    }
}

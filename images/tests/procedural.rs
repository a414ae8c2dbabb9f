//! The procedural set: a function of its seed, balanced, and hard for a linear model.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use images::{
    data::{self, ImageSet, Role},
    draw, procedural,
};
use rayon::prelude::*;

const VALUES: usize = 3 * procedural::SIDE * procedural::SIDE;

#[test]
fn it_opens_by_name_with_three_splits_of_ten_classes() {
    let set = data::open(data::PROCEDURAL.as_ref()).unwrap();
    assert_eq!(set.classes.len(), 10);
    for (name, len) in [("train", 10_000), ("val", 1_000), ("test", 2_000)] {
        let split = set.split(name).unwrap();
        assert_eq!(split.len(), len);
        let counts = split.labels().unwrap().iter().fold([0; 10], |mut counts, label| {
            counts[*label as usize] += 1;
            counts
        });
        assert_eq!(counts, [len / 10; 10]);
    }
}

#[test]
fn a_picture_is_a_function_of_seed_split_and_index() {
    let picture = |seed, role, index| procedural::split(seed, role, 100).picture(index).unwrap();
    let base = picture(1, Role::Train, 7);
    assert_eq!(base, picture(1, Role::Train, 7));
    assert_ne!(base, picture(2, Role::Train, 7));
    assert_ne!(base, picture(1, Role::Test, 7));
    assert_ne!(base, picture(1, Role::Train, 17));
}

/// Centred pixel values and labels.
fn table(set: &ImageSet) -> (Vec<f32>, Vec<u32>) {
    let pictures: Vec<Vec<f32>> = (0..set.len()).into_par_iter().map(|i| set.picture(i).unwrap().data).collect();
    (pictures.concat().iter().map(|v| 2.0 * v - 1.0).collect(), set.labels().unwrap())
}

/// Softmax regression on pixels: 10 × (VALUES + 1) weights, stochastic gradient descent with momentum.
struct Linear(Vec<f32>);

impl Linear {
    fn scores(&self, picture: &[f32]) -> [f32; 10] {
        std::array::from_fn(|class| {
            let row = &self.0[class * (VALUES + 1)..][..VALUES + 1];
            row[VALUES] + row.iter().zip(picture).map(|(w, x)| w * x).sum::<f32>()
        })
    }

    fn train((pictures, labels): &(Vec<f32>, Vec<u32>), epochs: u64) -> Self {
        let mut model = Self(vec![0.0; 10 * (VALUES + 1)]);
        for epoch in 0..epochs {
            let rate = 2e-3 * (1.0 - epoch as f32 / epochs as f32);
            for index in draw::permutation(labels.len(), &mut draw::rng(0, "linear", epoch, 0)) {
                model.step(&pictures[index * VALUES..][..VALUES], labels[index], rate);
            }
        }
        model
    }

    fn step(&mut self, picture: &[f32], label: u32, rate: f32) {
        let scores = self.scores(picture);
        let most = scores.iter().copied().fold(f32::MIN, f32::max);
        let powers = scores.map(|s| (s - most).exp());
        let sum: f32 = powers.iter().sum();
        for (class, row) in self.0.chunks_exact_mut(VALUES + 1).enumerate() {
            let error = powers[class] / sum - if class == label as usize { 1.0 } else { 0.0 };
            row[VALUES] -= rate * error;
            row.iter_mut().zip(picture).for_each(|(w, x)| *w -= rate * error * x);
        }
    }

    fn accuracy(&self, (pictures, labels): &(Vec<f32>, Vec<u32>)) -> f64 {
        let right = pictures.chunks_exact(VALUES).zip(labels).filter(|(picture, label)| {
            let scores = self.scores(picture);
            (0..10).all(|class| scores[class] <= scores[**label as usize])
        });
        right.count() as f64 / labels.len() as f64
    }
}

#[test]
fn a_linear_model_stays_below_two_fifths() {
    let train = table(&procedural::split(procedural::SEED, Role::Train, 4000));
    let test = table(&procedural::split(procedural::SEED, Role::Test, 1000));
    let model = Linear::train(&train, 8);
    let (fitted, unseen) = (model.accuracy(&train), model.accuracy(&test));
    println!("linear model: {fitted:.3} on what it was trained on, {unseen:.3} on the test split");
    // It did learn, and what it learned does not carry over.
    assert!(fitted > 0.3, "{fitted}");
    assert!(unseen <= 0.4, "{unseen}");
}

//! Trained, watched and measured pictures are never the same, in any form and with any splits.
#![allow(clippy::unwrap_used)]

mod support;

use images::data::{self, Choice, DataError, Dataset, Division, ForTraining, ImageSet};
use std::{collections::BTreeSet, fs, path::Path};
use support::{cifar_record, idx, npy, parquet, write_picture};
use tempfile::TempDir;

/// Three classes in turn.
const CLASSES: usize = 3;
const EACH: usize = 60;
const FORMS: [&str; 6] = ["class folders", "flat folder", "parquet", "cifar", "idx", "npy"];

/// Writes a data set with these splits (`""` is an unsplit set), every picture of another value.
fn written(form: &str, splits: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (at, split) in splits.iter().enumerate() {
        let values: Vec<u8> = (at * EACH..(at + 1) * EACH).map(|value| value as u8).collect();
        write(form, root.path(), split, &values);
    }
    root
}

fn write(form: &str, root: &Path, split: &str, values: &[u8]) {
    let labels: Vec<u8> = values.iter().map(|value| value % CLASSES as u8).collect();
    let count = values.len();
    let stem = if split.is_empty() { "part" } else { split };
    match form {
        "class folders" => values.iter().for_each(|value| {
            let file = root.join(split).join(format!("class{}/{value}.png", usize::from(*value) % CLASSES));
            write_picture(&file, [*value; 3]);
        }),
        "flat folder" => values.iter().for_each(|value| {
            write_picture(&root.join(split).join(format!("{value}.png")), [*value; 3]);
        }),
        "parquet" => {
            let rows: Vec<_> =
                values.iter().zip(&labels).map(|(value, l)| parquet::row(*value, i64::from(*l))).collect();
            parquet::write(&root.join(format!("{stem}.parquet")), &rows, None);
        }
        "cifar" => {
            let file = if split == "test" { "test_batch.bin" } else { "data_batch_1.bin" };
            let records = values.iter().zip(&labels).flat_map(|(value, label)| cifar_record(*label, [*value; 3]));
            fs::write(root.join(file), records.collect::<Vec<u8>>()).unwrap();
        }
        "idx" => {
            fs::write(root.join(format!("{stem}-images")), idx(&[count as u32, 1, 1], values)).unwrap();
            fs::write(root.join(format!("{stem}-labels")), idx(&[count as u32], &labels)).unwrap();
        }
        _ => {
            fs::write(root.join(format!("{stem}_x.npy")), npy("|u1", &[count, 1, 1], values)).unwrap();
            fs::write(root.join(format!("{stem}_y.npy")), npy("|u1", &[count], &labels)).unwrap();
        }
    }
}

fn choice(train: Option<&str>, measure: Option<&str>, seed: u64) -> Choice {
    Choice { train: train.map(str::to_owned), measure: measure.map(str::to_owned), seed }
}

/// Pictures by what they show.
fn shown(set: &ImageSet) -> BTreeSet<Vec<u8>> {
    (0..set.len()).map(|index| set.picture(index).unwrap().to_bytes()).collect()
}

/// What is trained on, watched and measured.
fn parts(division: &Division) -> [BTreeSet<Vec<u8>>; 3] {
    let training = division.training.as_ref().unwrap();
    [shown(training.train.pictures()), shown(training.validation.pictures()), shown(&division.measure)]
}

fn check_disjoint(dataset: &Dataset, choice: &Choice, case: &str) {
    let [train, watched, measured] = parts(&dataset.divide(choice).unwrap());
    assert!(train.is_disjoint(&measured) && watched.is_disjoint(&measured) && train.is_disjoint(&watched), "{case}");
    assert!(!train.is_empty() && !watched.is_empty() && !measured.is_empty(), "{case}");
}

#[test]
fn no_picture_serves_two_purposes_in_any_form_with_any_splits() {
    for form in FORMS {
        for splits in [&[""][..], &["train"], &["train", "test"], &["train", "val"], &["train", "val", "test"]] {
            // CIFAR's batches name nothing but training and test.
            if form == "cifar" && (splits.contains(&"val") || splits.contains(&"")) {
                continue;
            }
            let root = written(form, splits);
            let dataset = data::open(root.path()).unwrap();
            let case = format!("{form}, {splits:?}");
            for seed in 0..5 {
                check_disjoint(&dataset, &choice(None, None, seed), &case);
            }
            let division = dataset.divide(&Choice::default()).unwrap();
            let whole = *splits.last().unwrap();
            assert_eq!(division.measure.is_held_out(), ["", "train"].contains(&whole), "{case}");
            if !division.measure.is_held_out() {
                assert_eq!(shown(&division.measure), shown(dataset.split(whole).unwrap()), "{case}");
            }
        }
    }
    check_disjoint(&small_procedural(), &Choice::default(), "procedural");
}

/// The built-in set with few of its pictures.
fn small_procedural() -> Dataset {
    let mut set = images::procedural::dataset(1);
    set.splits = set.splits.iter().map(|split| split.take(20)).collect();
    set
}

#[test]
fn every_chosen_pair_of_splits_is_disjoint_and_one_for_both_is_refused() {
    let root = written("class folders", &["train", "val", "test"]);
    let dataset = data::open(root.path()).unwrap();
    let names = ["train", "val", "test"];
    for train in names {
        for measure in names {
            let asked = choice(Some(train), Some(measure), 0);
            if train == measure {
                let refused = dataset.divide(&asked).unwrap_err();
                assert!(matches!(refused, DataError::TrainedAndMeasured { .. }), "{refused}");
            } else {
                check_disjoint(&dataset, &asked, &format!("{train}, {measure}"));
            }
        }
    }
}

#[test]
fn the_test_split_is_trained_on_only_where_another_is_measured() {
    let root = written("class folders", &["train", "test"]);
    let dataset = data::open(root.path()).unwrap();
    let refused = dataset.divide(&choice(Some("test"), None, 0)).unwrap_err().to_string();
    assert!(refused.contains("`test`") && refused.contains("--measure-split"), "{refused}");
    check_disjoint(&dataset, &choice(Some("test"), Some("train"), 0), "swapped");
    // What was measured on by default before it was named for training stays out of training.
    let root = written("class folders", &["train", "val"]);
    assert!(data::open(root.path()).unwrap().divide(&choice(Some("val"), None, 0)).is_err());
}

#[test]
fn measuring_a_whole_set_leaves_nothing_to_train_on() {
    let root = written("npy", &[""]);
    let dataset = data::open(root.path()).unwrap();
    let division = dataset.divide(&choice(None, Some("all"), 0)).unwrap();
    assert_eq!(division.measure.len(), EACH);
    assert!(matches!(division.training, Err(DataError::TrainedAndMeasured { .. })));
}

#[test]
fn a_held_out_share_is_a_tenth_with_every_class_and_a_function_of_the_seed() {
    let root = written("class folders", &[""]);
    let dataset = data::open(root.path()).unwrap();
    let measured = |seed| dataset.divide(&choice(None, None, seed)).unwrap().measure;
    let sizes: Vec<usize> = (0..20).map(|seed| measured(seed).len()).collect();
    let mean = sizes.iter().sum::<usize>() as f64 / 20.0;
    assert!((4.0..9.0).contains(&mean), "{sizes:?}");
    for seed in 0..20 {
        let labels: BTreeSet<u32> = measured(seed).labels().unwrap().into_iter().collect();
        assert_eq!(labels.len(), CLASSES, "seed {seed}");
    }
    assert_eq!(shown(&measured(3)), shown(&measured(3)));
    assert_ne!(shown(&measured(3)), shown(&measured(4)));
    assert_eq!(measured(3).whole_split().len(), EACH);
    assert!(measured(3).describe("pictures").contains("division seed 3"), "{}", measured(3).describe("pictures"));
}

#[test]
fn what_a_training_is_watched_by_has_every_class_in_proportion() {
    let root = written("class folders", &["train", "test"]);
    let training = data::open(root.path()).unwrap().divide(&Choice::default()).unwrap().training.unwrap();
    let labels = training.validation.pictures().labels().unwrap();
    let counts: Vec<usize> = (0..CLASSES as u32).map(|class| labels.iter().filter(|l| **l == class).count()).collect();
    assert_eq!(counts, [EACH / CLASSES / 10; CLASSES]);
}

#[test]
fn pictures_that_are_added_move_no_others() {
    for form in ["class folders", "flat folder", "parquet", "idx", "npy", "cifar"] {
        let split = if form == "cifar" { "train" } else { "" };
        let folder = tempfile::tempdir().unwrap();
        let values: Vec<u8> = (0..250).collect();
        write(form, folder.path(), split, &values[..200]);
        let divided = || parts(&data::open(folder.path()).unwrap().divide(&Choice::default()).unwrap());
        let before = divided();
        write(form, folder.path(), split, &values);
        let after = divided();
        assert!(before[2].is_subset(&after[2]), "{form}: what is measured");
        // Between fitting and watching, both of which training may see, pictures may move.
        let seen =
            |[train, watched, _]: &[BTreeSet<Vec<u8>>; 3]| train.union(watched).cloned().collect::<BTreeSet<_>>();
        assert!(seen(&before).is_subset(&seen(&after)), "{form}: what training sees");
    }
}

#[test]
fn the_division_does_not_depend_on_where_the_pictures_lie() {
    let (here, there) = (written("class folders", &["train"]), written("class folders", &["train"]));
    let divided = |path: &Path| parts(&data::open(path).unwrap().divide(&Choice::default()).unwrap());
    assert_eq!(divided(here.path()), divided(there.path()));
    assert_eq!(divided(here.path()), divided(&here.path().join("train")), "opened one folder below");
}

#[test]
fn too_few_pictures_are_a_sentence() {
    let root = tempfile::tempdir().unwrap();
    write("flat folder", root.path(), "", &[7]);
    let division = data::open(root.path()).unwrap().divide(&Choice::default()).unwrap();
    assert_eq!(division.measure.len(), 1, "one picture can be measured");
    let error = division.training.unwrap_err().to_string();
    assert!(error.contains("no pictures are left") && error.contains("add pictures"), "{error}");
    write("flat folder", root.path(), "", &[8, 9]);
    assert!(data::open(root.path()).unwrap().divide(&Choice::default()).unwrap().training.is_ok());
}

#[test]
fn one_replaced_picture_is_another_digest_and_another_place_is_not() {
    for form in FORMS {
        let split = if form == "cifar" { "train" } else { "" };
        let (here, there) = (written(form, &[split]), written(form, &[split]));
        let digests = |root: &TempDir| {
            let Division { measure, training } = data::open(root.path()).unwrap().divide(&Choice::default()).unwrap();
            let training = training.unwrap();
            let sets = [training.train.pictures(), training.validation.pictures(), &measure];
            sets.map(|set| set.digest_files().unwrap())
        };
        assert_eq!(digests(&here), digests(&there), "{form}");
        if form.ends_with("folder") || form.ends_with("folders") {
            let training = data::open(there.path()).unwrap().divide(&Choice::default()).unwrap().training.unwrap();
            write_picture(Path::new(&training.train.pictures().picture_name(0)), [255; 3]);
            assert_eq!(digests(&here)[1..], digests(&there)[1..], "{form}: the others stay as they were");
        } else {
            let mut values: Vec<u8> = (0..EACH as u8).collect();
            values[0] = 255;
            write(form, there.path(), split, &values);
        }
        assert_ne!(digests(&here)[0], digests(&there)[0], "{form}");
    }
}

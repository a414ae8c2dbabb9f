//! Parquet in the Hugging Face form, written by these tests and read back; and what is refused.
#![allow(clippy::unwrap_used)]

mod support;

use images::data::{self, DataError, Kind};
use std::fs;
use support::parquet::{FEATURES, Row, row, write};
use tempfile::TempDir;

fn folder(files: &[(&str, &[Row])]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, rows) in files {
        write(&root.path().join(name), rows, Some(FEATURES));
    }
    root
}

#[test]
fn shards_row_groups_and_class_names() {
    let root = folder(&[
        ("train-00001-of-00002.parquet", &[row(40, 2), row(50, 0)]),
        ("train-00000-of-00002.parquet", &[row(10, 0), row(20, 1), row(30, 2)]),
        ("test-00000-of-00001.parquet", &[row(60, 1)]),
    ]);
    let set = data::open(root.path()).unwrap();
    assert_eq!((set.kind, set.classes.as_slice()), (Kind::Parquet, &["cat", "dog", "frog"].map(str::to_owned)[..]));
    let train = set.split("train").unwrap();
    assert_eq!(train.labels().unwrap(), [0, 1, 2, 2, 0]);
    let values: Vec<u8> = (0..5).map(|i| train.picture(i).unwrap().to_bytes()[0]).collect();
    assert_eq!(values, [10, 20, 30, 40, 50]);
    assert!(train.picture_name(4).ends_with("train-00001-of-00002.parquet row 1"));
    assert_eq!(set.split("test").unwrap().label(0), Some(1));
}

#[test]
fn one_file_and_files_in_split_folders() {
    let root = folder(&[("part.parquet", &[row(1, 0)])]);
    let set = data::open(&root.path().join("part.parquet")).unwrap();
    assert_eq!((set.splits.len(), set.splits[0].name()), (1, "all"));
    let root = tempfile::tempdir().unwrap();
    for split in ["train", "validation"] {
        let inner = root.path().join("default").join(split);
        fs::create_dir_all(&inner).unwrap();
        write(&inner.join("0000.parquet"), &[row(1, 0)], None);
    }
    let set = data::open(root.path()).unwrap();
    assert_eq!(set.splits.iter().map(data::ImageSet::name).collect::<Vec<_>>(), ["train", "validation"]);
    assert_eq!(set.classes, ["0"]);
}

#[test]
fn withheld_labels_are_no_labels_and_single_gaps_are_refused() {
    let root = folder(&[("test.parquet", &[row(1, -1), (Some(2), None)])]);
    assert_eq!(data::open(root.path()).unwrap().splits[0].label(0), None);
    let root = folder(&[("test.parquet", &[row(1, 0), (Some(2), None)])]);
    assert!(matches!(data::open(root.path()), Err(DataError::Damaged { .. })));
    let root = folder(&[("test.parquet", &[row(1, 3)])]);
    assert!(data::open(root.path()).unwrap_err().to_string().contains("label 3 with only 3 classes"));
    let root = folder(&[("test.parquet", &[row(1, 0), (None, Some(1))])]);
    let error = data::open(root.path()).unwrap().splits[0].picture(0).unwrap_err().to_string();
    assert!(error.contains("a row has no picture"), "{error}");
}

#[test]
fn missing_shards_and_damaged_files_are_named() {
    let root = folder(&[("train-00001-of-00002.parquet", &[row(1, 0)])]);
    let error = data::open(root.path()).unwrap_err().to_string();
    assert!(error.contains("train-00000-of-00002.parquet is missing"), "{error}");
    let root = folder(&[("test.parquet", &[row(1, 0)])]);
    let path = root.path().join("test.parquet");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    let error = data::open(root.path()).unwrap_err().to_string();
    assert!(error.contains("test.parquet: is damaged"), "{error}");
}

//! Parquet in the Hugging Face form, written by these tests and read back; and what is refused.
#![allow(clippy::unwrap_used)]

use images::data::{self, DataError, Kind};
use parquet::{
    basic::{Compression, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, Int64Type},
    file::{metadata::KeyValue, properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use std::{fs, fs::File, io::Cursor, path::Path, sync::Arc};
use tempfile::TempDir;

const SCHEMA: &str = "message schema {
    optional group img { optional binary bytes; optional binary path (STRING); }
    optional int64 label;
}";

const FEATURES: &str = r#"{"info": {"features": {
    "img": {"_type": "Image"}, "label": {"names": ["cat", "dog", "frog"], "_type": "ClassLabel"}}}}"#;

/// One row: the value of a 1 × 1 picture, and a label; either may be missing.
type Row = (Option<u8>, Option<i64>);

fn png(value: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image::GrayImage::from_pixel(1, 1, image::Luma([value])).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Writes row groups of at most two rows with zstd pages.
fn write(path: &Path, rows: &[Row], features: Option<&str>) {
    let metadata = features.map(|text| vec![KeyValue::new("huggingface".to_owned(), text.to_owned())]);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(metadata)
        .build();
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    for rows in rows.chunks(2) {
        let mut group = writer.next_row_group().unwrap();
        let pictures: Vec<ByteArray> = rows.iter().filter_map(|row| row.0).map(|v| png(v).into()).collect();
        let present: Vec<i16> = rows.iter().map(|row| if row.0.is_some() { 2 } else { 1 }).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&pictures, Some(&present), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&[], Some(&vec![1; rows.len()]), None).unwrap();
        column.close().unwrap();
        let labels: Vec<i64> = rows.iter().filter_map(|row| row.1).collect();
        let present: Vec<i16> = rows.iter().map(|row| i16::from(row.1.is_some())).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&labels, Some(&present), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

fn folder(files: &[(&str, &[Row])]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, rows) in files {
        write(&root.path().join(name), rows, Some(FEATURES));
    }
    root
}

fn row(value: u8, label: i64) -> Row {
    (Some(value), Some(label))
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

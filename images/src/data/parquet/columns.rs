//! Which of a parquet file's columns hold pictures and labels, and what the classes are called.

use crate::data::DataError;
use ::parquet::file::metadata::ParquetMetaData;
use serde_json::{Map, Value};
use std::path::Path;

/// The metadata key under which the hub's library keeps a set's features.
const FEATURES: &str = "huggingface";

/// Names tried for a column of labels when the metadata names none, the fine ones of CIFAR-100 before the coarse.
const LABELS: [&str; 5] = ["label", "labels", "fine_label", "class", "target"];

/// Where a file keeps what is needed.
pub(super) struct Columns {
    /// Position of the encoded pictures among the leaf columns.
    pub(super) pictures: usize,
    /// Position of the class numbers.
    pub(super) labels: Option<usize>,
    /// Class names; empty where the file has none.
    pub(super) classes: Vec<String>,
}

impl Columns {
    /// Finds the columns by the hub's description where there is one, else by their names.
    pub(super) fn find(path: &Path, metadata: &ParquetMetaData) -> Result<Self, DataError> {
        let features = features(metadata).unwrap_or_default();
        let leaves: Vec<String> = metadata
            .file_metadata()
            .schema_descr()
            .columns()
            .iter()
            .map(|column| column.path().parts().join("."))
            .collect();
        let pictures = picture_column(&features, &leaves).ok_or_else(|| DataError::Unsupported {
            path: path.into(),
            problem: format!("has no column of pictures (a struct with `bytes`), only {}", leaves.join(", ")),
        })?;
        let name = label_name(&features, &leaves);
        let classes = name.as_ref().and_then(|name| class_names(features.get(name)?)).unwrap_or_default();
        let labels = name.and_then(|name| leaves.iter().position(|leaf| *leaf == name));
        Ok(Self { pictures, labels, classes })
    }
}

fn picture_column(features: &Map<String, Value>, leaves: &[String]) -> Option<usize> {
    let described = of_type(features, "Image").find_map(|name| {
        let bytes = format!("{name}.bytes");
        leaves.iter().position(|leaf| *leaf == bytes)
    });
    described.or_else(|| leaves.iter().position(|leaf| leaf.ends_with(".bytes")))
}

/// The usual name among those described as class labels, else any of those; without a description, a usual name.
fn label_name(features: &Map<String, Value>, leaves: &[String]) -> Option<String> {
    let described: Vec<&String> = of_type(features, "ClassLabel").collect();
    let usual = |name: &&str| {
        if described.is_empty() {
            leaves.iter().any(|leaf| leaf == name)
        } else {
            described.iter().any(|described| described == name)
        }
    };
    let usual = LABELS.iter().find(|name| usual(name)).map(|name| (*name).to_owned());
    usual.or_else(|| described.first().map(|name| (*name).clone()))
}

fn of_type<'a>(features: &'a Map<String, Value>, kind: &'a str) -> impl Iterator<Item = &'a String> {
    features.iter().filter(move |(_, feature)| feature["_type"] == kind).map(|(name, _)| name)
}

/// The hub's description of the columns, where the file has one.
fn features(metadata: &ParquetMetaData) -> Option<Map<String, Value>> {
    let entries = metadata.file_metadata().key_value_metadata()?;
    let text = entries.iter().find(|entry| entry.key == FEATURES)?.value.as_ref()?;
    let description: Value = serde_json::from_str(text).ok()?;
    description["info"]["features"].as_object().cloned()
}

fn class_names(feature: &Value) -> Option<Vec<String>> {
    feature["names"].as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

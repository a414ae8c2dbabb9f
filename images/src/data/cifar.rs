//! CIFAR-10's binary batches: records of one label byte and 3 × 32 × 32 bytes, planes of red, green and blue.

use super::{
    DataError, Dataset, ImageSet, Kind, LeftOut, Role, classes,
    listing::Listing,
    raw::{Raw, Values},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

const SIDE: usize = 32;
const RECORD: usize = 1 + 3 * SIDE * SIDE;
/// Lists the class names, one a line, beside the batches.
pub(super) const NAMES: &str = "batches.meta.txt";

pub(super) fn open(listing: &Listing) -> Result<Dataset, DataError> {
    let mut batches = BTreeMap::<Role, Vec<PathBuf>>::new();
    for (path, _) in &listing.files {
        let test = path.file_stem().is_some_and(|stem| stem.eq_ignore_ascii_case("test_batch"));
        batches.entry(if test { Role::Test } else { Role::Train }).or_default().push(path.clone());
    }
    let mut splits = Vec::new();
    let mut seen = Vec::new();
    for (role, paths) in batches {
        let (labels, pictures) = read(&paths)?;
        seen.extend_from_slice(&labels);
        splits.push(ImageSet::new(role.name(), role, Arc::new(pictures), labels.len(), Some(labels)));
    }
    let first = &listing.files[0].0;
    let classes = class_names(first)?.unwrap_or_else(|| classes::numbered(seen.iter()));
    classes::check(first, &seen, classes.len())?;
    Ok(Dataset { kind: Kind::Cifar, classes, splits, left_out: LeftOut::default() })
}

/// Labels and pixels of one split's batches, in the order of their names.
fn read(paths: &[PathBuf]) -> Result<(Vec<u32>, Raw), DataError> {
    let (mut labels, mut pixels) = (Vec::new(), Vec::new());
    for path in paths {
        let batch = fs::read(path).map_err(DataError::unreadable(path))?;
        if batch.is_empty() || batch.len() % RECORD != 0 {
            return Err(DataError::damaged(
                path,
                format!("{} bytes are not a whole number of records of {RECORD}", batch.len()),
            ));
        }
        for record in batch.chunks_exact(RECORD) {
            labels.push(u32::from(record[0]));
            pixels.extend_from_slice(&record[1..]);
        }
    }
    let values = Values::Bytes(pixels);
    Ok((labels, Raw { files: paths.to_vec(), channels: 3, height: SIDE, width: SIDE, planes: true, values }))
}

fn class_names(batch: &Path) -> Result<Option<Vec<String>>, DataError> {
    let path = batch.with_file_name(NAMES);
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(DataError::unreadable(&path))?;
    Ok(Some(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()))
}

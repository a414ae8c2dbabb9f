//! Labels from numbers in files, and the names of classes that have none.

use super::DataError;
use std::path::Path;

/// Classes named by their numbers, as many as the largest label needs.
pub(super) fn numbered<'a>(labels: impl Iterator<Item = &'a u32>) -> Vec<String> {
    let count = labels.max().map_or(0, |largest| u64::from(*largest) + 1);
    (0..count).map(|label| label.to_string()).collect()
}

/// Labels beyond this are taken for something else than class numbers.
const LARGEST: i64 = 999_999;

/// Turns stored numbers into labels.
///
/// Data sets that withhold their labels store −1 (or nothing) everywhere: those have none.
pub(super) fn labels_from(path: &Path, numbers: &[i64]) -> Result<Option<Vec<u32>>, DataError> {
    if numbers.iter().all(|number| *number < 0) {
        return Ok(None);
    }
    let label = |(row, number): (usize, &i64)| {
        u32::try_from(*number)
            .ok()
            .filter(|_| *number <= LARGEST)
            .ok_or_else(|| DataError::damaged(path, format!("label {number} of row {row} is no class number")))
    };
    numbers.iter().enumerate().map(label).collect::<Result<_, _>>().map(Some)
}

/// Refuses a label that has no class.
pub(super) fn check(path: &Path, labels: &[u32], classes: usize) -> Result<(), DataError> {
    match labels.iter().find(|label| **label as usize >= classes) {
        Some(label) => Err(DataError::damaged(path, format!("label {label} with only {classes} classes"))),
        None => Ok(()),
    }
}

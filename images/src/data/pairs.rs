//! Arrays of pictures and arrays of labels, put together by the split their files name.

use super::{DataError, Dataset, ImageSet, Kind, LeftOut, Role, classes, listing::Listing, raw::Raw};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// What one file holds.
pub(super) enum Array {
    /// Pictures.
    Pictures(Raw),
    /// Labels; `None` where they are withheld.
    Labels(Option<Vec<u32>>),
}

/// The files of one split.
#[derive(Default)]
struct Pair {
    pictures: Option<Raw>,
    labels: Option<(PathBuf, Option<Vec<u32>>)>,
}

/// Pairs the arrays and names their classes by number.
pub(super) fn dataset(kind: Kind, listing: &Listing, arrays: Vec<(PathBuf, Array)>) -> Result<Dataset, DataError> {
    let mut pairs = BTreeMap::<(Role, String), Pair>::new();
    for (path, array) in arrays {
        let pair = pairs.entry(listing.split_of(&path)).or_default();
        let twice = match array {
            Array::Pictures(raw) => pair.pictures.replace(raw).is_some(),
            Array::Labels(labels) => pair.labels.replace((path.clone(), labels)).is_some(),
        };
        if twice {
            let problem = "is a second array for the same split; name files after their split (train, test)".to_owned();
            return Err(DataError::Unsupported { path, problem });
        }
    }
    let splits: Vec<ImageSet> =
        pairs.into_iter().map(|((role, name), pair)| set(listing, role, &name, pair)).collect::<Result<_, _>>()?;
    let labels: Vec<Vec<u32>> = splits.iter().filter_map(|set| set.labels().ok()).collect();
    Ok(Dataset { kind, classes: classes::numbered(labels.iter().flatten()), splits, left_out: LeftOut::default() })
}

fn set(listing: &Listing, role: Role, name: &str, pair: Pair) -> Result<ImageSet, DataError> {
    let pictures = pair.pictures.ok_or_else(|| DataError::Incomplete {
        path: listing.root.clone(),
        missing: format!("the array of pictures of split `{name}`"),
    })?;
    let len = pictures.len();
    let labels = match pair.labels {
        Some((path, Some(labels))) if labels.len() != len => {
            return Err(DataError::LabelCount { path, labels: labels.len(), pictures: len });
        }
        Some((_, labels)) => labels,
        None => None,
    };
    Ok(ImageSet::new(name, role, Arc::new(pictures), len, labels))
}

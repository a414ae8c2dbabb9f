//! Samples that are arrays: `.npy` and `.npz` files, for networks that read something else than pictures.
//!
//! A file holds one sample, or a stack of them along an axis more in front. Stacks are split by what their files are
//! called, files of one sample each lie as pictures do: `SPLIT/CLASS/FILE`, `CLASS/FILE`, or files alone.

use super::{
    DataError, Dataset, ImageSet, Kind, LeftOut, Role, Source, classes, folder,
    listing::Listing,
    npy::{self, Array},
};
use crate::Picture;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Words by which an array of labels is known.
const LABELS: [&str; 4] = ["labels", "label", "targets", "y"];

/// The arrays of a file, by name. A file of one array has that of its stem.
type Named = Vec<(String, Array)>;

/// Opens files of arrays; `wanted` are the arrays that every sample has to have, each with its number of axes.
///
/// # Errors
/// There are none, they contradict each other, or are not what is wanted.
pub(super) fn open(path: &Path, wanted: &[(&str, usize)]) -> Result<Dataset, DataError> {
    let mut listing = Listing::of(path)?;
    if let Some((_, other)) = listing.files.iter().find(|(_, kind)| !matches!(kind, Kind::Npy | Kind::Npz)) {
        return Err(DataError::Mixed { path: path.into(), first: Kind::Npz, second: *other });
    }
    let is_wanted = |name: &str| wanted.iter().any(|(key, _)| *key == without_split(name));
    let holds_labels = |file: &Path| is_labels(&stem(file)) && !is_wanted(&stem(file));
    let labels = listing.files.iter().position(|(file, kind)| *kind == Kind::Npy && holds_labels(file));
    let first = listing.files.iter().map(|(file, _)| file).find(|file| !holds_labels(file));
    let first = first.ok_or_else(|| DataError::NoArrays { path: path.into() })?.clone();
    let dataset = match axes_more(&first, wanted)? {
        1 => stacks(&listing, wanted),
        _ => {
            let labels = labels.map(|place| listing.files.remove(place).0);
            single(&listing, wanted, labels.as_deref())
        }
    }?;
    Ok(Dataset { left_out: listing.left_out, ..dataset.in_order() })
}

/// How many axes more than a sample an array of this file has: none or one.
fn axes_more(file: &Path, wanted: &[(&str, usize)]) -> Result<usize, DataError> {
    let arrays = npy::arrays(file)?;
    for (key, rank) in wanted {
        let Some(array) = find(&arrays, key, wanted.len()) else { continue };
        return match array.shape.len().checked_sub(*rank) {
            Some(more @ (0 | 1)) => Ok(more),
            _ => Err(DataError::Unsupported {
                path: file.into(),
                problem: format!(
                    "has an array of shape {:?}, and the input `{key}` takes {rank} axes for a sample, or one more for a stack of samples",
                    array.shape
                ),
            }),
        };
    }
    Err(lacking(file, &arrays, wanted.first().map_or("", |(key, _)| key)))
}

/// The array of a name; where only one is wanted, the only one that holds no labels whatever its name.
fn find<'a>(arrays: &'a Named, key: &str, wanted: usize) -> Option<&'a Array> {
    let named = arrays.iter().find(|(name, _)| name == key);
    let mut others = arrays.iter().filter(|(name, _)| !is_labels(name));
    let only = match (others.next(), others.next()) {
        (Some(only), None) if wanted == 1 => Some(only),
        _ => None,
    };
    named.or(only).map(|(_, array)| array)
}

fn lacking(file: &Path, arrays: &Named, key: &str) -> DataError {
    let names: Vec<&str> = arrays.iter().map(|(name, _)| name.as_str()).collect();
    DataError::Unsupported {
        path: file.into(),
        problem: format!(
            "has no array `{key}`, only {}; name arrays after the network's inputs, or say --input {key}=array:NAME",
            names.join(", ")
        ),
    }
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The words of a name that tell no split: `x_train` is `x`.
fn without_split(name: &str) -> String {
    let words = name.split(['_', '-', '.']).filter(|word| Role::of(word).is_none());
    words.collect::<Vec<_>>().join("_")
}

fn is_labels(name: &str) -> bool {
    LABELS.contains(&without_split(&name.to_lowercase()).as_str())
}

/// Class numbers; none where they are withheld.
fn class_numbers(path: &Path, array: &Array) -> Result<Option<Vec<u32>>, DataError> {
    let numbers = array.values.integers_in(0..array.values.len());
    let numbers = numbers.ok_or_else(|| DataError::Unsupported {
        path: path.into(),
        problem: "has labels that are no whole numbers; labels are class numbers from 0".to_owned(),
    })?;
    let numbers: Vec<i64> = numbers.into_iter().map(|number| i64::try_from(number).unwrap_or(i64::MAX)).collect();
    classes::labels_from(path, &numbers)
}

/// Samples along the first axis of arrays in memory.
struct Stack {
    files: Vec<PathBuf>,
    arrays: BTreeMap<String, Array>,
}

impl Source for Stack {
    fn picture(&self, index: usize) -> Result<Picture, DataError> {
        Err(DataError::NoPicture { name: self.name(index) })
    }

    fn array(&self, index: usize, key: &str) -> Result<Array, DataError> {
        let missing = || DataError::NoArray { name: self.name(index), key: key.to_owned() };
        self.arrays.get(key).and_then(|array| array.sample(index)).ok_or_else(missing)
    }

    fn name(&self, index: usize) -> String {
        let file = self.files.first().map(|file| file.display().to_string()).unwrap_or_default();
        format!("{file} sample {index}")
    }

    fn files(&self, _positions: &[usize]) -> Vec<PathBuf> {
        self.files.clone()
    }
}

/// Stacks by split.
fn stacks(listing: &Listing, wanted: &[(&str, usize)]) -> Result<Dataset, DataError> {
    let mut splits = BTreeMap::<(Role, String), (Vec<PathBuf>, Named)>::new();
    for (file, _) in &listing.files {
        let (files, arrays) = splits.entry(listing.split_of(file)).or_default();
        for (name, array) in npy::arrays(file)? {
            let name = if file.extension().is_some_and(|it| it == "npy") { without_split(&name) } else { name };
            if arrays.iter().any(|(known, _)| *known == name) {
                let problem =
                    format!("holds a second array `{name}` of its split; name files after their split (train, test)");
                return Err(DataError::Unsupported { path: file.clone(), problem });
            }
            arrays.push((name, array));
        }
        files.push(file.clone());
    }
    let sets = splits.into_iter().map(|((role, name), (files, arrays))| stack(role, &name, files, &arrays, wanted));
    let splits: Vec<ImageSet> = sets.collect::<Result<_, _>>()?;
    let labels: Vec<Vec<u32>> = splits.iter().filter_map(|set| set.labels().ok()).collect();
    let classes = classes::numbered(labels.iter().flatten());
    Ok(Dataset { kind: Kind::Npz, classes, splits, left_out: LeftOut::default() })
}

fn stack(
    role: Role,
    name: &str,
    files: Vec<PathBuf>,
    arrays: &Named,
    wanted: &[(&str, usize)],
) -> Result<ImageSet, DataError> {
    let file = files[0].clone();
    let mut found = BTreeMap::new();
    for (key, rank) in wanted {
        let array = find(arrays, key, wanted.len()).ok_or_else(|| lacking(&file, arrays, key))?;
        if array.shape.len() != rank + 1 {
            return Err(DataError::Unsupported {
                path: file,
                problem: format!(
                    "has an array `{key}` of shape {:?} beside stacks of samples, which have {} axes",
                    array.shape,
                    rank + 1
                ),
            });
        }
        found.insert((*key).to_owned(), array.clone());
    }
    let samples = |array: &Array| array.shape.first().copied().unwrap_or(0);
    let len = found.values().map(samples).min().unwrap_or(0);
    if let Some((key, array)) = found.iter().find(|(_, array)| samples(array) != len) {
        let problem =
            format!("has {} samples in `{key}` and {len} in another array; all arrays need the same", samples(array));
        return Err(DataError::Unsupported { path: file, problem });
    }
    let labels = arrays.iter().find(|(name, _)| is_labels(name) && !found.contains_key(name));
    let labels = labels.map(|(_, array)| class_numbers(&file, array)).transpose()?.flatten();
    if let Some(labels) = labels.as_ref().filter(|labels| labels.len() != len) {
        return Err(DataError::LabelCount { path: file, labels: labels.len(), pictures: len });
    }
    Ok(ImageSet::new(name, role, Arc::new(Stack { files, arrays: found }), len, labels))
}

/// Files of one sample each, read when asked for.
struct Files {
    /// The split's folder, which no sample's key contains.
    folder: PathBuf,
    paths: Vec<PathBuf>,
    /// How many arrays a sample has.
    wanted: usize,
}

impl Source for Files {
    fn picture(&self, index: usize) -> Result<Picture, DataError> {
        Err(DataError::NoPicture { name: self.name(index) })
    }

    fn array(&self, index: usize, key: &str) -> Result<Array, DataError> {
        let arrays = npy::arrays(&self.paths[index])?;
        find(&arrays, key, self.wanted).cloned().ok_or_else(|| lacking(&self.paths[index], &arrays, key))
    }

    fn name(&self, index: usize) -> String {
        self.paths[index].display().to_string()
    }

    fn key(&self, index: usize) -> String {
        folder::key(&self.folder, &self.paths[index])
    }

    fn files(&self, positions: &[usize]) -> Vec<PathBuf> {
        positions.iter().map(|position| self.paths[*position].clone()).collect()
    }
}

/// One sample a file. Labels are the class folders, or a list of class numbers for the files in the order of their names.
fn single(listing: &Listing, wanted: &[(&str, usize)], labels: Option<&Path>) -> Result<Dataset, DataError> {
    let arrays = wanted.len();
    let source = |folder, paths| Arc::new(Files { folder, paths, wanted: arrays }) as Arc<dyn Source>;
    let mut dataset = Dataset { kind: Kind::Npz, ..folder::open_with(listing, source)? };
    let Some(path) = labels else { return Ok(dataset) };
    let (true, [set]) = (dataset.classes.is_empty(), dataset.splits.as_mut_slice()) else {
        let problem = "gives labels to samples that lie in folders of classes or splits; leave out one of the two";
        return Err(DataError::Unsupported { path: path.into(), problem: problem.to_owned() });
    };
    let numbers = npy::arrays(path)?.into_iter().next().map(|(_, array)| class_numbers(path, &array));
    if let Some(numbers) = numbers.transpose()?.flatten() {
        if numbers.len() != set.len() {
            return Err(DataError::LabelCount { path: path.into(), labels: numbers.len(), pictures: set.len() });
        }
        dataset.classes = classes::numbered(numbers.iter());
        *set = set.labelled(numbers);
    }
    Ok(dataset)
}

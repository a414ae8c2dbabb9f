//! Folders of pictures: `SPLIT/CLASS/PICTURE`, `CLASS/PICTURE`, `SPLIT/PICTURE` or pictures alone.
//!
//! Classes are numbered in the plain order of their names, as torchvision does: `10` comes before `2`.

use super::{DataError, Dataset, ImageSet, Kind, LeftOut, Role, Source, listing::Listing};
use crate::{Picture, picture};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Encoded files, read when asked for.
struct Files {
    /// The split's folder, which no picture's key contains.
    folder: PathBuf,
    paths: Vec<PathBuf>,
}

impl Files {
    fn bytes(&self, index: usize) -> Result<Vec<u8>, DataError> {
        let path = &self.paths[index];
        fs::read(path).map_err(DataError::unreadable(path))
    }
}

impl Source for Files {
    fn picture(&self, index: usize) -> Result<Picture, DataError> {
        Picture::decode(&self.bytes(index)?).map_err(|reason| DataError::Picture { name: self.name(index), reason })
    }

    fn upright(&self, index: usize) -> Result<Picture, DataError> {
        Picture::decode_upright(&self.bytes(index)?)
            .map_err(|reason| DataError::Picture { name: self.name(index), reason })
    }

    fn is_turned(&self, index: usize) -> bool {
        File::open(&self.paths[index]).is_ok_and(|file| picture::is_turned(BufReader::new(file)))
    }

    fn name(&self, index: usize) -> String {
        self.paths[index].display().to_string()
    }

    fn key(&self, index: usize) -> String {
        key(&self.folder, &self.paths[index])
    }

    fn files(&self, positions: &[usize]) -> Vec<PathBuf> {
        positions.iter().map(|position| self.paths[*position].clone()).collect()
    }
}

/// A file's path below its split's folder, the same on every system.
pub(super) fn key(folder: &Path, path: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path);
    below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// One split before classes are numbered: its pictures, each with its class folder where there is one.
struct Split {
    name: String,
    role: Role,
    pictures: Vec<(Option<String>, PathBuf)>,
}

impl Split {
    fn folder(&self, listing: &Listing) -> PathBuf {
        if self.role == Role::Whole { listing.root.clone() } else { listing.root.join(&self.name) }
    }
}

pub(super) fn open(listing: &Listing) -> Result<Dataset, DataError> {
    open_with(listing, |folder, paths| Arc::new(Files { folder, paths }))
}

/// Opens folders of files that are samples each; `source` reads those of one split, given its folder.
pub(super) fn open_with(
    listing: &Listing,
    source: impl Fn(PathBuf, Vec<PathBuf>) -> Arc<dyn Source>,
) -> Result<Dataset, DataError> {
    let splits = splits(listing)?;
    for split in &splits {
        refuse_loose_pictures(listing, split)?;
    }
    let classes = classes(listing, &splits)?;
    refuse_empty_classes(listing, &splits, &classes)?;
    let splits = splits.into_iter().map(|split| set(listing, split, &classes, &source)).collect();
    Ok(Dataset { kind: Kind::Folder, classes, splits, left_out: LeftOut::default() })
}

/// Sorts the pictures into splits: by the top folders when all of those name one, else into a single unsplit set.
fn splits(listing: &Listing) -> Result<Vec<Split>, DataError> {
    let paths: Vec<&PathBuf> = listing.files.iter().map(|(path, _)| path).collect();
    let tops: BTreeSet<String> = paths
        .iter()
        .map(|path| listing.below(path))
        .filter(|parts| parts.len() > 1)
        .map(|parts| parts[0].to_string())
        .collect();
    let by_split = !tops.is_empty() && tops.iter().all(|top| Role::of(top).is_some());
    if !by_split {
        refuse_half_split(listing, &tops)?;
    }
    let mut splits = BTreeMap::<String, Split>::new();
    for path in paths {
        let parts = listing.below(path);
        let top = parts.first().filter(|_| by_split && parts.len() > 1);
        let role = top.and_then(|top| Role::of(top)).unwrap_or(Role::Whole);
        let name = top.map_or(role.name().to_owned(), ToString::to_string);
        let inside = &parts[usize::from(top.is_some())..];
        let class = (inside.len() > 1).then(|| inside[0].to_string());
        let split = splits.entry(name.clone()).or_insert_with(|| Split { name, role, pictures: Vec::new() });
        split.pictures.push((class, path.clone()));
    }
    Ok(splits.into_values().collect())
}

/// A folder `train` with sub-folders beside folders that are no splits: classes and splits are confused.
fn refuse_half_split(listing: &Listing, tops: &BTreeSet<String>) -> Result<(), DataError> {
    let confused = tops.iter().find(|top| {
        let folder = listing.root.join(top);
        Role::of(top).is_some() && listing.folders.iter().any(|inner| inner.parent() == Some(&folder))
    });
    match confused {
        Some(top) => Err(DataError::Layout {
            path: listing.root.clone(),
            problem: format!("the folder `{top}` is a split and other folders beside it are not"),
        }),
        None => Ok(()),
    }
}

fn refuse_loose_pictures(listing: &Listing, split: &Split) -> Result<(), DataError> {
    let in_classes = split.pictures.iter().filter(|(class, _)| class.is_some()).count();
    if in_classes == 0 || in_classes == split.pictures.len() {
        return Ok(());
    }
    Err(DataError::Layout {
        path: listing.root.clone(),
        problem: format!("the split `{}` has pictures both inside and outside class folders", split.name),
    })
}

/// The class names, which every labelled split must share; the training split's decide.
fn classes(listing: &Listing, splits: &[Split]) -> Result<Vec<String>, DataError> {
    let labelled = || splits.iter().filter(|split| split.pictures.iter().any(|(class, _)| class.is_some()));
    let Some(leading) = labelled().min_by_key(|split| split.role) else {
        return Ok(Vec::new());
    };
    let known: BTreeSet<&String> = leading.pictures.iter().filter_map(|(class, _)| class.as_ref()).collect();
    for split in labelled() {
        for (class, path) in &split.pictures {
            if class.as_ref().is_some_and(|class| !known.contains(class)) {
                let path = path.parent().unwrap_or(&listing.root).into();
                return Err(DataError::UnknownClass { path, known_in: leading.name.clone() });
            }
        }
    }
    Ok(known.into_iter().cloned().collect())
}

/// An empty class folder would shift the numbers of the classes after it.
fn refuse_empty_classes(listing: &Listing, splits: &[Split], classes: &[String]) -> Result<(), DataError> {
    if classes.is_empty() {
        return Ok(());
    }
    let parents: Vec<PathBuf> = splits.iter().map(|split| split.folder(listing)).collect();
    let is_class = |folder: &Path| folder.parent().is_some_and(|parent| parents.iter().any(|p| p == parent));
    let holds_pictures = |folder: &Path| listing.files.iter().any(|(file, _)| file.starts_with(folder));
    match listing.folders.iter().find(|folder| is_class(folder) && !holds_pictures(folder)) {
        Some(folder) => {
            Err(DataError::Layout { path: folder.clone(), problem: "the class folder holds no pictures".to_owned() })
        }
        None => Ok(()),
    }
}

fn set(
    listing: &Listing,
    split: Split,
    classes: &[String],
    source: &impl Fn(PathBuf, Vec<PathBuf>) -> Arc<dyn Source>,
) -> ImageSet {
    let number = |name: &String| classes.iter().position(|class| class == name).map(|n| n as u32);
    let labels: Option<Vec<u32>> = split.pictures.iter().map(|(class, _)| class.as_ref().and_then(number)).collect();
    let folder = split.folder(listing);
    let paths: Vec<PathBuf> = split.pictures.into_iter().map(|(_, path)| path).collect();
    let len = paths.len();
    ImageSet::new(&split.name, split.role, source(folder, paths), len, labels)
}

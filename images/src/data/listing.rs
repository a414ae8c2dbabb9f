//! What lies in a folder: its files with the form each one has, told from its first bytes or its name.

use super::{DataError, Kind, Role};
use flate2::read::GzDecoder;
use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

/// Folders are read this deep: split, class, and two more.
const DEPTH: usize = 4;

/// The files of known forms under one path, sorted by path.
pub(super) struct Listing {
    /// The folder, or the one file's folder.
    pub(super) root: PathBuf,
    pub(super) files: Vec<(PathBuf, Kind)>,
    /// All folders below the root.
    pub(super) folders: Vec<PathBuf>,
}

impl Listing {
    pub(super) fn of(path: &Path) -> Result<Self, DataError> {
        let facts = fs::metadata(path).map_err(DataError::unreadable(path))?;
        let mut listing = Self { root: path.into(), files: Vec::new(), folders: Vec::new() };
        if facts.is_dir() {
            listing.walk(path, DEPTH)?;
        } else {
            listing.root = path.parent().unwrap_or(Path::new("")).into();
            listing.add(path.into())?;
        }
        listing.files.sort();
        listing.folders.sort();
        Ok(listing)
    }

    /// The different forms present.
    pub(super) fn kinds(&self) -> impl Iterator<Item = Kind> {
        let mut kinds: Vec<Kind> = self.files.iter().map(|(_, kind)| *kind).collect();
        kinds.sort();
        kinds.dedup();
        kinds.into_iter()
    }

    /// A file's path below the root, as words.
    pub(super) fn below<'a>(&self, path: &'a Path) -> Vec<std::borrow::Cow<'a, str>> {
        path.strip_prefix(&self.root).unwrap_or(path).iter().map(|part| part.to_string_lossy()).collect()
    }

    /// The split a file belongs to, by its own name or its nearest folder's that tells one.
    pub(super) fn split_of(&self, path: &Path) -> (Role, String) {
        for part in self.below(path).iter().rev() {
            if let Some(role) = Role::of(part) {
                return (role, role.name().to_owned());
            }
        }
        (Role::Whole, Role::Whole.name().to_owned())
    }

    fn walk(&mut self, folder: &Path, depth: usize) -> Result<(), DataError> {
        let entries = fs::read_dir(folder).map_err(DataError::unreadable(folder))?;
        for entry in entries {
            let path = entry.map_err(DataError::unreadable(folder))?.path();
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['.', '_']));
            if hidden {
                continue;
            }
            if !path.is_dir() {
                self.add(path)?;
            } else if depth > 1 {
                self.walk(&path, depth - 1)?;
                self.folders.push(path);
            }
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf) -> Result<(), DataError> {
        if let Some(kind) = kind_by_name(&path).map_or_else(|| kind_by_content(&path), |kind| Ok(Some(kind)))? {
            self.files.push((path, kind));
        }
        Ok(())
    }
}

/// Names that leave no doubt; what such a file holds is checked when it is read.
fn kind_by_name(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let (stem, extension) = name.rsplit_once('.')?;
    match extension {
        "jpg" | "jpeg" | "png" | "ppm" | "pgm" | "pnm" => Some(Kind::Folder),
        "npy" => Some(Kind::Npy),
        "parquet" => Some(Kind::Parquet),
        "bin" if stem.starts_with("data_batch") || stem == "test_batch" => Some(Kind::Cifar),
        _ => None,
    }
}

fn kind_by_content(path: &Path) -> Result<Option<Kind>, DataError> {
    let unreadable = DataError::unreadable(path);
    let mut file = File::open(path).map_err(&unreadable)?;
    let start = head(&mut file).map_err(&unreadable)?;
    if start.starts_with(&[0x1f, 0x8b]) {
        let file = File::open(path).map_err(&unreadable)?;
        // A file that only looks compressed is none of ours.
        let inner = head(&mut GzDecoder::new(file)).unwrap_or_default();
        return Ok(is_idx(&inner).then_some(Kind::Idx));
    }
    Ok(match start.as_slice() {
        start if is_idx(start) => Some(Kind::Idx),
        [0xff, 0xd8, 0xff, ..] | [0x89, b'P', b'N', b'G', ..] => Some(Kind::Folder),
        [0x93, b'N', b'U', b'M', ..] => Some(Kind::Npy),
        b"PAR1" => Some(Kind::Parquet),
        _ => None,
    })
}

/// The first four bytes, or as many as there are.
fn head(from: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(4).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Two zeros, the element type, the number of axes.
fn is_idx(head: &[u8]) -> bool {
    matches!(head, [0, 0, 0x08..=0x0e, 1..=4])
}

//! What lies in a folder: its files with the form each one has, told from its first bytes or its name.

use super::{
    DataError, Kind, Role,
    left_out::{LeftOut, Reason},
};
use flate2::read::GzDecoder;
use image::ImageFormat;
use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

/// Forms of pictures whose first bytes leave no doubt; BMP and PNM begin like a text may begin.
const PICTURES: [ImageFormat; 5] =
    [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Tiff];

/// The files of known forms under one path, sorted by path.
pub(super) struct Listing {
    /// The folder, or the one file's folder.
    pub(super) root: PathBuf,
    pub(super) files: Vec<(PathBuf, Kind)>,
    /// All folders below the root.
    pub(super) folders: Vec<PathBuf>,
    /// What else lies there.
    pub(super) left_out: LeftOut,
}

impl Listing {
    pub(super) fn of(path: &Path) -> Result<Self, DataError> {
        let facts = fs::metadata(path).map_err(DataError::unreadable(path))?;
        let mut listing =
            Self { root: path.into(), files: Vec::new(), folders: Vec::new(), left_out: LeftOut::default() };
        if facts.is_dir() {
            listing.walk(path, &mut vec![path.canonicalize().map_err(DataError::unreadable(path))?])?;
        } else {
            listing.root = path.parent().unwrap_or(Path::new("")).into();
            listing.add(path.into())?;
        }
        listing.files.sort();
        listing.folders.sort();
        Ok(listing)
    }

    /// The different forms present.
    pub(super) fn kinds(&self) -> impl Iterator<Item = Kind> + use<> {
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

    /// Lists a folder; `around` holds the real paths of this one and those it lies in.
    fn walk(&mut self, folder: &Path, around: &mut Vec<PathBuf>) -> Result<(), DataError> {
        let entries = fs::read_dir(folder).map_err(DataError::unreadable(folder))?;
        for entry in entries {
            let path = entry.map_err(DataError::unreadable(folder))?.path();
            if let Some(reason) = foreign(&path) {
                self.left_out.add(reason, &path);
            } else if path.is_dir() {
                self.enter(path, around)?;
            } else {
                self.add(path)?;
            }
        }
        Ok(())
    }

    fn enter(&mut self, folder: PathBuf, around: &mut Vec<PathBuf>) -> Result<(), DataError> {
        let real = folder.canonicalize().map_err(DataError::unreadable(&folder))?;
        if around.contains(&real) {
            self.left_out.add(Reason::Circular, &folder);
            return Ok(());
        }
        around.push(real);
        self.walk(&folder, around)?;
        around.pop();
        self.folders.push(folder);
        Ok(())
    }

    fn add(&mut self, path: PathBuf) -> Result<(), DataError> {
        let length = fs::metadata(&path).map_err(DataError::unreadable(&path))?.len();
        let kind = kind_by_name(&path).map_or_else(|| kind_by_content(&path), |kind| Ok(Some(kind)))?;
        match kind {
            // Of the other forms, an empty file leaves a hole in the set, which its reader finds.
            Some(Kind::Folder) | None if length == 0 => self.left_out.add(Reason::Empty, &path),
            None if is_known_beside(&path) => {}
            None => self.left_out.add(Reason::UnknownForm, &path),
            Some(kind) => self.files.push((path, kind)),
        }
        Ok(())
    }
}

/// Why a name alone keeps a file or folder out.
fn foreign(path: &Path) -> Option<Reason> {
    let name = path.file_name()?.to_string_lossy();
    if name.starts_with("._") || name == "__MACOSX" {
        Some(Reason::ResourceFork)
    } else if name.starts_with('.') {
        Some(Reason::Hidden)
    } else {
        None
    }
}

/// Files that are no pictures and yet read, with those they lie beside.
fn is_known_beside(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == super::cifar::NAMES)
}

/// Names that leave no doubt; what such a file holds is checked when it is read.
pub(super) fn kind_by_name(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let (stem, extension) = name.rsplit_once('.')?;
    match extension {
        "jpg" | "jpeg" | "jpe" | "jfif" | "png" | "webp" | "gif" | "bmp" | "tif" | "tiff" => Some(Kind::Folder),
        "ppm" | "pgm" | "pbm" | "pnm" => Some(Kind::Folder),
        "npy" => Some(Kind::Npy),
        "npz" => Some(Kind::Npz),
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
        [0x93, b'N', b'U', b'M', ..] => Some(Kind::Npy),
        [b'P', b'A', b'R', b'1', ..] => Some(Kind::Parquet),
        start if image::guess_format(start).is_ok_and(|format| PICTURES.contains(&format)) => Some(Kind::Folder),
        _ => None,
    })
}

/// The first bytes, as many as tell a form, or as there are.
fn head(from: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(16).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Two zeros, the element type, the number of axes.
fn is_idx(head: &[u8]) -> bool {
    matches!(head, [0, 0, 0x08..=0x0e, 1..=4, ..])
}

//! Parquet image sets as on the Hugging Face hub: a struct column of encoded pictures (`bytes`, `path`), a column of class
//! numbers, and the class names in the file's `huggingface` metadata.
//!
//! Only footers and labels are read at opening. A row group's pictures are read when the first of them is asked for, and
//! stay: still encoded, so a set takes about its file's size.

mod columns;

use super::{DataError, Dataset, ImageSet, Kind, LeftOut, Role, Source, classes, listing::Listing};
use crate::{Picture, picture};
use ::parquet::{
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{ByteArray, DataType},
    errors::ParquetError,
    file::reader::{FileReader, SerializedFileReader},
};
use columns::Columns;
use std::{
    collections::BTreeMap,
    fs::File,
    io::Cursor,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// One file's row groups and labels.
struct Shard {
    groups: Vec<Group>,
    labels: Option<Vec<u32>>,
    classes: Vec<String>,
}

/// One row group and, once asked for, its encoded pictures.
struct Group {
    path: PathBuf,
    index: usize,
    column: usize,
    rows: usize,
    pictures: OnceLock<Result<Vec<ByteArray>, DataError>>,
}

/// A split's row groups, each with the number of its first row.
struct Rows(Vec<(usize, Group)>);

pub(super) fn open(listing: &Listing) -> Result<Dataset, DataError> {
    refuse_missing_shards(listing)?;
    let mut files = BTreeMap::<(Role, String), Vec<&Path>>::new();
    for (path, _) in &listing.files {
        files.entry(listing.split_of(path)).or_default().push(path);
    }
    let mut splits = Vec::new();
    let mut names = Vec::new();
    for ((role, name), paths) in files {
        let shards: Vec<Shard> = paths.iter().map(|path| shard(path)).collect::<Result<_, _>>()?;
        agree(&mut names, &shards, &paths)?;
        splits.push(set(role, &name, shards));
    }
    let labels: Vec<Vec<u32>> = splits.iter().filter_map(|set| set.labels().ok()).collect();
    let classes = if names.is_empty() { classes::numbered(labels.iter().flatten()) } else { names };
    classes::check(&listing.root, &labels.concat(), classes.len())?;
    Ok(Dataset { kind: Kind::Parquet, classes, splits, left_out: LeftOut::default() })
}

/// Files called `…-00000-of-00002` come in full number.
fn refuse_missing_shards(listing: &Listing) -> Result<(), DataError> {
    let mut found = BTreeMap::<(PathBuf, usize), Vec<usize>>::new();
    for (path, _) in &listing.files {
        if let Some((prefix, index, count)) = shard_number(path) {
            found.entry((path.with_file_name(prefix), count)).or_default().push(index);
        }
    }
    for ((prefix, count), indices) in found {
        if let Some(index) = (0..count).find(|index| !indices.contains(index)) {
            return Err(DataError::Incomplete {
                path: listing.root.clone(),
                missing: format!("{}-{index:05}-of-{count:05}.parquet", prefix.display()),
            });
        }
    }
    Ok(())
}

/// The prefix, number and count of a file that is one of several.
fn shard_number(path: &Path) -> Option<(String, usize, usize)> {
    let stem = path.file_stem()?.to_str()?;
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (prefix, index) = rest.rsplit_once('-')?;
    Some((prefix.to_owned(), index.parse().ok()?, count.parse().ok().filter(|count| *count < 100_000)?))
}

/// All files must name the same classes, where they name any.
fn agree(names: &mut Vec<String>, shards: &[Shard], paths: &[&Path]) -> Result<(), DataError> {
    for (shard, path) in shards.iter().zip(paths) {
        if names.is_empty() {
            names.clone_from(&shard.classes);
        } else if !shard.classes.is_empty() && shard.classes != *names {
            return Err(DataError::damaged(path, "its class names differ from the other files'"));
        }
    }
    Ok(())
}

fn set(role: Role, name: &str, shards: Vec<Shard>) -> ImageSet {
    let labels: Option<Vec<Vec<u32>>> = shards.iter().map(|shard| shard.labels.clone()).collect();
    let mut rows = Vec::new();
    let mut len = 0;
    for group in shards.into_iter().flat_map(|shard| shard.groups) {
        let first = len;
        len += group.rows;
        rows.push((first, group));
    }
    ImageSet::new(name, role, Arc::new(Rows(rows)), len, labels.map(|labels| labels.concat()))
}

impl Source for Rows {
    fn picture(&self, index: usize) -> Result<Picture, DataError> {
        Picture::decode(self.encoded(index)?).map_err(|reason| DataError::Picture { name: self.name(index), reason })
    }

    fn upright(&self, index: usize) -> Result<Picture, DataError> {
        Picture::decode_upright(self.encoded(index)?)
            .map_err(|reason| DataError::Picture { name: self.name(index), reason })
    }

    fn is_turned(&self, index: usize) -> bool {
        self.encoded(index).is_ok_and(|encoded| picture::is_turned(Cursor::new(encoded)))
    }

    fn name(&self, index: usize) -> String {
        let path = &self.group(index).1.path;
        let start = self.0.iter().find(|(_, group)| group.path == *path).map_or(0, |(first, _)| *first);
        format!("{} row {}", path.display(), index - start)
    }

    fn files(&self, _positions: &[usize]) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = self.0.iter().map(|(_, group)| group.path.clone()).collect();
        paths.dedup();
        paths
    }
}

impl Rows {
    fn encoded(&self, index: usize) -> Result<&[u8], DataError> {
        let (first, group) = self.group(index);
        let pictures = group.pictures.get_or_init(|| group.read()).as_ref().map_err(Clone::clone)?;
        Ok(pictures[index - first].data())
    }

    fn group(&self, index: usize) -> &(usize, Group) {
        // Groups follow each other without gaps from row 0, so the one before the first beyond holds the row.
        &self.0[self.0.partition_point(|(first, _)| *first <= index) - 1]
    }
}

impl Group {
    /// Opens the file anew: handles share one position, and several threads read.
    fn read(&self) -> Result<Vec<ByteArray>, DataError> {
        let reader = reader(&self.path)?;
        let damaged = |e: ParquetError| DataError::damaged(&self.path, e);
        let group = reader.get_row_group(self.index).map_err(damaged)?;
        let ColumnReader::ByteArrayColumnReader(column) = group.get_column_reader(self.column).map_err(damaged)? else {
            return Err(DataError::damaged(&self.path, "its pictures are not binary"));
        };
        values(column, self.rows)
            .map_err(damaged)?
            .into_iter()
            .collect::<Option<_>>()
            .ok_or_else(|| DataError::damaged(&self.path, "a row has no picture"))
    }
}

fn reader(path: &Path) -> Result<SerializedFileReader<File>, DataError> {
    let file = File::open(path).map_err(DataError::unreadable(path))?;
    SerializedFileReader::new(file).map_err(|e| DataError::damaged(path, e))
}

fn shard(path: &Path) -> Result<Shard, DataError> {
    let reader = reader(path)?;
    let columns = Columns::find(path, reader.metadata())?;
    let mut groups = Vec::new();
    for (index, facts) in reader.metadata().row_groups().iter().enumerate() {
        let rows = usize::try_from(facts.num_rows()).map_err(|e| DataError::damaged(path, e))?;
        if rows > 0 {
            groups.push(Group { path: path.into(), index, column: columns.pictures, rows, pictures: OnceLock::new() });
        }
    }
    let labels = match columns.labels {
        Some(column) => classes::labels_from(path, &labels(path, &reader, column)?)?,
        None => None,
    };
    let rows: usize = groups.iter().map(|group| group.rows).sum();
    if let Some(found) = labels.as_ref().map(Vec::len).filter(|found| *found != rows) {
        return Err(DataError::LabelCount { path: path.into(), labels: found, pictures: rows });
    }
    Ok(Shard { groups, labels, classes: columns.classes })
}

/// Class numbers of all rows; −1 where a row has none.
fn labels(path: &Path, reader: &SerializedFileReader<File>, column: usize) -> Result<Vec<i64>, DataError> {
    let damaged = |e: ParquetError| DataError::damaged(path, e);
    let mut all = Vec::new();
    for index in 0..reader.num_row_groups() {
        let group = reader.get_row_group(index).map_err(damaged)?;
        let rows = usize::try_from(group.metadata().num_rows()).map_err(|e| DataError::damaged(path, e))?;
        match group.get_column_reader(column).map_err(damaged)? {
            ColumnReader::Int64ColumnReader(column) => {
                all.extend(values(column, rows).map_err(damaged)?.into_iter().map(|n| n.unwrap_or(-1)));
            }
            ColumnReader::Int32ColumnReader(column) => {
                all.extend(values(column, rows).map_err(damaged)?.into_iter().map(|n| n.map_or(-1, i64::from)));
            }
            _ => {
                return Err(DataError::Unsupported {
                    path: path.into(),
                    problem: "has labels that are not whole numbers".to_owned(),
                });
            }
        }
    }
    Ok(all)
}

/// Reads `rows` values of an unrepeated column, `None` where a row or a struct around it is null.
fn values<T: DataType>(mut column: ColumnReaderImpl<T>, rows: usize) -> Result<Vec<Option<T::T>>, ParquetError> {
    let (mut levels, mut present) = (Vec::new(), Vec::new());
    let mut read = 0;
    while read < rows {
        let (records, _, _) = column.read_records(rows - read, Some(&mut levels), None, &mut present)?;
        if records == 0 {
            return Err(ParquetError::EOF(format!("{read} of {rows} rows")));
        }
        read += records;
    }
    // A required column writes no levels; else a value is present where its level is the deepest.
    if present.len() == rows {
        return Ok(present.into_iter().map(Some).collect());
    }
    let deepest = levels.iter().copied().max().unwrap_or(0);
    let mut present = present.into_iter();
    Ok(levels.iter().map(|level| if *level == deepest { present.next() } else { None }).collect())
}

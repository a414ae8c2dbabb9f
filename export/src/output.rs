//! Model files as they are written: what does not fit into one message lies in a data file beside it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use import::external::{copy_external_beside, external_files};
use import::proto::{
    ModelFile, WriteError, destination, is_standard_output,
    onnx::{DataLocation, StringStringEntryProto, TensorProto},
    splice::{Edits, INITIALIZER, Spliced},
    write_atomic,
};

use crate::error::ExportError;

/// The most bytes that readers of protocol buffers take in one message.
const MESSAGE_LIMIT: u64 = i32::MAX as u64;
/// Elements of tensors smaller than this stay in the file.
const SMALL: usize = 1024;
/// Data begins at multiples of this, so that it can be mapped.
const ALIGNMENT: u64 = 4096;

/// Writes a file made of `source` whole or not at all. Data files that it needs are copied beside it first.
pub(crate) fn write(file: &Spliced, source: &ModelFile, path: &Path) -> Result<(), ExportError> {
    write_up_to(file, source, path, MESSAGE_LIMIT)
}

/// Writes a file made of `source` to a folder that nobody else sees and nothing outlasts: it need not be whole at any
/// time before this returns.
pub(crate) fn write_scratch(file: &Spliced, source: &ModelFile, path: &Path) -> Result<(), ExportError> {
    copy_needed(file, source, path)?;
    let failed = |source| WriteError::System { path: path.to_owned(), source };
    let mut writer = BufWriter::new(File::create(path).map_err(failed)?);
    file.write_to(&mut writer).and_then(|()| writer.flush()).map_err(failed)?;
    Ok(())
}

/// Writes a model file of at most `limit` bytes, with a data file of its own where there is more.
fn write_up_to(file: &Spliced, source: &ModelFile, path: &Path, limit: u64) -> Result<(), ExportError> {
    copy_needed(file, source, path)?;
    if file.len() <= limit {
        return Ok(write_atomic(path, |writer| file.write_to(writer))?);
    }
    if is_standard_output(path) {
        return Err(WriteError::NeedsFolder.into());
    }
    let data = free_name(&destination(path)?);
    let outside = Outside::of(&ModelFile::from_bytes(file.to_bytes())?, &data)?;
    write_atomic(&data, |writer| outside.write_data(writer))?;
    Ok(write_atomic(path, |writer| outside.file.write_to(writer))?)
}

/// Copies the data files that a file needs. It needs none where its source did not: what is new in it lies in it.
fn copy_needed(file: &Spliced, source: &ModelFile, path: &Path) -> Result<(), ExportError> {
    if !external_files(&source.proto)?.is_empty() {
        let needed = external_files(&ModelFile::from_bytes(file.to_bytes())?.proto)?;
        copy_external_beside(&needed, source.folder(), path)?;
    }
    Ok(())
}

/// A name beside a model file that nothing has.
fn free_name(model: &Path) -> PathBuf {
    let named = |suffix: &str| {
        let mut name = model.file_name().unwrap_or_default().to_owned();
        name.push(suffix);
        model.with_file_name(name)
    };
    let first = named(".data");
    let mut numbered = (2..).map(|number| named(&format!(".{number}.data")));
    if first.exists() { numbered.find(|name| !name.exists()).unwrap_or(first) } else { first }
}

/// A model whose large initialisers lie outside.
struct Outside {
    file: Spliced,
    /// Elements, each with where they begin.
    data: Vec<(u64, Bytes)>,
}

impl Outside {
    fn of(model: &ModelFile, path: &Path) -> Result<Self, ExportError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut edits = Edits::new().lossy(true);
        let (mut data, mut end) = (Vec::new(), 0u64);
        let tensors = model.proto.graph.iter().flat_map(|graph| &graph.initializer).enumerate();
        for (index, tensor) in tensors {
            let Some(raw) = tensor.raw_data.clone().filter(|raw| raw.len() >= SMALL) else { continue };
            let offset = end.next_multiple_of(ALIGNMENT);
            end = offset + raw.len() as u64;
            edits.replace(INITIALIZER, index, moved_out(tensor, &name, offset, raw.len()));
            data.push((offset, raw));
        }
        Ok(Self { file: edits.splice(&model.bytes)?, data })
    }

    fn write_data(&self, writer: &mut dyn Write) -> std::io::Result<()> {
        let mut end = 0;
        for (offset, raw) in &self.data {
            std::io::copy(&mut std::io::Read::take(std::io::repeat(0), offset - end), writer)?;
            writer.write_all(raw)?;
            end = offset + raw.len() as u64;
        }
        Ok(())
    }
}

fn moved_out(tensor: &TensorProto, name: &str, offset: u64, length: usize) -> TensorProto {
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        value: Some(value.into()),
    };
    TensorProto {
        raw_data: None,
        data_location: Some(DataLocation::External as i32),
        external_data: vec![
            entry("location", name.to_owned()),
            entry("offset", offset.to_string()),
            entry("length", length.to_string()),
        ],
        ..tensor.clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use import::Model;

    #[test]
    fn what_does_not_fit_lies_beside_the_file_and_nothing_is_written_over() {
        let bytes = Bytes::from(fixtures::models::small::chain());
        let spliced = Edits::new().splice(&bytes).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.onnx");
        std::fs::write(folder.path().join("m.onnx.data"), "another model's").unwrap();
        write_up_to(&spliced, &ModelFile::from_bytes(bytes.clone()).unwrap(), &path, 100).unwrap();
        let (whole, split) = (Model::from_bytes(bytes).unwrap(), Model::open(&path).unwrap());
        assert!(split.file.bytes.len() < whole.file.bytes.len());
        assert_eq!(std::fs::read(folder.path().join("m.onnx.data")).unwrap(), b"another model's");
        assert!(folder.path().join("m.onnx.2.data").exists());
        for (a, b) in whole.graph.stored.iter().zip(&split.graph.stored) {
            assert_eq!((&a.tensor.shape, &a.tensor.data), (&b.tensor.shape, &b.tensor.data));
        }
    }
}

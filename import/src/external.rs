//! Data files beside a model: which ones it needs, and taking them along.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use crate::proto::{
    ModelFile, WriteError, destination, is_standard_output,
    onnx::{AttributeProto, DataLocation, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto},
    write_atomic,
};
use crate::tensor::{TensorError, external_location, is_inside};

/// Bytes compared at a time.
const PIECE: usize = 1 << 16;

/// The files, relative to the model's folder, that hold the model's external data.
///
/// # Errors
/// When a tensor names none, or one outside the model's folder.
pub fn external_files(model: &ModelProto) -> Result<BTreeSet<PathBuf>, TensorError> {
    let mut search = Search::default();
    model.graph.iter().for_each(|graph| search.graph(graph));
    for training in &model.training_info {
        let graphs = training.initialization.iter().chain(&training.algorithm);
        graphs.for_each(|graph| search.graph(graph));
    }
    for function in &model.functions {
        search.nodes(&function.node);
        search.attributes(&function.attribute_proto);
    }
    search.found.into_iter().collect()
}

/// Bytes of a model file and of the data files beside it. A data file that is missing counts nothing.
pub fn size(file: &ModelFile) -> u64 {
    let beside = external_files(&file.proto).unwrap_or_default();
    let sizes = beside.iter().filter_map(|name| Some(file.folder().join(name).metadata().ok()?.len()));
    sizes.fold(file.read.len() as u64, u64::saturating_add)
}

/// Copies `files` from one folder to another, each whole or not at all. A file that is there already is left alone: it
/// is the same one, or has the same content, or is not this model's to change.
///
/// # Errors
/// When a file cannot be read or written, or one of other content is in its place.
pub fn copy_external(files: &BTreeSet<PathBuf>, from: &Path, to: &Path) -> Result<(), WriteError> {
    let pairs = || files.iter().map(|file| (from.join(file), to.join(file)));
    // All are looked at before any is written.
    for (source, target) in pairs() {
        if !is_inside(&source, from).map_err(WriteError::system(&source))? {
            let away = io::Error::other("its source is a link that leaves the model's folder");
            return Err(WriteError::system(&target)(away));
        }
        if target.exists() && !same_content(&source, &target).map_err(WriteError::system(&source))? {
            return Err(WriteError::Taken { path: target });
        }
    }
    for (source, target) in pairs().filter(|(_, target)| !target.exists()) {
        let mut reader = File::open(&source).map_err(WriteError::system(&source))?;
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(WriteError::system(&target))?;
        }
        write_atomic(&target, |writer| io::copy(&mut reader, writer).map(drop))?;
    }
    Ok(())
}

/// Copies the data files of a model in the folder `from` to where a model at `target` looks for them, as
/// [`copy_external`] does.
///
/// # Errors
/// As [`copy_external`], and when there are any and `target` is standard output.
pub fn copy_external_beside(files: &BTreeSet<PathBuf>, from: &Path, target: &Path) -> Result<(), WriteError> {
    if files.is_empty() {
        return Ok(());
    }
    if is_standard_output(target) {
        return Err(WriteError::NeedsFolder);
    }
    copy_external(files, from, destination(target)?.parent().unwrap_or(Path::new("")))
}

/// Whether two files are one, or hold the same bytes.
fn same_content(a: &Path, b: &Path) -> io::Result<bool> {
    if a.canonicalize()? == b.canonicalize()? {
        return Ok(true);
    }
    let (a, b) = (File::open(a)?, File::open(b)?);
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (BufReader::with_capacity(PIECE, a), BufReader::with_capacity(PIECE, b));
    loop {
        let (left, right) = (a.fill_buf()?, b.fill_buf()?);
        let length = left.len().min(right.len());
        if length == 0 {
            return Ok(left.len() == right.len());
        }
        if left[..length] != right[..length] {
            return Ok(false);
        }
        a.consume(length);
        b.consume(length);
    }
}

/// Finds external tensors wherever messages hold tensors.
#[derive(Default)]
struct Search {
    found: Vec<Result<PathBuf, TensorError>>,
}

impl Search {
    fn graph(&mut self, graph: &GraphProto) {
        graph.initializer.iter().for_each(|it| self.tensor(it));
        graph.sparse_initializer.iter().for_each(|it| self.sparse(it));
        self.nodes(&graph.node);
    }

    fn nodes(&mut self, nodes: &[NodeProto]) {
        nodes.iter().for_each(|node| self.attributes(&node.attribute));
    }

    fn attributes(&mut self, attributes: &[AttributeProto]) {
        for attribute in attributes {
            attribute.t.iter().for_each(|it| self.tensor(it));
            attribute.tensors.iter().for_each(|it| self.tensor(it));
            attribute.sparse_tensor.iter().for_each(|it| self.sparse(it));
            attribute.sparse_tensors.iter().for_each(|it| self.sparse(it));
            attribute.g.iter().for_each(|it| self.graph(it));
            attribute.graphs.iter().for_each(|it| self.graph(it));
        }
    }

    fn sparse(&mut self, tensor: &SparseTensorProto) {
        let parts = tensor.values.iter().chain(&tensor.indices);
        parts.for_each(|it| self.tensor(it));
    }

    fn tensor(&mut self, tensor: &TensorProto) {
        if tensor.data_location == Some(DataLocation::External as i32) {
            self.found.push(external_location(tensor));
        }
    }
}

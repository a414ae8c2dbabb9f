//! Data files beside a model: which ones it needs, and taking them along.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    onnx::{AttributeProto, DataLocation, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto},
    write::{WriteError, write_atomic},
};
use crate::tensor::{TensorError, external_location, is_inside};

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

/// Copies `files` from one folder to another, each whole or not at all; files that are already
/// the same file are left alone.
///
/// # Errors
/// When a file cannot be read or written.
pub fn copy_external(files: &BTreeSet<PathBuf>, from: &Path, to: &Path) -> Result<(), WriteError> {
    for file in files {
        let (source, target) = (from.join(file), to.join(file));
        let failed = |source: io::Error| WriteError { path: target.clone(), source };
        if same_file(&source, &target) {
            continue;
        }
        if !is_inside(&source, from).map_err(failed)? {
            return Err(failed(io::Error::other("its source is a link that leaves the model's folder")));
        }
        let mut reader = File::open(&source).map_err(failed)?;
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        write_atomic(&target, |writer| io::copy(&mut reader, writer).map(|_| ()))?;
    }
    Ok(())
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
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

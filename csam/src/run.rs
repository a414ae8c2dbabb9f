//! `espalier-torch run`: imports a model, runs it on given inputs, and writes its outputs.
//!
//! Both files are in the safetensors format. In: one `f32` tensor `input`, with the size of each run as metadata
//! `batch`. Out: one `f32` tensor per graph output, named `0:NAME`, `1:NAME`, …, with metadata `runtime`, `version` and
//! `device`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use import::Model;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};
use tch::{Kind, TchError, Tensor, no_grad};

use crate::network::{Lowering, Network, NetworkError, Pass};
use crate::versions::LIBTORCH;

/// Arguments of `espalier-torch run`.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// The ONNX file.
    #[arg(long)]
    pub model: PathBuf,
    /// The tensor file to read.
    #[arg(long)]
    pub inputs: PathBuf,
    /// The tensor file to write.
    #[arg(long)]
    pub outputs: PathBuf,
    /// Threads inside one operator.
    #[arg(long, default_value_t = 1)]
    pub threads: u16,
}

/// Why a model could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The model cannot be read.
    #[error(transparent)]
    Import(#[from] import::ImportError),
    /// The model cannot be lowered or run.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The input file cannot be read.
    #[error("{}: cannot be read ({source})", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A tensor file is not of the agreed form, or cannot be written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SafeTensorError,
    },
    /// The input is not what this program takes.
    #[error("{}: `input` is {dtype:?} of shape {shape:?}, but f32 with at least one sample is agreed", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// What it holds.
        dtype: Dtype,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// An output has no whole number of rows per sample, so runs cannot be joined.
    #[error("output {position} has shape {shape:?} for {batch} samples; run all samples in one batch")]
    Unjoinable {
        /// The output.
        position: usize,
        /// Its shape.
        shape: Vec<i64>,
        /// The samples of one run.
        batch: i64,
    },
}

impl From<TchError> for RunError {
    fn from(source: TchError) -> Self {
        Self::Network(source.into())
    }
}

/// Runs a model as the arguments say.
///
/// # Errors
/// When the model cannot be lowered, or a file cannot be read or written.
pub fn run(args: &RunArgs) -> Result<(), RunError> {
    tch::set_num_threads(i32::from(args.threads.max(1)));
    let model = Model::open(&args.model)?;
    let network = Network::lower(&model, None, Lowering::inference())?;
    let (input, asked) = read(&args.inputs)?;
    let outputs = no_grad(|| in_batches(&network, &input, declared_batch(&model), asked))?;
    let names = model.graph.outputs.iter().map(|&value| model.graph.value(value).name.clone());
    write(&args.outputs, names.zip(outputs))
}

/// The batch that the file fixes, if it does.
fn declared_batch(model: &Model) -> Option<i64> {
    model.graph.batch().and_then(|batch| batch.value())
}

/// Runs all samples, so many at a time. A fixed batch is filled up with the last sample, whose outputs are dropped.
fn in_batches(network: &Network, input: &Tensor, fixed: Option<i64>, asked: i64) -> Result<Vec<Tensor>, RunError> {
    let samples = input.size()[0];
    let size = fixed.unwrap_or(asked).clamp(1, i64::MAX);
    let mut parts: Vec<Vec<Tensor>> = Vec::new();
    for start in (0..samples).step_by(size as usize) {
        let kept = size.min(samples - start);
        let mut batch = input.f_narrow(0, start, kept)?;
        if fixed.is_some() && kept < size {
            let last = input.f_narrow(0, samples - 1, 1)?;
            let filler = (kept..size).map(|_| &last);
            batch = Tensor::f_cat(&std::iter::once(&batch).chain(filler).collect::<Vec<_>>(), 0)?;
        }
        let ran = batch.size()[0];
        let outputs = network.forward(&batch, &mut Pass::default())?;
        parts.push(first_rows(outputs, ran, kept, ran < samples)?);
    }
    let Some(first) = parts.first().filter(|_| parts.len() > 1) else { return Ok(parts.pop().unwrap_or_default()) };
    let count = first.len();
    let column = |at: usize| parts.iter().map(|part| part[at].shallow_clone()).collect::<Vec<_>>();
    Ok((0..count).map(|at| Tensor::f_cat(&column(at), 0)).collect::<Result<_, _>>()?)
}

/// The rows of the first `kept` of `ran` samples; an output may have several rows per sample.
fn first_rows(outputs: Vec<Tensor>, ran: i64, kept: i64, joined: bool) -> Result<Vec<Tensor>, RunError> {
    let keep = |(position, output): (usize, Tensor)| {
        let rows = output.size().first().copied().unwrap_or(0);
        if ran == kept && !joined {
            return Ok(output);
        }
        if rows == 0 || rows % ran != 0 {
            return Err(RunError::Unjoinable { position, shape: output.size(), batch: ran });
        }
        Ok(output.f_narrow(0, 0, rows / ran * kept)?)
    };
    outputs.into_iter().enumerate().map(keep).collect()
}

/// The tensor `input` and the size of each run.
fn read(path: &Path) -> Result<(Tensor, i64), RunError> {
    let bytes = std::fs::read(path).map_err(|source| RunError::Read { path: path.into(), source })?;
    let failed = |source| RunError::File { path: path.into(), source };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(failed)?;
    let file = SafeTensors::deserialize(&bytes).map_err(failed)?;
    let view = file.tensor("input").map_err(failed)?;
    let shape: Vec<i64> = view.shape().iter().map(|&extent| extent as i64).collect();
    if view.dtype() != Dtype::F32 || shape.first().is_none_or(|&samples| samples == 0) {
        return Err(RunError::Input { path: path.into(), dtype: view.dtype(), shape: view.shape().to_vec() });
    }
    let input = Tensor::f_from_data_size(view.data(), &shape, Kind::Float)?;
    let batch = header.metadata().as_ref().and_then(|metadata| metadata.get("batch")?.parse().ok());
    Ok((input, batch.unwrap_or(shape[0])))
}

fn write(path: &Path, outputs: impl Iterator<Item = (String, Tensor)>) -> Result<(), RunError> {
    let mut encoded = Vec::new();
    for (position, (name, tensor)) in outputs.enumerate() {
        let shape: Vec<usize> = tensor.size().iter().map(|&extent| extent as usize).collect();
        let flat = tensor.f_to_kind(Kind::Float)?.f_contiguous()?.f_flatten(0, -1)?;
        let bytes: Vec<u8> = Vec::<f32>::try_from(&flat)?.iter().flat_map(|value| value.to_le_bytes()).collect();
        encoded.push((format!("{position}:{name}"), shape, bytes));
    }
    let failed = |source| RunError::File { path: path.into(), source };
    let views = encoded
        .iter()
        .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    let metadata = [("runtime", "torch"), ("version", LIBTORCH), ("device", "cpu")];
    let metadata: HashMap<String, String> = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    safetensors::serialize_to_file(views, Some(metadata), path).map_err(failed)
}

//! `espalier-torch run`: imports a model, runs it on given inputs, and writes its outputs.
//!
//! Both files are in the safetensors format. In: one `f32` tensor for each run, named `0`, `1`, … Out: one tensor for each
//! run and graph output, of the type it was computed in, named `RUN:OUTPUT:NAME` with both numbers from 0, and metadata
//! `runtime`, `version` and `device`.

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
    /// An input is not what this program takes.
    #[error("{}: an input is {dtype:?} of shape {shape:?}, but f32 with at least one sample is agreed", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// What it holds.
        dtype: Dtype,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// An output has elements that a tensor file does not hold.
    #[error("an output holds {kind:?}, which cannot be written; leave torch out of the runtimes")]
    Elements {
        /// What it holds.
        kind: Kind,
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
    let inputs = read(&args.inputs)?;
    let runs = no_grad(|| {
        let forward = |input: &Tensor| network.forward(input, &mut Pass::default());
        inputs.iter().map(forward).collect::<Result<Vec<_>, _>>()
    })?;
    let names: Vec<&str> = model.graph.outputs.iter().map(|&value| model.graph.value(value).name.as_str()).collect();
    write(&args.outputs, &names, &runs)
}

/// The inputs of every run.
fn read(path: &Path) -> Result<Vec<Tensor>, RunError> {
    let bytes = std::fs::read(path).map_err(|source| RunError::Read { path: path.into(), source })?;
    let failed = |source| RunError::File { path: path.into(), source };
    let file = SafeTensors::deserialize(&bytes).map_err(failed)?;
    let input = |run: usize| {
        let view = file.tensor(&run.to_string()).map_err(failed)?;
        let shape: Vec<i64> = view.shape().iter().map(|&extent| extent as i64).collect();
        if view.dtype() != Dtype::F32 || shape.first().is_none_or(|&samples| samples == 0) {
            return Err(RunError::Input { path: path.into(), dtype: view.dtype(), shape: view.shape().to_vec() });
        }
        Ok(Tensor::f_from_data_size(view.data(), &shape, Kind::Float)?)
    };
    (0..file.len()).map(input).collect()
}

fn write(path: &Path, names: &[&str], runs: &[Vec<Tensor>]) -> Result<(), RunError> {
    let mut encoded = Vec::new();
    for (run, outputs) in runs.iter().enumerate() {
        for ((index, name), tensor) in names.iter().enumerate().zip(outputs) {
            let shape: Vec<usize> = tensor.size().iter().map(|&extent| extent as usize).collect();
            encoded.push((format!("{run}:{index}:{name}"), dtype(tensor.kind())?, shape, bytes(tensor)?));
        }
    }
    let failed = |source| RunError::File { path: path.into(), source };
    let views = encoded
        .iter()
        .map(|(name, dtype, shape, bytes)| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    let metadata = [("runtime", "torch"), ("version", LIBTORCH), ("device", "cpu")];
    let metadata: HashMap<String, String> = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    safetensors::serialize_to_file(views, Some(metadata), path).map_err(failed)
}

/// What a file calls a torch kind.
fn dtype(kind: Kind) -> Result<Dtype, RunError> {
    Ok(match kind {
        Kind::Half => Dtype::F16,
        Kind::BFloat16 => Dtype::BF16,
        Kind::Float => Dtype::F32,
        Kind::Double => Dtype::F64,
        Kind::Int8 => Dtype::I8,
        Kind::Int16 => Dtype::I16,
        Kind::Int => Dtype::I32,
        Kind::Int64 => Dtype::I64,
        Kind::Uint8 => Dtype::U8,
        Kind::Bool => Dtype::BOOL,
        kind => return Err(RunError::Elements { kind }),
    })
}

/// The elements as they lie in memory, which is little-endian on every machine that libtorch is built for.
fn bytes(tensor: &Tensor) -> Result<Vec<u8>, RunError> {
    let flat = tensor.f_contiguous()?.f_flatten(0, -1)?;
    let mut bytes = vec![0; flat.numel() * flat.kind().elt_size_in_bytes()];
    flat.f_copy_data_u8(&mut bytes, flat.numel())?;
    Ok(bytes)
}

//! `espalier-torch run`: imports a model, runs it on given inputs, and writes its outputs.
//!
//! Both files are in the safetensors format. In: one tensor for each run and input, named `RUN:INPUT:NAME`; the name of a
//! model's only input may be empty. Out: one tensor for each run and graph output, of the type it was computed in, named
//! `RUN:OUTPUT:NAME`, and metadata `runtime`, `version` and `device`. Both numbers are counted from 0.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use import::Model;
use import::graph::ValueId;
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
    /// A tensor of the inputs is not what this program takes.
    #[error("{}: the tensor `{key}` is {problem}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        key: String,
        /// What does not fit.
        problem: String,
    },
    /// An input that is fed nothing.
    #[error("the model's input `{input}` is fed nothing in run {run}; name what it is fed with --input")]
    NotFed {
        /// The input's name.
        input: String,
        /// The run, counted from 0.
        run: usize,
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
    let name = |value: &ValueId| model.graph.value(*value).name.as_str();
    let wanted: Vec<&str> = model.graph.inputs.iter().map(name).collect();
    let given = read(&args.inputs)?;
    let runs = no_grad(|| {
        let forward = |(run, given): (usize, &Given)| -> Result<_, RunError> {
            Ok(network.forward(&in_order(run, &wanted, given)?, &mut Pass::default())?)
        };
        given.iter().enumerate().map(forward).collect::<Result<Vec<_>, _>>()
    })?;
    let names: Vec<&str> = model.graph.outputs.iter().map(|&value| model.graph.value(value).name.as_str()).collect();
    write(&args.outputs, &names, &runs)
}

/// The tensors of one run, by name.
type Given = Vec<(String, Tensor)>;

/// The tensors of every run.
fn read(path: &Path) -> Result<Vec<Given>, RunError> {
    let bytes = std::fs::read(path).map_err(|source| RunError::Read { path: path.into(), source })?;
    let file = SafeTensors::deserialize(&bytes).map_err(|source| RunError::File { path: path.into(), source })?;
    let mut runs = BTreeMap::<usize, BTreeMap<usize, (String, Tensor)>>::new();
    for (key, view) in file.iter() {
        let wrong = |problem: String| RunError::Input { path: path.into(), key: key.to_owned(), problem };
        let (run, number, name) = place(key).ok_or_else(|| wrong("not named RUN:INPUT:NAME".to_owned()))?;
        let kind = kind(view.dtype()).ok_or_else(|| wrong(format!("of {:?}, which torch has not", view.dtype())))?;
        let shape: Vec<i64> = view.shape().iter().map(|&extent| extent as i64).collect();
        let tensor = Tensor::f_from_data_size(view.data(), &shape, kind)?;
        runs.entry(run).or_default().insert(number, (name.to_owned(), tensor));
    }
    Ok(runs.into_values().map(|run| run.into_values().collect()).collect())
}

/// Run, number and name from `RUN:NUMBER:NAME`.
fn place(key: &str) -> Option<(usize, usize, &str)> {
    let (run, rest) = key.split_once(':')?;
    let (number, name) = rest.split_once(':')?;
    Some((run.parse().ok()?, number.parse().ok()?, name))
}

/// A run's tensors in the order of the model's inputs; its only tensor is for its only input whatever the name.
fn in_order(run: usize, wanted: &[&str], given: &Given) -> Result<Vec<Tensor>, RunError> {
    if let ([_], [(_, only)]) = (wanted, given.as_slice()) {
        return Ok(vec![only.shallow_clone()]);
    }
    let of = |input: &&str| {
        let found = given.iter().find(|(name, _)| name == input).map(|(_, tensor)| tensor.shallow_clone());
        found.ok_or_else(|| RunError::NotFed { input: (*input).to_owned(), run })
    };
    wanted.iter().map(of).collect()
}

/// What torch calls a file's element type.
fn kind(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        Dtype::I8 => Kind::Int8,
        Dtype::I16 => Kind::Int16,
        Dtype::I32 => Kind::Int,
        Dtype::I64 => Kind::Int64,
        Dtype::U8 => Kind::Uint8,
        Dtype::BOOL => Kind::Bool,
        _ => return None,
    })
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

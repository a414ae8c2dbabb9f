//! ONNX Runtime on its CPU provider, loaded at run time.
//!
//! The library is the one `ORT_DYLIB_PATH` names, else the one given to [`init`]. One environment lives as long as the
//! process. No provider is registered, so the CPU one, which is always there, is the only one that can run.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use half::f16;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session as Loaded, SessionInputValue};
use ort::value::{DynValue, Tensor, TensorElementType, TensorRef, ValueType};

use super::batch::{Batch, Output, in_pieces};
use super::{Identity, Options, Session};
use crate::error::CertifyError;

const NAME: &str = "ONNX Runtime";

/// The library to load when the environment variable names none.
static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
/// The environment, once made; it is never dropped.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// Says where ONNX Runtime's library is, for when `ORT_DYLIB_PATH` is not set. The first call counts; the library is
/// loaded when the first session is.
pub fn init(library: &Path) {
    LIBRARY.get_or_init(|| library.to_path_buf());
}

/// The library that is, or would be, loaded.
#[must_use]
pub fn library() -> Option<PathBuf> {
    std::env::var_os("ORT_DYLIB_PATH")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(|| LIBRARY.get().cloned())
}

/// The version of the library, loading it if need be.
///
/// Wheels are built from a detached commit, so the library's own build information may name no release; then the name
/// of its file or folder does.
///
/// # Errors
/// When there is no library, or it does not load.
pub fn version() -> Result<String, CertifyError> {
    environment()?;
    let named = library().and_then(|path| path.canonicalize().ok()).and_then(|path| named_version(&path));
    let info = ort::info();
    let branch = info.split("git-branch=").nth(1).and_then(|rest| rest.split(',').next());
    let built = branch.map_or(info, |branch| branch.trim_start_matches("rel-"));
    Ok(named.unwrap_or_else(|| built.to_owned()))
}

/// A release number such as `1.31.1` in a path's last two parts.
fn named_version(path: &Path) -> Option<String> {
    let parts = path.iter().rev().take(2).filter_map(|part| part.to_str());
    let numbers = parts.flat_map(|part| part.split(|c: char| !c.is_ascii_digit() && c != '.'));
    numbers.map(|number| number.trim_matches('.')).find(|number| number.split('.').count() == 3).map(str::to_owned)
}

fn environment() -> Result<Environment, CertifyError> {
    let mut slot = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = slot.as_ref() {
        return Ok(environment.clone());
    }
    let path = library().ok_or(CertifyError::NoLibrary)?;
    let fault = |reason: String| CertifyError::Library { path: path.clone(), reason };
    let environment = ort::init_from(&path)
        .map_err(|error| fault(error.to_string()))?
        .with_name("espalier")
        .with_telemetry(false)
        .build()
        .map_err(|error| fault(error.to_string()))?;
    environment.set_log_level(LogLevel::Error);
    Ok(slot.insert(environment).clone())
}

/// A model loaded into ONNX Runtime.
pub struct OrtSession {
    session: Loaded,
    model: PathBuf,
    version: String,
    shape: Vec<Option<usize>>,
    element: TensorElementType,
}

impl OrtSession {
    /// Loads a model of exactly one input tensor of floats.
    ///
    /// # Errors
    /// When there is no library, or it refuses the file.
    pub fn load(model: &Path, options: Options) -> Result<Self, CertifyError> {
        let version = version()?;
        let fault = |reason: String| CertifyError::Load { runtime: NAME, model: model.to_path_buf(), reason };
        let session = open(model, options).map_err(|error| fault(error.to_string()))?;
        let (element, shape) = only_input(&session).map_err(fault)?;
        Ok(Self { session, model: model.to_path_buf(), version, shape, element })
    }

    /// The names of the model's outputs, in order.
    #[must_use]
    pub fn output_names(&self) -> Vec<String> {
        self.session.outputs().iter().map(|output| output.name().to_owned()).collect()
    }

    fn run_once(&mut self, batch: &Batch) -> Result<Vec<Output>, CertifyError> {
        let fault = |reason: String| CertifyError::Run { runtime: NAME, model: self.model.clone(), reason };
        let input = as_input(batch, self.element).map_err(|error| fault(error.to_string()))?;
        let outputs = self.session.run([input]).map_err(|error| fault(error.to_string()))?;
        outputs.into_iter().map(|(name, value)| as_output(name, &value).map_err(&fault)).collect()
    }
}

impl Session for OrtSession {
    fn run(&mut self, batch: &Batch) -> Result<Vec<Output>, CertifyError> {
        let size = self.fixed_batch().unwrap_or(batch.len());
        in_pieces(batch, size, |piece| self.run_once(piece))
    }

    fn input_shape(&self) -> &[Option<usize>] {
        &self.shape
    }

    fn identity(&self) -> Identity {
        Identity { runtime: "ort".into(), version: self.version.clone(), device: "cpu".into() }
    }
}

fn open(model: &Path, options: Options) -> Result<Loaded, ort::Error> {
    let environment = environment().map_err(|error| ort::Error::new(error.to_string()))?;
    let level = if options.optimise { GraphOptimizationLevel::All } else { GraphOptimizationLevel::Disable };
    Loaded::builder(&environment)?
        .with_optimization_level(level)?
        .with_intra_threads(options.threads.max(1))?
        // Idle threads that spin would take the cores from whoever works next to this session.
        .with_intra_op_spinning(false)?
        .with_no_environment_execution_providers()?
        .with_log_level(LogLevel::Error)?
        .commit_from_file(model)
}

/// Element type and declared shape of the model's one input.
fn only_input(session: &Loaded) -> Result<(TensorElementType, Vec<Option<usize>>), String> {
    let [input] = session.inputs() else {
        return Err(format!("it has {} inputs; only models with one input are supported", session.inputs().len()));
    };
    match input.dtype() {
        ValueType::Tensor { ty, shape, .. } => Ok((*ty, shape.iter().map(|n| usize::try_from(*n).ok()).collect())),
        other => Err(format!("its input `{}` is {other:?}, not a tensor", input.name())),
    }
}

fn as_input(batch: &Batch, element: TensorElementType) -> Result<SessionInputValue<'_>, ort::Error> {
    let shape = batch.shape.clone();
    Ok(match element {
        TensorElementType::Float32 => TensorRef::from_array_view((shape, batch.data.as_slice()))?.into(),
        TensorElementType::Float64 => {
            Tensor::from_array((shape, batch.data.iter().map(|v| f64::from(*v)).collect::<Vec<_>>()))?.into()
        }
        TensorElementType::Float16 => {
            Tensor::from_array((shape, batch.data.iter().map(|v| f16::from_f32(*v)).collect::<Vec<_>>()))?.into()
        }
        other => return Err(ort::Error::new(format!("its input holds {other}, and only floats can be given"))),
    })
}

fn as_output(name: &str, value: &DynValue) -> Result<Output, String> {
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err(format!("output `{name}` is not a tensor"));
    };
    let shape = shape.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
    let data = numbers(value, *ty).map_err(|error| format!("output `{name}`: {error}"))?;
    Ok(Output { name: name.to_owned(), shape, data })
}

/// The elements as `f32`; whole numbers beyond 2²⁴ are rounded.
fn numbers(value: &DynValue, element: TensorElementType) -> Result<Vec<f32>, ort::Error> {
    Ok(match element {
        TensorElementType::Float32 => value.try_extract_tensor::<f32>()?.1.to_vec(),
        TensorElementType::Float64 => value.try_extract_tensor::<f64>()?.1.iter().map(|v| *v as f32).collect(),
        TensorElementType::Float16 => value.try_extract_tensor::<f16>()?.1.iter().map(|v| v.to_f32()).collect(),
        TensorElementType::Int64 => value.try_extract_tensor::<i64>()?.1.iter().map(|v| *v as f32).collect(),
        TensorElementType::Int32 => value.try_extract_tensor::<i32>()?.1.iter().map(|v| *v as f32).collect(),
        TensorElementType::Uint8 => value.try_extract_tensor::<u8>()?.1.iter().map(|v| f32::from(*v)).collect(),
        TensorElementType::Bool => {
            value.try_extract_tensor::<bool>()?.1.iter().map(|v| f32::from(u8::from(*v))).collect()
        }
        other => return Err(ort::Error::new(format!("elements of type {other} are not numbers that can be compared"))),
    })
}

//! ONNX Runtime on its CPU provider, loaded at run time.
//!
//! The library is the one `ORT_DYLIB_PATH` names, else the one given to [`init`]. One environment lives as long as the
//! process. No provider is registered, so the CPU one, which is always there, is the only one that can run.

use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use half::{bf16, f16};
use images::each;
use ort::AsPointer as _;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session as Loaded, SessionInputValue};
use ort::value::{DynValue, Outlet, PrimitiveTensorElementType, Tensor, TensorElementType, TensorRef, ValueType};

use super::batch::{Declared, Fed, Output};
use super::values::{Element, Values};
use super::{Home, Kind, Options, Runtime, Session};
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

/// The version of the library, such as `1.31.1`, loading it if need be.
///
/// # Errors
/// When there is no library, or it does not load.
pub fn version() -> Result<String, CertifyError> {
    environment()?;
    let path = library().ok_or(CertifyError::NoLibrary)?;
    said_version(&path).map_err(|error| CertifyError::Library { path, reason: error.to_string() })
}

/// What a library's `GetVersionString` says: its build information names a branch, which need not be a release.
fn said_version(path: &Path) -> Result<String, libloading::Error> {
    // SAFETY: the library is loaded already, so no initialiser runs here. The symbol has had this type in every release
    // that `ort` can load, which calls it the same way; what it points to, and the text, live as long as the library,
    // which the environment keeps.
    unsafe {
        let library = libloading::Library::new(path)?;
        let base = library.get::<unsafe extern "C" fn() -> *const ort::sys::OrtApiBase>(b"OrtGetApiBase")?;
        let text = ((*base()).GetVersionString)();
        Ok(CStr::from_ptr(text).to_string_lossy().into_owned())
    }
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

impl Kind {
    /// ONNX Runtime's provider for the processor.
    pub const ORT: Self = Self(&Runtime {
        name: "ort",
        title: NAME,
        device: "cpu",
        one_thread: false,
        home: Home::Here { load: |model, options| Ok(Box::new(OrtSession::load(model, options)?)), version, library },
    });
}

/// A model loaded into ONNX Runtime. Its clones run side by side on the same weights.
#[derive(Clone)]
pub struct OrtSession {
    session: Arc<Loaded>,
    model: PathBuf,
    version: String,
    inputs: Vec<Declared>,
    elements: Vec<TensorElementType>,
}

impl OrtSession {
    /// Loads a model whose inputs are tensors.
    ///
    /// # Errors
    /// When there is no library, or it refuses the file.
    pub fn load(model: &Path, options: Options) -> Result<Self, CertifyError> {
        let version = version()?;
        let fault = |reason: String| CertifyError::Load { runtime: NAME, model: model.to_path_buf(), reason };
        let session = open(model, options).map_err(|error| fault(error.to_string()))?;
        let (inputs, elements) = declared(&session).map_err(fault)?;
        Ok(Self { session: Arc::new(session), model: model.to_path_buf(), version, inputs, elements })
    }

    /// The names of the model's outputs, in order.
    #[must_use]
    pub fn output_names(&self) -> Vec<String> {
        self.session.outputs().iter().map(|output| output.name().to_owned()).collect()
    }
}

impl Session for OrtSession {
    fn feed(&mut self, inputs: &[Fed<'_>]) -> Result<Vec<Output>, CertifyError> {
        let fault = |reason: String| CertifyError::Run { runtime: NAME, model: self.model.clone(), reason };
        let names = self.inputs.iter().map(|input| input.name.as_str());
        let places = Fed::places(inputs, names).map_err(fault)?;
        let given = self.inputs.iter().zip(&self.elements).zip(places);
        let given = given.map(|((_, element), place)| as_input(&inputs[place], *element));
        let given = given.collect::<Result<Vec<_>, ort::Error>>().map_err(|error| fault(error.to_string()))?;
        let outputs = run(&self.session, &given).map_err(|error| fault(error.to_string()))?;
        let names = self.session.outputs().iter().map(Outlet::name);
        names.zip(&outputs).map(|(name, value)| as_output(name, value).map_err(&fault)).collect()
    }

    fn inputs(&self) -> &[Declared] {
        &self.inputs
    }

    fn kind(&self) -> Kind {
        Kind::ORT
    }

    fn version(&self) -> &str {
        &self.version
    }
}

/// Opens a session on a file of any inputs.
pub(crate) fn open(model: &Path, options: Options) -> Result<Loaded, ort::Error> {
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

/// Runs a session, which other threads may be running too, on a value for each of its inputs; gives one for each output.
///
/// `ort` asks for an exclusive reference to run a session, since several providers cannot run side by side. The one for
/// the processor can, and no other is here: a run is stateless, its memory is its own, and what a session learns of memory
/// in its first runs is behind a lock.
fn run(session: &Loaded, given: &[SessionInputValue<'_>]) -> Result<Vec<DynValue>, ort::Error> {
    let texts = |outlets: &[Outlet]| outlets.iter().map(|outlet| CString::new(outlet.name())).collect::<Result<_, _>>();
    let names: Vec<CString> = texts(session.inputs()).map_err(ort::Error::wrap)?;
    let wanted: Vec<CString> = texts(session.outputs()).map_err(ort::Error::wrap)?;
    let pointers = |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).collect::<Vec<_>>();
    let (named, asked) = (pointers(&names), pointers(&wanted));
    let values: Vec<_> = given.iter().map(|value| value.ptr()).collect();
    let mut found = vec![ptr::null_mut(); wanted.len()];
    let count = named.len().min(values.len());
    // SAFETY: the session, the values and the names outlive the call; each list is as long as is said; the list of outputs
    // holds null, for which the runtime allocates. Why the session may be running elsewhere is said above.
    unsafe {
        let status = (ort::api().Run)(
            session.ptr().cast_mut(),
            ptr::null(),
            named.as_ptr(),
            values.as_ptr(),
            count,
            asked.as_ptr(),
            asked.len(),
            found.as_mut_ptr(),
        );
        ort::Error::result_from_status(status)?;
    }
    let taken = found.into_iter().map(|value| {
        let value = NonNull::new(value).ok_or_else(|| ort::Error::new("an output was not computed"))?;
        // SAFETY: the runtime has just made the value with the session's allocator, and nobody else has it.
        Ok(unsafe { DynValue::from_ptr(value, Some(session.allocator())) })
    });
    taken.collect()
}

/// The inputs, and their elements' types.
fn declared(session: &Loaded) -> Result<(Vec<Declared>, Vec<TensorElementType>), String> {
    let one = |input: &Outlet| match input.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let shape = shape.iter().map(|n| usize::try_from(*n).ok()).collect();
            Ok((Declared { name: input.name().to_owned(), shape }, *ty))
        }
        other => Err(format!("its input `{}` is {other:?}, not a tensor", input.name())),
    };
    session.inputs().iter().map(one).collect()
}

fn as_input<'a>(fed: &'a Fed<'_>, element: TensorElementType) -> Result<SessionInputValue<'a>, ort::Error> {
    let shape = fed.shape.clone();
    if let (Values::F32(data), TensorElementType::Float32) = (fed.values.as_ref(), element) {
        return Ok(TensorRef::from_array_view((shape, data.as_slice()))?.into());
    }
    let numbers = as_element(element).ok_or_else(|| {
        ort::Error::new(format!("its input `{}` holds {element}, and only numbers can be given", fed.name))
    })?;
    Ok(each!(fed.values.cast(numbers).into_owned(), data => Tensor::from_array((shape, data))?.into()))
}

fn as_output(name: &str, value: &DynValue) -> Result<Output, String> {
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err(format!("output `{name}` is not a tensor"));
    };
    let shape = shape.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
    let values = values(value, *ty).map_err(|error| format!("output `{name}`: {error}"))?;
    Ok(Output { name: name.to_owned(), shape, values })
}

/// The elements as they are.
pub(crate) fn values(value: &DynValue, element: TensorElementType) -> Result<Values, ort::Error> {
    fn read<T: PrimitiveTensorElementType + Clone>(value: &DynValue) -> Result<Values, ort::Error>
    where
        Values: From<Vec<T>>,
    {
        Ok(value.try_extract_tensor::<T>()?.1.to_vec().into())
    }
    match as_element(element) {
        Some(Element::F16) => read::<f16>(value),
        Some(Element::Bf16) => read::<bf16>(value),
        Some(Element::F32) => read::<f32>(value),
        Some(Element::F64) => read::<f64>(value),
        Some(Element::I8) => read::<i8>(value),
        Some(Element::I16) => read::<i16>(value),
        Some(Element::I32) => read::<i32>(value),
        Some(Element::I64) => read::<i64>(value),
        Some(Element::U8) => read::<u8>(value),
        Some(Element::U16) => read::<u16>(value),
        Some(Element::U32) => read::<u32>(value),
        Some(Element::U64) => read::<u64>(value),
        Some(Element::Bool) => read::<bool>(value),
        None => Err(ort::Error::new(format!("elements of type {element} are not numbers that can be compared"))),
    }
}

pub(crate) fn as_element(element: TensorElementType) -> Option<Element> {
    Some(match element {
        TensorElementType::Float16 => Element::F16,
        TensorElementType::Bfloat16 => Element::Bf16,
        TensorElementType::Float32 => Element::F32,
        TensorElementType::Float64 => Element::F64,
        TensorElementType::Int8 => Element::I8,
        TensorElementType::Int16 => Element::I16,
        TensorElementType::Int32 => Element::I32,
        TensorElementType::Int64 => Element::I64,
        TensorElementType::Uint8 => Element::U8,
        TensorElementType::Uint16 => Element::U16,
        TensorElementType::Uint32 => Element::U32,
        TensorElementType::Uint64 => Element::U64,
        TensorElementType::Bool => Element::Bool,
        _ => return None,
    })
}

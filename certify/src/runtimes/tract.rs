//! tract: pure Rust, on the CPU, one thread.
//!
//! Declared shapes of inner values are always ignored, since tract's unification of symbolic batches fails on many
//! exports otherwise. A plan is made for each set of input shapes and kept. A panic inside tract is an error here.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::f16;
use tract_onnx::prelude::{
    Datum, DatumType, Framework, InferenceFact, InferenceModel, InferenceModelExt, IntoRunnable, IntoTValue, OutletId,
    TValue, Tensor as TractTensor, TractResult, TypedRunnableModel,
};
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::anyhow;

use super::batch::{Declared, Fed, Output};
use super::values::Values;
use super::{Home, Kind, Options, Runtime, Session};
use crate::error::CertifyError;

impl Kind {
    /// tract on the processor.
    pub const TRACT: Self = Self(&Runtime {
        name: NAME,
        title: "tract",
        device: "cpu",
        one_thread: true,
        home: Home::Here {
            load: |model, options| Ok(Box::new(TractSession::load(model, options)?)),
            version: || Ok(VERSION.to_owned()),
            library: || None,
        },
    });
}

const NAME: &str = "tract";
/// The version that this program is built with: the manifest pins it exactly.
pub const VERSION: &str = "0.23.9";

/// A model loaded into tract.
pub struct TractSession {
    model: InferenceModel,
    path: PathBuf,
    names: Vec<String>,
    inputs: Vec<Declared>,
    optimise: bool,
    plans: HashMap<Vec<Vec<usize>>, Arc<TypedRunnableModel>>,
}

impl TractSession {
    /// Loads a model.
    ///
    /// # Errors
    /// When tract refuses the file. Many faults only show once a shape is known, at the first run.
    pub fn load(path: &Path, options: Options) -> Result<Self, CertifyError> {
        let fault = |reason: String| CertifyError::Load { runtime: NAME, model: path.to_path_buf(), reason };
        let model = guarded(|| tract_onnx::onnx().with_ignore_value_info(true).model_for_path(path)).map_err(fault)?;
        let inputs = guarded(|| declared(&model)).map_err(fault)?;
        let names = output_names(&model);
        Ok(Self { model, path: path.to_path_buf(), names, inputs, optimise: options.optimise, plans: HashMap::new() })
    }
}

impl Session for TractSession {
    fn feed(&mut self, inputs: &[Fed<'_>]) -> Result<Vec<Output>, CertifyError> {
        let fault = |reason: String| CertifyError::Run { runtime: NAME, model: self.path.clone(), reason };
        let names = self.inputs.iter().map(|input| input.name.as_str());
        let places = Fed::places(inputs, names).map_err(fault)?;
        let inputs: Vec<&Fed<'_>> = places.into_iter().map(|place| &inputs[place]).collect();
        let shapes: Vec<Vec<usize>> = inputs.iter().map(|fed| fed.shape.clone()).collect();
        let elements =
            guarded(|| (0..inputs.len()).map(|place| element(&self.model, place)).collect::<TractResult<Vec<_>>>());
        let elements = elements.map_err(fault)?;
        if !self.plans.contains_key(&shapes) {
            let plan = guarded(|| plan(&self.model, &elements, &shapes, self.optimise)).map_err(fault)?;
            self.plans.insert(shapes.clone(), plan);
        }
        let plan = &self.plans[&shapes];
        let values = guarded(|| {
            let given = inputs.iter().zip(&elements).map(|(fed, element)| as_input(fed, *element));
            plan.run(given.collect::<TractResult<_>>()?)
        });
        let values = values.map_err(fault)?;
        self.names.iter().zip(&values).map(|(name, value)| guarded(|| as_output(name, value)).map_err(fault)).collect()
    }

    fn inputs(&self) -> &[Declared] {
        &self.inputs
    }

    fn kind(&self) -> Kind {
        Kind::TRACT
    }

    fn version(&self) -> &str {
        VERSION
    }
}

/// Calls tract, with errors and panics alike as one sentence.
fn guarded<T>(call: impl FnOnce() -> TractResult<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| format!("{error:#}")),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            Err(format!("it panicked ({})", said.unwrap_or("without a message")))
        }
    }
}

fn plan(
    model: &InferenceModel,
    elements: &[DatumType],
    shapes: &[Vec<usize>],
    optimise: bool,
) -> TractResult<Arc<TypedRunnableModel>> {
    let mut model = model.clone();
    for (place, (element, shape)) in elements.iter().zip(shapes).enumerate() {
        model.set_input_fact(place, InferenceFact::dt_shape(*element, shape))?;
    }
    let typed = model.into_typed()?;
    let typed = if optimise { typed.into_optimized()? } else { typed.into_decluttered()? };
    typed.into_runnable()
}

fn declared(model: &InferenceModel) -> TractResult<Vec<Declared>> {
    let one = |outlet: &OutletId| {
        let extents = model.outlet_fact(*outlet)?.shape.dims();
        let shape = extents.map(|extent| extent.concretize()?.to_i64().ok()?.try_into().ok()).collect();
        Ok(Declared { name: model.node(outlet.node).name.clone(), shape })
    };
    model.inputs.iter().map(one).collect()
}

fn element(model: &InferenceModel, place: usize) -> TractResult<DatumType> {
    Ok(model.input_fact(place)?.datum_type.concretize().unwrap_or(DatumType::F32))
}

fn as_input(fed: &Fed<'_>, element: DatumType) -> TractResult<TValue> {
    let tensor = match fed.values.as_ref() {
        // tract has no type for the upper half of single precision.
        Values::Bf16(data) => {
            TractTensor::from_shape(&fed.shape, &data.iter().map(|value| value.to_f32()).collect::<Vec<_>>())?
        }
        Values::F16(data) => TractTensor::from_shape(&fed.shape, data)?,
        Values::F32(data) => TractTensor::from_shape(&fed.shape, data)?,
        Values::F64(data) => TractTensor::from_shape(&fed.shape, data)?,
        Values::I8(data) => TractTensor::from_shape(&fed.shape, data)?,
        Values::I16(data) => TractTensor::from_shape(&fed.shape, data)?,
        Values::I32(data) => TractTensor::from_shape(&fed.shape, data)?,
        Values::I64(data) => TractTensor::from_shape(&fed.shape, data)?,
        Values::U8(data) => TractTensor::from_shape(&fed.shape, data)?,
        Values::U16(data) => TractTensor::from_shape(&fed.shape, data)?,
        Values::U32(data) => TractTensor::from_shape(&fed.shape, data)?,
        Values::U64(data) => TractTensor::from_shape(&fed.shape, data)?,
        Values::Bool(data) => TractTensor::from_shape(&fed.shape, data)?,
    };
    Ok(tensor.cast_to_dt(element)?.into_owned().into_tvalue())
}

fn output_names(model: &InferenceModel) -> Vec<String> {
    let name = |(index, outlet)| model.outlet_label(outlet).map_or_else(|| format!("output{index}"), str::to_owned);
    model.outputs.iter().copied().enumerate().map(name).collect()
}

fn as_output(name: &str, value: &TValue) -> TractResult<Output> {
    Ok(Output { name: name.to_owned(), shape: value.shape().to_vec(), values: values(value)? })
}

/// The elements as they are; sizes come as integers, and quantised elements as the integers that are stored.
fn values(value: &TractTensor) -> TractResult<Values> {
    fn read<T: Datum>(value: &TractTensor) -> TractResult<Values>
    where
        Values: From<Vec<T>>,
    {
        Ok(value.try_as_plain_ram()?.as_slice::<T>()?.to_vec().into())
    }
    match value.datum_type().unquantized() {
        DatumType::F16 => read::<f16>(value),
        DatumType::F32 => read::<f32>(value),
        DatumType::F64 => read::<f64>(value),
        DatumType::I8 => read::<i8>(value),
        DatumType::I16 => read::<i16>(value),
        DatumType::I32 => read::<i32>(value),
        DatumType::I64 => read::<i64>(value),
        DatumType::U8 => read::<u8>(value),
        DatumType::U16 => read::<u16>(value),
        DatumType::U32 => read::<u32>(value),
        DatumType::U64 => read::<u64>(value),
        DatumType::Bool => read::<bool>(value),
        DatumType::TDim => read::<i64>(&*value.cast_to_dt(DatumType::I64)?),
        other => Err(anyhow!("elements of type {other:?} are not numbers that can be compared")),
    }
}

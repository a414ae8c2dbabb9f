//! An imported graph as a torch module: parameters, statistics, lane masks, and a forward run.
//!
//! Every node is lowered once into an operator with its attributes resolved (`ops/`, in files named like the operator
//! table's); a run walks those steps. Stored weights are parameters at the place where the file keeps them: constant
//! chains between a stored tensor and its reader are part of the run, so gradients reach the stored form.

mod convert;
mod error;
mod fold;
mod inserted;
mod lifetime;
mod lower;
mod masks;
mod op;
mod ops;
mod pass;
mod step;
mod store;
mod survey;
mod view;

use import::lanes::Lanes;
use import::{Model, Tensor as Stored};
use tch::{Device, Kind, Tensor, no_grad};

pub use error::NetworkError;
pub use lower::Lowering;
pub use masks::Masks;
pub use pass::{Pass, Statistics, Taps};
pub use store::Parameter;

use inserted::Inserted;
use lower::Builder;
use masks::Masked;
use op::{Frame, Inputs, Torch};
use ops::Head;
use step::Step;
use store::{Leaf, Role};

/// A lowered graph with one input.
pub struct Network {
    steps: Vec<Step>,
    leaves: Vec<Leaf>,
    inserted: Vec<Inserted>,
    input: usize,
    input_kind: Kind,
    outputs: Vec<Output>,
    head: Head,
    values: usize,
    device: Device,
}

/// A graph output.
enum Output {
    Value(usize),
    Constant(Tensor),
}

impl Network {
    /// Lowers a model's graph. Lanes are needed for masks and taps only.
    ///
    /// # Errors
    /// When nodes have no exact lowering (all of them are named), or the model does not have exactly one input to feed.
    pub fn lower(model: &Model, lanes: Option<&Lanes>, options: Lowering) -> Result<Self, NetworkError> {
        let graph = &model.graph;
        let [input] = graph.inputs[..] else { return Err(NetworkError::Inputs { found: graph.inputs.len() }) };
        let built = Builder::build(model, lanes, options)?;
        let outputs = graph.outputs.iter().map(|&value| match built.constant(value) {
            Some(tensor) => Output::Constant(tensor.shallow_clone()),
            None => Output::Value(value.0 as usize),
        });
        Ok(Self {
            outputs: outputs.collect(),
            head: ops::head(graph),
            input: input.0 as usize,
            input_kind: graph.value(input).dtype.and_then(convert::kind).unwrap_or(Kind::Float),
            values: built.values,
            device: options.device,
            steps: built.steps,
            leaves: built.leaves,
            inserted: built.inserted,
        })
    }

    /// Runs a batch through the network and returns the graph's outputs in order.
    ///
    /// # Errors
    /// When the batch does not fit the network.
    pub fn forward(&self, input: &Tensor, pass: &mut Pass) -> Result<Vec<Tensor>, NetworkError> {
        self.run(input, pass, &mut |_, _| Ok(()))
    }

    /// A forward run in which `observe` sees the inputs of every step.
    fn run(
        &self,
        input: &Tensor,
        pass: &mut Pass,
        observe: &mut dyn FnMut(usize, &Inputs) -> Torch<()>,
    ) -> Result<Vec<Tensor>, NetworkError> {
        let input = input.f_to_device(self.device)?.f_to_kind(self.input_kind)?;
        let images = input.size().first().copied().unwrap_or(1);
        let masked = pass.masks.map(Masked::new).transpose()?;
        let frame = Frame { statistics: pass.statistics, device: self.device, overwrite: false };
        let mut values: Vec<Option<Tensor>> = (0..self.values).map(|_| None).collect();
        values[self.input] = Some(channels_last(input)?);
        for (at, step) in self.steps.iter().enumerate() {
            let mut inputs = step.gather(&values);
            observe(at, &inputs)?;
            if let Some(taps) = &mut pass.taps {
                step.tap(&inputs, taps, images)?;
            }
            let outputs = step.run(&mut inputs, &frame, masked.as_ref())?;
            for (place, tensor) in step.outputs.iter().zip(outputs) {
                if let Some(place) = place {
                    values[*place] = Some(tensor);
                }
            }
            drop(inputs);
            step.spent.iter().for_each(|&value| values[value] = None);
        }
        if let Some(taps) = &mut pass.taps {
            taps.close(images);
        }
        self.outputs.iter().map(|output| output.get(&values)).collect()
    }

    /// Class scores `[N, classes]` from the outputs of a run: log-probabilities when the graph ends in a softmax, the
    /// first output as it is otherwise.
    ///
    /// # Errors
    /// When there is no output.
    pub fn logits(&self, outputs: &[Tensor]) -> Result<Tensor, NetworkError> {
        let first = outputs.first().ok_or_else(|| NetworkError::NoOutput { name: "0".to_owned() })?;
        let flat = if first.dim() > 2 { first.f_flatten(1, -1)? } else { first.shallow_clone() };
        Ok(match self.head {
            Head::Scores => flat,
            Head::Probabilities => flat.f_clamp_min(f64::from(f32::MIN_POSITIVE))?.f_log()?,
        })
    }

    /// The trained tensors, one per stored tensor, then those of inserted normalisations.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.leaves.iter().filter(|leaf| leaf.role == Role::Parameter).map(Leaf::parameter).collect()
    }

    /// Running means and variances by name; write them in place, without recording gradients.
    pub fn statistics(&self) -> Vec<(String, Tensor)> {
        let statistics = self.leaves.iter().filter(|leaf| leaf.role == Role::Statistic);
        statistics.map(|leaf| (leaf.name.clone(), leaf.tensor.shallow_clone())).collect()
    }

    /// Takes over all that training changes in another lowering of the same model.
    ///
    /// # Errors
    /// When the other one was lowered from something else.
    pub fn follow(&self, other: &Self) -> Result<(), NetworkError> {
        let mut pairs = self.leaves.iter().zip(&other.leaves);
        no_grad(|| pairs.try_for_each(|(mine, theirs)| Ok(mine.tensor.shallow_clone().f_copy_(&theirs.tensor)?)))
    }

    /// Every stored tensor that differs from the file, in its own type, with inserted normalisations folded back.
    ///
    /// # Errors
    /// When a tensor cannot be read back.
    pub fn write_back(&self) -> Result<Vec<(String, Stored)>, NetworkError> {
        let mut now: Vec<Tensor> = self.leaves.iter().map(|leaf| leaf.tensor.shallow_clone()).collect();
        for inserted in &self.inserted {
            let convolution = self.steps[inserted.maker].op.as_ref();
            [now[inserted.weight], now[inserted.bias]] = inserted.folded(&self.leaves, convolution)?;
        }
        let changed = self.leaves.iter().zip(&now).map(|(leaf, tensor)| leaf.changed(tensor));
        changed.filter_map(Result::transpose).collect()
    }
}

impl Output {
    fn get(&self, values: &[Option<Tensor>]) -> Result<Tensor, NetworkError> {
        match self {
            Self::Constant(tensor) => Ok(tensor.shallow_clone()),
            Self::Value(value) => {
                let tensor = values.get(*value).and_then(Option::as_ref).map(Tensor::shallow_clone);
                tensor.ok_or_else(|| NetworkError::NoOutput { name: format!("value {value}") })
            }
        }
    }
}

/// Images with their channels innermost in memory, which convolution and normalisation pass on, and are faster in.
fn channels_last(input: Tensor) -> Torch<Tensor> {
    if input.dim() != 4 {
        return Ok(input);
    }
    input.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}

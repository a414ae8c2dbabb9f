//! An imported graph as a torch module: parameters, statistics, lane masks, and a forward run.
//!
//! Every node is lowered once into an operator with its attributes resolved (`ops/`, in files named like the operator
//! table's); a run walks those steps. Stored weights are parameters at the place where the file keeps them: constant
//! chains between a stored tensor and its reader are part of the run, so gradients reach the stored form.

mod answers;
mod convert;
mod error;
mod feeds;
mod fold;
mod inserted;
mod leaving_out;
mod lifetime;
mod lower;
mod masks;
mod op;
mod ops;
mod pass;
mod step;
mod store;
mod survey;
mod trunk;
mod view;

use import::graph::Dim;
use import::lanes::Lanes;
use import::{Graph, Model, Tensor as Stored, channel_axis};
use tch::{Device, Tensor, no_grad};

pub use answers::{Answer, Answers, Meaning};
pub use error::NetworkError;
pub use feeds::Feeds;
pub use lower::Lowering;
pub use masks::Masks;
pub use pass::{Pass, Statistics, Taps};
pub use store::Parameter;
pub use trunk::Learnable;

use feeds::Port;
use inserted::Inserted;
use lower::Builder;
use masks::Masked;
use op::{Frame, Inputs, Torch};
use ops::Head;
use step::{Source, Step};
use store::Leaf;
use trunk::Trunk;

/// A lowered graph.
pub struct Network {
    steps: Vec<Step>,
    leaves: Vec<Leaf>,
    inserted: Vec<Inserted>,
    inputs: Vec<Port>,
    outputs: Vec<Output>,
    heads: Vec<Head>,
    /// Whether images come with their channels last.
    channels_last: bool,
    /// Images of one run; more are run one after another.
    at_once: Option<i64>,
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
    /// When nodes have no exact lowering (all of them are named), or a network to be trained has no
    /// input to feed.
    pub fn lower(model: &Model, lanes: Option<&Lanes>, options: Lowering) -> Result<Self, NetworkError> {
        Self::lower_trunk(model, &Trunk::whole(&model.graph), lanes, options)
    }

    /// The same for what some values depend on, instead of all outputs: they are what it gives, in this order.
    ///
    /// # Errors
    /// As [`lower`](Self::lower), or when the graph has no value of a name.
    pub fn lower_until(
        model: &Model,
        values: &[String],
        lanes: Option<&Lanes>,
        options: Lowering,
    ) -> Result<Self, NetworkError> {
        Self::lower_trunk(model, &Trunk::until(&model.graph, values)?, lanes, options)
    }

    fn lower_trunk(
        model: &Model,
        trunk: &Trunk,
        lanes: Option<&Lanes>,
        options: Lowering,
    ) -> Result<Self, NetworkError> {
        let graph = &model.graph;
        if options.trainable && graph.inputs.is_empty() {
            return Err(NetworkError::Inputs { found: 0, fed: 1 });
        }
        let inputs: Vec<Port> = graph.inputs.iter().map(|&input| Port::of(graph, input)).collect();
        let built = Builder::build(model, trunk, lanes, options)?;
        let outputs = trunk.values.iter().map(|&value| match built.constant(value) {
            Some(tensor) => Output::Constant(tensor.shallow_clone()),
            None => Output::Value(value.0 as usize),
        });
        Ok(Self {
            outputs: outputs.collect(),
            heads: ops::heads(graph, &trunk.values),
            channels_last: has_channels_last(graph),
            at_once: if inputs.iter().any(|port| port.axis.is_none()) { Some(1) } else { options.at_once },
            inputs,
            values: built.values,
            device: options.device,
            steps: built.steps,
            leaves: built.leaves,
            inserted: built.inserted,
        })
    }

    /// Runs the network on a tensor for each input, as the graph has them, and returns the graph's outputs in order.
    ///
    /// # Errors
    /// When the tensors do not fit the network.
    pub fn forward(&self, inputs: &[Tensor], pass: &mut Pass) -> Result<Vec<Tensor>, NetworkError> {
        self.run(inputs, pass, &mut |_, _| Ok(()))
    }

    /// A forward run in which `observe` sees the inputs of every step.
    fn run(
        &self,
        inputs: &[Tensor],
        pass: &mut Pass,
        observe: &mut dyn FnMut(usize, &Inputs) -> Torch<()>,
    ) -> Result<Vec<Tensor>, NetworkError> {
        if inputs.len() != self.inputs.len() {
            return Err(NetworkError::Inputs { found: self.inputs.len(), fed: inputs.len() });
        }
        let batch = |(port, tensor): (&Port, &Tensor)| tensor.size().get(port.axis?).copied();
        let images = self.inputs.iter().zip(inputs).find_map(batch).unwrap_or(1);
        let masked = pass.masks.map(Masked::new).transpose()?;
        let frame = Frame { statistics: pass.statistics, device: self.device, overwrite: false };
        let mut values: Vec<Option<Tensor>> = (0..self.values).map(|_| None).collect();
        for (port, tensor) in self.inputs.iter().zip(inputs) {
            values[port.value] = Some(port.take(tensor, self.device)?);
        }
        for (at, step) in self.steps.iter().enumerate() {
            let mut inputs = step.gather(&values, &self.leaves);
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

    /// Runs a batch through the network and says what its outputs are of each image.
    ///
    /// # Errors
    /// When the batch does not fit the network, or an output has no part for each image.
    pub fn answers(&self, images: &Feeds, pass: &mut Pass) -> Result<Answers, NetworkError> {
        let count = images.images();
        let Some(size) = self.at_once.filter(|&size| size < count) else {
            return self.read(&self.forward(&self.laid(images)?, pass)?, count);
        };
        let mut all: Option<Answers> = None;
        for start in (0..count).step_by(size as usize) {
            // The last run is filled up with images that were in the one before.
            let part = images.narrow(start.min(count - size), size)?;
            let part = self.read(&self.forward(&self.laid(&part)?, pass)?, size)?;
            let new = size.min(count - start);
            let part = part.narrow(size - new, new)?;
            all = Some(match all {
                Some(all) => all.then(&part)?,
                None => part,
            });
        }
        all.ok_or_else(|| NetworkError::NoOutput { name: "0".to_owned() })
    }

    /// Images as the graph has them.
    fn laid(&self, images: &Feeds) -> Result<Vec<Tensor>, NetworkError> {
        self.inputs.iter().zip(images.tensors()).map(|(port, tensor)| port.lay(tensor)).collect()
    }

    fn read(&self, outputs: &[Tensor], images: i64) -> Result<Answers, NetworkError> {
        let changing = self.outputs.iter().zip(&self.heads).zip(outputs);
        let changing = changing.filter(|((output, _), _)| matches!(output, Output::Value(_)));
        let read = changing.filter_map(|((_, head), tensor)| head.read(tensor, images, self.channels_last).transpose());
        Ok(Answers(read.collect::<Result<_, _>>()?))
    }

    /// Bytes that a training step has to keep of each image on its way through the network.
    ///
    /// # Errors
    /// When the images do not fit the network.
    pub fn bytes_kept(&self, images: &Feeds) -> Result<usize, NetworkError> {
        let mut bytes = 0;
        no_grad(|| {
            self.run(&self.laid(images)?, &mut Pass::default(), &mut |_, inputs| {
                bytes += inputs.get(0).map_or(0, |data| data.numel() * data.kind().elt_size_in_bytes());
                Ok(())
            })
        })?;
        Ok(bytes / usize::try_from(images.images()).unwrap_or(1).max(1))
    }

    /// The trained tensors, one per stored tensor, then those of inserted normalisations.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.leaves.iter().filter(|leaf| !leaf.role.is_statistic()).map(Leaf::parameter).collect()
    }

    /// Running means and variances with their roles.
    pub fn measured(&self) -> Vec<Parameter> {
        self.leaves.iter().filter(|leaf| leaf.role.is_statistic()).map(Leaf::parameter).collect()
    }

    /// Running means and variances by name; write them in place, without recording gradients.
    pub fn statistics(&self) -> Vec<(String, Tensor)> {
        let statistics = self.leaves.iter().filter(|leaf| leaf.role.is_statistic());
        statistics.map(|leaf| (leaf.name.clone(), leaf.tensor.shallow_clone())).collect()
    }

    /// From now on reads weights and constants where another lowering of the same model keeps them: they are there once,
    /// and what is trained in one is trained in both. Each keeps gradients and running statistics of its own.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn share(&mut self, other: &Self) -> Result<(), NetworkError> {
        let weights = self.leaves.iter_mut().zip(&other.leaves).filter(|(leaf, _)| !leaf.role.is_statistic());
        for (mine, theirs) in weights {
            mine.tensor = theirs.tensor.f_detach()?.f_set_requires_grad(true)?;
        }
        let steps = self.steps.iter_mut().zip(&other.steps);
        for (mine, theirs) in steps.flat_map(|(mine, theirs)| mine.inputs.iter_mut().zip(&theirs.inputs)) {
            if let (Source::Held(mine), Source::Held(theirs)) = (mine, theirs) {
                *mine = theirs.f_detach()?;
            }
        }
        Ok(())
    }

    /// Takes over the running statistics of another lowering of the same model.
    ///
    /// # Errors
    /// When the other one was lowered from something else.
    pub fn follow_statistics(&self, other: &Self) -> Result<(), NetworkError> {
        let mut pairs = self.leaves.iter().zip(&other.leaves).filter(|(leaf, _)| leaf.role.is_statistic());
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

/// Whether the input is images with their channels last, as its first convolution says; else whether it looks like them:
/// few there, and more on the axis behind the batch.
fn has_channels_last(graph: &Graph) -> bool {
    let first = graph.inputs.first();
    if let Some(axis) = first.and_then(|&input| channel_axis(graph, input)) {
        return axis > 1;
    }
    let shape = first.and_then(|&input| graph.value(input).shape.as_deref());
    let few = |size: &Dim| size.value().is_some_and(|size| size <= 4);
    matches!(shape, Some([_, first, _, last]) if few(last) && !few(first))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_shares_constants_has_them_once() {
        let model = Model::from_bytes(fixtures::models::named("residual").unwrap().into()).unwrap();
        let lowered = || Network::lower(&model, None, Lowering::inference()).unwrap();
        let (lead, mut replica) = (lowered(), lowered());
        let places = |network: &Network| -> Vec<_> {
            let inputs = network.steps.iter().flat_map(|step| &step.inputs);
            inputs
                .filter_map(|input| if let Source::Held(held) = input { Some(held.data_ptr()) } else { None })
                .collect()
        };
        assert_ne!(places(&lead), places(&replica));
        replica.share(&lead).unwrap();
        assert_eq!(places(&lead), places(&replica));
    }
}

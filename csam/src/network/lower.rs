//! From a graph to steps: every node is lowered once, with its attributes and constant inputs resolved.

use std::collections::{HashMap, HashSet};

use import::graph::{Code, Node, NodeId, Origin, Refusal, StoredId, ValueId};
use import::lanes::{Lanes, Parameter, parameters};
use import::ops::{Family, NEWEST_OPSET, rows_named};
use import::{Graph, Model};
use tch::{Device, Tensor, no_grad};

use super::inserted::Inserted;
use super::leaving_out::LeavingOut;
use super::masks::Reading;
use super::op::{Frame, Inputs, Op};
use super::ops::{self, Row};
use super::step::{Source, Step};
use super::store::Leaf;
use super::trunk::Trunk;
use super::view::View;
use super::{NetworkError, Statistics, convert, lifetime, survey};

/// What a network is lowered for.
#[derive(Clone, Copy, Debug)]
pub struct Lowering {
    /// Where it runs.
    pub device: Device,
    /// Whether stored weights become parameters; otherwise everything is constant.
    pub trainable: bool,
    /// Inserts a normalisation, at first the identity, after each convolution whose own was folded away by the
    /// exporter; it is folded back by [`super::Network::write_back`]. Only for trainable networks.
    pub normalise_folded: bool,
    /// Folds normalisations into the convolutions before them, which makes inference faster. Only for networks that
    /// are not trainable.
    pub fold_normalisation: bool,
    /// Images that one run takes, where the graph takes no other number. Normalisations then keep to their running
    /// statistics, since so few images have none of their own.
    pub at_once: Option<i64>,
}

impl Lowering {
    /// To be trained on the CPU.
    pub fn training() -> Self {
        Self { device: Device::Cpu, trainable: true, normalise_folded: false, fold_normalisation: false, at_once: None }
    }

    /// To be run on the CPU as fast as it goes.
    pub fn inference() -> Self {
        Self { trainable: false, fold_normalisation: true, ..Self::training() }
    }
}

/// A graph on its way to steps.
pub(super) struct Builder<'a> {
    pub(super) graph: &'a Graph,
    pub(super) trunk: &'a Trunk,
    pub(super) options: Lowering,
    /// Values that are the same in every run.
    pub(super) constants: HashMap<ValueId, Tensor>,
    /// Values that training changes, by the position of their leaf.
    held: HashMap<ValueId, usize>,
    pub(super) leaves: Vec<Leaf>,
    pub(super) steps: Vec<Step>,
    pub(super) inserted: Vec<Inserted>,
    /// How many values a run has: those of the graph, and those before inserted normalisations.
    pub(super) values: usize,
    refusals: Vec<(NodeId, Refusal)>,
    /// The step that makes a value.
    pub(super) makers: HashMap<usize, usize>,
}

impl<'a> Builder<'a> {
    /// Lowers the nodes of a trunk.
    pub(super) fn build(
        model: &'a Model,
        trunk: &'a Trunk,
        lanes: Option<&Lanes>,
        options: Lowering,
    ) -> Result<Self, NetworkError> {
        let mut builder = Self::lowered(model, trunk, lanes, options)?;
        if !builder.refusals.is_empty() {
            return Err(NetworkError::Refused(builder.refusals.into_iter().map(|(_, refusal)| refusal).collect()));
        }
        lifetime::mark(&mut builder.steps, &builder.makers, &trunk.values);
        Ok(builder)
    }

    /// The nodes that a model's outputs depend on and that have no exact lowering.
    pub(super) fn refused(model: &'a Model) -> Result<Vec<(NodeId, Refusal)>, NetworkError> {
        let trunk = Trunk::whole(&model.graph);
        Ok(Builder::lowered(model, &trunk, None, Lowering::training())?.refusals)
    }

    /// Lowers what of a trunk can be lowered.
    fn lowered(
        model: &'a Model,
        trunk: &'a Trunk,
        lanes: Option<&Lanes>,
        options: Lowering,
    ) -> Result<Self, NetworkError> {
        let graph = &model.graph;
        let mut builder = Self {
            graph,
            trunk,
            options,
            constants: HashMap::new(),
            held: HashMap::new(),
            leaves: Vec::new(),
            steps: Vec::new(),
            inserted: Vec::new(),
            values: graph.values.len(),
            refusals: Vec::new(),
            makers: HashMap::new(),
        };
        builder.hold_stored()?;
        let mut readings = readings(lanes, options.device)?;
        let mut leaving_out = leaving_out(graph, lanes, options.device)?;
        let unnormalised = if options.trainable && options.normalise_folded && options.at_once.is_none() {
            survey::unnormalised(graph, &trunk.values)
        } else {
            HashSet::new()
        };
        for (id, node) in graph.nodes() {
            if !trunk.has(id) || builder.is_stored(node) {
                continue;
            }
            let lowered = row(model, node).and_then(|row| builder.resolve(node, row));
            let op = match lowered {
                Ok(op) => op,
                Err(refusal) => {
                    builder.refusals.push((id, *refusal));
                    continue;
                }
            };
            let read = readings.remove(&id).unwrap_or_default();
            if builder.evaluate(node, op.as_ref())?
                || (ops::family(node) == Family::Normalisation && builder.fold_into_maker(node)?)
            {
                continue;
            }
            builder.push(node, op, read, leaving_out.remove(&id).unwrap_or_default());
            if unnormalised.contains(&id) {
                builder.normalise(node)?;
            }
        }
        Ok(builder)
    }

    /// Makes leaves of what training changes, and constants of the other stored tensors.
    fn hold_stored(&mut self) -> Result<(), NetworkError> {
        let trained = if self.options.trainable { trained(self.graph) } else { HashMap::new() };
        for (position, stored) in self.graph.stored.iter().enumerate() {
            let id = StoredId(position as u32);
            if !self.trunk.reads(stored.value) {
                continue;
            }
            let name = self.graph.stored_name(id);
            if let Some(parameter) = trained.get(&id) {
                let leaf = Leaf::stored(name, &stored.tensor, parameter.role, self.options.device)?;
                self.held.insert(stored.value, self.leaves.len());
                self.leaves.push(leaf);
            } else if convert::kind(stored.tensor.dtype).is_some() {
                let tensor = convert::to_torch(name, &stored.tensor)?;
                let device = if stored.tensor.dtype.is_float() { self.options.device } else { Device::Cpu };
                self.constants.insert(stored.value, tensor.f_to_device(device)?);
            }
        }
        Ok(())
    }

    /// Whether a node only names a stored tensor.
    fn is_stored(&self, node: &Node) -> bool {
        let output = node.output(0).map(|value| self.graph.value(value).origin);
        matches!(output, Some(Origin::Stored(_)))
    }

    fn resolve(&self, node: &Node, row: &Row) -> Result<Box<dyn Op>, Box<Refusal>> {
        let held = |value: &&ValueId| self.graph.value(**value).origin == Origin::Unread;
        if let Some(&value) = node.inputs.iter().flatten().find(held) {
            let reason =
                format!("it reads `{}`, which the file holds as texts or sparsely", self.graph.value(value).name);
            let remedy = "cut without training, or export the model with dense tensors";
            return Err(Box::new(Refusal::new(Code::UnsupportedForm, node, reason, remedy)));
        }
        let Lowering { trainable, at_once, .. } = self.options;
        let (graph, constants, held) = (self.graph, &self.constants, &self.held);
        (row.lower)(&View { graph, node, constants, held, trainable, frozen: at_once.is_some() })
    }

    /// Runs a node now when all its inputs are the same in every run.
    fn evaluate(&mut self, node: &Node, op: &dyn Op) -> Result<bool, NetworkError> {
        let constant = |input: &Option<ValueId>| match input {
            None => Some(None),
            Some(value) => self.constants.get(value).map(|tensor| Some(tensor.shallow_clone())),
        };
        let Some(inputs) = node.inputs.iter().map(constant).collect::<Option<Vec<_>>>() else { return Ok(false) };
        let mut inputs = Inputs(inputs);
        let frame = Frame { statistics: Statistics::Running, device: self.options.device, overwrite: false };
        let run = no_grad(|| op.run(&mut inputs, &frame));
        let outputs =
            run.map_err(|source| NetworkError::Run { node: node.to_string(), shapes: inputs.show(), source })?;
        for (value, tensor) in node.outputs.iter().zip(outputs) {
            if let Some(value) = value {
                self.constants.insert(*value, tensor);
            }
        }
        Ok(true)
    }

    fn source(&self, value: Option<ValueId>) -> Source {
        let Some(value) = value else { return Source::Absent };
        match (self.constants.get(&value), self.held.get(&value)) {
            (Some(tensor), _) => Source::Held(tensor.shallow_clone()),
            (None, Some(leaf)) => Source::Leaf(*leaf),
            (None, None) => Source::Value(value.0 as usize),
        }
    }

    fn push(&mut self, node: &Node, op: Box<dyn Op>, readings: Vec<Reading>, leaving_out: Vec<LeavingOut>) {
        let outputs: Vec<Option<usize>> =
            node.outputs.iter().map(|value| value.map(|value| value.0 as usize)).collect();
        let inputs = node.inputs.iter().map(|&value| self.source(value)).collect();
        let (name, spent) = (node.to_string(), Vec::new());
        self.add(Step { name, op, inputs, outputs, readings, leaving_out, spent, overwrite: false });
    }

    /// Adds a step and remembers what it makes.
    pub(super) fn add(&mut self, step: Step) {
        for value in step.outputs.iter().flatten() {
            self.makers.insert(*value, self.steps.len());
        }
        self.steps.push(step);
    }

    /// The value of an output that is the same in every run.
    pub(super) fn constant(&self, value: ValueId) -> Option<&Tensor> {
        self.constants.get(&value).or_else(|| Some(&self.leaves[*self.held.get(&value)?].tensor))
    }
}

/// The lowering of a node. An operator that the table does not know, and this does, can be run and trained around.
fn row(model: &Model, node: &Node) -> Result<&'static Row, Box<Refusal>> {
    let name = node.to_string();
    let opaque = model.refusals.iter().find(|refusal| refusal.node == name && node.row.is_none());
    // A function of the model's own may have the name of an operator that the table knows.
    let is_other = rows_named(&node.domain, &node.op).next().is_some();
    let refused = opaque.filter(|refusal| refusal.code != Code::UnknownOperator || is_other);
    let row = ops::row(&node.domain, &node.op, node.opset).filter(|_| refused.is_none() && node.opset <= NEWEST_OPSET);
    row.ok_or_else(|| Box::new(refused.cloned().unwrap_or_else(|| ops::without_lowering(node))))
}

/// The stored tensors that training changes, as it sees them.
pub(super) fn trained(graph: &Graph) -> HashMap<StoredId, Parameter> {
    let settings = survey::settings(graph);
    let is_trained = |(id, parameter): &(StoredId, Parameter)| match parameter.role.is_statistic() {
        // Statistics that two nodes share would mix what both see: they stay what they are.
        true => graph.value(graph.stored(*id).value).readers.len() == 1,
        false => !settings.contains(id),
    };
    parameters(graph).into_iter().filter(is_trained).collect()
}

/// How each node reads lanes.
fn readings(lanes: Option<&Lanes>, device: Device) -> Result<HashMap<NodeId, Vec<Reading>>, NetworkError> {
    let mut found: HashMap<NodeId, Vec<Reading>> = HashMap::new();
    let Some(lanes) = lanes else { return Ok(found) };
    for (position, reader) in lanes.readers.iter().enumerate() {
        if let Some(reading) = Reading::of(position, reader, lanes.lanes.len(), device)? {
            found.entry(reader.node).or_default().push(reading);
        }
    }
    Ok(found)
}

/// How each node works on lanes as a whole.
fn leaving_out(
    graph: &Graph,
    lanes: Option<&Lanes>,
    device: Device,
) -> Result<HashMap<NodeId, Vec<LeavingOut>>, NetworkError> {
    let mut found: HashMap<NodeId, Vec<LeavingOut>> = HashMap::new();
    let Some(lanes) = lanes else { return Ok(found) };
    for place in &lanes.summaries {
        let node = graph.node(place.node);
        let rank = node.input(0).and_then(|data| graph.value(data).shape.as_ref()).map_or(0, Vec::len);
        if let Some(left) = LeavingOut::of(node, rank, place, lanes.lanes.len(), device)? {
            found.entry(place.node).or_default().push(left);
        }
    }
    Ok(found)
}

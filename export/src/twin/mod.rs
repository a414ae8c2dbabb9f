//! The masked twin: the original in which every reader of a removed lane reads zeros there, plus
//! the fill. It must compute what the slim file computes.
//!
//! It is made from labels alone and shares neither slicing nor fill code with the cut, so that an
//! error in the cut cannot hide in both. Three things are to be checked on it, by running files:
//! its outputs equal the slim file's; at every [`Tap`] the kept indices equal the slim file's
//! value; and the poisoned twin, whose removed lanes are written with other numbers, has the same
//! outputs.

mod fill;
mod jitter;
mod mask;
mod poison;
mod random;
mod scatter;
mod sizes;
mod summary;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use import::{
    DType, Model,
    graph::{Node, Origin, ValueId},
    lanes::{Lanes, Plan, Reader},
    proto::{
        onnx::{GraphProto, ValueInfoProto, type_proto},
        splice::Spliced,
    },
};

use crate::{
    cut::Slim, draft::Draft, error::ExportError, output, places::Places, settle::settle, tensors::Tensors, unnamed,
};

/// Files that check a slim file; they are run, compared and thrown away. Elements that differ from the model's are made
/// when a file is written, so that the twins together take no more memory than the model.
pub struct Twin {
    /// The twin, with every tap as a further output.
    pub masked: Spliced,
    /// The slim file, with every tap as a further output.
    pub slim: Spliced,
    /// The tapped twin with every parameter moved by one unit in its last place: what it changes is rounding.
    pub jittered: Spliced,
    /// The twin with other finite numbers in what writes removed lanes.
    pub poisoned: Spliced,
    /// Outputs to compare: the network's own, and what makes those that are no tensors.
    pub outputs: Vec<String>,
    /// Where readers read.
    pub taps: Vec<Tap>,
}

/// Where the files of a twin were written.
#[derive(Clone, Debug)]
pub struct TwinFiles {
    /// [`Twin::masked`].
    pub masked: PathBuf,
    /// [`Twin::slim`].
    pub slim: PathBuf,
    /// [`Twin::jittered`].
    pub jittered: PathBuf,
    /// [`Twin::poisoned`].
    pub poisoned: PathBuf,
}

impl Twin {
    /// Writes the files to a folder, with the data files they need beside them.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn write(&self, model: &Model, folder: &Path) -> Result<TwinFiles, ExportError> {
        let write = |name: &str, file: &Spliced| {
            let path = folder.join(name);
            output::write_scratch(file, &model.file, &path).map(|()| path)
        };
        Ok(TwinFiles {
            masked: write("masked.onnx", &self.masked)?,
            slim: write("slim.onnx", &self.slim)?,
            jittered: write("jittered.onnx", &self.jittered)?,
            poisoned: write("poisoned.onnx", &self.poisoned)?,
        })
    }
}

/// A place where a node reads lanes, by output names in the twin and the slim file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tap {
    /// The reading node, as people refer to it.
    pub node: String,
    /// The output of the twin that holds what the node reads, after masking.
    pub masked: String,
    /// The output of the slim file that holds what the node reads.
    pub slim: String,
    /// The axis that is contracted.
    pub axis: usize,
    /// Axes that lost indices, and the twin's indices that stayed, in order.
    pub kept: Vec<(usize, Vec<usize>)>,
}

/// In what form a twin is made.
#[derive(Clone, Debug, Default)]
pub struct Form {
    /// What poison and jitter are drawn from.
    pub seed: u64,
    /// Other sizes of inputs, by name, in place of the declared ones; all other declared sizes go.
    pub sizes: BTreeMap<String, Vec<usize>>,
    /// Taps every reading site whose number leaves this remainder; all of them unless set.
    pub part: Option<Part>,
}

/// One of several parts of the reading sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which, from 0.
    pub index: usize,
    /// Of how many, at least 1.
    pub of: usize,
}

/// Makes the twin of a plan's slim file.
///
/// # Errors
/// When the plan does not fit the model, or a file cannot be spliced.
pub fn twin(model: &Model, lanes: &Lanes, plan: &Plan, tensors: &Tensors, form: &Form) -> Result<Twin, ExportError> {
    let places = Places::of(model, lanes, plan)?;
    let (masked, mut taps) = masked(model, lanes, plan, tensors, &places)?;
    if let Some(part) = form.part {
        let mut number = 0..;
        taps.retain(|_| number.next().is_some_and(|number: usize| number % part.of.max(1) == part.index));
    }
    let (mut jittered, _) = self::masked(model, lanes, plan, tensors, &places)?;
    jitter::spread(&mut jittered, form.seed)?;
    let (mut poisoned, _) = self::masked(model, lanes, plan, tensors, &places)?;
    poison::spread(&mut poisoned, lanes, &places, &mask::on_weights(model, lanes), form.seed)?;
    let slim = Slim::of(model, lanes, plan, tensors)?.draft;
    let shown = Shown::of(model);
    let finish = |mut draft: Draft<'_>, taps: &mut dyn Iterator<Item = (&str, DType)>| {
        random::seed(&mut draft);
        unnamed::name(&mut draft);
        sizes::declare(&mut draft, &form.sizes);
        taps.for_each(|(name, dtype)| draft.tap(name, Some(dtype)));
        shown.makers.iter().for_each(|(name, dtype)| draft.tap(name, *dtype));
        settle(draft, true)
    };
    Ok(Twin {
        masked: finish(masked, &mut taps.iter().map(|(tap, dtype)| (tap.masked.as_str(), *dtype)))?,
        slim: finish(slim, &mut taps.iter().map(|(tap, dtype)| (tap.slim.as_str(), *dtype)))?,
        jittered: finish(jittered, &mut taps.iter().map(|(tap, dtype)| (tap.masked.as_str(), *dtype)))?,
        poisoned: finish(poisoned, &mut std::iter::empty())?,
        outputs: shown.names(),
        taps: taps.into_iter().map(|(tap, _)| tap).collect(),
    })
}

/// What of a network's outputs can be compared.
struct Shown {
    tensors: Vec<String>,
    /// What the makers of other outputs (sequences, maps) read.
    makers: Vec<(String, Option<DType>)>,
}

impl Shown {
    fn of(model: &Model) -> Self {
        let graph = &model.graph;
        let declared = model.file.proto.graph.as_ref();
        let mut shown = Self { tensors: Vec::new(), makers: Vec::new() };
        for &output in &graph.outputs {
            let value = graph.value(output);
            match value.origin {
                Origin::Node(node, _) if !declared.is_none_or(|graph| is_tensor(graph, &value.name)) => {
                    let inputs = graph.node(node).inputs.iter().flatten().map(|&input| graph.value(input));
                    let computed = inputs.filter(|input| matches!(input.origin, Origin::Node(..)));
                    shown.makers.extend(computed.map(|input| (input.name.clone(), input.dtype)));
                }
                _ => shown.tensors.push(value.name.clone()),
            }
        }
        shown
    }

    fn names(self) -> Vec<String> {
        let makers = self.makers.into_iter().map(|(name, _)| name);
        self.tensors.into_iter().chain(makers).collect()
    }
}

/// Whether an output is declared as a tensor; one without a type is taken for one.
fn is_tensor(graph: &GraphProto, name: &str) -> bool {
    let named = |info: &&ValueInfoProto| info.name() == name.as_bytes();
    let declared = graph.output.iter().find(named).and_then(|info| info.r#type.as_ref()?.value.as_ref());
    declared.is_none_or(|kind| matches!(kind, type_proto::Value::TensorType(_)))
}

/// The twin itself, and where to tap it.
fn masked<'a>(
    model: &'a Model,
    lanes: &Lanes,
    plan: &Plan,
    tensors: &Tensors,
    places: &Places,
) -> Result<(Draft<'a>, Vec<(Tap, DType)>), ExportError> {
    let mut draft = Draft::new(model);
    scatter::replace(&mut draft, plan, tensors, places)?;
    let mut masks = mask::Masks::default();
    let mut taps: Vec<(Tap, DType)> = Vec::new();
    for reader in &lanes.readers {
        if let Some(site) = Site::of(model, reader)? {
            let masked = masks.read_through(&mut draft, places, &site)?;
            let tap = site.tap(masked, places);
            if !taps.iter().any(|(known, _)| known.masked == tap.masked) {
                taps.push((tap, site.dtype));
            }
        }
    }
    summary::leave_out(&mut draft, lanes, places)?;
    fill::add(&mut draft, lanes, plan, places)?;
    Ok((draft, taps))
}

/// A place where a node reads lanes from a computed value.
struct Site<'a> {
    node: &'a Node,
    input: usize,
    value: ValueId,
    name: &'a str,
    axis: usize,
    /// What it contracts the lanes against, and on which axis.
    weight: (Option<ValueId>, usize),
    rank: usize,
    extent: usize,
    dtype: DType,
}

impl<'a> Site<'a> {
    /// The site of a reader; `None` when what it reads is fed or stored.
    fn of(model: &'a Model, reader: &Reader) -> Result<Option<Self>, ExportError> {
        let node = model.graph.node(reader.node);
        let Some(value) = node.input(reader.data) else {
            return Ok(None);
        };
        let entry = model.graph.value(value);
        if !matches!(entry.origin, Origin::Node(..)) {
            return Ok(None);
        }
        let shape = entry.shape.as_ref();
        let extent = shape.and_then(|shape| shape.get(reader.data_axis)?.extent());
        // A reader's operands have one type, so the weight's is the value's where inference lost that.
        let weight = node.input(reader.weight).and_then(|weight| model.graph.value(weight).dtype);
        let (Some(dtype), Some(shape), Some(extent)) = (entry.dtype.or(weight), shape, extent) else {
            return Err(ExportError::UnknownType { node: node.to_string(), value: entry.name.clone() });
        };
        Ok(Some(Self {
            node,
            input: reader.data,
            value,
            name: &entry.name,
            axis: reader.data_axis,
            weight: (node.input(reader.weight), reader.weight_axis),
            rank: shape.len(),
            extent,
            dtype,
        }))
    }

    fn tap(&self, masked: String, places: &Places) -> Tap {
        Tap {
            node: self.node.to_string(),
            masked,
            slim: self.name.to_owned(),
            axis: self.axis,
            kept: places.of_value(self.value).map(|(axis, kept)| (axis, kept.to_vec())).collect(),
        }
    }
}

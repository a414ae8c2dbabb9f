//! The masked twin: the original in which every reader of a removed lane reads zeros there, plus
//! the fill. It must compute what the slim file computes.
//!
//! It is made from labels alone and shares neither slicing nor fill code with the cut, so that an
//! error in the cut cannot hide in both. Three things are to be checked on it, by running files:
//! its outputs equal the slim file's; at every [`Tap`] the kept indices equal the slim file's
//! value; and the poisoned twin, whose removed lanes are written with other numbers, has the same
//! outputs.

mod fill;
mod mask;
mod poison;
mod scatter;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use import::{
    DType, Model,
    graph::{Node, Origin, ValueId},
    lanes::{Lanes, Plan, Reader},
    proto::{copy_external, external_files, write_atomic},
};

use crate::{cut::cut_with_taps, draft::Draft, error::ExportError, places::Places, settle::settle, tensors::Tensors};

/// Files that check a slim file, each whole; they are run, compared and thrown away.
#[derive(Clone, Debug)]
pub struct Twin {
    /// The twin, with every tap as a further output.
    pub masked: Bytes,
    /// The slim file, with every tap as a further output.
    pub slim: Bytes,
    /// The twin with other finite numbers in what writes removed lanes; no further outputs.
    pub poisoned: Bytes,
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
    /// [`Twin::poisoned`].
    pub poisoned: PathBuf,
}

impl Twin {
    /// Writes the files to a folder, with the data files they need beside them.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn write(&self, model: &Model, folder: &Path) -> Result<TwinFiles, ExportError> {
        let needed = external_files(&model.file.proto)?;
        copy_external(&needed, model.file.folder(), folder)?;
        let write = |name: &str, bytes: &Bytes| {
            let path = folder.join(name);
            write_atomic(&path, |writer| writer.write_all(bytes)).map(|()| path)
        };
        Ok(TwinFiles {
            masked: write("masked.onnx", &self.masked)?,
            slim: write("slim.onnx", &self.slim)?,
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
    /// The axis that lost lanes.
    pub axis: usize,
    /// The twin's indices on that axis that stayed, in order.
    pub kept: Vec<usize>,
}

/// Makes the twin of a plan's slim file. Poison is drawn from `seed`.
///
/// # Errors
/// When the plan does not fit the model, or a file cannot be spliced.
pub fn twin(model: &Model, lanes: &Lanes, plan: &Plan, tensors: &Tensors, seed: u64) -> Result<Twin, ExportError> {
    let places = Places::of(model, lanes, plan)?;
    let (mut draft, taps) = masked(model, lanes, plan, tensors, &places)?;
    let dtype = |tap: &(Tap, DType)| (tap.0.slim.clone(), tap.1);
    let slim_taps: Vec<_> = taps.iter().map(dtype).collect();
    for (tap, dtype) in &taps {
        draft.tap(&tap.masked, *dtype);
    }
    let (mut other, _) = masked(model, lanes, plan, tensors, &places)?;
    poison::spread(&mut other, &places, seed)?;
    let slim = cut_with_taps(model, lanes, plan, tensors, true, &slim_taps)?;
    Ok(Twin {
        masked: settle(draft, true)?.to_bytes(),
        slim: slim.to_bytes(),
        poisoned: settle(other, true)?.to_bytes(),
        taps: taps.into_iter().map(|(tap, _)| tap).collect(),
    })
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
            kept: match places.on(self.value, self.axis) {
                Some(kept) => kept.to_vec(),
                None => (0..self.extent).collect(),
            },
        }
    }
}

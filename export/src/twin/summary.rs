//! Operators that work on lanes as a whole leave out those that are removed, as [`import::ops::Summary`] says.

use bytes::Bytes;
use import::{
    DType, Tensor,
    graph::Node,
    lanes::{Lanes, Summarised},
    ops::{Summary, row_of},
    proto::onnx::NodeProto,
};

use crate::{
    draft::Draft,
    error::ExportError,
    nodes::{along, elementwise, int_attribute, ints_attribute, simple_node},
    places::Places,
};

/// Since this version there is a Where to select with; before it, lanes are multiplied by zero.
const WHERE_SINCE: i64 = 9;
/// Since this version a reduction's axes are an input.
const AXES_AS_INPUT_SINCE: i64 = 18;

/// Gives every such operator what the slim network's works on.
pub(super) fn leave_out(draft: &mut Draft<'_>, lanes: &Lanes, places: &Places) -> Result<(), ExportError> {
    for summarised in &lanes.summaries {
        if let Some(mut site) = Site::of(draft, summarised, places)? {
            site.leave_out(draft)?;
        }
    }
    Ok(())
}

/// A node that works on lanes as a whole, some of which are removed.
struct Site<'a> {
    node: &'a Node,
    summary: Summary,
    /// What it reads, as far as it is changed.
    data: String,
    axis: usize,
    rank: usize,
    dtype: DType,
    stays: Vec<bool>,
}

impl<'a> Site<'a> {
    fn of(draft: &Draft<'a>, summarised: &Summarised, places: &Places) -> Result<Option<Self>, ExportError> {
        let graph = &draft.model.graph;
        let node = graph.node(summarised.node);
        let Some((value, summary)) = node.input(0).zip(row_of(node).and_then(|row| row.summary)) else {
            return Ok(None);
        };
        let Some(kept) = places.on(value, summarised.axis) else { return Ok(None) };
        let entry = graph.value(value);
        let (Some(dtype), Some(shape)) = (entry.dtype, entry.shape.as_ref()) else {
            return Err(ExportError::UnknownType { node: node.to_string(), value: entry.name.clone() });
        };
        let mut stays = vec![false; summarised.slots.len()];
        kept.iter().for_each(|&index| stays[index] = true);
        let (data, rank) = (entry.name.clone(), shape.len());
        Ok(Some(Self { node, summary, data, axis: summarised.axis, rank, dtype, stays }))
    }

    /// How many lanes there are for each that stays.
    fn ratio(&self) -> f64 {
        self.stays.len() as f64 / self.stays.iter().filter(|&&stays| stays).count().max(1) as f64
    }

    fn leave_out(&mut self, draft: &mut Draft<'_>) -> Result<(), ExportError> {
        match self.summary {
            Summary::Neutral(number) => self.data = self.with_number(draft, number)?,
            Summary::Mean => {
                self.data = self.with_number(draft, 0.0)?;
                self.multiply_output(draft, self.ratio())?;
            }
            Summary::Deviation { centred, scale, axes } => {
                let axes = axes(self.node, self.rank).unwrap_or_default();
                self.data = match centred {
                    false => self.with_number(draft, 0.0)?,
                    true => self.with_mean(draft, &axes)?,
                };
                let by = self.ratio().sqrt();
                self.data = self.times(draft, &self.data, by)?;
                let name = self.node.input(scale).map(|scale| draft.model.graph.value(scale).name.clone());
                if let Some(name) = name {
                    let scaled = self.times(draft, &name, 1.0 / by)?;
                    draft.set_input(self.node, scale, &scaled);
                }
            }
        }
        draft.set_input(self.node, 0, &self.data);
        Ok(())
    }

    /// The data with a number in place of removed lanes.
    fn with_number(&self, draft: &mut Draft<'_>, number: f64) -> Result<String, ExportError> {
        if draft.opset() >= WHERE_SINCE {
            let number = draft.constant(self.node, "neutral", &Tensor::from_floats(self.dtype, &[], &[number])?);
            return Ok(self.select(draft, &number));
        }
        let masked = self.per_lane(draft, "Mul", &self.data, |stays| f64::from(u8::from(stays)))?;
        match number {
            0.0 => Ok(masked),
            number => self.per_lane(draft, "Add", &masked, |stays| if stays { 0.0 } else { number }),
        }
    }

    /// The data with the mean of the lanes that stay in place of the others.
    fn with_mean(&self, draft: &mut Draft<'_>, axes: &[usize]) -> Result<String, ExportError> {
        let masked = self.with_number(draft, 0.0)?;
        let list: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
        let mut node = simple_node("ReduceMean", &[&masked], &[]);
        if draft.opset() >= AXES_AS_INPUT_SINCE {
            let list = draft.constant(self.node, "axes", &Tensor::from_i64(&[list.len()], &list)?);
            node.input.push(Bytes::from(list));
        } else {
            node.attribute.push(ints_attribute("axes", list));
        }
        node.attribute.push(int_attribute("keepdims", 1));
        let mean = self.insert(draft, node);
        let mean = self.times(draft, &mean, self.ratio())?;
        if draft.opset() >= WHERE_SINCE {
            return Ok(self.select(draft, &mean));
        }
        let spread = simple_node("Add", &[&masked, &mean], &[]);
        let spread = self.insert(draft, spread);
        let rest = self.per_lane(draft, "Mul", &spread, |stays| f64::from(u8::from(!stays)))?;
        Ok(self.insert(draft, simple_node("Add", &[&masked, &rest], &[])))
    }

    /// The data where lanes stay, and another value elsewhere.
    fn select(&self, draft: &mut Draft<'_>, other: &str) -> String {
        let bools: Vec<u8> = self.stays.iter().map(|&stays| u8::from(stays)).collect();
        let mask = Tensor { dtype: DType::Bool, shape: vec![bools.len()], data: bools.into() };
        let mask = draft.constant(self.node, "mask", &along(&mask, self.rank, self.axis, WHERE_SINCE));
        self.insert(draft, simple_node("Where", &[&mask, &self.data, other], &[]))
    }

    /// A value combined with a number for each lane.
    fn per_lane(
        &self,
        draft: &mut Draft<'_>,
        op: &str,
        value: &str,
        number: impl Fn(bool) -> f64,
    ) -> Result<String, ExportError> {
        let numbers: Vec<f64> = self.stays.iter().map(|&stays| number(stays)).collect();
        let opset = draft.opset();
        let numbers = along(&Tensor::from_floats(self.dtype, &[numbers.len()], &numbers)?, self.rank, self.axis, opset);
        let numbers = draft.constant(self.node, "per_lane", &numbers);
        Ok(self.insert(draft, elementwise(op, &[value, &numbers], self.axis, opset)))
    }

    /// A value times a number.
    fn times(&self, draft: &mut Draft<'_>, value: &str, number: f64) -> Result<String, ExportError> {
        let opset = draft.opset();
        let number = draft.constant(self.node, "factor", &Tensor::from_floats(self.dtype, &[1], &[number])?);
        Ok(self.insert(draft, elementwise("Mul", &[value, &number], 0, opset)))
    }

    fn multiply_output(&self, draft: &mut Draft<'_>, number: f64) -> Result<(), ExportError> {
        let raw = draft.fresh_name("unscaled");
        let opset = draft.opset();
        let number = draft.constant(self.node, "factor", &Tensor::from_floats(self.dtype, &[1], &[number])?);
        let Some(output) = draft.node_mut(self.node).output.first_mut() else { return Ok(()) };
        let output = std::mem::replace(output, Bytes::copy_from_slice(raw.as_bytes()));
        let mut node = elementwise("Mul", &[&raw, &number], 0, opset);
        node.name = Some(Bytes::from(draft.fresh_name("rescaled")));
        node.output = vec![output];
        draft.insert_after(self.node, node);
        Ok(())
    }

    /// Puts a node before the site's; gives the name of its output.
    fn insert(&self, draft: &mut Draft<'_>, mut node: NodeProto) -> String {
        let name = draft.fresh_name("left_out");
        node.name = Some(Bytes::copy_from_slice(name.as_bytes()));
        node.output = vec![Bytes::copy_from_slice(name.as_bytes())];
        draft.insert_before(self.node, node);
        name
    }
}

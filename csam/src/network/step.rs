//! One lowered node in the order of execution.

use tch::Tensor;

use super::leaving_out::LeavingOut;
use super::masks::{Masked, Reading};
use super::op::{Frame, Inputs, Op, Torch};
use super::store::Leaf;
use super::{NetworkError, Taps};

/// Where an input comes from.
pub(super) enum Source {
    /// Left out.
    Absent,
    /// A value of this run.
    Value(usize),
    /// The same in every run.
    Held(Tensor),
    /// A leaf, by its position.
    Leaf(usize),
}

impl Source {
    /// The value of this run that it names.
    pub(super) fn value(&self) -> Option<usize> {
        if let Self::Value(value) = self { Some(*value) } else { None }
    }
}

/// A lowered node.
pub(super) struct Step {
    /// The node as people refer to it.
    pub(super) name: String,
    pub(super) op: Box<dyn Op>,
    pub(super) inputs: Vec<Source>,
    pub(super) outputs: Vec<Option<usize>>,
    /// How it reads lanes.
    pub(super) readings: Vec<Reading>,
    /// How it works on lanes as a whole.
    pub(super) leaving_out: Vec<LeavingOut>,
    /// Values that nobody reads after this step.
    pub(super) spent: Vec<usize>,
    /// Whether input 0 is spent here and may be overwritten.
    pub(super) overwrite: bool,
}

impl Step {
    /// Fetches the inputs of this run.
    pub(super) fn gather(&self, values: &[Option<Tensor>], leaves: &[Leaf]) -> Inputs {
        let fetch = |source: &Source| match source {
            Source::Absent => None,
            Source::Value(value) => values[*value].as_ref().map(Tensor::shallow_clone),
            Source::Held(tensor) => Some(tensor.shallow_clone()),
            Source::Leaf(leaf) => Some(leaves[*leaf].tensor.shallow_clone()),
        };
        Inputs(self.inputs.iter().map(fetch).collect())
    }

    /// Shows the taps what this step reads.
    pub(super) fn tap(&self, inputs: &Inputs, taps: &mut Taps, images: i64) -> Torch<()> {
        for reading in self.readings.iter().filter(|reading| reading.fillable) {
            taps.add(reading.reader, inputs.at(reading.data)?, reading.data_axis, images)?;
        }
        Ok(())
    }

    /// Computes the outputs.
    pub(super) fn run(
        &self,
        inputs: &mut Inputs,
        frame: &Frame,
        masked: Option<&Masked>,
    ) -> Result<Vec<Tensor>, NetworkError> {
        let failed =
            |source, inputs: &Inputs| NetworkError::Run { node: self.name.clone(), shapes: inputs.show(), source };
        let (mut added, mut factors) = (Vec::new(), Vec::new());
        if let Some(masked) = masked {
            for reading in &self.readings {
                let fill = reading.apply(self.op.as_ref(), masked, &mut inputs.0);
                added.extend(fill.map_err(|source| failed(source, inputs))?);
            }
            for leaving_out in &self.leaving_out {
                let factor = leaving_out.apply(masked, inputs);
                factors.extend(factor.map_err(|source| failed(source, inputs))?);
            }
        }
        let frame = Frame { overwrite: self.overwrite, ..*frame };
        let mut outputs = self.op.run(inputs, &frame).map_err(|source| failed(source, inputs))?;
        if let Some(output) = outputs.first_mut() {
            for factor in factors {
                *output = output.f_mul(&factor)?;
            }
            for fill in added {
                *output = output.f_add(&fill)?;
            }
        }
        Ok(outputs)
    }
}

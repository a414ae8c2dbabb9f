//! Normalisations folded into what comes before them, for networks that are only run.

use import::graph::{Node, ValueId};
use tch::{Kind, Tensor};

use super::NetworkError;
use super::inserted::affine;
use super::lower::Builder;
use super::step::{Source, Step};

impl Builder<'_> {
    /// Folds a constant normalisation into the step that makes its data, when nobody else reads that. Says whether it
    /// did.
    pub(super) fn fold_into_maker(&mut self, node: &Node) -> Result<bool, NetworkError> {
        if !self.options.fold_normalisation || self.options.trainable {
            return Ok(false);
        }
        let (Some(data), Some(output)) = (node.input(0), node.output(0)) else { return Ok(false) };
        let constant = |input: usize| self.constants.get(&node.input(input)?);
        let held = (1..5).map(constant).collect::<Option<Vec<_>>>();
        let Some([scale, shift, mean, variance]) = held.as_deref() else { return Ok(false) };
        let Some(maker) = self.only_maker(data) else { return Ok(false) };
        let [scale, shift] = affine(scale, shift, mean, variance, f64::from(node.float_or("epsilon", 1e-5)))?;
        let step = &mut self.steps[maker];
        let Some([weight, bias]) = folded(step, &scale, &shift)? else { return Ok(false) };
        step.inputs.truncate(1);
        step.inputs.extend([Source::Held(weight), Source::Held(bias)]);
        step.outputs = vec![Some(output.0 as usize)];
        self.makers.insert(output.0 as usize, maker);
        Ok(true)
    }

    /// The step that makes a value which one node reads, and nobody outside.
    fn only_maker(&self, value: ValueId) -> Option<usize> {
        let alone = self.graph.value(value).readers.len() == 1 && !self.trunk.values.contains(&value);
        self.makers.get(&(value.0 as usize)).copied().filter(|_| alone)
    }
}

/// Constant weight and bias of a step with a scale and shift of its output folded in; `None` when they are not constant.
fn folded(step: &Step, scale: &Tensor, shift: &Tensor) -> Result<Option<[Tensor; 2]>, NetworkError> {
    let (true, Some(Source::Held(weight))) = (step.op.folds(), step.inputs.get(1)) else { return Ok(None) };
    let wide = |tensor: &Tensor| tensor.f_to_kind(Kind::Double);
    let bias = match step.inputs.get(2) {
        None | Some(Source::Absent) => None,
        Some(Source::Held(bias)) => Some(wide(bias)?),
        Some(Source::Value(_) | Source::Leaf(_)) => return Ok(None),
    };
    let [folded, shift] = step.op.fold(&wide(weight)?, bias.as_ref(), scale, shift)?;
    Ok(Some([folded.f_to_kind(weight.kind())?, shift.f_to_kind(weight.kind())?]))
}

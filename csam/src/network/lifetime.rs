//! How long values live: each is dropped after its last reader, and overwritten by it where that is safe.

use std::collections::{HashMap, HashSet};

use import::graph::ValueId;

use super::step::{Source, Step};

/// Marks each value at its last reader. Outputs live on.
pub(super) fn mark(steps: &mut [Step], makers: &HashMap<usize, usize>, outputs: &[ValueId]) {
    let outputs: HashSet<usize> = outputs.iter().map(|value| value.0 as usize).collect();
    let mut reads: HashMap<usize, usize> = HashMap::new();
    for value in steps.iter().flat_map(|step| step.inputs.iter().filter_map(Source::value)) {
        *reads.entry(value).or_default() += 1;
    }
    let mut alive_later = outputs.clone();
    for at in (0..steps.len()).rev() {
        let step = &steps[at];
        let mut spent: Vec<usize> =
            step.inputs.iter().filter_map(Source::value).filter(|&value| alive_later.insert(value)).collect();
        let first = step.inputs.first().and_then(Source::value);
        let overwrite = first.is_some_and(|value| {
            let alone = spent.contains(&value) && reads.get(&value) == Some(&1);
            alone && step.op.overwrites() && makers.get(&value).is_some_and(|&maker| fresh(&steps[maker], value))
        });
        let unread = |value: &usize| !reads.contains_key(value) && !outputs.contains(value);
        spent.extend(step.outputs.iter().flatten().copied().filter(unread));
        steps[at].overwrite = overwrite;
        steps[at].spent = spent;
    }
}

/// Whether a step makes a value as its first output, in memory of its own that nothing else needs.
fn fresh(step: &Step, value: usize) -> bool {
    step.op.fresh() && step.outputs.first() == Some(&Some(value))
}

//! Plans to test with, and the check of their twins.
#![allow(dead_code, clippy::unwrap_used)]

use certify::agreement::twin::{Feed, Job, Precision, Range, Tap, Twin as Files, TwinReport, check};
use export::{Form, Tensors, Twin, TwinFiles, twin};
use fixtures::models::{random, small};
use import::{
    Model,
    graph::Origin,
    lanes::{Fill, Kept, Lanes, Plan},
};

/// A model with its lanes.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) model: Model,
    pub(crate) lanes: Lanes,
}

impl Case {
    pub(crate) fn new(name: &str, bytes: Vec<u8>) -> Self {
        let model = Model::from_bytes(bytes.into()).unwrap();
        let lanes = Lanes::of(&model.graph, &[]);
        Self { name: name.to_owned(), model, lanes }
    }

    /// Keeps every second lane of every group, from the first or the second on as `seed` is even or odd.
    pub(crate) fn half(&self, seed: usize) -> Kept {
        let mut kept = Kept::all(&self.lanes);
        for group in &self.lanes.groups {
            let every = group.lanes.len().min(2);
            for (position, lane) in group.lanes.iter().enumerate() {
                kept.0[lane.0 as usize] = (position + seed).is_multiple_of(every);
            }
        }
        kept
    }

    /// The plan that removes what is not kept, with fills where `filled`.
    pub(crate) fn plan(&self, kept: &Kept, filled: bool) -> Plan {
        let mut plan = Plan::from_kept(&self.model.graph, &self.lanes, kept, "test");
        if filled {
            plan.fills = self.fills(kept);
        }
        plan
    }

    /// A mean for every removed lane of every stored weight that takes one.
    fn fills(&self, kept: &Kept) -> Vec<Fill> {
        let graph = &self.model.graph;
        let stored = |node: &import::graph::Node, input| {
            node.input(input).is_some_and(|it| matches!(graph.value(it).origin, Origin::Stored(_)))
        };
        let readers = self.lanes.readers.iter().filter(|reader| reader.fillable);
        readers
            .map(|reader| (reader, graph.node(reader.node)))
            .filter(|(reader, node)| stored(node, reader.weight))
            .map(|(reader, node)| {
                let slots = reader.slots.iter().enumerate();
                let removed = slots.filter(|(_, slot)| slot.is_some_and(|lane| !kept.keeps(lane)));
                let means = removed.map(|(index, _)| (index, 0.1 + index as f32 * 0.01)).collect();
                Fill { node: node.index, tensor: String::new(), axis: reader.weight_axis, means }
            })
            .collect()
    }
}

/// Every small model, one per hazard of cutting or place that holds lanes, and some random networks.
pub(crate) fn cases() -> Vec<Case> {
    let small = small::all()
        .into_iter()
        .chain(small::places())
        .chain(small::scoped())
        .chain(small::couplings())
        .map(|(name, bytes)| Case::new(name, bytes));
    let random = (0..12).map(|seed| Case::new(&format!("random {seed}"), random::network(seed)));
    small.chain(random).collect()
}

/// Networks of quantised numbers.
pub(crate) fn quantized() -> Vec<Case> {
    small::quantized().into_iter().map(|(name, bytes)| Case::new(name, bytes)).collect()
}

/// What the check finds on a twin.
pub(crate) fn run(case: &Case, twin: &Twin) -> TwinReport {
    let folder = tempfile::tempdir().unwrap();
    let files = twin.write(&case.model, folder.path()).unwrap();
    let taps = twin.taps.iter().map(|tap| Tap {
        site: tap.node.clone(),
        twin_output: tap.masked.clone(),
        slim_output: tap.slim.clone(),
        axis: tap.axis,
        kept: tap.kept.clone(),
    });
    compare(case, files, twin.outputs.clone(), taps.collect())
}

/// What the check finds on the files of a twin.
pub(crate) fn compare(case: &Case, files: TwinFiles, outputs: Vec<String>, taps: Vec<Tap>) -> TwinReport {
    let TwinFiles { masked, slim, jittered, poisoned } = files;
    let files = Files { masked, slim, jittered, poisoned, outputs, taps };
    let graph = &case.model.graph;
    let feed = |&input: &import::graph::ValueId| {
        let value = graph.value(input);
        let shape = value.shape.as_ref().unwrap().iter().map(|size| size.extent().unwrap_or(2)).collect();
        Feed { name: value.name.clone(), shape }
    };
    let job = Job {
        twin: files,
        sizes: vec![graph.inputs.iter().map(feed).collect()],
        sizes_wanted: 1,
        ranges: vec![(Range::Normal, 2), (Range::Unit, 1), (Range::Bytes, 1)],
        pictures: None,
        precision: Precision::Single,
        seed: 7,
        threads: 1,
        optimise: false,
        memory: None,
    };
    check(&job).unwrap()
}

/// The twin of a plan.
pub(crate) fn twin_of(case: &Case, plan: &Plan, tensors: &Tensors) -> Twin {
    twin(&case.model, &case.lanes, plan, tensors, &Form { seed: 11, ..Form::default() }).unwrap()
}

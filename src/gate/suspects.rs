//! Which groups of lanes may be to blame where a cut is not exact.

use std::collections::{BTreeSet, HashSet, VecDeque};

use certify::agreement::twin::TwinReport;
use import::graph::{Graph, NodeId, Origin, ValueId};
use import::lanes::{Kept, Lanes};

/// Groups with removed lanes that lie nearest before the place that a report names; none where it names no place of the
/// graph, or nothing before it was cut.
pub(super) fn suspects(graph: &Graph, lanes: &Lanes, kept: &Kept, report: &TwinReport) -> BTreeSet<usize> {
    let place = match (&report.fault, &report.culprit) {
        (Some(fault), _) => graph.nodes().find(|(_, node)| names(fault, &node.name)).map(|(id, _)| Place::Node(id)),
        (None, Some(worst)) => {
            let node = graph.nodes().find(|(_, node)| node.to_string() == worst.site).map(|(id, _)| Place::Node(id));
            let value = || graph.values.iter().position(|value| value.name == worst.site);
            node.or_else(|| value().map(|position| Place::Value(ValueId(position as u32))))
        }
        (None, None) => None,
    };
    place.map_or_else(BTreeSet::new, |place| nearest(graph, lanes, kept, place))
}

/// Where a search begins.
enum Place {
    Node(NodeId),
    Value(ValueId),
}

/// Whether a runtime's message speaks of a node of this name.
fn names(message: &str, node: &str) -> bool {
    let forms = [format!("'{node}'"), format!("({node})"), format!("\"{node}\"")];
    !node.is_empty() && forms.iter().any(|form| message.contains(form.as_str()))
}

/// The groups of removed lanes on the first computed values that have any, backwards along every path.
fn nearest(graph: &Graph, lanes: &Lanes, kept: &Kept, place: Place) -> BTreeSet<usize> {
    let inputs = |id: NodeId| {
        let node = graph.node(id);
        let read = node.inputs.iter().flatten().chain(&node.captures).copied();
        // A weight has lanes of what its node writes too.
        read.filter(|&value| matches!(graph.value(value).origin, Origin::Node(..))).collect::<Vec<_>>()
    };
    let mut open: VecDeque<ValueId> = match place {
        Place::Node(node) => inputs(node).into(),
        Place::Value(value) => [value].into(),
    };
    let (mut seen, mut found) = (HashSet::new(), BTreeSet::new());
    while let Some(value) = open.pop_front() {
        if !seen.insert(value) {
            continue;
        }
        let removed = removed_groups(graph, lanes, kept, value);
        if !removed.is_empty() {
            found.extend(removed);
        } else if let Origin::Node(node, _) = graph.value(value).origin {
            open.extend(inputs(node));
        }
    }
    found
}

fn removed_groups(graph: &Graph, lanes: &Lanes, kept: &Kept, value: ValueId) -> BTreeSet<usize> {
    let rank = graph.value(value).shape.as_ref().map_or(0, Vec::len);
    let slots = (0..rank).filter_map(|axis| lanes.value_axis(value, axis)).flatten();
    let removed = slots.flatten().filter(|&&lane| !kept.keeps(lane));
    removed.map(|&lane| lanes.lane(lane).group).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use certify::agreement::twin::{Check, Worst};
    use fixtures::models::small;
    use import::lanes::Plan;

    use super::*;
    use crate::subject::Subject;

    /// A network of two groups, of each of which every second lane goes.
    fn subject(folder: &tempfile::TempDir) -> (Subject, Kept) {
        let path = folder.path().join("chain.onnx");
        std::fs::write(&path, small::chain()).unwrap();
        let subject = Subject::open(&path, &[], &import::InputSizes::default()).unwrap();
        let mut kept = Kept::all(subject.lanes());
        kept.0.iter_mut().step_by(2).for_each(|keeps| *keeps = false);
        (subject, kept)
    }

    #[test]
    fn the_nearest_cut_before_a_place_is_left_whole_and_the_rest_is_still_cut() {
        let folder = tempfile::tempdir().unwrap();
        let (mut subject, kept) = subject(&folder);
        let (graph, lanes) = (&subject.model.graph, subject.lanes());
        let group_of = |name: &str| lanes.groups.iter().position(|group| group.name.starts_with(name)).unwrap();
        let (first, second) = (group_of("first"), group_of("second"));
        let convolutions: Vec<_> = graph.nodes.iter().filter(|node| node.op == "Conv").collect();
        let culprit = |site: String| Worst { check: Check::Taps, site, relative: Some(1.0), sample: 0, shapes: None };
        let at_tap = TwinReport { culprit: Some(culprit(convolutions[1].to_string())), ..TwinReport::default() };
        assert_eq!(suspects(graph, lanes, &kept, &at_tap), BTreeSet::from([first]));
        let output = graph.value(graph.outputs[0]).name.clone();
        let at_output = TwinReport { culprit: Some(culprit(output)), ..TwinReport::default() };
        assert_eq!(suspects(graph, lanes, &kept, &at_output), BTreeSet::from([second]));
        let fault = Some(format!("while running Conv node. Name:'{}' Status", convolutions[1].name));
        let stopped = TwinReport { fault, ..TwinReport::default() };
        assert_eq!(suspects(graph, lanes, &kept, &stopped), BTreeSet::from([first]));
        let nowhere = TwinReport { fault: Some("no place".to_owned()), ..TwinReport::default() };
        assert!(suspects(graph, lanes, &kept, &nowhere).is_empty());

        let plan = Plan::from_kept(graph, lanes, &kept, "test");
        subject.leave_whole(&BTreeSet::from([first]));
        let rest = subject.still_cut(&plan);
        assert!(!rest.remove.is_empty() && rest.remove.len() < plan.remove.len());
        rest.kept(&subject.model.graph, subject.lanes()).unwrap();
        assert!(subject.lanes().pins.iter().any(|pin| pin.reason.code.as_str() == "gate-refused"));
    }
}

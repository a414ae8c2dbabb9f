//! `espalier inspect`: what is in a model, what may be cut, what is pinned and why.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use import::graph::{Graph, ValueId};
use import::lanes::{Group, Lanes};
use import::proto::onnx;
use serde::Serialize;

use super::context::Context;
use crate::numbers::bytes;
use crate::output::Outcome;
use crate::report::grid;
use crate::settings::{Settings, flags};
use crate::subject::{Cost, Subject};

/// Flags of `espalier inspect`.
#[derive(Debug, Args, Serialize)]
#[command(
    after_help = "Example:\n  espalier inspect model.onnx\n  espalier inspect model.onnx --shape 1x3x48x320\n  espalier inspect model.onnx --format json | jq .pins"
)]
pub(crate) struct Flags {
    /// The ONNX file.
    #[serde(skip)]
    model: PathBuf,
    #[command(flatten)]
    #[serde(flatten)]
    budget: flags::Budget,
    #[command(flatten)]
    #[serde(flatten)]
    shapes: flags::Shapes,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Found {
    model: PathBuf,
    producer: String,
    opsets: BTreeMap<String, i64>,
    inputs: Vec<Shown>,
    outputs: Vec<Shown>,
    operators: BTreeMap<String, usize>,
    /// Operators that are worked around, and why.
    opaque: Vec<String>,
    /// What was written out in place before anything was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    inlined: Option<String>,
    cost: Cost,
    /// Lanes that every group keeps at least.
    floor: usize,
    /// Share of the MACs that is left when every group keeps only those.
    least_macs: f64,
    /// Why nothing can be cut, where that is so.
    whole: Option<String>,
    groups: Vec<ShownGroup>,
    pins: Vec<ShownPin>,
}

#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    shape: String,
}

#[derive(Debug, Serialize)]
struct ShownGroup {
    name: String,
    lanes: usize,
    /// Stored tensors and axes that lose elements together.
    sites: Vec<(String, usize)>,
}

#[derive(Debug, Serialize)]
struct ShownPin {
    tensor: String,
    axis: usize,
    count: usize,
    code: &'static str,
    place: String,
}

pub(super) fn run(context: &Context, flags: &Flags) -> Result<Outcome> {
    let settings = Settings::resolve(&context.shared, flags, &[])?;
    let subject = Subject::open(&flags.model, &settings.keep(), &settings.sizes()?)?;
    let found = Found::of(&subject, settings.search.floor);
    context.told.result("inspect", &found, || found.text())?;
    Ok(Outcome::Good)
}

impl Found {
    fn of(subject: &Subject, floor: usize) -> Self {
        let (model, lanes) = (&subject.model, subject.lanes());
        let graph = &model.graph;
        let mut operators = BTreeMap::new();
        graph.nodes.iter().for_each(|node| *operators.entry(node.op.clone()).or_default() += 1);
        let shown = |values: &[ValueId]| values.iter().map(|&value| Shown::of(graph, value)).collect();
        Self {
            model: subject.path.clone(),
            producer: onnx::text(&model.file.proto.producer_name).into_owned(),
            opsets: graph.opsets.iter().map(|(domain, version)| (domain_name(domain), *version)).collect(),
            inputs: shown(&graph.inputs),
            outputs: shown(&graph.outputs),
            operators,
            opaque: model.refusals.iter().map(ToString::to_string).collect(),
            inlined: model.inlined.note(),
            cost: subject.cost(),
            floor,
            least_macs: least_macs(lanes, floor),
            whole: subject.why_whole(),
            groups: lanes.groups.iter().map(|group| ShownGroup::of(graph, group)).collect(),
            pins: lanes.pins.iter().map(ShownPin::of).collect(),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{} ({})\n", self.model.display(), self.producer);
        for (way, values) in [("input", &self.inputs), ("output", &self.outputs)] {
            values.iter().for_each(|value| text.push_str(&format!("{way:>7} {} {}\n", value.name, value.shape)));
        }
        let operators: Vec<String> = self.operators.iter().map(|(op, n)| format!("{op} {n}")).collect();
        text.push_str(&format!("  nodes {}\n", operators.join(", ")));
        text.push_str(&format!(
            "   cost {} MACs per image, {} parameters, {}\n",
            self.cost.macs_text(),
            self.cost.params_text(),
            bytes(self.cost.bytes),
        ));
        text.push_str(&format!(
            "  least {:.1} % of the MACs, with {} lanes left in every group (the floor; --floor of slim and prune)\n",
            self.least_macs * 100.0,
            self.floor
        ));
        self.inlined.iter().for_each(|note| text.push_str(&format!("   note {note}\n")));
        self.cost.caveat().iter().for_each(|caveat| text.push_str(&format!("   note {caveat}\n")));
        self.opaque.iter().for_each(|reason| text.push_str(&format!(" opaque {reason}\n")));
        text.push_str(&self.groups_text());
        text.push_str(&self.pins_text());
        text
    }

    fn groups_text(&self) -> String {
        if let Some(reason) = &self.whole {
            return format!("Nothing can be cut: {reason}.\n");
        }
        let rows: Vec<[String; 3]> = self
            .groups
            .iter()
            .map(|group| [group.name.clone(), group.lanes.to_string(), group.sites.len().to_string()])
            .collect();
        grid(&["group (its first tensor)", "lanes", "tensors"], &rows)
    }

    fn pins_text(&self) -> String {
        let rows: Vec<[String; 4]> = self
            .pins
            .iter()
            .map(|pin| {
                let axis = format!("{} of axis {}", pin.count, pin.axis);
                [pin.tensor.clone(), axis, pin.code.to_owned(), pin.place.clone()]
            })
            .collect();
        if rows.is_empty() { String::new() } else { grid(&["pinned tensor", "indices", "reason", "at"], &rows) }
    }
}

impl Shown {
    fn of(graph: &Graph, id: ValueId) -> Self {
        let value = graph.value(id);
        let shape = value.shape.as_ref().map_or_else(
            || "of unknown shape".to_owned(),
            |shape| {
                let sizes: Vec<String> = shape.iter().map(|size| graph.symbols.show(size)).collect();
                format!("[{}]", sizes.join(", "))
            },
        );
        Self { name: value.name.clone(), shape }
    }
}

impl ShownGroup {
    fn of(graph: &Graph, group: &Group) -> Self {
        let sites = group.sites.iter().map(|&(stored, axis)| (graph.stored_name(stored).to_owned(), axis));
        Self { name: group.name.clone(), lanes: group.lanes.len(), sites: sites.collect() }
    }
}

impl ShownPin {
    fn of(pin: &import::lanes::Pin) -> Self {
        Self {
            tensor: pin.tensor.clone(),
            axis: pin.axis,
            count: pin.count,
            code: pin.reason.code.as_str(),
            place: pin.reason.place.clone(),
        }
    }
}

fn domain_name(domain: &str) -> String {
    if domain.is_empty() { "ai.onnx".to_owned() } else { domain.to_owned() }
}

/// The share of the MACs that is left when every group keeps `floor` lanes.
fn least_macs(lanes: &Lanes, floor: usize) -> f64 {
    let all = vec![1.0; lanes.lanes.len()];
    let mut least = vec![0.0; lanes.lanes.len()];
    for lane in lanes.groups.iter().flat_map(|group| group.lanes.iter().take(floor.max(1))) {
        least[lane.0 as usize] = 1.0;
    }
    lanes.cost.macs(&least) / lanes.cost.macs(&all).max(1.0)
}

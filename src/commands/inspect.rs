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
    /// Channels that every group keeps at least.
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
    /// Share of the network's MACs that some of its lanes take part in.
    macs: f64,
    /// The layers whose tensors lose elements together, by the names of those tensors.
    layers: Vec<String>,
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
            groups: groups(graph, lanes),
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
            "  least {:.1} % of the MACs, with {} channels left in every group (the floor; --floor of slim and prune)\n",
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
        let mut text = format!("\n{:>5} {:>6} {:<BAR$}  layers that are cut together\n", "lanes", "MACs", "");
        for group in &self.groups {
            let share = format!("{:.1} %", group.macs * 100.0);
            let made_of = listed(&group.layers, WIDE - LAYERS_FROM);
            text.push_str(&format!("{:>5} {share:>6} {:<BAR$}  {made_of}\n", group.lanes, bar(group.macs)));
        }
        text
    }

    /// What stays whole, by the place that gives the reason.
    fn pins_text(&self) -> String {
        let mut by_place: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
        for pin in &self.pins {
            let places = by_place.entry((pin.code, &pin.place)).or_default();
            places.push(format!("{} axis {} ({})", pin.tensor, pin.axis, pin.count));
        }
        if by_place.is_empty() {
            return String::new();
        }
        let mut text = "\nstays whole, with the reason and the place that gives it:\n".to_owned();
        for ((code, place), tensors) in by_place {
            let at = if place.is_empty() { String::new() } else { format!(" at {place}") };
            text.push_str(&format!("  {code}{at}\n    {}\n", listed(&tensors, WIDE - 4)));
        }
        text.push_str("`espalier explain REASON` says what a reason means and what can be done.\n");
        text
    }
}

/// Columns that a terminal has at least.
const WIDE: usize = 80;
/// Columns of a bar that stands for all.
const BAR: usize = 12;
/// Columns before the layers of a group.
const LAYERS_FROM: usize = 5 + 1 + 6 + 1 + BAR + 2;

/// A bar as long as a share; anything at all is seen.
fn bar(share: f64) -> String {
    let full = (share * BAR as f64).round() as usize;
    if full == 0 && share > 0.0 { "▏".to_owned() } else { "█".repeat(full.min(BAR)) }
}

/// As many names as fit into so many columns, and how many more there are. A first name that is too long loses its start.
fn listed(names: &[String], width: usize) -> String {
    let rest = |shown: usize| match names.len() - shown {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let shown = (1..=names.len()).rev().find(|&shown| columns(&names[..shown].join(", ")) + rest(shown).len() <= width);
    match (shown, names.first()) {
        (Some(shown), _) => format!("{}{}", names[..shown].join(", "), rest(shown)),
        (None, Some(first)) => {
            let rest = rest(1);
            let left = width.saturating_sub(rest.len() + 1);
            let start = columns(first).saturating_sub(left);
            format!("…{}{rest}", first.chars().skip(start).collect::<String>())
        }
        (None, None) => String::new(),
    }
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

/// Groups, the most expensive first.
fn groups(graph: &Graph, lanes: &Lanes) -> Vec<ShownGroup> {
    let mut groups: Vec<ShownGroup> = lanes.groups.iter().map(|group| ShownGroup::of(graph, lanes, group)).collect();
    groups.sort_by(|a, b| b.macs.total_cmp(&a.macs));
    groups
}

/// The layer that a stored tensor belongs to, as exporters name them: `conv1` of `conv1.weight`.
fn layer_of(tensor: &str) -> &str {
    tensor.rsplit_once('.').map_or(tensor, |(layer, _)| layer)
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
    fn of(graph: &Graph, lanes: &Lanes, group: &Group) -> Self {
        let sites = group.sites.iter().map(|&(stored, axis)| (graph.stored_name(stored).to_owned(), axis));
        let mut kept = vec![1.0; lanes.lanes.len()];
        let all = lanes.cost.macs(&kept);
        group.lanes.iter().for_each(|lane| kept[lane.0 as usize] = 0.0);
        let macs = 1.0 - lanes.cost.macs(&kept) / all.max(1.0);
        let sites: Vec<(String, usize)> = sites.collect();
        let mut layers: Vec<String> = vec![layer_of(&group.name).to_owned()];
        for (tensor, _) in &sites {
            if !layers.iter().any(|layer| layer == layer_of(tensor)) {
                layers.push(layer_of(tensor).to_owned());
            }
        }
        Self { name: group.name.clone(), lanes: group.lanes.len(), macs, layers, sites }
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

/// The share of the MACs that is left when every group keeps `floor` channels.
fn least_macs(lanes: &Lanes, floor: usize) -> f64 {
    let all = vec![1.0; lanes.lanes.len()];
    let mut least = vec![0.0; lanes.lanes.len()];
    for lane in lanes.groups.iter().flat_map(|group| group.lanes.iter().take(group.least(floor))) {
        least[lane.0 as usize] = 1.0;
    }
    lanes.cost.macs(&least) / lanes.cost.macs(&all).max(1.0)
}

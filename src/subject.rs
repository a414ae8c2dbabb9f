//! A model under work: its file, graph and lanes, and what it costs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use import::lanes::{Amount, Budget, CostModel, Group, Lanes, Plan, Quantity, Refused};
use import::proto::ModelFile;
use import::{InputSizes, Model, external};
use serde::{Deserialize, Serialize};

use crate::numbers::{bytes, count};

/// A model file with its lanes, which are worked out when they are first asked for.
pub(crate) struct Subject {
    /// The file.
    pub(crate) path: PathBuf,
    /// What it says.
    pub(crate) model: Model,
    /// Sizes of its inputs that the file leaves open.
    pub(crate) sizes: InputSizes,
    lanes: OnceLock<Lanes>,
    keep: Vec<String>,
    /// Lanes that are left whole since no cut of them was exact.
    refused: Refused,
}

/// What a model costs, as far as its operators are known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Multiply-accumulates of one image.
    pub(crate) macs: f64,
    /// Elements of parameters.
    pub(crate) params: f64,
    /// Size of the file and of the data files beside it.
    pub(crate) bytes: u64,
    /// Nodes whose multiply-accumulates leave out sizes that are not known.
    #[serde(default)]
    pub(crate) unsized_nodes: usize,
    /// Nodes that may multiply and are not understood.
    #[serde(default)]
    pub(crate) uncounted_nodes: usize,
    /// Places that hold parameters which are not counted.
    #[serde(default)]
    pub(crate) uncounted_parameters: usize,
}

impl Cost {
    /// Whether the multiply-accumulates are a lower bound.
    fn macs_are_a_bound(&self) -> bool {
        self.unsized_nodes + self.uncounted_nodes > 0
    }

    /// Multiply-accumulates, in words that say when they are a lower bound.
    pub(crate) fn macs_text(&self) -> String {
        at_least(count(self.macs), self.macs_are_a_bound())
    }

    /// Parameters, in words that say when they are a lower bound.
    pub(crate) fn params_text(&self) -> String {
        at_least(count(self.params), self.uncounted_parameters > 0)
    }

    /// What is to be known of the figures: why they are lower bounds.
    pub(crate) fn caveat(&self) -> Option<String> {
        let reason = |count: usize, text: &str| (count > 0).then(|| format!("{count} {text}"));
        let reasons: Vec<String> = [
            reason(self.unsized_nodes, "nodes have sizes that the file leaves open, each counted as 1"),
            reason(self.uncounted_nodes, "nodes that may multiply are not understood and count nothing"),
            reason(self.uncounted_parameters, "subgraphs or sparse constants hold parameters that are not counted"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let bound = match (self.macs_are_a_bound(), self.uncounted_parameters > 0) {
            (true, true) => "MACs and parameters are",
            (true, false) => "MACs are",
            _ => "parameters are",
        };
        (!reasons.is_empty()).then(|| format!("{bound} a lower bound: {}", reasons.join("; ")))
    }
}

fn at_least(figure: String, is_bound: bool) -> String {
    if is_bound { format!("at least {figure}") } else { figure }
}

/// How a cost changed: a ratio of what is counted on both sides.
pub(crate) fn change(dense: f64, slim: f64, is_bound: bool) -> String {
    if dense <= 0.0 {
        return String::new();
    }
    let of = if is_bound { " of what is counted" } else { "" };
    format!("×{:.3}{of}", slim / dense)
}

/// Rows of a table of costs: name, dense, slim, change.
pub(crate) fn cost_rows(dense: &Cost, slim: &Cost) -> [[String; 4]; 3] {
    let macs = dense.macs_are_a_bound() || slim.macs_are_a_bound();
    let params = dense.uncounted_parameters + slim.uncounted_parameters > 0;
    let (dense_bytes, slim_bytes) = (dense.bytes as f64, slim.bytes as f64);
    [
        ["MACs".to_owned(), dense.macs_text(), slim.macs_text(), change(dense.macs, slim.macs, macs)],
        ["parameters".to_owned(), dense.params_text(), slim.params_text(), change(dense.params, slim.params, params)],
        ["file size".to_owned(), bytes(dense.bytes), bytes(slim.bytes), change(dense_bytes, slim_bytes, false)],
    ]
}

/// A budget and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reached {
    /// As asked: `macs=50%`.
    pub(crate) budget: String,
    /// At most this much, in the budget's own unit.
    pub(crate) limit: f64,
    /// So much.
    pub(crate) reached: f64,
    /// `reached` as a share of the dense network's.
    pub(crate) share: f64,
    /// Whether not all of the quantity is counted, so that the share is one of what is.
    #[serde(default)]
    pub(crate) partly_counted: bool,
    /// For channels: groups that keep more than the share, being too small to lose more.
    #[serde(default)]
    pub(crate) small_groups: usize,
}

impl Subject {
    /// Opens a model, with sizes that it leaves open; stored tensors whose name contains one of `keep`, and
    /// values of that name, stay whole.
    ///
    /// # Errors
    /// When the file is no readable model, or has no such input, or something that is to be kept is not in it.
    pub(crate) fn open(path: &Path, keep: &[String], sizes: &InputSizes) -> Result<Self> {
        let model = Model::from_file(ModelFile::open(path)?, sizes)?;
        let named = |text: &String| {
            let stored = model.graph.stored.iter().map(|stored| &model.graph.value(stored.value).name);
            stored.into_iter().any(|name| name.contains(text.as_str()))
                || model.graph.values.iter().any(|value| value.name == *text)
        };
        if let Some(nothing) = keep.iter().find(|text| !named(text)) {
            return Err(anyhow!(
                "no stored tensor has `{nothing}` in its name, and no value is named so: --keep and --until name what is there; \
                 `espalier inspect` lists it"
            ));
        }
        let (path, lanes) = (path.to_path_buf(), OnceLock::new());
        Ok(Self { path, model, sizes: sizes.clone(), lanes, keep: keep.to_vec(), refused: Refused::new() })
    }

    /// A changed model in memory; data files are looked for where this one has its own.
    ///
    /// # Errors
    /// When the bytes are no readable model.
    pub(crate) fn of_bytes(&self, bytes: Bytes) -> Result<Self> {
        let file = ModelFile { path: self.model.file.path.clone(), ..ModelFile::from_bytes(bytes)? };
        let model = Model::from_file(file, &self.sizes)?;
        let (path, lanes) = (self.path.clone(), OnceLock::new());
        Ok(Self { path, model, sizes: self.sizes.clone(), lanes, keep: Vec::new(), refused: Refused::new() })
    }

    /// What may be cut.
    pub(crate) fn lanes(&self) -> &Lanes {
        self.lanes.get_or_init(|| Lanes::leaving(&self.model.graph, &self.keep, &self.refused))
    }

    /// Leaves groups of lanes whole from now on.
    pub(crate) fn leave_whole(&mut self, groups: &BTreeSet<usize>) {
        let lanes = self.lanes();
        let of_groups = groups.iter().flat_map(|&group| &lanes.groups[group].lanes);
        let homes: Vec<_> = of_groups.map(|&lane| lanes.lane(lane).home).collect();
        self.refused.extend(homes);
        self.lanes = OnceLock::new();
    }

    /// What of a plan for this model can still be cut.
    pub(crate) fn still_cut(&self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        for removal in &mut plan.remove {
            let constant = self.model.graph.find_constant(&removal.tensor);
            let slots = constant.and_then(|constant| self.lanes().value_axis(constant, removal.axis));
            removal.indices.retain(|&index| slots.is_some_and(|slots| slots.get(index).is_some_and(Option::is_some)));
        }
        plan.remove.retain(|removal| !removal.indices.is_empty());
        plan
    }

    /// What it costs with every lane.
    pub(crate) fn cost(&self) -> Cost {
        let cost = CostModel::whole(&self.model.graph);
        Cost {
            macs: cost.macs(&[]),
            params: cost.params(&[]),
            bytes: external::size(&self.model.file),
            unsized_nodes: cost.unsized_nodes,
            uncounted_nodes: cost.uncounted_nodes,
            uncounted_parameters: cost.uncounted_parameters,
        }
    }

    /// Refuses a model of which nothing can be cut.
    ///
    /// # Errors
    /// Then; the error gives the first reason.
    pub(crate) fn has_lanes(&self) -> Result<()> {
        match self.why_whole() {
            None => Ok(()),
            Some(reason) => Err(anyhow!("nothing in `{}` can be cut: {reason}", self.path.display())),
        }
    }

    /// Why nothing can be cut, where that is so.
    pub(crate) fn why_whole(&self) -> Option<String> {
        if !self.lanes().lanes.is_empty() {
            return None;
        }
        let (refusals, pins) = (&self.model.refusals, &self.lanes().pins);
        Some(match (refusals.first(), pins.first()) {
            (Some(first), _) => format!("{} of its nodes cannot be followed, the first being {first}", refusals.len()),
            (None, Some(pin)) => {
                let (code, place) = (pin.reason.code, &pin.reason.place);
                format!(
                    "every tensor is pinned, `{}` first ({code} at {place}); `espalier inspect` lists them",
                    pin.tensor
                )
            }
            (None, None) => "no operator reads channels that another one writes".to_owned(),
        })
    }

    /// What became of budgets when these lanes are kept.
    pub(crate) fn reached(&self, budgets: &[Budget], kept: &[f64]) -> Vec<Reached> {
        let lanes = self.lanes();
        let all = vec![1.0; lanes.lanes.len()];
        let of = |budget: &Budget| {
            let reached = budget.spent(lanes, kept);
            Reached {
                budget: budget.to_string(),
                limit: budget.limit(lanes),
                reached,
                share: reached / budget.spent(lanes, &all),
                partly_counted: match budget.quantity {
                    Quantity::Macs => lanes.cost.unsized_nodes + lanes.cost.uncounted_nodes > 0,
                    Quantity::Params => lanes.cost.uncounted_parameters > 0,
                    Quantity::Channels => false,
                },
                small_groups: self.groups_above(budget, kept),
            }
        };
        budgets.iter().map(of).collect()
    }

    /// Groups that keep more than a channel budget's share of their lanes.
    fn groups_above(&self, budget: &Budget, kept: &[f64]) -> usize {
        let (Quantity::Channels, Amount::Share(share)) = (budget.quantity, budget.amount) else { return 0 };
        let above = |group: &&Group| {
            let left: f64 = group.lanes.iter().map(|lane| kept[lane.0 as usize]).sum();
            left > share * group.lanes.len() as f64 + 1e-9
        };
        self.lanes().groups.iter().filter(above).count()
    }
}

impl Reached {
    /// One line: asked and reached.
    pub(crate) fn line(&self) -> String {
        let name = self.budget.split('=').next().unwrap_or_default();
        let counted = if self.partly_counted { " of what is counted, which is not all" } else { "" };
        let groups = match self.small_groups {
            0 => String::new(),
            n => format!(" ({n} groups keep a larger share, being at the floor of channels that each keeps: --floor)"),
        };
        format!("asked for {}, reached {name}={:.1}%{counted}{groups}", self.budget, self.share * 100.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_asks_for_no_lanes_works_none_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chain.onnx");
        std::fs::write(&path, fixtures::models::small::chain()).unwrap();
        let mut subject = Subject::open(&path, &[], &InputSizes::default()).unwrap();
        let cost = subject.cost();
        assert!(subject.lanes.get().is_none());
        let lanes = subject.lanes();
        let all = vec![1.0; lanes.lanes.len()];
        assert_eq!((cost.macs, cost.params), (lanes.cost.macs(&all), lanes.cost.params(&all)));
        let whole = lanes.lanes.len();
        subject.leave_whole(&BTreeSet::from([0]));
        assert!(subject.lanes.get().is_none() && subject.lanes().lanes.len() < whole);
    }
}

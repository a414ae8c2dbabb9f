//! A model under work: its file, graph and lanes, and what it costs.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use import::Model;
use import::lanes::{Budget, Lanes};
use serde::{Deserialize, Serialize};

/// A model file with its lanes.
pub(crate) struct Subject {
    /// The file.
    pub(crate) path: PathBuf,
    /// What it says.
    pub(crate) model: Model,
    /// What may be cut.
    pub(crate) lanes: Lanes,
}

/// What a model costs, as far as its operators are known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Multiply-accumulates of one image.
    pub(crate) macs: f64,
    /// Elements of trainable tensors.
    pub(crate) params: f64,
    /// Size of the file, external data not counted.
    pub(crate) bytes: u64,
    /// Nodes whose multiply-accumulates leave out sizes that are not known.
    #[serde(default)]
    pub(crate) unsized_nodes: usize,
}

impl Cost {
    /// What is to be known of the figures, in one sentence.
    pub(crate) fn caveat(&self) -> Option<String> {
        (self.unsized_nodes > 0).then(|| {
            format!(
                "MACs are too low: {} nodes have sizes that the file leaves open, each counted as 1; \
                 export with fixed sizes, or run ONNX shape inference on the model",
                self.unsized_nodes
            )
        })
    }
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
}

impl Subject {
    /// Opens a model and analyses its lanes; stored tensors whose name contains one of `keep` stay whole.
    ///
    /// # Errors
    /// When the file is no readable model.
    pub(crate) fn open(path: &Path, keep: &[String]) -> Result<Self> {
        let model = Model::open(path)?;
        let lanes = Lanes::of(&model.graph, keep);
        Ok(Self { path: path.to_path_buf(), model, lanes })
    }

    /// What it costs with every lane.
    pub(crate) fn cost(&self) -> Cost {
        let all = vec![1.0; self.lanes.lanes.len()];
        Cost {
            macs: self.lanes.cost.macs(&all),
            params: self.lanes.cost.params(&all),
            bytes: self.model.file.bytes.len() as u64,
            unsized_nodes: self.lanes.cost.unsized_nodes,
        }
    }

    /// What became of budgets when these lanes are kept.
    pub(crate) fn reached(&self, budgets: &[Budget], kept: &[f64]) -> Vec<Reached> {
        let all = vec![1.0; self.lanes.lanes.len()];
        let of = |budget: &Budget| {
            let reached = budget.spent(&self.lanes, kept);
            Reached {
                budget: budget.to_string(),
                limit: budget.limit(&self.lanes),
                reached,
                share: reached / budget.spent(&self.lanes, &all),
            }
        };
        budgets.iter().map(of).collect()
    }
}

impl Reached {
    /// One line: asked and reached.
    pub(crate) fn line(&self) -> String {
        let name = self.budget.split('=').next().unwrap_or_default();
        format!("asked for {}, reached {name}={:.1}%", self.budget, self.share * 100.0)
    }
}

/// Refuses to write over a file that is being read.
///
/// # Errors
/// When the two are the same file.
pub(crate) fn not_the_source(source: &Path, target: &Path) -> Result<()> {
    let same = matches!((source.canonicalize(), target.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same {
        return Err(anyhow!(
            "`{}` is the model itself, which is never changed; choose another --out",
            target.display()
        ));
    }
    Ok(())
}

//! What every file is held to: a value or an error, in time and memory in proportion to it. The fuzz targets and the
//! property tests share this.

use export::{Tensors, cut};
use import::Model;
use import::batch;
use import::lanes::{Lanes, Plan, Ranking, allocate, score};

/// Reads a file as every command does, chooses lanes, cuts them and reads the slim file.
#[allow(clippy::unwrap_used)]
pub(crate) fn hold(bytes: Vec<u8>) {
    let Ok(model) = Model::from_bytes(bytes.into()) else { return };
    let (graph, lanes) = (&model.graph, Lanes::of(&model.graph, &[]));
    let dense = vec![1.0; lanes.lanes.len()];
    assert!(!lanes.cost.macs(&dense).is_nan() && !lanes.cost.params(&dense).is_nan());
    let _ = batch::free(&model.file, false);
    let Ok(scores) = score::magnitude(graph, &lanes) else { return };
    for budget in ["channels=50%", "macs=70%", "params=70%"] {
        let budget = budget.parse().unwrap();
        let Ok(kept) = allocate(&lanes, &scores, &[budget], &Ranking::uniform(&lanes, 1)) else { continue };
        assert!(budget.holds(&lanes, &kept));
        let plan = Plan::from_kept(graph, &lanes, &kept, "held");
        assert_eq!(plan.kept(graph, &lanes).unwrap(), kept);
        let Ok(slim) = cut(&model, &lanes, &plan, &Tensors::default(), false) else { continue };
        let slim = Model::from_bytes(slim.to_bytes()).unwrap();
        Lanes::of(&slim.graph, &[]);
    }
}

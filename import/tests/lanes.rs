//! What can be cut from small models, each with one hazard.
#![allow(clippy::unwrap_used)]

use fixtures::models::{Builder, Dim, int, small, text};
use import::Model;
use import::graph::Code;
use import::lanes::{AllocateError, Lanes, PinCode, Plan, Ranking, allocate, score};

fn lanes_of(bytes: Vec<u8>) -> (Model, Lanes) {
    let model = Model::from_bytes(bytes.into()).unwrap();
    let lanes = Lanes::of(&model.graph, &[]);
    (model, lanes)
}

/// Sizes of all groups, sorted.
fn group_sizes(bytes: Vec<u8>) -> Vec<usize> {
    let (_, lanes) = lanes_of(bytes);
    let mut sizes: Vec<usize> = lanes.groups.iter().map(|g| g.lanes.len()).collect();
    sizes.sort_unstable();
    sizes
}

#[test]
fn channels_of_a_chain_are_lanes() {
    assert_eq!(group_sizes(small::chain()), [8, 12]);
}

#[test]
fn a_shortcut_ties_its_ends() {
    assert_eq!(group_sizes(small::residual()), [8, 12]);
}

#[test]
fn joined_branches_keep_their_own_groups() {
    assert_eq!(group_sizes(small::concat()), [6, 8, 8, 10]);
}

#[test]
fn a_depthwise_channel_is_the_channel_before() {
    assert_eq!(group_sizes(small::depthwise()), [8, 12]);
}

#[test]
fn whole_groups_of_a_grouped_convolution_are_cut() {
    assert_eq!(group_sizes(small::grouped()), [4, 8]);
}

#[test]
fn flattened_space_belongs_to_its_channel() {
    assert_eq!(group_sizes(small::flatten_gemm()), [6, 10]);
}

#[test]
fn parts_of_an_axis_rank_by_themselves() {
    assert_eq!(group_sizes(small::split()), [5, 6, 6, 7]);
    assert_eq!(group_sizes(small::split_equal()), [8, 8, 8, 8, 12]);
}

#[test]
fn a_slice_keeps_the_lanes_it_takes() {
    // Lanes that a slice drops are read elsewhere (a group of two) or nowhere (not lanes).
    assert_eq!(group_sizes(small::slice()), [2, 5, 6, 8]);
}

#[test]
fn padding_goes_where_its_partners_go() {
    assert_eq!(group_sizes(small::padded_shortcut()), [6, 6, 8, 8]);
    assert_eq!(group_sizes(small::computed_pads()), [6, 6, 8]);
}

#[test]
fn an_operand_that_broadcasts_ties_nothing() {
    assert_eq!(group_sizes(small::scalar_first()), [6, 8]);
}

#[test]
fn a_resized_image_keeps_its_channels() {
    assert_eq!(group_sizes(small::resize()), [8, 8]);
}

#[test]
fn an_expanded_gate_keeps_its_lanes() {
    assert_eq!(group_sizes(small::expand()), [8, 8]);
}

#[test]
fn weights_behind_a_transpose_are_cut_where_they_are_stored() {
    let (model, lanes) = lanes_of(small::transposed_weight());
    let stored = model.graph.find_stored("fc1.weight").unwrap();
    assert_eq!(lanes.stored_axis(&model.graph, stored, 0).unwrap().iter().flatten().count(), 10);
    assert_eq!(lanes.stored_axis(&model.graph, stored, 1).unwrap().iter().flatten().count(), 6);
}

#[test]
fn a_weight_read_twice_ties_both_its_axes() {
    assert_eq!(group_sizes(small::shared_weight()), [8]);
}

#[test]
fn unknown_operators_pin_what_they_touch() {
    let (model, lanes) = lanes_of(small::opaque());
    assert!(!model.refusals.is_empty());
    assert!(lanes.pins.iter().any(|pin| pin.reason.code == PinCode::Opaque), "{:?}", lanes.pins);
}

#[test]
fn keep_patterns_pin() {
    let model = Model::from_bytes(small::chain().into()).unwrap();
    let lanes = Lanes::of(&model.graph, &["first".to_owned()]);
    assert_eq!(lanes.groups.len(), 1);
    assert!(lanes.pins.iter().any(|pin| pin.reason.code == PinCode::Keep));
}

#[test]
fn every_hazard_meets_its_budgets() {
    for (name, bytes) in small::all() {
        let (model, lanes) = lanes_of(bytes);
        let scores = score::magnitude(&model.graph, &lanes).unwrap();
        for text in ["macs=60%", "params=60%", "channels=50%"] {
            let budget = text.parse().unwrap();
            for allocation in ["uniform", "global", "banded", "isomorphic"] {
                let ranking = Ranking::of(&model.graph, &lanes, allocation.parse().unwrap(), 1, &[]).unwrap();
                match allocate(&lanes, &scores, &[budget], &ranking) {
                    Ok(kept) => assert!(budget.holds(&lanes, &kept), "{name} {text} {allocation:?}"),
                    Err(error) => assert!(matches!(error, AllocateError::TooSmall { .. }), "{name}: {error}"),
                }
            }
        }
    }
}

#[test]
fn a_plan_says_which_lanes_stay() {
    let (model, lanes) = lanes_of(small::residual());
    let scores = score::magnitude(&model.graph, &lanes).unwrap();
    let kept = allocate(&lanes, &scores, &["macs=50%".parse().unwrap()], &Ranking::uniform(&lanes, 1)).unwrap();
    let plan = Plan::from_kept(&model.graph, &lanes, &kept, "test");
    let text = serde_json::to_string(&plan).unwrap();
    let read: Plan = serde_json::from_str(&text).unwrap();
    assert_eq!(read.kept(&model.graph, &lanes).unwrap(), kept);
}

#[test]
fn a_plan_that_cuts_an_output_is_refused() {
    let (model, lanes) = lanes_of(small::chain());
    let last = lanes.pins.iter().find(|pin| pin.reason.code == PinCode::GraphOutput).unwrap();
    let text =
        format!(r#"{{"schema":1,"remove":[{{"tensor":"{}","axis":{},"indices":[0]}}]}}"#, last.tensor, last.axis);
    let plan: Plan = serde_json::from_str(&text).unwrap();
    let error = plan.kept(&model.graph, &lanes).unwrap_err().to_string();
    assert!(error.contains("graph-output"), "{error}");
}

#[test]
fn costs_match_a_count_by_hand() {
    let (_, lanes) = lanes_of(small::chain());
    let dense = vec![1.0; lanes.lanes.len()];
    // 3→8 3×3 on 8×8, 8→12 3×3 on 4×4, 12→5 fully connected.
    let macs = 8 * 8 * 8 * 27 + 4 * 4 * 12 * 72 + 60;
    assert!((lanes.cost.macs(&dense) - f64::from(macs)).abs() < 0.5, "{}", lanes.cost.macs(&dense));
}

#[test]
fn a_convolution_of_no_groups_is_refused() {
    let mut net = Builder::new("no-groups", 13, 0);
    let x = net.input("x", &[Dim::Symbol("n"), Dim::Symbol("c"), Dim::Is(8), Dim::Is(8)]);
    let weight = net.drawn("weight", &[4, 2, 3, 3], 0.0, 0.5);
    let y = net.node("Conv", &[&x, &weight], vec![int("group", 0)]);
    net.output(&y, &[Dim::Symbol("n"), Dim::Is(4), Dim::Is(6), Dim::Is(6)]);
    let (model, lanes) = lanes_of(net.finish());
    assert_eq!(model.refusals[0].code, Code::Contradiction);
    assert!(lanes.lanes.is_empty());
}

#[test]
fn sizes_below_nothing_are_refused() {
    let mut builder = Builder::new("below", 13, 0);
    let [sizes, start, end, wanted] =
        [("sizes", -5), ("start", 0), ("end", 2), ("wanted", -5)].map(|(name, value)| builder.integers(name, &[value]));
    let filled = builder.node("ConstantOfShape", &[&sizes], Vec::new());
    let taken = builder.node("Slice", &[&filled, &start, &end], Vec::new());
    let x = builder.input("x", &[Dim::Is(1)]);
    let spread = builder.node("Expand", &[&x, &wanted], Vec::new());
    let taken_too = builder.node("Slice", &[&spread, &start, &end], Vec::new());
    let y = builder.node("Concat", &[&taken, &taken_too], vec![int("axis", 0)]);
    builder.output(&y, &[Dim::Symbol("n")]);
    let (model, _) = lanes_of(builder.finish());
    assert_eq!(model.refusals[0].code, Code::Contradiction);
}

#[test]
fn a_resize_that_cuts_out_a_region_is_left_alone() {
    let mut builder = Builder::new("region", 13, 0);
    let x = builder.input("x", &[Dim::Is(1), Dim::Is(1), Dim::Is(4), Dim::Is(4)]);
    let region = builder.stored("region", &[8], &[0.0, 0.0, 0.2, 0.2, 1.0, 1.0, 0.7, 0.7]);
    let scales = builder.stored("scales", &[4], &[1.0, 1.0, 2.0, 2.0]);
    let mode = vec![text("coordinate_transformation_mode", "tf_crop_and_resize")];
    let y = builder.node("Resize", &[&x, &region, &scales], mode);
    builder.output(&y, &[Dim::Symbol("a"), Dim::Symbol("b"), Dim::Symbol("c"), Dim::Symbol("d")]);
    let (model, _) = lanes_of(builder.finish());
    assert_eq!(model.refusals[0].code, Code::UnsupportedForm);
}

#[test]
fn entries_of_a_plan_that_name_nothing_are_errors() {
    let (model, lanes) = lanes_of(small::chain());
    let refused = |text: &str| {
        let plan: Plan = serde_json::from_str(&format!(r#"{{"schema":1,{text}}}"#)).unwrap();
        plan.kept(&model.graph, &lanes).unwrap_err().to_string()
    };
    let remove = |tensor: &str, axis: usize, indices: &str| {
        refused(&format!(r#""remove":[{{"tensor":"{tensor}","axis":{axis},"indices":{indices}}}]"#))
    };
    let said = remove("first.conv.wieght", 0, "[0]");
    assert!(said.contains("did you mean 'first.conv.weight'"), "{said}");
    assert!(!remove("something else", 0, "[0]").contains("did you mean"));
    assert!(remove("first.conv.weight", 4, "[]").contains("4 axes"));
    assert!(remove("first.conv.weight", 0, "[7, 8]").contains("index 8"));
    assert!(remove("first.conv.weight", 0, "[]").contains("no index"));
    let fill = |tensor: &str, index: usize| {
        let node = model.graph.nodes.iter().rev().find(|node| node.op == "Conv").unwrap().index;
        refused(&format!(r#""fills":[{{"node":{node},"tensor":"{tensor}","axis":1,"means":[[{index},0.5]]}}]"#))
    };
    assert!(fill("first.conv.weight", 0).contains("does not read it"));
    assert!(fill("second.conv.weight", 8).contains("index 8"));
    assert!(refused(r#""tensors":[{"name":"fc.weihgt","shape":"dense"}]"#).contains("did you mean 'fc.weight'"));
}

#[test]
fn channels_are_counted_over_all_groups() {
    let (model, lanes) = lanes_of(small::chain());
    let scores = score::magnitude(&model.graph, &lanes).unwrap();
    let half = "channels=50%".parse().unwrap();
    let kept = allocate(&lanes, &scores, &[half], &Ranking::uniform(&lanes, 1)).unwrap();
    assert!((half.spent(&lanes, &kept.as_numbers()) - 0.5).abs() < 1e-9);
    // With a floor of seven lanes the group of eight loses one, and the group of twelve five.
    let kept = allocate(&lanes, &scores, &[half], &Ranking::uniform(&lanes, 7)).unwrap();
    assert!((half.spent(&lanes, &kept.as_numbers()) - 0.7).abs() < 1e-9);
}

#[test]
fn a_floor_that_leaves_nothing_to_cut_is_named() {
    let (model, lanes) = lanes_of(small::chain());
    let scores = score::magnitude(&model.graph, &lanes).unwrap();
    let refused = |budget: &str| {
        let budget = budget.parse().unwrap();
        allocate(&lanes, &scores, &[budget], &Ranking::uniform(&lanes, 12)).unwrap_err().to_string()
    };
    for budget in ["channels=50%", "macs=50%"] {
        let said = refused(budget);
        assert!(said.contains("--floor") && said.contains("12 channels"), "{said}");
    }
}

#[test]
fn a_node_that_reads_what_nothing_makes_is_refused() {
    let mut net = Builder::new("undefined", 13, 0);
    let x = net.input("x", &[Dim::Is(1), Dim::Is(2), Dim::Is(8), Dim::Is(8)]);
    let y = net.node("Conv", &[&x, "nowhere"], Vec::new());
    net.output(&y, &[Dim::Is(1), Dim::Is(4), Dim::Is(6), Dim::Is(6)]);
    let (model, lanes) = lanes_of(net.finish());
    assert_eq!(model.refusals[0].code, Code::UndefinedInput);
    assert!(model.refusals[0].reason.contains("nowhere") && lanes.lanes.is_empty());
}

#[test]
fn what_is_not_understood_counts_its_parameters_and_is_a_bound() {
    let mut net = Builder::new("bound", 13, 0);
    let x = net.input("x", &[Dim::Is(1), Dim::Is(4), Dim::Is(8), Dim::Is(8)]);
    let weight = net.drawn("weight", &[4, 3, 2, 2], 0.0, 0.5);
    let y = net.node("ConvInteger", &[&x, &weight], Vec::new());
    let y = net.node("Bernoulli", &[&y], Vec::new());
    net.output(&y, &[Dim::Is(1), Dim::Is(3), Dim::Is(9), Dim::Is(9)]);
    let (model, lanes) = lanes_of(net.finish());
    assert_eq!(model.refusals.len(), 2);
    assert_eq!((lanes.cost.params(&[]), lanes.cost.uncounted_nodes), (48.0, 1));
}

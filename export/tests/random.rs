//! Random networks with every hazard of cutting, each cut at random and checked twice: by the masked twin, and by
//! masking the dense network directly, which shares no code with the twin or the cut.
//!
//! `ESPALIER_RANDOM_NETWORKS=1000` checks more of them than the usual number.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use certify::agreement::twin::TwinReport;
use export::Tensors;
use fixtures::{models::random, needs};
use import::graph::{Origin, Place};
use import::lanes::Kept;
use import::proto::onnx::ModelProto;
use import::{DType, Tensor};
use prost::Message;
use support::{Case, compare, run, twin_of};

const USUALLY: u64 = 100;

/// Of so many networks that are cut, one may show nothing: what is compared is the same on all probes.
const ONE_BLIND_IN: u64 = 25;

/// What the checks of one network came to.
enum Outcome {
    /// Both found the same function.
    Twice,
    /// The twin did; the network's weights are not stored as they are read, so that nothing is masked directly.
    ByTwin,
    /// One of the checks saw nothing that varies: that proves nothing.
    Blind,
}

#[test]
fn wide_random_networks_are_cut_exactly() {
    if !needs::onnx_runtime() {
        return;
    }
    let count = std::env::var("ESPALIER_RANDOM_NETWORKS").ok().map_or(USUALLY, |text| text.parse().unwrap());
    let (mut cut, mut masked, mut blind, mut failures) = (0, 0, 0, Vec::new());
    for seed in 0..count {
        let case = Case::new(&format!("wide-{seed}"), random::wide(seed));
        if case.lanes.lanes.is_empty() {
            continue;
        }
        cut += 1;
        let kept = at_random(&case, seed);
        match checked(&case, &kept) {
            Ok(Outcome::Twice) => masked += 1,
            Ok(Outcome::ByTwin) => {}
            Ok(Outcome::Blind) => blind += 1,
            Err(reason) => failures.push(format!("{}: {reason}", case.name)),
        }
    }
    eprintln!("{cut} of {count} networks were cut, {masked} of them masked directly too; {blind} show nothing");
    assert!(failures.is_empty(), "{} of {count} failed:\n{}", failures.len(), failures.join("\n"));
    assert!(cut * 4 >= count * 3, "only {cut} of {count} had lanes");
    assert!(blind * ONE_BLIND_IN <= cut, "{blind} of {cut} show nothing");
}

/// Removes from one to all but one lanes of every group.
fn at_random(case: &Case, seed: u64) -> Kept {
    let mut state = seed;
    let mut kept = Kept::all(&case.lanes);
    for group in &case.lanes.groups {
        let mut order = group.lanes.clone();
        order.sort_by_key(|_| step(&mut state));
        let most = group.lanes.len() - 1;
        let removed = most.min(1 + step(&mut state) as usize % most.max(1));
        order.iter().take(removed).for_each(|lane| kept.0[lane.0 as usize] = false);
    }
    kept
}

/// SplitMix64.
fn step(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Both checks; what failed, where one did.
fn checked(case: &Case, kept: &Kept) -> Result<Outcome, String> {
    let plan = case.plan(kept, false);
    let twin = twin_of(case, &plan, &Tensors::default());
    let by_twin = run(case, &twin);
    agrees("against its twin", &by_twin)?;
    let Some(masked) = masked(case, kept) else {
        return Ok(if by_twin.seen > 0 { Outcome::ByTwin } else { Outcome::Blind });
    };
    let folder = tempfile::tempdir().unwrap();
    let files = twin.write(&case.model, folder.path()).unwrap();
    std::fs::write(&files.masked, &masked).unwrap();
    std::fs::write(&files.poisoned, &masked).unwrap();
    let directly = compare(case, files, twin.outputs.clone(), Vec::new());
    agrees("masked directly", &directly)?;
    Ok(if by_twin.passed() && directly.passed() { Outcome::Twice } else { Outcome::Blind })
}

/// Nothing differs and everything ran, whether or not something was seen to vary.
fn agrees(check: &str, report: &TwinReport) -> Result<(), String> {
    match (&report.culprit, &report.fault) {
        (None, None) => Ok(()),
        (culprit, fault) => Err(format!("{check}: {culprit:?} {fault:?}, {} seen", report.seen)),
    }
}

/// The dense file with zeros in every weight where it reads a removed lane. `None` where a weight is not stored as it
/// is read, or something else than a weight works on lanes.
fn masked(case: &Case, kept: &Kept) -> Option<Vec<u8>> {
    let graph = &case.model.graph;
    if !case.lanes.summaries.is_empty() {
        return None;
    }
    let mut proto: ModelProto = case.model.file.proto.clone();
    for reader in &case.lanes.readers {
        let weight = graph.node(reader.node).input(reader.weight)?;
        let Origin::Stored(stored) = graph.value(weight).origin else { return None };
        let Place::Initializer(place) = graph.stored(stored).place else { return None };
        let tensor = &mut proto.graph.as_mut()?.initializer[place];
        let removed = |index: &usize| reader.slots[*index].is_some_and(|lane| !kept.keeps(lane));
        let removed: Vec<usize> = (0..reader.slots.len()).filter(removed).collect();
        let values = Tensor::from_proto(tensor, "".as_ref()).ok()?;
        tensor.raw_data = Some(zeroed(&values, reader.weight_axis, &removed));
    }
    Some(proto.encode_to_vec())
}

/// The tensor's bytes, zero at these indices of an axis.
fn zeroed(tensor: &Tensor, axis: usize, indices: &[usize]) -> Bytes {
    assert_eq!(tensor.dtype, DType::F32);
    let inner: usize = tensor.shape[axis + 1..].iter().product();
    let mut values = tensor.to_f32().unwrap();
    for (position, value) in values.iter_mut().enumerate() {
        if indices.contains(&(position / inner % tensor.shape[axis])) {
            *value = 0.0;
        }
    }
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

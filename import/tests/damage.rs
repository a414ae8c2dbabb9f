//! Damaged files are refused or understood, never a panic: whatever still decodes goes through inference and lanes.
#![allow(clippy::unwrap_used)]

use fixtures::models::small;
use import::Model;
use import::lanes::Lanes;
use proptest::prelude::*;
use proptest::sample::Index;

/// Bytes that make lengths and numbers extreme, and any other.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0), Just(0x7f), Just(0x80), Just(0xff), any::<u8>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn damaged_files_do_no_harm(
        model in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), byte()), 1..16),
    ) {
        let mut models = [small::all(), small::places()].concat();
        let (_, mut bytes) = models.swap_remove(model.index(models.len()));
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(model) = Model::from_bytes(bytes.into()) {
            let lanes = Lanes::of(&model.graph, &[]);
            let all = vec![1.0; lanes.lanes.len()];
            prop_assert!(!lanes.cost.macs(&all).is_nan());
        }
    }
}

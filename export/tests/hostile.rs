//! Any file is answered with a value or an error: damaged bytes, and graphs that are legal or nearly so. The fuzz
//! targets in `fuzz/` look for longer.
#![allow(clippy::unwrap_used)]

#[path = "support/hold.rs"]
mod hold;

use fixtures::models::{nearly, small};
use hold::hold;
use proptest::prelude::*;
use proptest::sample::Index;

/// Bytes that make lengths and numbers extreme, and any other.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0), Just(0x7f), Just(0x80), Just(0xff), any::<u8>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

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
        hold(bytes);
    }

    #[test]
    fn graphs_that_are_nearly_legal_do_no_harm(choices in prop::collection::vec(any::<u8>(), 0..400)) {
        hold(nearly::graph(&choices));
    }
}

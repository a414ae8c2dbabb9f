//! libtorch, in the process of `espalier-torch`, which alone links it.

use super::kind::{Home, Kind, Runtime};

impl Kind {
    /// libtorch on the processor.
    pub const TORCH: Self =
        Self(&Runtime { name: "torch", title: "libtorch", device: "cpu", one_thread: false, home: Home::Torch });
}

//! What `espalier doctor` asks: which libtorch this is and what it can use.

use serde_json::{Value, json};
use tch::{Cuda, utils};

/// The libtorch release that this program was built for; the binding refuses any other when it is compiled.
pub const LIBTORCH: &str = "2.13.0";

/// One JSON object: versions, threads, devices, libraries.
pub fn versions() -> Value {
    let cuda = (0..Cuda::device_count()).map(|i| format!("cuda:{i}"));
    json!({
        "program": env!("CARGO_PKG_VERSION"),
        "libtorch": LIBTORCH,
        "threads": tch::get_num_threads(),
        "devices": std::iter::once("cpu".to_owned()).chain(cuda).collect::<Vec<_>>(),
        "mkldnn": utils::has_mkldnn(),
        "openmp": utils::has_openmp(),
    })
}

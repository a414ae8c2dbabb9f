//! What `espalier doctor` asks: which libtorch this is and what it can use.

use serde_json::{Value, json};
use tch::{Cuda, utils};

/// The libtorch release that this program was built for; the binding refuses any other when it is compiled.
pub const LIBTORCH: &str = "2.13.0";

/// One JSON object: versions, threads, devices, libraries, kernels. All but `threads` and `devices` belong to what a run's
/// bytes depend on.
pub fn versions() -> Value {
    let cuda = (0..Cuda::device_count()).map(|i| format!("cuda:{i}"));
    json!({
        "program": env!("CARGO_PKG_VERSION"),
        "libtorch": LIBTORCH,
        "threads": tch::get_num_threads(),
        "devices": std::iter::once("cpu".to_owned()).chain(cuda).collect::<Vec<_>>(),
        "mkldnn": utils::has_mkldnn(),
        "openmp": utils::has_openmp(),
        "kernels": kernels(),
        "library_bytes": library_bytes(),
    })
}

/// Which of its kernels libtorch takes on this processor: results differ between them in their last digits.
fn kernels() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq");
        match (avx2, avx512) {
            (true, true) => "avx512",
            (true, false) => "avx2",
            (false, _) => "default",
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::env::consts::ARCH
    }
}

/// The size of the libtorch that is loaded, which tells builds of one release apart.
fn library_bytes() -> Option<u64> {
    let loaded = crate::system::mapped_files()?;
    let path = loaded.lines().find(|line| line.ends_with("libtorch_cpu.so"))?;
    Some(std::fs::metadata(&path[path.find('/')?..]).ok()?.len())
}

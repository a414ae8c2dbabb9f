//! A made-up report for tests, with one figure absent.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::Report;

/// The report.
pub(super) fn report() -> Report {
    let proportion = |count: u64, of: u64| {
        let share = count as f64 / of as f64;
        json!({ "count": count, "of": of, "share": share, "lower": share - 0.01, "upper": share + 0.01, "confidence": 0.95 })
    };
    let latency = |ms: f64| {
        json!({ "runtime": "ort", "version": "1.31.1", "device": "cpu", "batch": 1, "threads": 2, "runs": 50,
            "median_ms": ms, "p10_ms": ms * 0.9, "p90_ms": ms * 1.2 })
    };
    let answers = |name: &str, same: u64| {
        json!({ "name": name, "pictures": 512, "outputs": [{ "output": "scores", "kind": "classes", "because": "one score for each class",
            "measure": { "measure": "classes", "same": proportion(same, 512) }, "incomparable": null, "not_finite": 0,
            "collapse": null, "dead_channels": 0, "channels": 10 }] })
    };
    let subject = |name: &str, certified: u64| {
        json!({ "name": name, "certified": proportion(certified, 100), "chernoff_below": proportion(certified - 3, 100),
            "draws": 18_000, "images": [] })
    };
    let agreement = |passed: bool| {
        json!({ "output": "scores", "element": "f32", "samples": 64, "largest_absolute": 2.1e-5, "largest_relative": 1.3e-6, "cosine": 1.0,
            "unlike_specials": 0, "top1": { "ties": 1, "same": 63, "other": 0 }, "tolerance": 1e-4,
            "least_tolerance": 1.3e-6, "passed": passed })
    };
    serde_json::from_value(json!({
        "again": { "folder": "/home/me/my models",
            "words": ["espalier", "prune", "model.onnx", "--data", "pictures", "--to", "macs=50%"] },
        "settings": { "to": ["macs=50%"] },
        "seed": 7,
        "inputs": [{ "name": "x", "sample": [3, 32, 32], "axis": 0, "element": "f32", "from": { "picture": {
            "layout": "nchw", "order": "rgb", "scale": 1.0 / 255.0, "mean": [0.5], "std": [0.25], "resize": "none",
            "height": 32, "width": 32 } } }],
        "digests": { "model": "aa11", "slim": "bb22", "preprocessing": "ee55",
            "data": {
                "measured": { "split": "test", "pictures": 10_000, "files": "cc33" },
                "trained": { "split": "train", "pictures": 44_953, "files": "cc44" },
                "watched": { "split": "train (held-out tenth)", "pictures": 5_000, "files": "cc55" } } },
        "remarks": ["files and folders left out: 1 hidden (`.DS_Store`)"],
        "machine": { "espalier": "0.1.0", "platform": "linux-x86_64", "processor": "A processor", "instructions": "avx avx2",
            "cores": 2, "threads": 2,
            "runtimes": [{ "name": "ort", "version": "1.31.1", "library": "ff66" }, { "name": "tract", "version": "0.23.9", "library": null }] },
        "torch": { "libtorch": "2.13.0" },
        "budgets": [{ "budget": "macs=50%", "limit": 20.0e6, "reached": 19.9e6, "share": 0.4975 }],
        "dense": { "freed_copy": true, "accuracy": proportion(9_202, 10_000),
            "cost": { "macs": 40.8e6, "params": 272_474.0, "bytes": 1_108_574 } },
        "slim": { "freed_copy": true, "accuracy": proportion(9_047, 10_000),
            "cost": { "macs": 19.9e6, "params": 134_000.0, "bytes": 550_000 } },
        "twin": { "samples": 36, "probes": ["32 pictures", "4 × 1×3×32×32 (standard normal)"], "tolerance": 1e-5,
            "channels": 900, "seen": 898, "blind": [], "within_noise": [], "notes": [], "culprit": null, "fault": null,
            "worst": [{ "check": "outputs", "site": "scores", "relative": 8.0e-7, "sample": 3 }] },
        "agreement": { "model": "slim.onnx", "samples": 64, "tolerance": { "relative": 1e-4, "outputs": {} },
            "answered": [], "noise": [], "passed": false,
            "findings": [{ "runtime": "torch", "fault": "missing", "message": "espalier-torch is not installed" }],
            "pairs": [{ "reference": "ort", "candidate": "tract", "outputs": [agreement(true)], "fault": null, "passed": true }] },
        "certificates": {
            "settings": { "epsilon": 0.05, "alpha": 0.01, "draws": 200, "images": 100, "laws": ["rotation=10"],
                "chernoff": null, "seed": 7, "threads": 2, "minutes": null },
            "labelled": true, "images": 100, "clean": [], "clean_paired": [], "seconds": 12.0, "notes": [],
            "laws": [{ "law": "rotation=10", "statement": "A certified image stays.", "paired": [],
                "subjects": [subject("dense", 71), subject("slim", 68)] }] },
        "latency": [{ "dense": latency(1.9), "slim": latency(1.2),
            "speedup": { "ratio": 1.58, "lower": 1.51, "upper": 1.64, "confidence": 0.96, "turns": 15 } }],
        "skipped": [],
        "verdict": { "line": "48.77 % of the MACs, 1.6 ± 0.4 points lost, 1.6 × as fast on ort", "warnings": [], "ruins": [] },
        "lost": { "difference": 0.0155, "lower": 0.0115, "upper": 0.0195 },
        "answers": [answers("before tuning", 270), answers("after tuning", 497)],
        "copies": 1_200_000,
        "stages": [{ "stage": "search", "seconds": 420.0 }, { "stage": "tune", "seconds": 2100.5 }]
    }))
    .unwrap()
}

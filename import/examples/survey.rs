//! Prints one line per model: what was understood, what can be cut, what 50 % channels would cost.
#![expect(clippy::print_stdout, reason = "this is what the example does")]

use import::Model;
use import::lanes::{Lanes, Ranking, allocate, score};

fn main() {
    for path in std::env::args().skip(1) {
        match survey(&path) {
            Ok(line) => println!("{path}: {line}"),
            Err(error) => println!("{path}: {error}"),
        }
    }
}

fn survey(path: &str) -> Result<String, Box<dyn std::error::Error>> {
    let start = std::time::Instant::now();
    let model = Model::open(path.as_ref())?;
    let lanes = Lanes::of(&model.graph, &[]);
    let dense = vec![1.0; lanes.lanes.len()];
    let mut line = format!(
        "{} nodes, {} opaque, {} groups, {} lanes, {:.1} MMACs, {} params",
        model.graph.nodes.len(),
        model.refusals.len(),
        lanes.groups.len(),
        lanes.lanes.len(),
        lanes.cost.macs(&dense) / 1e6,
        lanes.cost.params(&dense),
    );
    for refusal in model.refusals.iter().take(2) {
        line.push_str(&format!("\n    {refusal}"));
    }
    if !lanes.lanes.is_empty() {
        let scores = score::magnitude(&model.graph, &lanes)?;
        let kept = allocate(&lanes, &scores, &["channels=50%".parse()?], &Ranking::uniform(&lanes, 1))?;
        let slim = lanes.cost.macs(&kept.as_numbers());
        line.push_str(&format!("; half the channels: {:.3} of the MACs", slim / lanes.cost.macs(&dense)));
    }
    for pin in &lanes.pins {
        line.push_str(&format!(
            "\n    {} axis {}: {} pinned, {} at {}",
            pin.tensor, pin.axis, pin.count, pin.reason.code, pin.reason.place
        ));
    }
    line.push_str(&format!(" ({} ms)", start.elapsed().as_millis()));
    Ok(line)
}

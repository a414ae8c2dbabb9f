//! Why a graph could not be lowered or run.

use import::graph::Refusal;
use import::tensor::TensorError;
use tch::TchError;

/// Why a network could not be built, run or written back.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Nodes that have no exact lowering, all of them.
    #[error("{} cannot be lowered to torch: {}", nodes(.0.len()), list(.0))]
    Refused(Vec<Refusal>),
    /// Not as many tensors as the network takes.
    #[error("the model has {found} inputs to feed, but {fed} are fed; say what each is fed with --input")]
    Inputs {
        /// How many inputs have to be fed.
        found: usize,
        /// How many tensors there are.
        fed: usize,
    },
    /// A graph output that nothing makes.
    #[error("output `{name}` is not made by any node; export the model again")]
    NoOutput {
        /// The output's name.
        name: String,
    },
    /// A value by a name that the graph does not have.
    #[error("the model has no value `{name}` to train up to; `espalier inspect` names its outputs")]
    NoValue {
        /// The name.
        name: String,
    },
    /// A node failed in a run.
    #[error("{node} failed on inputs {shapes}: {}", first_line(.source))]
    Run {
        /// The node as people refer to it.
        node: String,
        /// Shapes of its inputs.
        shapes: String,
        /// What torch says.
        source: TchError,
    },
    /// A tensor operation outside any node failed.
    #[error("torch failed: {}", first_line(.0))]
    Torch(#[from] TchError),
    /// A stored tensor could not be read or written.
    #[error("stored tensor `{name}`: {source}")]
    Stored {
        /// Its name in the file.
        name: String,
        /// What is wrong with it.
        source: TensorError,
    },
}

fn nodes(count: usize) -> String {
    if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") }
}

/// Nodes refused for the same reason are told in one line, with the first of them as the example.
fn list(refusals: &[Refusal]) -> String {
    let mut kinds: Vec<(&Refusal, usize)> = Vec::new();
    for refusal in refusals {
        let same = |(first, _): &&mut (&Refusal, usize)| first.op == refusal.op && first.reason == refusal.reason;
        match kinds.iter_mut().find(same) {
            Some((_, count)) => *count += 1,
            None => kinds.push((refusal, 1)),
        }
    }
    let told = |(refusal, count): (&Refusal, usize)| match count {
        1 => refusal.to_string(),
        _ => format!("{refusal} (and {} more)", nodes(count - 1)),
    };
    kinds.into_iter().map(told).collect::<Vec<_>>().join("; ")
}

/// Torch appends a C++ stack trace to its messages.
fn first_line(error: &TchError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

//! What a slim file says otherwise than the file it was cut from, beside what was cut.

use std::fmt;

/// One thing that is said otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Outputs that nobody reads got names: ONNX Runtime crashes without them.
    Named {
        /// The node.
        node: String,
        /// How many.
        outputs: usize,
    },
    /// What was worked out from weights or sizes on every run is held as a constant: a cut would change it.
    Frozen {
        /// The value.
        value: String,
        /// How many elements it has.
        elements: usize,
    },
    /// A sparse constant that was cut holds all its elements now.
    Densified {
        /// The stored tensor.
        tensor: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named { node, outputs } => {
                write!(
                    f,
                    "{node}: {outputs} of its outputs had no name, without which ONNX Runtime crashes; now they do"
                )
            }
            Self::Frozen { value, elements } => {
                write!(
                    f,
                    "`{value}` was worked out on every run in a way that the cut would change; now its {elements} elements are stored"
                )
            }
            Self::Densified { tensor } => {
                write!(f, "`{tensor}` was stored sparsely; cut, it is stored with all its elements")
            }
        }
    }
}

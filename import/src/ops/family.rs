//! What an operator does to what it reads, for those who look at a graph's structure.

/// The family of an operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Multiplies by a weight and sums: what comes after it is made of learned features.
    Contraction,
    /// Normalises per channel, by stored statistics.
    Normalisation,
    /// Normalises by statistics of its data, in training as in inference.
    Standardisation,
    /// Adds operands element by element; a constant operand is a learned shift, or just a number.
    Addition,
    /// Combines operands element by element in another way.
    Pointwise,
    /// Averages over positions.
    Average,
    /// Makes probabilities.
    Softmax {
        /// Whether their logarithms are given.
        logarithmic: bool,
        /// Whether everything from its axis on (1 where none is named) is one distribution, or the axis alone (the
        /// last).
        flattening: bool,
    },
    /// Gives the elements it reads, on the same axes.
    Same,
    /// Gives the elements it reads, in order, on other axes.
    Regrouping,
    /// Anything else.
    #[default]
    Other,
}

impl Family {
    /// Whether operands are combined element by element.
    pub fn is_pointwise(self) -> bool {
        matches!(self, Self::Addition | Self::Pointwise)
    }
}

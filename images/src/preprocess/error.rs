//! Why there is no input for a network, in one sentence each.

/// Why there is no input for a network.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PreprocessError {
    /// Not four axes.
    #[error(
        "the network takes an input of shape {shape}, which is not a batch of pictures; only [batch, channels, height, width] and [batch, height, width, channels] are"
    )]
    NotPictures {
        /// The input's shape.
        shape: String,
    },
    /// One or three channels on neither axis.
    #[error("the network's input shape {shape} shows neither 1 nor 3 channels; set layout and order in [input]")]
    NoChannels {
        /// The input's shape.
        shape: String,
    },
    /// An axis of unknown size.
    #[error("the network's input shape {shape} leaves the {side} open; set {side} in [input]")]
    OpenSide {
        /// The input's shape.
        shape: String,
        /// `height` or `width`.
        side: &'static str,
    },
    /// A setting that the network's shape rules out.
    #[error("[input] {key} = {value} does not fit the network's input shape {shape}; leave it out or correct it")]
    Contradiction {
        /// The setting.
        key: &'static str,
        /// What was set.
        value: String,
        /// The input's shape.
        shape: String,
    },
    /// A number out of its range.
    #[error("[input] {key} = {value} is out of range; give {wanted}")]
    Range {
        /// The setting.
        key: &'static str,
        /// What was set.
        value: String,
        /// What is allowed.
        wanted: &'static str,
    },
    /// A picture of another size where resizing was not asked for.
    #[error(
        "it is {width}x{height} pixels and the network takes {wanted_width}x{wanted_height}; set resize in [input] (exact, crop or shorter=SIDE)"
    )]
    Size {
        /// The picture's columns.
        width: usize,
        /// The picture's rows.
        height: usize,
        /// The network's columns.
        wanted_width: usize,
        /// The network's rows.
        wanted_height: usize,
    },
}

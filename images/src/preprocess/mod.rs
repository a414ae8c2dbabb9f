//! From stored pictures to a network's input, and what a network's input shape says about it.
//!
//! The way has two halves. [`Preprocess::pixels`] decides about size and colour and gives [`Pixels`], on which laws and
//! augmentations act. [`Preprocess::input`] then writes `(255·scale·x − mean) / deviation` in the network's layout and
//! channel order.

mod error;
mod infer;
mod resize;

use crate::{Picture, Pixels};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use error::PreprocessError;
pub use infer::InputSettings;
pub use resize::Resize;

/// Where a network's input has its channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `[batch, channels, height, width]`.
    Nchw,
    /// `[batch, height, width, channels]`.
    Nhwc,
}

/// The order of a network's channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// One channel of luma (ITU-R BT.601).
    Grey,
}

/// Everything between a picture and the input of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Where the channels are.
    pub layout: Layout,
    /// Which channels, in which order.
    pub order: Order,
    /// Factor on values 0..255; 1/255 gives [0, 1].
    pub scale: f32,
    /// Subtracted after scaling: one number, or one for each of the network's channels in its order.
    pub mean: Vec<f32>,
    /// Divided by after that: one number, or one for each channel.
    pub std: Vec<f32>,
    /// What happens to pictures of another size.
    #[schemars(with = "String")]
    pub resize: Resize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Whether pictures are turned as their files' EXIF orientation says; torchvision leaves them as they are stored.
    #[serde(default)]
    pub orient: bool,
}

impl Preprocess {
    /// Checks the numbers; what [`resolve`](Self::resolve) gives has passed, what was read from a file has not.
    ///
    /// # Errors
    /// A number is out of its range, named with what is allowed.
    pub fn check(&self) -> Result<(), PreprocessError> {
        let range = |key, value: String, wanted| Err(PreprocessError::Range { key, value, wanted });
        if !(self.scale.is_finite() && self.scale > 0.0) {
            return range("scale", self.scale.to_string(), "a number above 0");
        }
        for (key, values) in [("mean", &self.mean), ("std", &self.std)] {
            if values.len() != 1 && values.len() != self.channels() {
                return range(key, format!("{values:?}"), "one number, or one for each channel");
            }
        }
        if self.mean.iter().any(|v| !v.is_finite()) {
            return range("mean", format!("{:?}", self.mean), "finite numbers");
        }
        if self.std.iter().any(|v| !v.is_finite() || *v <= 0.0) {
            return range("std", format!("{:?}", self.std), "numbers above 0");
        }
        for (key, side) in [("height", self.height), ("width", self.width)] {
            if side == 0 || side > 1 << 15 {
                return range(key, side.to_string(), "1 to 32768 pixels");
            }
        }
        match self.resize {
            Resize::Shorter(side) if side < self.height.max(self.width) || side > 1 << 15 => range(
                "resize",
                self.resize.to_string(),
                "a shorter side at least as long as the network's longer one, at most 32768",
            ),
            _ => Ok(()),
        }
    }

    /// The network's number of channels.
    pub fn channels(&self) -> usize {
        if self.order == Order::Grey { 1 } else { 3 }
    }

    /// The number of input values of one picture.
    pub fn len(&self) -> usize {
        self.channels() * self.height * self.width
    }

    /// False: a checked preprocessing has at least one pixel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The input shape of a batch of `n` pictures.
    pub fn input_shape(&self, n: usize) -> Vec<usize> {
        match self.layout {
            Layout::Nchw => vec![n, self.channels(), self.height, self.width],
            Layout::Nhwc => vec![n, self.height, self.width, self.channels()],
        }
    }

    /// One line for a person.
    pub fn describe(&self) -> String {
        let layout = match self.layout {
            Layout::Nchw => "NCHW",
            Layout::Nhwc => "NHWC",
        };
        let order = match self.order {
            Order::Rgb => "RGB",
            Order::Bgr => "BGR",
            Order::Grey => "grey",
        };
        let scale = match self.scale {
            s if s == 1.0 / 255.0 => "x/255".to_owned(),
            1.0 => "x in 0..255".to_owned(),
            s => format!("{s}*x"),
        };
        let size = match self.resize {
            Resize::None => "pictures of that size only".to_owned(),
            Resize::Crop => "cropped to the middle".to_owned(),
            Resize::Exact => "resized to that".to_owned(),
            Resize::Shorter(side) => format!("shorter side resized to {side}, then cropped to the middle"),
        };
        let turned = if self.orient { ", turned as EXIF says" } else { "" };
        format!(
            "{layout} {order} {}x{} ({size}{turned}), {scale}, mean {:?}, std {:?}",
            self.width, self.height, self.mean, self.std
        )
    }

    /// A picture at the network's size and in its colours (RGB whatever the network's order).
    ///
    /// # Errors
    /// The picture has another size and `resize` is `none`, or is too small to be cropped.
    pub fn pixels(&self, picture: &Picture) -> Result<Pixels, PreprocessError> {
        let coloured = coloured(picture, self.channels());
        let sized = self.resize.apply(coloured, self.height, self.width)?;
        Ok(planes(&sized, self.channels()))
    }

    /// Writes one picture into its place in a batch: `(255·scale·x − mean) / deviation`, in layout and order.
    ///
    /// `pixels` comes from [`pixels`](Self::pixels), `out` has [`len`](Self::len) values.
    pub fn input(&self, pixels: &Pixels, out: &mut [f32]) {
        let channels = self.channels();
        let plane = self.height * self.width;
        for channel in 0..channels {
            let source = if self.order == Order::Bgr { channels - 1 - channel } else { channel };
            let values = &pixels.data[source * plane..][..plane];
            let (factor, mean, std) =
                (255.0 * self.scale, of_channel(&self.mean, channel), of_channel(&self.std, channel));
            let (first, step) = match self.layout {
                Layout::Nchw => (channel * plane, 1),
                Layout::Nhwc => (channel, channels),
            };
            for (slot, value) in out[first..].iter_mut().step_by(step).zip(values) {
                *slot = (factor * value - mean) / std;
            }
        }
    }

    /// The input values of a batch, one picture after the other.
    pub fn batch<'a>(&self, pictures: impl ExactSizeIterator<Item = &'a Pixels>) -> Vec<f32> {
        let mut values = vec![0.0; pictures.len() * self.len()];
        for (slot, pixels) in values.chunks_exact_mut(self.len()).zip(pictures) {
            self.input(pixels, slot);
        }
        values
    }
}

fn of_channel(values: &[f32], channel: usize) -> f32 {
    if values.len() == 1 { values[0] } else { values[channel] }
}

/// Grey where grey is wanted (BT.601 weights, as PIL has them); a grey picture stays so until its planes are made.
fn coloured(picture: &Picture, channels: usize) -> Picture {
    if channels == 3 || picture.channels == 1 {
        return picture.clone();
    }
    let data = picture.data.chunks_exact(3).map(|p| 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]).collect();
    Picture { channels: 1, data, ..*picture }
}

/// Side-by-side channels to planes; one grey channel serves as all three.
fn planes(picture: &Picture, channels: usize) -> Pixels {
    let mut out = Pixels::zeros(channels, picture.height, picture.width);
    let plane = out.plane();
    for (channel, values) in out.data.chunks_exact_mut(plane).enumerate() {
        let from = picture.data.iter().skip(channel.min(picture.channels - 1)).step_by(picture.channels);
        for (slot, value) in values.iter_mut().zip(from) {
            *slot = *value;
        }
    }
    out
}

//! What a network's input shape says about its pictures, and what a person may say instead.

use super::{Layout, Order, Preprocess, PreprocessError, Resize};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// From this side on a network is taken for one of photographs, whose pictures are resized; smaller ones get theirs as
/// they are.
const PHOTO_SIDE: usize = 64;

/// What a person says about the input (`[input]` in the settings file); the rest is inferred.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InputSettings {
    /// Where the channels are.
    pub layout: Option<Layout>,
    /// Which channels, in which order.
    pub order: Option<Order>,
    /// Factor on values 0 to 255; 1/255 unless set.
    pub scale: Option<f32>,
    /// Subtracted after scaling: one number, or one for each channel.
    pub mean: Option<Vec<f32>>,
    /// Divided by after that.
    pub std: Option<Vec<f32>>,
    /// What happens to pictures of another size: `none`, `crop`, `exact` or `shorter=SIDE`.
    #[schemars(with = "Option<String>")]
    pub resize: Option<Resize>,
    /// Rows, where the network leaves them open.
    pub height: Option<usize>,
    /// Columns, where the network leaves them open.
    pub width: Option<usize>,
    /// Whether pictures are turned as their files' EXIF orientation says.
    pub orient: Option<bool>,
}

impl Preprocess {
    /// Infers all from a network's input shape (`None` = open): layout, size and colour; order RGB, scale 1/255,
    /// mean 0, deviation 1.
    ///
    /// # Errors
    /// The shape is not one of pictures, or leaves height or width open.
    pub fn infer(shape: &[Option<usize>]) -> Result<Self, PreprocessError> {
        Self::resolve(shape, &InputSettings::default())
    }

    /// Infers what a person left open.
    ///
    /// # Errors
    /// As [`infer`](Self::infer), and for settings that contradict the shape or are out of range.
    pub fn resolve(shape: &[Option<usize>], settings: &InputSettings) -> Result<Self, PreprocessError> {
        let text = || shape_text(shape);
        let &[_, second, third, fourth] = shape else {
            return Err(PreprocessError::NotPictures { shape: text() });
        };
        let layout = layout_of([second, third, fourth], settings)
            .ok_or_else(|| PreprocessError::NoChannels { shape: text() })?;
        let (channels, rows, columns) = match layout {
            Layout::Nchw => (second, third, fourth),
            Layout::Nhwc => (fourth, second, third),
        };
        let order = order_of(channels, settings, &text)?;
        let height = side_of("height", rows, settings.height, &text)?;
        let width = side_of("width", columns, settings.width, &text)?;
        let found = Self {
            layout,
            order,
            scale: settings.scale.unwrap_or(1.0 / 255.0),
            mean: settings.mean.clone().unwrap_or_else(|| vec![0.0]),
            std: settings.std.clone().unwrap_or_else(|| vec![1.0]),
            resize: settings.resize.unwrap_or_else(|| usual_resize(height, width)),
            height,
            width,
            orient: settings.orient.unwrap_or(false),
        };
        found.check()?;
        Ok(found)
    }
}

fn shape_text(shape: &[Option<usize>]) -> String {
    let axes: Vec<String> = shape.iter().map(|n| n.map_or("?".to_owned(), |n| n.to_string())).collect();
    format!("[{}]", axes.join(", "))
}

fn layout_of([second, third, fourth]: [Option<usize>; 3], settings: &InputSettings) -> Option<Layout> {
    let colours = |axis: Option<usize>| matches!(axis, Some(1 | 3));
    settings.layout.or(if colours(second) {
        Some(Layout::Nchw)
    } else if colours(fourth) && !colours(third) {
        Some(Layout::Nhwc)
    } else {
        None
    })
}

fn order_of(
    channels: Option<usize>,
    settings: &InputSettings,
    shape: &impl Fn() -> String,
) -> Result<Order, PreprocessError> {
    let inferred = match channels {
        Some(1) => Some(Order::Grey),
        Some(3) => Some(Order::Rgb),
        None => settings.order,
        Some(_) => None,
    };
    let inferred = inferred.ok_or_else(|| PreprocessError::NoChannels { shape: shape() })?;
    match settings.order {
        Some(order) if (order == Order::Grey) != (inferred == Order::Grey) => Err(PreprocessError::Contradiction {
            key: "order",
            value: format!("{order:?}").to_lowercase(),
            shape: shape(),
        }),
        Some(order) => Ok(order),
        None => Ok(inferred),
    }
}

fn side_of(
    side: &'static str,
    declared: Option<usize>,
    set: Option<usize>,
    shape: &impl Fn() -> String,
) -> Result<usize, PreprocessError> {
    match (declared, set) {
        (Some(declared), Some(set)) if declared != set => {
            Err(PreprocessError::Contradiction { key: side, value: set.to_string(), shape: shape() })
        }
        (Some(size), _) | (None, Some(size)) => Ok(size),
        (None, None) => Err(PreprocessError::OpenSide { shape: shape(), side }),
    }
}

/// Photographs get the usual margin of 256 to 224.
fn usual_resize(height: usize, width: usize) -> Resize {
    if height.min(width) < PHOTO_SIDE {
        Resize::None
    } else {
        Resize::Shorter(height.max(width).saturating_mul(256) / 224)
    }
}

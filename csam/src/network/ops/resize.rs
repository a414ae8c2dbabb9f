//! Changes of an image's size: Resize, Upsample.
//!
//! Each axis is resized by itself. An output element is a sum of input elements along the axis, its *taps*, which depend
//! on the mode and on where the output element lies among the input's.

mod taps;

use import::graph::Refusal;
use import::ops::{Proportion, scaled, scaled_to_nearest};
use tch::{Kind, TchError, Tensor};

use super::{Lowered, Row};
use crate::network::op::{Inputs, Torch, pure, read_ints};
use crate::network::view::View;
use taps::{Position, Reach, Rounding, Sampling, Taps};

pub(super) const ROWS: &[Row] = &[
    Row::new("Resize", |view| resize(view, &SINCE_11)),
    Row::new("Resize", |view| resize(view, &UP_TO_10)).before(11),
    Row::new("Upsample", |view| resize(view, &UP_TO_10)),
];

/// The input that holds the region.
const REGION: usize = 1;

/// What a revision takes where nothing is said, and where its inputs are.
struct Revision {
    scales: usize,
    sizes: Option<usize>,
    position: &'static str,
    rounding: &'static str,
}

const SINCE_11: Revision =
    Revision { scales: 2, sizes: Some(3), position: "half_pixel", rounding: "round_prefer_floor" };
const UP_TO_10: Revision = Revision { scales: 1, sizes: None, position: "asymmetric", rounding: "outward" };

/// A resize with its attributes resolved.
struct Resize {
    scales: usize,
    sizes: Option<usize>,
    stated: Option<Vec<f64>>,
    axes: Option<Vec<i64>>,
    sampling: Sampling,
    proportion: Proportion,
    /// What stands beyond the data, where a region is cut out that reaches there.
    beyond: f64,
}

fn resize(view: &View, revision: &Revision) -> Lowered {
    let node = view.node;
    let proportion = Proportion::of(node).ok_or_else(|| view.unsupported("it keeps proportions in another way"))?;
    let resize = Resize {
        scales: revision.scales,
        sizes: revision.sizes.filter(|&sizes| view.has(sizes)),
        stated: node.proto.floats("scales").map(|scales| scales.iter().map(|&scale| scale.into()).collect()),
        axes: node.ints("axes").map(<[i64]>::to_vec),
        sampling: sampling(view, revision)?,
        proportion,
        beyond: f64::from(node.float_or("extrapolation_value", 0.0)),
    };
    if resize.sampling.position == Position::Region && resize.sizes.is_none() {
        return Err(view.unsupported("it scales a region that it cuts out first"));
    }
    Ok(pure(move |x| resize.run(x)))
}

fn sampling(view: &View, revision: &Revision) -> Result<Sampling, Box<Refusal>> {
    let node = view.node;
    let text = |name, usual: &'static str| node.text_or(name, usual).into_owned();
    let position = match text("coordinate_transformation_mode", revision.position).as_str() {
        "half_pixel" => Position::HalfPixel,
        "half_pixel_symmetric" => Position::HalfPixelSymmetric,
        "pytorch_half_pixel" => Position::HalfPixelButOne,
        "align_corners" => Position::AlignCorners,
        "asymmetric" => Position::Asymmetric,
        "tf_half_pixel_for_nn" => Position::Middle,
        "tf_crop_and_resize" => Position::Region,
        other => return Err(view.unsupported(format!("positions by `{other}`"))),
    };
    let rounding = match text("nearest_mode", revision.rounding).as_str() {
        "round_prefer_floor" => Rounding::PreferFloor,
        "round_prefer_ceil" => Rounding::PreferCeil,
        "floor" => Rounding::Floor,
        "ceil" => Rounding::Ceil,
        "outward" => Rounding::Outward,
        other => return Err(view.unsupported(format!("rounding by `{other}`"))),
    };
    let reach = match text("mode", "nearest").as_str() {
        "nearest" => Reach::Nearest(rounding),
        "linear" | "bilinear" => Reach::Linear,
        "cubic" => Reach::Cubic { coefficient: f64::from(node.float_or("cubic_coeff_a", -0.75)) },
        other => return Err(view.unsupported(format!("resizing by `{other}`"))),
    };
    Ok(Sampling {
        reach,
        position,
        antialias: node.int_or("antialias", 0) != 0,
        exclude_outside: node.int_or("exclude_outside", 0) != 0,
    })
}

/// The new size of an axis, and by how much it is scaled.
#[derive(Clone, Copy)]
struct Change {
    size: i64,
    scale: f64,
    /// Where the part that is resized starts and ends, in shares of the axis.
    region: (f32, f32),
}

/// All of an axis.
const WHOLE: (f32, f32) = (0.0, 1.0);

impl Resize {
    fn run(&self, x: &Inputs) -> Torch<Tensor> {
        let data = x.at(0)?;
        let changes = self.changes(x, &data.size())?;
        if let Some(resized) = self.natively(data, &changes)? {
            return Ok(resized);
        }
        let mut resized = data.shallow_clone();
        for (axis, change) in changes.iter().enumerate() {
            let old = resized.size()[axis];
            if change.size != old || change.scale != 1.0 || change.region != WHOLE {
                resized = self.along(&resized, axis, old, *change)?;
            }
        }
        Ok(resized)
    }

    /// What becomes of every axis.
    fn changes(&self, x: &Inputs, old: &[i64]) -> Torch<Vec<Change>> {
        let all: Vec<i64> = (0..old.len() as i64).collect();
        let axes = self.axes.as_deref().unwrap_or(&all);
        let sizes = self.sizes.map(|sizes| read_ints(x.at(sizes)?)).transpose()?;
        let scales = match (&sizes, &self.stated) {
            (Some(_), _) => Vec::new(),
            (None, Some(stated)) => stated.clone(),
            (None, None) => Vec::<f64>::try_from(&x.at(self.scales)?.f_to_kind(Kind::Double)?.f_flatten(0, -1)?)?,
        };
        let regions = self.regions(x, axes.len())?;
        let common = sizes.as_ref().and_then(|sizes| self.common_scale(old, axes, sizes));
        let mut changes: Vec<Change> = old.iter().map(|&size| Change { size, scale: 1.0, region: WHOLE }).collect();
        for (place, &axis) in axes.iter().enumerate() {
            let at = if axis < 0 { axis + old.len() as i64 } else { axis } as usize;
            let region = regions.get(place).copied().unwrap_or(WHOLE);
            let to = |size: i64, scale: f64| Change { size, scale, region };
            let change = match (&sizes, old.get(at)) {
                (Some(_), Some(&old)) if let Some(scale) = common => Some(to(scaled_to_nearest(old, scale), scale)),
                (Some(sizes), Some(&old)) => sizes.get(place).map(|&size| to(size, size as f64 / old as f64)),
                (None, Some(&old)) => scales.get(place).map(|&scale| to(scaled(old, scale), scale)),
                (_, None) => None,
            };
            let change = change.filter(|change| change.size > 0 && change.scale > 0.0);
            changes[at.min(old.len() - 1)] =
                change.ok_or_else(|| TchError::Shape(format!("axis {axis} of {old:?} cannot be resized")))?;
        }
        Ok(changes)
    }

    /// The one scale of all axes, where they keep their proportions.
    fn common_scale(&self, old: &[i64], axes: &[i64], sizes: &[i64]) -> Option<f64> {
        let at = |axis: i64| usize::try_from(if axis < 0 { axis + old.len() as i64 } else { axis }).ok();
        let pairs = axes.iter().zip(sizes).filter_map(|(&axis, &size)| Some((*old.get(at(axis)?)?, size)));
        self.proportion.scale(pairs)
    }

    /// What part of each axis is resized: all of it, unless a region is cut out.
    fn regions(&self, x: &Inputs, axes: usize) -> Torch<Vec<(f32, f32)>> {
        if self.sampling.position != Position::Region {
            return Ok(Vec::new());
        }
        let list = Vec::<f64>::try_from(&x.at(REGION)?.f_to_kind(Kind::Double)?.f_flatten(0, -1)?)?;
        match list.split_at_checked(axes).filter(|_| list.len() == 2 * axes) {
            Some((starts, ends)) => Ok(starts.iter().zip(ends).map(|(&a, &b)| (a as f32, b as f32)).collect()),
            None => Err(TchError::Shape(format!("a region of {} numbers for {axes} axes", list.len()))),
        }
    }

    /// The forms that torch has too, of height and width only.
    fn natively(&self, data: &Tensor, changes: &[Change]) -> Torch<Option<Tensor>> {
        let (&[_, _, rows, columns], [samples, channels, height, width]) = (data.size().as_slice(), changes) else {
            return Ok(None);
        };
        if samples.scale != 1.0 || channels.scale != 1.0 {
            return Ok(None);
        }
        let size = [height.size, width.size];
        let whole = height.size % rows == 0 && width.size % columns == 0;
        match (self.sampling.form(), whole) {
            (Some(taps::Native::Repeated), true) => {
                data.f_upsample_nearest2d(size, Some(height.scale), Some(width.scale)).map(Some)
            }
            (Some(taps::Native::Linear { corners }), _) => {
                data.f_upsample_bilinear2d(size, corners, Some(height.scale), Some(width.scale)).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn along(&self, data: &Tensor, axis: usize, old: i64, change: Change) -> Torch<Tensor> {
        let Taps { places, weights, inside } = self.sampling.taps(old, change.size, change.scale, change.region);
        let mut sum: Option<Tensor> = None;
        for (places, weights) in places.iter().zip(&weights) {
            let index = Tensor::f_from_slice(places)?.f_to_device(data.device())?;
            let picked = data.f_index_select(axis as i64, &index)?;
            if let Reach::Nearest(_) = self.sampling.reach {
                return self.fill_beyond(picked, axis, &inside);
            }
            let weights = Tensor::f_from_slice(weights)?.f_to_kind(data.kind())?.f_to_device(data.device())?;
            let part = picked.f_mul(&crate::network::op::along(&weights, axis, data.dim())?)?;
            sum = Some(match sum {
                Some(sum) => sum.f_add(&part)?,
                None => part,
            });
        }
        let sum = sum.ok_or_else(|| TchError::Shape("it samples nothing".to_owned()))?;
        self.fill_beyond(sum, axis, &inside)
    }

    /// Elements that lie beyond the data hold a number of their own.
    fn fill_beyond(&self, resized: Tensor, axis: usize, inside: &[bool]) -> Torch<Tensor> {
        if inside.iter().all(|&inside| inside) {
            return Ok(resized);
        }
        let outside: Vec<bool> = inside.iter().map(|inside| !inside).collect();
        let outside = Tensor::f_from_slice(&outside)?.f_to_device(resized.device())?;
        resized.f_masked_fill(&crate::network::op::along(&outside, axis, resized.dim())?, self.beyond)
    }
}

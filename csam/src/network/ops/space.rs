//! Pixels to channels and back, sampling at given positions, and windows put back together.

use import::ops::cropped;
use tch::{TchError, Tensor};

use super::regions::roi_align;
use super::{Lowered, Row};
use crate::network::op::{Torch, along, pure};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[
    Row::new("DepthToSpace", depth_to_space),
    Row::new("SpaceToDepth", space_to_depth),
    Row::new("GridSample", grid_sample),
    Row::new("ImageScaler", image_scaler),
    Row::new("Crop", crop),
    Row::new("AffineGrid", affine_grid),
    Row::new("RoiAlign", roi_align),
    Row::new("Col2Im", windows_to_image),
];

/// The side of a block, and whether the parts of a channel lie apart (depth, column, row) or side by side.
fn blocks(view: &View) -> Result<(i64, bool), Box<import::graph::Refusal>> {
    let side = view.node.int_or("blocksize", 0);
    if side < 1 {
        return Err(view.contradiction(format!("its blocks are {side} wide")));
    }
    Ok((side, view.node.text_or("mode", "DCR") != "CRD"))
}

fn images(data: &Tensor) -> Torch<(i64, i64, i64, i64)> {
    data.size4().map_err(|_| TchError::Shape(format!("{:?} are no images", data.size())))
}

fn depth_to_space(view: &View) -> Lowered {
    let (by, apart) = blocks(view)?;
    Ok(pure(move |x| {
        let (samples, channels, height, width) = images(x.at(0)?)?;
        let fewer = channels / (by * by);
        let (split, order) = match apart {
            true => ([samples, by, by, fewer, height, width], [0, 3, 4, 1, 5, 2]),
            false => ([samples, fewer, by, by, height, width], [0, 1, 4, 2, 5, 3]),
        };
        x.at(0)?.f_reshape(split)?.f_permute(order)?.f_reshape([samples, fewer, height * by, width * by])
    }))
}

fn space_to_depth(view: &View) -> Lowered {
    let (by, apart) = blocks(view)?;
    Ok(pure(move |x| {
        let (samples, channels, height, width) = images(x.at(0)?)?;
        let (rows, columns) = (height / by, width / by);
        let order = if apart { [0, 3, 5, 1, 2, 4] } else { [0, 1, 3, 5, 2, 4] };
        let parts = x.at(0)?.f_reshape([samples, channels, rows, by, columns, by])?.f_permute(order)?;
        parts.f_reshape([samples, channels * by * by, rows, columns])
    }))
}

fn grid_sample(view: &View) -> Lowered {
    let mode = match view.node.text_or("mode", "linear").as_ref() {
        "bilinear" | "linear" => 0,
        "nearest" => 1,
        "bicubic" | "cubic" => 2,
        other => return Err(view.unsupported(format!("sampling by `{other}`"))),
    };
    let beyond = match view.node.text_or("padding_mode", "zeros").as_ref() {
        "zeros" => 0,
        "border" => 1,
        "reflection" => 2,
        other => return Err(view.unsupported(format!("`{other}` beyond the border"))),
    };
    let corners = view.node.int_or("align_corners", 0) != 0;
    Ok(pure(move |x| x.at(0)?.f_grid_sampler(x.at(1)?, mode, beyond, corners)))
}

/// `scale · x` and a number of its own for every channel.
fn image_scaler(view: &View) -> Lowered {
    let scale = f64::from(view.node.float_or("scale", 1.0));
    let bias = view.node.proto.floats("bias").unwrap_or_default().to_vec();
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let bias = Tensor::f_from_slice(&bias)?.f_to_device(data.device())?;
        data.f_mul_scalar(scale)?.f_add(&along(&bias, 1, data.dim())?)
    }))
}

fn crop(view: &View) -> Lowered {
    let node = view.node.clone();
    Ok(pure(move |x| {
        let data = x.at(0)?;
        let (_, _, height, width) = images(data)?;
        let unfit = || TchError::Shape(format!("its border does not fit {:?}", data.size()));
        let [(top, rows), (left, columns)] = cropped(&node, height, width).ok_or_else(unfit)?;
        data.f_narrow(2, top, rows)?.f_narrow(3, left, columns)
    }))
}

/// The positions that an affine map sends an image's pixels to.
fn affine_grid(view: &View) -> Lowered {
    let corners = view.node.int_or("align_corners", 0) != 0;
    let size = view.list("size", 1)?.ok_or_else(|| view.contradiction("it has no size"))?;
    Ok(pure(move |x| Tensor::f_affine_grid_generator(x.at(0)?, size.get(x)?.as_ref(), corners)))
}

/// Windows of an image, side by side, are added up where they lay: a transposed convolution by one-hot weights.
fn windows_to_image(view: &View) -> Lowered {
    let lists = [view.list("image_shape", 1)?, view.list("block_shape", 2)?];
    let [Some(image), Some(block)] = lists else { return Err(view.contradiction("it has no sizes")) };
    let list = |name: &str| view.node.ints(name).map(<[i64]>::to_vec);
    let (dilations, strides, pads) = (list("dilations"), list("strides"), list("pads"));
    Ok(pure(move |x| {
        let (image, block) = (image.get(x)?, block.get(x)?);
        let axes = block.len();
        let or = |list: &Option<Vec<i64>>, usual: i64, length| list.clone().unwrap_or_else(|| vec![usual; length]);
        let (dilations, strides) = (or(&dilations, 1, axes), or(&strides, 1, axes));
        let pads = or(&pads, 0, 2 * axes);
        let windows = x.at(0)?;
        let unfit = || TchError::Shape(format!("windows {:?} of {block:?} in {image:?}", windows.size()));
        let (samples, columns, _) = windows.size3().map_err(|_| unfit())?;
        let fits = (1..=3).contains(&axes) && [image.len(), dilations.len(), strides.len()] == [axes; 3];
        let taps: i64 = block.iter().product();
        if !fits || pads.len() != 2 * axes || taps < 1 || columns % taps != 0 {
            return Err(unfit());
        }
        let whole: Vec<i64> = (0..axes).map(|axis| image[axis] + pads[axis] + pads[axes + axis]).collect();
        let steps = |axis: usize| (whole[axis] - dilations[axis] * (block[axis] - 1) - 1) / strides[axis] + 1;
        let steps: Vec<i64> = (0..axes).map(steps).collect();
        let kernel = Tensor::f_eye(taps, (windows.kind(), windows.device()))?;
        let kernel = kernel.f_reshape([&[taps, 1], block.as_ref()].concat())?;
        let channels = columns / taps;
        let data = windows.f_reshape([&[samples * channels, taps], steps.as_slice()].concat())?;
        let zero = vec![0; axes];
        let mut put = data.f_convolution(&kernel, None::<Tensor>, &strides, &zero, &dilations, true, &zero, 1)?;
        for axis in 0..axes {
            // Windows need not reach the end.
            let missing = (whole[axis] - put.size()[axis + 2]).max(0);
            let mut end = vec![0; 2 * (axes - 1 - axis)];
            end.extend([0, missing]);
            put = put.f_constant_pad_nd(&end)?.f_narrow(axis as i64 + 2, pads[axis], image[axis])?;
        }
        put.f_reshape([&[samples, channels], image.as_ref()].concat())
    }))
}

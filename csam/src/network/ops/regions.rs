//! Regions of images, each resized to one size (RoIAlign, He et al. 2017).

use tch::{Kind, TchError, Tensor};

use super::Lowered;
use crate::network::op::{Torch, pure, read_ints};
use crate::network::view::View;

pub(super) fn roi_align(view: &View) -> Lowered {
    let node = view.node;
    // Before version 16 regions were not moved by half a pixel.
    let usual = if node.opset < 16 { "output_half_pixel" } else { "half_pixel" };
    let shift = match node.text_or("coordinate_transformation_mode", usual).as_ref() {
        "half_pixel" => 0.5,
        "output_half_pixel" => 0.0,
        other => return Err(view.unsupported(format!("positions by `{other}`"))),
    };
    let largest = match node.text_or("mode", "avg").as_ref() {
        "avg" => false,
        "max" => true,
        other => return Err(view.unsupported(format!("it combines samples by `{other}`"))),
    };
    let align = RoiAlign {
        scale: f64::from(node.float_or("spatial_scale", 1.0)),
        size: [node.int_or("output_height", 1), node.int_or("output_width", 1)],
        samples: node.int_or("sampling_ratio", 0),
        shift,
        largest,
    };
    Ok(pure(move |x| {
        let (data, regions) = (x.at(0)?, x.at(1)?);
        let corners = Vec::<f64>::try_from(&regions.f_to_kind(Kind::Double)?.f_flatten(0, -1)?)?;
        let images = read_ints(x.at(2)?)?;
        let regions = corners.as_chunks::<4>().0.iter().zip(images);
        let parts: Vec<Tensor> =
            regions.map(|(corners, image)| align.region(&data.f_select(0, image)?, *corners)).collect::<Torch<_>>()?;
        match parts.is_empty() {
            true => data
                .f_narrow(0, 0, 0)?
                .f_narrow(2, 0, 1)?
                .f_narrow(3, 0, 1)?
                .f_expand([0, data.size()[1], align.size[0], align.size[1]], false),
            false => Tensor::f_stack(&parts, 0),
        }
    }))
}

struct RoiAlign {
    scale: f64,
    /// Rows and columns of a resized region.
    size: [i64; 2],
    /// Samples along each side of a bin; as many as it has pixels where it is 0.
    samples: i64,
    /// How far positions of edges lie from those of pixels.
    shift: f64,
    /// Whether the largest sample counts, instead of their mean.
    largest: bool,
}

/// The two pixels beside each sample along an axis, with their weights as rows of matrices.
struct Beside {
    matrices: [Tensor; 2],
    per_bin: i64,
}

impl RoiAlign {
    /// One region of `[C, H, W]`.
    fn region(&self, image: &Tensor, [left, top, right, bottom]: [f64; 4]) -> Torch<Tensor> {
        let (channels, height, width) =
            image.size3().map_err(|_| TchError::Shape(format!("{:?} is no image", image.size())))?;
        let rows = self.beside(image, [top, bottom], self.size[0], height)?;
        let columns = self.beside(image, [left, right], self.size[1], width)?;
        let shape = [channels, self.size[0], rows.per_bin, self.size[1], columns.per_bin];
        let between = |row: &Tensor, column: &Tensor| row.f_matmul(image)?.f_matmul(&column.f_transpose(0, 1)?);
        let mut corners = Vec::new();
        for row in &rows.matrices {
            for column in &columns.matrices {
                corners.push(between(row, column)?.f_reshape(shape)?);
            }
        }
        let corners = Tensor::f_stack(&corners, 0)?;
        // Of the largest, runtimes weigh each of the four pixels by itself.
        match self.largest {
            true => corners.f_amax([0, 3, 5], false),
            false => corners.f_sum_dim_intlist(0, false, None)?.f_mean_dim([2, 4].as_slice(), false, None),
        }
    }

    fn beside(&self, image: &Tensor, [from, to]: [f64; 2], bins: i64, pixels: i64) -> Torch<Beside> {
        let (start, end) = (from * self.scale - self.shift, to * self.scale - self.shift);
        // Regions that are not moved hold a pixel at least.
        let extent = if self.shift == 0.0 { (end - start).max(1.0) } else { end - start };
        let bin = extent / bins as f64;
        let per_bin = if self.samples > 0 { self.samples } else { (bin.ceil() as i64).clamp(1, pixels.max(1)) };
        let last = pixels - 1;
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for sample in 0..bins * per_bin {
            let (bin_at, part) = (sample / per_bin, sample % per_bin);
            let at = start + bin_at as f64 * bin + (part as f64 + 0.5) * bin / per_bin as f64;
            let outside = at < -1.0 || at > pixels as f64;
            let at = at.clamp(0.0, last as f64);
            let (below, share) = (at.floor() as i64, at.fract());
            let weight = |share: f64| if outside { 0.0 } else { share };
            low.push((below, weight(1.0 - share)));
            high.push(((below + 1).min(last), weight(share)));
        }
        let matrix = |taps: &[(i64, f64)]| -> Torch<Tensor> {
            let places: Vec<i64> = taps.iter().map(|(place, _)| *place).collect();
            let weights: Vec<f64> = taps.iter().map(|(_, weight)| *weight).collect();
            let rows = Tensor::f_zeros([taps.len() as i64, pixels], (image.kind(), image.device()))?;
            let places = Tensor::f_from_slice(&places)?.f_unsqueeze(1)?.f_to_device(image.device())?;
            let weights = Tensor::f_from_slice(&weights)?.f_unsqueeze(1)?.f_to_kind(image.kind())?;
            rows.f_scatter(1, &places, &weights.f_to_device(image.device())?)
        };
        Ok(Beside { matrices: [matrix(&low)?, matrix(&high)?], per_bin })
    }
}

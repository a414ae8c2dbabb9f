//! Deformable convolution (Dai et al. 2017; with a mask, Zhu et al. 2019).

use import::ops::Window;
use tch::{Kind, TchError, Tensor};

use super::window::{Kernel, Placed, window};
use super::{Lowered, Row};
use crate::network::op::{Inputs, Torch, along, pure};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[Row::new("DeformConv", deform_conv)];

fn deform_conv(view: &View) -> Lowered {
    let Kernel { axes, extents, groups } = Kernel::of(view, 1)?;
    if axes != 2 {
        return Err(view.unsupported(format!("a window over {axes} axes")));
    }
    let parts = view.node.int_or("offset_group", 1);
    if parts < 1 {
        return Err(view.contradiction(format!("`offset_group` is {parts}")));
    }
    let conv = DeformConv { window: window(view, axes, extents)?, groups, parts };
    Ok(pure(move |x| conv.run(x)))
}

/// `[N, C, H, W]` read at places that `[N, 2·parts·taps, H', W']` moves, times `[O, C/groups, …]`.
struct DeformConv {
    window: Window,
    groups: i64,
    /// How many parts of the channels have offsets of their own.
    parts: i64,
}

impl DeformConv {
    /// Every tap's reading is laid out along an axis of its own, over which an ordinary convolution sums.
    fn run(&self, x: &Inputs) -> Torch<Tensor> {
        let (data, weight, offsets) = (x.at(0)?, x.at(1)?, x.at(2)?);
        let taps: i64 = self.window.kernel.iter().product();
        let read = self.read(data, offsets, x.get(4), taps)?;
        let kernel = weight.f_reshape([weight.size()[0], weight.size()[1], taps, 1, 1])?;
        let (one, zero) = ([1; 3], [0; 3]);
        read.f_convolution(&kernel, x.get(3), one, zero, one, false, zero, self.groups)?.f_squeeze_dim(2)
    }

    /// `[N, C, taps, H', W']`.
    fn read(&self, data: &Tensor, offsets: &Tensor, mask: Option<&Tensor>, taps: i64) -> Torch<Tensor> {
        let unfit = || TchError::Shape(format!("offsets {:?} do not fit {:?}", offsets.size(), data.size()));
        let (samples, channels, height, width) = data.size4().map_err(|_| unfit())?;
        let (_, given, rows, columns) = offsets.size4().map_err(|_| unfit())?;
        if given != 2 * self.parts * taps || channels % self.parts != 0 {
            return Err(unfit());
        }
        let [down, right] = self.places(data, rows, columns)?;
        let offsets = offsets.f_reshape([samples, self.parts, taps, 2, rows, columns])?;
        let mask = mask.map(|mask| mask.f_reshape([samples, self.parts, taps, rows, columns])).transpose()?;
        let own = channels / self.parts;
        let mut parts = Vec::new();
        for part in 0..self.parts {
            let moved = offsets.f_select(1, part)?;
            let y = moved.f_select(2, 0)?.f_add(&down)?;
            let x = moved.f_select(2, 1)?.f_add(&right)?;
            // Torch samples at positions from −1 to 1 between the outer edges.
            let between =
                |at: &Tensor, size: i64| at.f_mul_scalar(2.0)?.f_add_scalar(1.0)?.f_div_scalar(size)?.f_sub_scalar(1.0);
            let grid = Tensor::f_stack(&[between(&x, width)?, between(&y, height)?], -1)?;
            let grid = grid.f_reshape([samples, taps * rows, columns, 2])?;
            let read = data.f_narrow(1, part * own, own)?.f_grid_sampler(&grid, 0, 0, false)?;
            let read = read.f_reshape([samples, own, taps, rows, columns])?;
            parts.push(match &mask {
                Some(mask) => read.f_mul(&mask.f_narrow(1, part, 1)?)?,
                None => read,
            });
        }
        Tensor::f_cat(&parts, 1)
    }

    /// Rows and columns that the taps read where nothing moves them: `[taps, H', 1]` and `[taps, 1, W']`.
    fn places(&self, data: &Tensor, rows: i64, columns: i64) -> Torch<[Tensor; 2]> {
        let before = Placed::on(&self.window, data)?.before();
        let options = (Kind::Float, data.device());
        let [down, across] = [0, 1].map(|axis| -> Torch<_> {
            let taps =
                Tensor::f_arange(self.window.kernel[axis], options)?.f_mul_scalar(self.window.dilations[axis])?;
            let steps = Tensor::f_arange([rows, columns][axis], options)?.f_mul_scalar(self.window.strides[axis])?;
            Ok((taps, steps.f_sub_scalar(before[axis])?))
        });
        let ((row_taps, row_steps), (column_taps, column_steps)) = (down?, across?);
        let [high, wide] = [self.window.kernel[0], self.window.kernel[1]];
        let row_taps = row_taps.f_repeat_interleave_self_int(wide, 0, None)?;
        let column_taps = column_taps.f_repeat([high])?;
        Ok([
            along(&row_taps, 0, 3)?.f_add(&along(&row_steps, 1, 3)?)?,
            along(&column_taps, 0, 3)?.f_add(&along(&column_steps, 2, 3)?)?,
        ])
    }
}

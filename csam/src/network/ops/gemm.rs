//! Matrix products.

use tch::Tensor;

use super::{Lowered, Row};
use crate::network::op::{Frame, Inputs, Op, Torch, pure};
use crate::network::view::View;

pub(super) const ROWS: &[Row] = &[Row::new("Gemm", gemm), Row::new("MatMul", matmul), Row::new("Einsum", einsum)];

fn gemm(view: &View) -> Lowered {
    Ok(Box::new(Gemm {
        alpha: f64::from(view.node.float_or("alpha", 1.0)),
        beta: f64::from(view.node.float_or("beta", 1.0)),
        transpose: [view.node.int_or("transA", 0) != 0, view.node.int_or("transB", 0) != 0],
    }))
}

/// `alpha · A·B + beta · C`, A and B transposed on demand.
struct Gemm {
    alpha: f64,
    beta: f64,
    transpose: [bool; 2],
}

fn scaled(tensor: Tensor, factor: f64) -> Torch<Tensor> {
    if factor == 1.0 { Ok(tensor) } else { tensor.f_mul_scalar(factor) }
}

fn turned(tensor: &Tensor, turn: bool) -> Torch<Tensor> {
    if turn { tensor.f_transpose(0, 1) } else { Ok(tensor.shallow_clone()) }
}

impl Op for Gemm {
    fn run(&self, inputs: &mut Inputs, _: &Frame) -> Torch<Vec<Tensor>> {
        let a = turned(inputs.at(0)?, self.transpose[0])?;
        let rows = turned(inputs.at(1)?, !self.transpose[1])?;
        let c = inputs.get(2);
        let fused = c.filter(|c| c.dim() == 1 && c.size() == rows.size()[..1] && self.alpha == 1.0 && self.beta == 1.0);
        if fused.is_some() {
            return Ok(vec![a.f_linear(&rows, fused)?]);
        }
        let product = scaled(a.f_linear(&rows, None::<Tensor>)?, self.alpha)?;
        Ok(vec![match c {
            Some(c) => product.f_add(&scaled(c.shallow_clone(), self.beta)?)?,
            None => product,
        }])
    }

    fn fresh(&self) -> bool {
        true
    }

    fn fill(&self, weight: &Tensor, means: &Tensor) -> Torch<Tensor> {
        let rows = turned(weight, !self.transpose[1])?;
        scaled(means.f_reshape([1, -1])?.f_linear(&rows, None::<Tensor>)?, self.alpha)
    }
}

fn matmul(_: &View) -> Lowered {
    Ok(Box::new(MatMul))
}

/// The matrix product over the last two axes, broadcast over the others.
struct MatMul;

impl Op for MatMul {
    fn run(&self, inputs: &mut Inputs, _: &Frame) -> Torch<Vec<Tensor>> {
        Ok(vec![inputs.at(0)?.f_matmul(inputs.at(1)?)?])
    }

    fn fresh(&self) -> bool {
        true
    }

    fn fill(&self, weight: &Tensor, means: &Tensor) -> Torch<Tensor> {
        means.f_matmul(weight)
    }
}

fn einsum(view: &View) -> Lowered {
    let equation = view.node.text_or("equation", "").into_owned();
    Ok(pure(move |x| Tensor::f_einsum(&equation, &x.present().collect::<Vec<_>>(), None::<i64>)))
}

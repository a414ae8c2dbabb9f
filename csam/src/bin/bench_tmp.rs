//! temporary
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]
use csam::network::*;
use csam::train::teacher::logits;
use import::{Model, lanes::Lanes};
use tch::{Device, Kind, Tensor, no_grad};
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
fn time(name: &str, mut f: impl FnMut()) {
    f();
    let t = cpu();
    let n = 6;
    for _ in 0..n {
        f();
    }
    println!("{name}: {:.3} s", (cpu() - t) / n as f64);
}
fn main() {
    tch::set_num_threads(1);
    let path = std::env::args().nth(1).unwrap();
    let m = Model::open(path.as_ref()).unwrap();
    let m = csam::setup::with_free_batch(&m).unwrap().unwrap_or(m);
    let lanes = Lanes::of(&m.graph, &[]);
    let t = Network::lower(
        &m,
        None,
        Lowering { device: Device::Cpu, trainable: false, normalise_folded: false, fold_normalisation: true },
    )
    .unwrap();
    let s = Network::lower(&m, Some(&lanes), Lowering { normalise_folded: true, ..Lowering::training() }).unwrap();
    let x = Tensor::randn([128, 3, 32, 32], (Kind::Float, Device::Cpu));
    let y = Tensor::zeros([128], (Kind::Int64, Device::Cpu));
    time("teacher 128", || {
        no_grad(|| {
            let _ = logits(&t, &x, &mut Pass::default()).unwrap();
        })
    });
    time("student forward no grad running", || {
        no_grad(|| {
            let _ = logits(&s, &x, &mut Pass::default()).unwrap();
        })
    });
    time("student forward batch", || {
        let _ = logits(&s, &x, &mut Pass { statistics: Statistics::BatchUpdate, ..Pass::default() }).unwrap();
    });
    let ps: Vec<Tensor> = s.parameters().into_iter().map(|p| p.tensor).collect();
    time("student forward+backward", || {
        let l = logits(&s, &x, &mut Pass { statistics: Statistics::BatchUpdate, ..Pass::default() }).unwrap();
        let l = l.cross_entropy_for_logits(&y);
        let _ = Tensor::run_backward(&[l], &ps, false, false);
    });
    let mut sgd = csam::train::weights::Weights::of(&s, 0.9, 5e-4).unwrap();
    let g: Vec<Tensor> = ps.iter().map(|p| p.zeros_like()).collect();
    time("sgd", || sgd.step(&g, 0.0).unwrap());
}

//! The torch lowering against itself: parameters, statistics, masks, fills, inserted normalisations.
#![allow(clippy::unwrap_used)]

use csam::network::{Lowering, Masks, Network, NetworkError, Parameter, Pass, Statistics, Taps};
use fixtures::models::{random, resnet, small};
use import::Model;
use import::lanes::Lanes;
use import::ops::Role;
use import::proto::onnx::{FunctionProto, ModelProto, SparseTensorProto};
use prost::Message;
use tch::{Device, Kind, Tensor, no_grad};

fn model(bytes: Vec<u8>) -> Model {
    Model::from_bytes(bytes.into()).unwrap()
}

fn training(model: &Model) -> Network {
    Network::lower(model, None, Lowering::training()).unwrap()
}

/// Numbers that look random and are the same everywhere.
fn drawn(shape: &[i64], seed: f64) -> Tensor {
    let count: i64 = shape.iter().product();
    let steps = Tensor::arange(count, (Kind::Double, Device::Cpu));
    ((steps * 12.9898 + seed).sin() * 43_758.545_3).frac().reshape(shape).to_kind(Kind::Float)
}

fn pictures(count: i64) -> Tensor {
    drawn(&[count, 3, 8, 8], 0.5)
}

fn scores(network: &Network, input: &Tensor, pass: &mut Pass) -> Tensor {
    network.forward(std::slice::from_ref(input), pass).unwrap().remove(0)
}

/// Largest difference over the largest number.
fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    let scale = b.abs().max().double_value(&[]).max(1e-12);
    (a - b).abs().max().double_value(&[]) / scale
}

fn find<'a>(parameters: &'a [Parameter], name: &str) -> &'a Tensor {
    &parameters.iter().find(|parameter| parameter.name == name).unwrap().tensor
}

/// Fixtures that lower, by name.
fn lowered() -> Vec<(String, Model)> {
    let named = small::all().into_iter().filter(|(name, _)| *name != "opaque");
    let named = named.map(|(name, bytes)| (name.to_owned(), model(bytes)));
    let random = (0..12).map(|seed| (format!("random {seed}"), model(random::network(seed))));
    named.chain(random).collect()
}

/// Those, and the less common ways in which lanes hang together. Noise in a weight that is worked on as a whole reaches all
/// of it; two pictures are no one input.
fn coupled() -> Vec<(String, Model)> {
    let apart = ["standardised-weight", "weight-norm", "spectral-norm", "siamese"];
    let couplings = small::couplings().into_iter().filter(|(name, _)| !apart.contains(name));
    lowered().into_iter().chain(couplings.map(|(name, bytes)| (name.to_owned(), model(bytes)))).collect()
}

/// The hard mask that removes every third lane of each group.
fn every_third(lanes: &Lanes) -> Tensor {
    let mut kept = vec![1.0f32; lanes.lanes.len()];
    for group in lanes.groups.iter().filter(|group| group.lanes.len() > 2) {
        group.lanes.iter().step_by(3).for_each(|lane| kept[lane.0 as usize] = 0.0);
    }
    Tensor::from_slice(&kept)
}

#[test]
fn every_refusal_is_told_at_once() {
    let Err(NetworkError::Refused(refusals)) = Network::lower(&model(small::opaque()), None, Lowering::training())
    else {
        panic!("QuickGelu has no lowering");
    };
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals[0].op, "QuickGelu");
}

/// A model with its messages changed.
fn changed(bytes: Vec<u8>, change: impl FnOnce(&mut ModelProto)) -> Model {
    let mut proto = ModelProto::decode(bytes.as_slice()).unwrap();
    change(&mut proto);
    model(proto.encode_to_vec())
}

#[test]
fn what_the_file_holds_sparsely_is_not_left_out() {
    let model = changed(small::squeeze_excite(), |proto| {
        let graph = proto.graph.as_mut().unwrap();
        let place = graph.initializer.iter().position(|tensor| tensor.name() == b"squeeze.bias").unwrap();
        let bias = graph.initializer.remove(place);
        let indices = import::Tensor::from_i64(&[4], &[0, 1, 2, 3]).unwrap().to_proto("");
        graph.sparse_initializer.push(SparseTensorProto { dims: vec![4], values: Some(bias), indices: Some(indices) });
    });
    let dense = self::model(small::squeeze_excite());
    let answers = |model| no_grad(|| scores(&training(model), &pictures(2), &mut Pass::default()));
    assert!(difference(&answers(&model), &answers(&dense)) < 1e-6);
}

#[test]
fn a_function_named_like_a_built_in_is_not_run_as_the_built_in() {
    let model = changed(small::chain(), |proto| {
        let relu = FunctionProto { name: Some("Relu".into()), domain: Some("".into()), ..FunctionProto::default() };
        proto.functions.push(relu);
    });
    let refused = Network::lower(&model, None, Lowering::inference()).err().unwrap().to_string();
    assert!(refused.contains("function of the model's own"), "{refused}");
}

#[test]
fn input_of_another_shape_is_an_error_that_names_the_node() {
    let network = training(&model(small::chain()));
    let error = network.forward(&[drawn(&[2, 4, 8, 8], 0.0)], &mut Pass::default()).unwrap_err();
    assert!(error.to_string().contains("Conv"), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
}

#[test]
fn folding_normalisations_for_inference_changes_nothing() {
    for (name, model) in lowered() {
        let slow = Lowering { fold_normalisation: false, ..Lowering::inference() };
        let [slow, fast] = [slow, Lowering::inference()].map(|how| Network::lower(&model, None, how).unwrap());
        let input = pictures(model.graph.batch().and_then(|batch| batch.value()).unwrap_or(3));
        let dense = scores(&training(&model), &input, &mut Pass::default());
        assert!(difference(&scores(&slow, &input, &mut Pass::default()), &dense) < 1e-5, "{name}");
        assert!(difference(&scores(&fast, &input, &mut Pass::default()), &dense) < 1e-4, "{name}");
    }
}

#[test]
fn gradients_reach_every_stored_weight_once() {
    for (name, model) in lowered() {
        let network = training(&model);
        let parameters = network.parameters();
        let mut names: Vec<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), parameters.len(), "{name}");
        let input = pictures(model.graph.batch().and_then(|batch| batch.value()).unwrap_or(3));
        scores(&network, &input, &mut Pass::default()).square().sum(Kind::Float).backward();
        for parameter in &parameters {
            let gradient = parameter.tensor.grad();
            assert!(gradient.defined(), "{name}: {} has no gradient", parameter.name);
            assert!(gradient.isfinite().all().int64_value(&[]) == 1, "{name}: {}", parameter.name);
            assert_eq!(parameter.role == Role::Weight, parameter.tensor.dim() > 1);
        }
    }
}

/// The gradient of a shared weight is the sum over its readers: a step along it changes the output as predicted.
#[test]
fn one_tensor_used_twice_is_one_parameter() {
    let network = training(&model(small::shared_weight()));
    let parameters = network.parameters();
    let weight = find(&parameters, "shared.weight");
    let loss = || scores(&network, &pictures(2), &mut Pass::default()).sum(Kind::Double);
    loss().backward();
    let slope = weight.grad();
    let at = [3, 2, 1, 1];
    let step = 1e-2;
    let moved = |by: f64| {
        let _ = no_grad(|| weight.get(at[0]).get(at[1]).get(at[2]).get(at[3]).shallow_clone().g_add_scalar_(by));
        no_grad(|| loss().double_value(&[]))
    };
    let (above, below) = (moved(step), moved(-2.0 * step));
    let measured = (above - below) / (2.0 * step);
    let predicted = slope.double_value(&at);
    assert!((measured - predicted).abs() < 0.02 * predicted.abs().max(1.0), "{measured} against {predicted}");
}

#[test]
fn weights_behind_constants_are_trained_where_they_are_stored() {
    let network = training(&model(small::transposed_weight()));
    let parameters = network.parameters();
    let weight = find(&parameters, "fc1.weight");
    assert_eq!(weight.size(), [10, 6]);
    let _ = no_grad(|| weight.shallow_clone().g_add_scalar_(1.0));
    let changed = network.write_back().unwrap();
    assert_eq!(changed.len(), 1);
    assert_eq!((changed[0].0.as_str(), changed[0].1.shape.as_slice()), ("fc1.weight", &[10, 6][..]));
}

#[test]
fn nothing_is_written_back_when_nothing_was_trained() {
    for (name, model) in lowered() {
        let network = training(&model);
        let input = pictures(model.graph.batch().and_then(|batch| batch.value()).unwrap_or(3));
        let _ = scores(&network, &input, &mut Pass { statistics: Statistics::Batch, ..Pass::default() });
        assert!(network.write_back().unwrap().is_empty(), "{name}");
    }
}

/// The first normalisation of the chain sees the first convolution's output, which needs no statistics.
#[test]
fn running_statistics_move_by_the_operators_rule() {
    let model = model(small::chain());
    let network = training(&model);
    let parameters = network.parameters();
    let weight = find(&parameters, "first.conv.weight");
    let data = no_grad(|| pictures(4).conv2d(weight, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1)).to_kind(Kind::Double);
    let axes = [0i64, 2, 3];
    let batch = [data.mean_dim(&axes[..], false, Kind::Double), data.var_dim(&axes[..], false, false)];
    let statistics = network.statistics();
    let first: Vec<&Tensor> = statistics.iter().take(2).map(|(_, tensor)| tensor).collect();
    let old: Vec<Tensor> = first.iter().map(|tensor| tensor.to_kind(Kind::Double)).collect();

    let run = |statistics| drop(scores(&network, &pictures(4), &mut Pass { statistics, ..Pass::default() }));
    run(Statistics::Batch);
    for (now, old) in first.iter().zip(&old) {
        assert!(difference(&now.to_kind(Kind::Double), old) == 0.0, "a perturbed branch moved the statistics");
    }
    run(Statistics::BatchUpdate);
    for ((now, old), batch) in first.iter().zip(&old).zip(&batch) {
        assert!(difference(&now.to_kind(Kind::Double), &(old * 0.9 + batch * 0.1)) < 1e-5);
    }
    run(Statistics::Accumulate { seen: 0 });
    for (now, batch) in first.iter().zip(&batch) {
        assert!(difference(&now.to_kind(Kind::Double), batch) < 1e-4);
    }
}

#[test]
fn accumulated_statistics_are_the_average_over_batches() {
    let network = training(&model(small::chain()));
    let statistics = network.statistics();
    let mean = &statistics[0].1;
    let mut seen = Vec::new();
    for seed in [0.1, 0.2, 0.3] {
        let input = drawn(&[4, 3, 8, 8], seed) * (1.0 + seed);
        let _ =
            scores(&network, &input, &mut Pass { statistics: Statistics::Accumulate { seen: 0 }, ..Pass::default() });
        seen.push(mean.copy());
    }
    for (step, seed) in [0.1, 0.2, 0.3].into_iter().enumerate() {
        let input = drawn(&[4, 3, 8, 8], seed) * (1.0 + seed);
        let statistics = Statistics::Accumulate { seen: step as u64 };
        let _ = scores(&network, &input, &mut Pass { statistics, ..Pass::default() });
    }
    let average = Tensor::stack(&seen, 0).mean_dim(&[0i64][..], false, Kind::Float);
    assert!(difference(mean, &average) < 1e-5);
}

#[test]
fn a_mask_of_ones_changes_nothing() {
    for (name, model) in coupled() {
        let lanes = Lanes::of(&model.graph, &[]);
        let network = Network::lower(&model, Some(&lanes), Lowering::training()).unwrap();
        let input = pictures(model.graph.batch().and_then(|batch| batch.value()).unwrap_or(3));
        let masks = Masks { lanes: Tensor::ones([lanes.lanes.len() as i64], (Kind::Float, Device::Cpu)), fills: None };
        let masked = scores(&network, &input, &mut Pass { masks: Some(&masks), ..Pass::default() });
        assert_eq!(difference(&masked, &scores(&network, &input, &mut Pass::default())), 0.0, "{name}");
    }
}

/// What writes a removed lane no longer matters: other numbers there leave the output as it is.
#[test]
fn removed_lanes_are_not_read() {
    for (name, model) in coupled() {
        let lanes = Lanes::of(&model.graph, &[]);
        let network = Network::lower(&model, Some(&lanes), Lowering::training()).unwrap();
        let input = pictures(model.graph.batch().and_then(|batch| batch.value()).unwrap_or(3));
        let mask = every_third(&lanes);
        let kept = Vec::<f32>::try_from(&mask).unwrap();
        let masks = Masks { lanes: mask, fills: None };
        let run = || no_grad(|| scores(&network, &input, &mut Pass { masks: Some(&masks), ..Pass::default() }));
        let before = run();
        let changed = scores(&network, &input, &mut Pass::default());
        if kept.contains(&0.0) {
            assert!(difference(&before, &changed) > 0.0, "{name}: the mask does nothing");
        }
        for parameter in network.parameters() {
            poison(&model, &lanes, &kept, &parameter);
        }
        assert!(difference(&run(), &before) < 1e-6, "{name}");
    }
}

/// Adds noise to a parameter wherever one of its axes is at a removed lane.
fn poison(model: &Model, lanes: &Lanes, kept: &[f32], parameter: &Parameter) {
    let stored = model.graph.find_stored(&parameter.name).unwrap();
    for axis in 0..parameter.tensor.dim() {
        let Some(slots) = lanes.stored_axis(&model.graph, stored, axis) else { continue };
        let removed: Vec<i64> = slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.is_some_and(|lane| kept[lane.0 as usize] == 0.0))
            .map(|(index, _)| index as i64)
            .collect();
        no_grad(|| {
            for index in removed {
                let mut slice = parameter.tensor.select(axis as i64, index);
                let noise = drawn(&slice.size(), index as f64);
                let _ = slice.g_add_(&noise);
            }
        });
    }
}

/// With one image and one position, the mean that stands in is the value itself.
#[test]
fn means_of_what_is_read_stand_in_for_it() {
    let model = model(small::matmul_bias());
    let lanes = Lanes::of(&model.graph, &[]);
    let network = Network::lower(&model, Some(&lanes), Lowering::training()).unwrap();
    let input = pictures(1);
    let mut taps = Taps::new();
    let dense = scores(&network, &input, &mut Pass { taps: Some(&mut taps), ..Pass::default() });
    let fills: Vec<Option<Tensor>> = taps.means().iter().map(|mean| mean.as_ref().map(Tensor::copy)).collect();
    assert!(fills.iter().flatten().count() >= 2);
    let mask = every_third(&lanes);
    let cut = Masks { lanes: mask.copy(), fills: None };
    let filled = Masks { lanes: mask, fills: Some(fills) };
    let run = |masks| scores(&network, &input, &mut Pass { masks: Some(masks), ..Pass::default() });
    assert!(difference(&run(&cut), &dense) > 1e-3);
    assert!(difference(&run(&filled), &dense) < 1e-5);
}

#[test]
fn taps_average_over_images_of_batches_of_any_size() {
    let model = model(small::chain());
    let lanes = Lanes::of(&model.graph, &[]);
    let network = Network::lower(&model, Some(&lanes), Lowering::training()).unwrap();
    let input = pictures(5);
    let means = |batches: &[(i64, i64)]| {
        let mut taps = Taps::new();
        for &(start, length) in batches {
            let batch = input.narrow(0, start, length);
            let _ = scores(&network, &batch, &mut Pass { taps: Some(&mut taps), ..Pass::default() });
        }
        taps.means().iter().flatten().map(Tensor::copy).collect::<Vec<_>>()
    };
    let (whole, parts) = (means(&[(0, 5)]), means(&[(0, 2), (2, 2), (4, 1)]));
    assert!(!whole.is_empty());
    whole.iter().zip(&parts).for_each(|(whole, part)| assert!(difference(part, whole) < 1e-5));
}

#[test]
fn masks_have_gradients() {
    let model = model(small::residual());
    let lanes = Lanes::of(&model.graph, &[]);
    let network = Network::lower(&model, Some(&lanes), Lowering::training()).unwrap();
    let soft = Tensor::full([lanes.lanes.len() as i64], 0.7, (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let loss = |values: &Tensor| {
        let masks = Masks { lanes: values.shallow_clone(), fills: None };
        scores(&network, &pictures(2), &mut Pass { masks: Some(&masks), ..Pass::default() }).sum(Kind::Double)
    };
    loss(&soft).backward();
    let slopes = soft.grad();
    for lane in 0..lanes.lanes.len() as i64 {
        let moved = |by: f64| {
            let values = soft.detach().copy();
            let _ = values.get(lane).g_add_scalar_(by);
            no_grad(|| loss(&values).double_value(&[]))
        };
        let measured = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        let predicted = slopes.double_value(&[lane]);
        assert!((measured - predicted).abs() < 0.05 * predicted.abs().max(1.0), "{measured} against {predicted}");
    }
}

/// A network whose convolutions have a bias and no normalisation, as after folding.
fn folded() -> Model {
    model(small::squeeze_excite())
}

#[test]
fn inserted_normalisations_change_nothing_until_trained_and_fold_back() {
    let model = folded();
    let how = Lowering { normalise_folded: true, ..Lowering::training() };
    let mut network = Network::lower(&model, None, how).unwrap();
    let inserted = network.parameters().len() - training(&model).parameters().len();
    assert!(inserted >= 2, "nothing was inserted");
    let dense = scores(&training(&model), &pictures(6), &mut Pass::default());
    assert!(difference(&scores(&network, &pictures(6), &mut Pass::default()), &dense) < 1e-6);
    network.measure_inserted([pictures(6).into(), drawn(&[3, 3, 8, 8], 0.9).into()]).unwrap();
    assert!(difference(&scores(&network, &pictures(6), &mut Pass::default()), &dense) < 1e-5);

    for parameter in network.parameters() {
        let noise = drawn(&parameter.tensor.size(), 0.3) * 0.1;
        let _ = no_grad(|| parameter.tensor.shallow_clone().g_add_(&noise));
    }
    let _ = scores(&network, &pictures(6), &mut Pass { statistics: Statistics::BatchUpdate, ..Pass::default() });
    let trained = scores(&network, &pictures(6), &mut Pass::default());
    assert!(difference(&trained, &dense) > 1e-2);

    let plain = training(&model);
    let parameters = plain.parameters();
    let mut leaves = plain.statistics();
    leaves.extend(parameters.iter().map(|parameter| (parameter.name.clone(), parameter.tensor.shallow_clone())));
    for (name, tensor) in network.write_back().unwrap() {
        let leaf = &leaves.iter().find(|(leaf, _)| *leaf == name).unwrap().1;
        let values = Tensor::from_slice(&tensor.to_f32().unwrap()).reshape(leaf.size());
        no_grad(|| leaf.shallow_clone().copy_(&values));
    }
    assert!(difference(&scores(&plain, &pictures(6), &mut Pass::default()), &trained) < 1e-5);
}

#[test]
fn networks_that_kept_their_normalisations_get_no_others() {
    let model = model(resnet::cifar(8, 10, 1));
    let how = Lowering { normalise_folded: true, ..Lowering::training() };
    let with = Network::lower(&model, None, how).unwrap();
    assert_eq!(with.parameters().len(), training(&model).parameters().len());
}

#[test]
fn probabilities_become_log_probabilities() {
    let network = training(&model(small::softmax()));
    let said = |network: &Network| {
        let outputs = network.forward(&[pictures(3)], &mut Pass::default()).unwrap();
        let scores = network.answers(&pictures(3).into(), &mut Pass::default()).unwrap().scores().unwrap().unwrap();
        (outputs[0].shallow_clone(), scores)
    };
    let (probabilities, scores) = said(&network);
    assert!(difference(&scores.exp(), &probabilities) < 1e-6);
    let (output, scores) = said(&training(&model(small::chain())));
    assert_eq!(difference(&scores, &output), 0.0);
}

#[test]
fn what_shares_weights_reads_them_in_one_place_and_keeps_statistics_of_its_own() {
    let model = model(fixtures::models::named("residual").unwrap());
    let (lead, mut replica) = (training(&model), training(&model));
    replica.share(&lead).unwrap();
    let places = |network: &Network| network.parameters().iter().map(|p| p.tensor.data_ptr()).collect::<Vec<_>>();
    assert_eq!(places(&lead), places(&replica));
    for parameter in lead.parameters() {
        let _ = no_grad(|| parameter.tensor.shallow_clone().g_mul_scalar_(1.5));
    }
    let gradients = |network: &Network| {
        let leaves: Vec<Tensor> = network.parameters().into_iter().map(|p| p.tensor).collect();
        let loss = scores(network, &pictures(4), &mut Pass::default()).square().sum(Kind::Float);
        Tensor::run_backward(&[loss], &leaves, false, false)
    };
    for (lead, replica) in gradients(&lead).iter().zip(gradients(&replica)) {
        assert_eq!(*lead, replica, "what is trained in one is trained in both");
    }
    let means = |network: &Network| network.statistics().remove(0).1.copy();
    let before = means(&lead);
    let _ = scores(&replica, &pictures(4), &mut Pass { statistics: Statistics::BatchUpdate, ..Pass::default() });
    assert_eq!(means(&lead), before);
    assert_ne!(means(&replica), before);
    replica.follow_statistics(&lead).unwrap();
    assert_eq!(means(&replica), before);
}

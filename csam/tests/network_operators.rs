//! Every form of every operator, one at a time, against ONNX Runtime.
#![allow(clippy::unwrap_used)]

mod onnx_runtime;
#[path = "onnx_runtime/single.rs"]
mod single;

use csam::network::{Lowering, Network, Pass};
use import::DType;
use onnx_runtime::{difference, drawn};
use single::Single;

/// Above what two orders of summation differ by.
const TOLERANCE: f64 = 1e-5;

fn check(cases: Vec<Single>) {
    for case in cases {
        let found = difference(&case.file(), &drawn(&case.shape));
        let attributes: Vec<String> = case.attributes.iter().map(|attribute| format!("{attribute:?}")).collect();
        assert!(found < TOLERANCE, "{} {} on {:?} {attributes:?}: {found:e}", case.op, case.opset, case.shape);
    }
}

fn image() -> [usize; 4] {
    [2, 4, 9, 8]
}

#[test]
fn convolutions() {
    let conv = |shape: &[usize], weight: &[usize]| Single::new("Conv", 11, shape).constant(weight, 0.0);
    let plain = || conv(&image(), &[6, 4, 3, 3]);
    check(vec![
        plain(),
        plain().constant(&[6], 0.5).ints("pads", &[1, 1, 1, 1]),
        plain().ints("pads", &[0, 1, 2, 0]),
        plain().ints("pads", &[1, 1, 1, 1]).ints("strides", &[2, 2]),
        plain().ints("dilations", &[2, 3]).ints("pads", &[2, 3, 2, 3]),
        plain().text("auto_pad", "SAME_UPPER").ints("strides", &[2, 2]),
        plain().text("auto_pad", "SAME_LOWER").ints("strides", &[2, 3]),
        plain().text("auto_pad", "VALID"),
        conv(&image(), &[8, 1, 3, 3]).int("group", 4).ints("kernel_shape", &[3, 3]),
        conv(&image(), &[6, 2, 1, 1]).int("group", 2),
        conv(&[2, 3, 11], &[5, 3, 4]).ints("pads", &[1, 2]),
        conv(&[1, 2, 5, 6, 7], &[3, 2, 2, 3, 2]).ints("pads", &[1, 1, 0, 0, 1, 1]),
    ]);
}

#[test]
fn transposed_convolutions() {
    let spread = |shape: &[usize], weight: &[usize]| Single::new("ConvTranspose", 11, shape).constant(weight, 0.0);
    let plain = || spread(&image(), &[4, 6, 3, 3]);
    let doubled = || plain().ints("strides", &[2, 2]);
    check(vec![
        plain(),
        plain().constant(&[6], 0.5).ints("pads", &[1, 1, 1, 1]),
        plain().ints("pads", &[0, 1, 2, 0]),
        doubled().constant(&[6], 0.5).ints("pads", &[1, 1, 1, 1]).ints("output_padding", &[1, 1]),
        doubled().constant(&[6], 0.5).ints("output_padding", &[1, 0]),
        doubled().constant(&[6], 0.5).ints("output_shape", &[18, 16]),
        doubled().ints("output_shape", &[18, 16]).text("auto_pad", "SAME_UPPER"),
        doubled().ints("output_shape", &[18, 16]).text("auto_pad", "SAME_LOWER"),
        doubled().constant(&[6], 0.5).ints("output_shape", &[20, 18]).ints("output_padding", &[1, 1]),
        doubled().text("auto_pad", "SAME_UPPER"),
        doubled().text("auto_pad", "SAME_LOWER"),
        doubled().text("auto_pad", "VALID"),
        spread(&image(), &[4, 6, 1, 1]).constant(&[6], 0.5).ints("strides", &[3, 2]),
        plain().ints("dilations", &[2, 3]).ints("pads", &[2, 3, 2, 3]),
        spread(&image(), &[4, 1, 3, 3]).int("group", 4).ints("strides", &[2, 2]),
        spread(&image(), &[4, 3, 2, 2]).constant(&[6], 0.5).int("group", 2).ints("kernel_shape", &[2, 2]),
        spread(&[2, 3, 11], &[3, 5, 4]).ints("pads", &[1, 2]).ints("strides", &[3]),
        spread(&[1, 2, 5, 6, 4], &[2, 3, 2, 3, 2]).ints("strides", &[2, 1, 2]),
    ]);
}

#[test]
fn deformable_convolutions() {
    let deform = |weight: &[usize], offsets: &[usize]| {
        let plain = Single::new("DeformConv", 19, &[2, 4, 6, 5]);
        plain.constant(weight, 0.0).constant(offsets, 0.3)
    };
    check(vec![
        deform(&[6, 4, 3, 3], &[2, 18, 4, 3]),
        deform(&[6, 4, 3, 2], &[2, 12, 6, 4]).constant(&[6], 0.0).ints("pads", &[1, 0, 1, 0]),
        deform(&[6, 2, 2, 2], &[2, 16, 3, 2])
            .constant(&[6], 0.0)
            .constant(&[2, 8, 3, 2], 0.5)
            .int("group", 2)
            .int("offset_group", 2)
            .ints("strides", &[2, 2]),
        deform(&[3, 4, 2, 2], &[2, 8, 4, 3]).ints("dilations", &[2, 2]),
    ]);
}

#[test]
fn regions() {
    let align = |opset, size: i64| {
        let plain = Single::new("RoiAlign", opset, &[2, 3, 9, 8]);
        let corners = [0.0, 0.0, 7.0, 8.0, 1.5, 2.0, 4.0, 5.5, -2.0, -3.0, 12.0, 4.0];
        let corners = import::Tensor::from_f32(&[3, 4], &corners).unwrap();
        plain.tensor(corners).integers(&[0, 1, 1]).int("output_height", size).int("output_width", 3)
    };
    check(vec![
        align(16, 2).int("sampling_ratio", 2),
        align(16, 2),
        align(16, 4).text("coordinate_transformation_mode", "output_half_pixel").float("spatial_scale", 0.5),
        align(10, 2).int("sampling_ratio", 3),
        align(16, 2).int("sampling_ratio", 2).text("mode", "max"),
    ]);
}

#[test]
fn windows_put_back() {
    let unpool = |places: &[i64]| {
        Single::new("MaxUnpool", 11, &[1, 2, 2, 2]).integers_of(&[1, 2, 2, 2], places).ints("kernel_shape", &[2, 2])
    };
    let image = |windows: &[usize], image: &[i64], block: &[i64]| {
        Single::new("Col2Im", 18, windows).integers(image).integers(block)
    };
    check(vec![
        unpool(&[0, 3, 9, 15, 16, 18, 27, 31]).ints("strides", &[2, 2]),
        unpool(&[0, 2, 6, 8, 9, 11, 15, 17]),
        image(&[2, 12, 9], &[5, 5], &[2, 2]).ints("strides", &[2, 2]).ints("pads", &[0, 0, 1, 1]),
        image(&[2, 12, 4], &[5, 5], &[2, 2]).ints("dilations", &[3, 3]),
        image(&[2, 6, 5], &[7], &[3]),
        image(&[1, 8, 12], &[3, 4, 3], &[2, 2, 2]),
    ]);
}

#[test]
fn indices_of_another_rank_are_an_error() {
    for reduction in ["add", "mul", "none"] {
        let single = Single::new("ScatterElements", 18, &[2, 3]).integers(&[0, 1]).floats(&[1.0, 2.0]);
        let model = import::Model::from_bytes(single.text("reduction", reduction).file().into()).unwrap();
        let network = Network::lower(&model, None, Lowering::inference()).unwrap();
        let fed = [tch::Tensor::zeros([2, 3], (tch::Kind::Float, tch::Device::Cpu))];
        let error = network.forward(&fed, &mut Pass::default()).unwrap_err().to_string();
        assert!(error.contains("ScatterElements") && !error.contains("panic"), "{error}");
    }
}

#[test]
fn matrix_products() {
    let gemm = |weight: &[usize]| Single::new("Gemm", 13, &[3, 5]).constant(weight, 0.0);
    check(vec![
        gemm(&[5, 4]),
        gemm(&[5, 4]).constant(&[4], 0.0),
        gemm(&[4, 5]).constant(&[4], 0.0).int("transB", 1),
        gemm(&[4, 5]).constant(&[1, 4], 0.0).int("transB", 1).float("alpha", 0.5).float("beta", 2.0),
        gemm(&[5, 4]).constant(&[3, 1], 0.0),
        gemm(&[5, 4]).constant(&[1], 0.0),
        gemm(&[3, 4]).constant(&[4], 0.0).int("transA", 1),
        Single::new("MatMul", 13, &[3, 5]).constant(&[5, 4], 0.0),
        Single::new("MatMul", 13, &[2, 3, 5]).constant(&[5, 4], 0.0),
        Single::new("MatMul", 13, &[2, 3, 5]).constant(&[5], 0.0),
        Single::new("Einsum", 12, &[2, 3, 5]).constant(&[5, 4], 0.0).text("equation", "bij, jk -> bik"),
    ]);
}

#[test]
fn batch_normalisations() {
    let normalise = |opset, shape: &[usize]| {
        let plain = Single::new("BatchNormalization", opset, shape).constant(&[4], 1.0).constant(&[4], 0.0);
        plain.constant(&[4], 0.0).constant(&[4], 1.5)
    };
    check(vec![
        normalise(7, &image()),
        normalise(9, &image()).float("epsilon", 1e-2),
        normalise(15, &[3, 4]),
        normalise(15, &[3, 4, 6]),
    ]);
}

#[test]
fn normalisations_by_the_data() {
    let instance =
        |shape: &[usize]| Single::new("InstanceNormalization", 6, shape).constant(&[4], 1.0).constant(&[4], 0.0);
    let layer = |axis, weight: &[usize]| {
        Single::new("LayerNormalization", 17, &image()).constant(weight, 1.0).int("axis", axis)
    };
    let neighbours = |size| Single::new("LRN", 13, &image()).int("size", size).float("alpha", 0.5);
    check(vec![
        instance(&image()),
        instance(&[2, 4, 7]).float("epsilon", 1e-2),
        layer(-1, &[8]).constant(&[8], 0.0),
        layer(2, &[9, 8]),
        layer(1, &[4, 9, 8]).constant(&[4, 9, 8], 0.5).float("epsilon", 1e-2),
        neighbours(3),
        neighbours(5).float("beta", 0.5).float("bias", 2.0),
        Single::new("RMSNormalization", 23, &image()).constant(&[8], 1.0),
        Single::new("GroupNormalization", 21, &image()).constant(&[4], 1.0).constant(&[4], 0.0).int("num_groups", 2),
        Single::new("GroupNormalization", 18, &image()).constant(&[2], 1.0).constant(&[2], 0.0).int("num_groups", 2),
        Single::new("MeanVarianceNormalization", 13, &image()),
        Single::new("LpNormalization", 1, &image()).int("axis", 1),
        Single::new("LpNormalization", 1, &image()).int("p", 1),
    ]);
}

#[test]
fn resizing() {
    let scaled = |opset, scales: &[f32]| Single::new("Resize", opset, &image()).absent().floats(scales);
    let rows_and_columns = |case: Single| case.ints("axes", &[2, 3]);
    let sized = |sizes: &[i64]| rows_and_columns(Single::new("Resize", 18, &image()).absent().absent().integers(sizes));
    let region = |opset, ends: &[f32], sizes: &[i64]| {
        Single::new("Resize", opset, &image()).floats(ends).absent().integers(sizes)
    };
    let linear = |case: Single, position| case.text("mode", "linear").text("coordinate_transformation_mode", position);
    check(vec![
        Single::new("Upsample", 9, &image()).floats(&[1.0, 1.0, 2.0, 3.0]),
        Single::new("Resize", 10, &image()).floats(&[1.0, 1.0, 3.0, 2.0]),
        scaled(13, &[1.0, 1.0, 2.0, 4.0]),
        Single::new("Resize", 11, &image())
            .floats(&[])
            .floats(&[1.0, 1.0, 2.0, 3.0])
            .text("coordinate_transformation_mode", "asymmetric")
            .text("nearest_mode", "floor"),
        sized(&[18, 24]),
        linear(scaled(13, &[1.0, 1.0, 2.0, 2.0]), "half_pixel"),
        linear(scaled(13, &[1.0, 1.0, 1.7, 0.6]), "half_pixel"),
        linear(scaled(13, &[1.0, 1.0, 2.0, 3.0]), "align_corners"),
        linear(sized(&[5, 13]), "half_pixel"),
        scaled(18, &[3.0, 2.0]).ints("axes", &[3, 2]),
        scaled(18, &[0.6, 1.7]).ints("axes", &[3, 2]),
        Single::new("Resize", 10, &image()).floats(&[1.0, 1.0, 0.6, 0.7]),
        linear(scaled(13, &[1.0, 1.0, 0.6, 1.7]), "asymmetric"),
        linear(scaled(13, &[1.0, 1.0, 0.6, 1.7]), "pytorch_half_pixel"),
        linear(scaled(19, &[1.0, 1.0, 0.6, 1.7]), "half_pixel_symmetric"),
        linear(scaled(18, &[1.0, 1.0, 0.6, 1.7]), "half_pixel").int("antialias", 1),
        scaled(13, &[1.0, 1.0, 0.6, 1.7]).text("mode", "cubic"),
        scaled(13, &[1.0, 1.0, 0.6, 1.7]).text("mode", "cubic").int("exclude_outside", 1),
        scaled(18, &[1.0, 1.0, 0.6, 1.7]).text("mode", "cubic").int("antialias", 1),
        linear(region(13, &[0.0, 0.0, 0.2, 0.4, 1.0, 1.0, 0.9, 0.6], &[2, 4, 5, 7]), "tf_crop_and_resize"),
        linear(region(13, &[0.0, 0.0, -0.3, 0.4, 1.0, 1.0, 1.2, 1.7], &[2, 4, 5, 7]), "tf_crop_and_resize")
            .float("extrapolation_value", 3.0),
        region(13, &[0.0, 0.0, 0.2, 0.4, 1.0, 1.0, 0.9, 0.6], &[2, 4, 5, 1])
            .text("coordinate_transformation_mode", "tf_crop_and_resize"),
        sized(&[7, 20]).text("keep_aspect_ratio_policy", "not_larger"),
        sized(&[7, 20]).text("keep_aspect_ratio_policy", "not_smaller"),
        linear(sized(&[13, 9]), "half_pixel").text("keep_aspect_ratio_policy", "not_larger"),
        Single::new("Resize", 13, &[2, 3, 7]).absent().floats(&[1.0, 1.0, 2.5]),
        linear(Single::new("Resize", 13, &[2, 3, 5, 6, 4]).absent().floats(&[1.0, 1.0, 2.0, 0.5, 1.0]), "half_pixel"),
    ]);
}

#[test]
fn centred() {
    let to = |sizes: &[i64]| Single::new("CenterCropPad", 18, &image()).integers(sizes);
    check(vec![to(&[2, 4, 6, 11]), to(&[5, 13]).ints("axes", &[2, 3]), to(&[12, 3]).ints("axes", &[-1, 1])]);
}

#[test]
fn functions_of_one_operand() {
    let plain = |op| Single::new(op, 20, &image());
    let mut cases: Vec<Single> = [
        "Relu",
        "LeakyRelu",
        "Elu",
        "Selu",
        "Celu",
        "Sigmoid",
        "HardSigmoid",
        "HardSwish",
        "Tanh",
        "Softplus",
        "Softsign",
        "Mish",
        "Gelu",
        "Erf",
        "Exp",
        "Reciprocal",
        "Neg",
        "Abs",
        "Floor",
        "Ceil",
        "Round",
        "Sin",
        "Cos",
        "Tan",
        "Asin",
        "Acos",
        "Atan",
        "Sinh",
        "Cosh",
        "Asinh",
        "Atanh",
        "ThresholdedRelu",
        "Shrink",
        "Sign",
        "Identity",
        "Dropout",
    ]
    .map(plain)
    .into();
    cases.extend([
        plain("Gelu").text("approximate", "tanh"),
        plain("LeakyRelu").float("alpha", 0.3),
        plain("Elu").float("alpha", 0.7),
        plain("Celu").float("alpha", 0.7),
        Single::new("Affine", 1, &image()).float("alpha", 0.7).float("beta", 0.2),
        Single::new("ThresholdedRelu", 7, &image()).float("alpha", 0.3),
        plain("Selu").float("alpha", 1.1).float("gamma", 0.9),
        plain("HardSigmoid").float("alpha", 0.7).float("beta", 0.3),
        plain("Cast").int("to", 7).gives(DType::I64),
        plain("Cast").int("to", 1),
        Single::new("Clip", 6, &image()).float("min", -0.2).float("max", 0.4),
        Single::new("Clip", 6, &image()),
        plain("Clip").scalar(-0.2).scalar(0.4),
        plain("Clip").scalar(-0.2),
        plain("Clip").absent().scalar(0.1),
    ]);
    check(cases);
}

#[test]
fn functions_of_several_operands() {
    let with = |op, shape: &[usize], offset| Single::new(op, 13, &image()).constant(shape, offset);
    check(vec![
        with("Add", &[4, 1, 1], 0.0),
        with("Add", &image(), 0.0),
        with("Sub", &[1, 4, 1, 8], 0.0),
        with("Mul", &[1], 0.0),
        with("Div", &[8], 3.0),
        with("PRelu", &[4, 1, 1], 0.0),
        with("PRelu", &[1], 0.0),
        Single::new("Pow", 13, &image()).scalar(2.0),
        Single::new("Pow", 13, &image()).scalar(3.0),
        with("Sum", &[4, 1, 1], 0.0).constant(&[8], 0.0),
        with("Mean", &[4, 1, 1], 0.0).constant(&[8], 0.0),
        with("Min", &[4, 1, 1], 0.0).constant(&[8], 0.0),
        with("Max", &[4, 1, 1], 0.0).constant(&[8], 0.0),
        with("Mod", &[4, 1, 1], 3.0).int("fmod", 1),
    ]);
}

#[test]
fn comparisons() {
    let with = |op, opset| Single::new(op, opset, &image()).constant(&[4, 1, 1], 0.0).gives(DType::Bool);
    let mut cases: Vec<Single> =
        ["Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Equal"].map(|op| with(op, 16)).into();
    cases.extend(["IsNaN", "IsInf"].map(|op| Single::new(op, 13, &image()).gives(DType::Bool)));
    check(cases);
}

#[test]
fn pixels_and_channels() {
    let blocks = |op, side| Single::new(op, 13, &[2, 8, 4, 6]).int("blocksize", side);
    check(vec![
        blocks("DepthToSpace", 2),
        blocks("DepthToSpace", 2).text("mode", "CRD"),
        blocks("SpaceToDepth", 2),
        Single::new("GridSample", 16, &image()).constant(&[2, 5, 3, 2], 0.0),
        Single::new("GridSample", 16, &image()).constant(&[2, 5, 3, 2], 0.3).text("padding_mode", "border"),
        Single::new("GridSample", 16, &image()).constant(&[2, 5, 3, 2], 0.3).int("align_corners", 1),
        Single::new("Crop", 1, &image()).ints("border", &[1, 2, 3, 0]),
        Single::new("Crop", 1, &image()).ints("border", &[1, 2, 0, 0]).ints("scale", &[5, 4]),
        Single::new("Col2Im", 18, &[2, 8, 12]).integers(&[4, 5]).integers(&[2, 2]),
    ]);
}

#[test]
fn picks_and_orders() {
    let plain = |op, opset| Single::new(op, opset, &image());
    check(vec![
        plain("TopK", 11).integers(&[3]).int("axis", 1).outputs(2).last_gives(DType::I64),
        plain("TopK", 11).integers(&[2]).int("largest", 0).outputs(2).last_gives(DType::I64),
        plain("CumSum", 14).index(1),
        plain("CumSum", 14).index(-1).int("exclusive", 1).int("reverse", 1),
        plain("Trilu", 14),
        plain("Trilu", 14).index(-1).int("upper", 0),
        plain("ArgMax", 13).int("axis", 1).gives(DType::I64),
        plain("ArgMin", 13).int("axis", -1).int("keepdims", 0).gives(DType::I64),
        plain("Hardmax", 13),
        plain("Hardmax", 11).int("axis", 2),
        plain("Tile", 13).integers(&[1, 2, 1, 3]),
        plain("Size", 13).gives(DType::I64),
    ]);
}

#[test]
fn pools() {
    let pool = |op, kernel: &[i64]| Single::new(op, 11, &image()).ints("kernel_shape", kernel);
    let mut cases = Vec::new();
    for op in ["MaxPool", "AveragePool"] {
        let three = || pool(op, &[3, 3]);
        cases.extend([
            three(),
            three().ints("strides", &[2, 2]),
            three().ints("strides", &[2, 2]).ints("pads", &[1, 1, 1, 1]),
            three().ints("strides", &[2, 2]).int("ceil_mode", 1),
            pool(op, &[2, 2]).ints("strides", &[2, 2]).int("ceil_mode", 1),
            pool(op, &[2, 2]).ints("strides", &[3, 3]).int("ceil_mode", 1),
            three().ints("strides", &[2, 2]).ints("pads", &[0, 1, 1, 2]),
            three().ints("strides", &[2, 2]).text("auto_pad", "SAME_UPPER"),
            three().ints("strides", &[2, 2]).text("auto_pad", "SAME_LOWER"),
            Single::new(op, 11, &[2, 3, 11]).ints("kernel_shape", &[4]).ints("strides", &[3]),
            Single::new(op, 11, &[2, 3, 5, 6, 7]).ints("kernel_shape", &[2, 3, 2]).ints("pads", &[1, 1, 0, 1, 1, 0]),
        ]);
    }
    let counted = || pool("AveragePool", &[3, 3]).int("count_include_pad", 1).ints("strides", &[2, 2]);
    cases.extend([
        pool("MaxPool", &[2, 2]).ints("dilations", &[2, 3]),
        counted().ints("pads", &[1, 1, 1, 1]),
        counted().ints("pads", &[0, 1, 1, 2]),
        counted().int("ceil_mode", 1),
        counted().int("ceil_mode", 1).ints("pads", &[1, 1, 1, 1]),
        Single::new("GlobalAveragePool", 11, &image()),
        Single::new("GlobalMaxPool", 11, &image()),
        Single::new("GlobalAveragePool", 11, &[2, 3, 7]),
        Single::new("AveragePool", 19, &image()).ints("kernel_shape", &[2, 2]).ints("dilations", &[2, 3]),
        Single::new("LpPool", 18, &image()).ints("kernel_shape", &[3, 2]).ints("strides", &[2, 2]),
        Single::new("GlobalLpPool", 2, &image()),
        pool("MaxPool", &[2, 2]).ints("strides", &[2, 2]).ints("pads", &[1, 0, 0, 1]).outputs(2).last_gives(DType::I64),
    ]);
    check(cases);
}

#[test]
fn reductions() {
    let mut cases = Vec::new();
    for op in [
        "ReduceMean",
        "ReduceSum",
        "ReduceMax",
        "ReduceMin",
        "ReduceL1",
        "ReduceL2",
        "ReduceSumSquare",
        "ReduceProd",
        "ReduceLogSumExp",
    ] {
        cases.extend([
            Single::new(op, 11, &image()).ints("axes", &[2, 3]),
            Single::new(op, 11, &image()).ints("axes", &[-1]).int("keepdims", 0),
            Single::new(op, 18, &image()).integers(&[2, -1]).int("keepdims", 0),
            Single::new(op, 18, &image()).int("noop_with_empty_axes", 1),
            Single::new(op, 18, &image()),
        ]);
    }
    cases.push(Single::new("ReduceSum", 13, &image()).integers(&[1]));
    for op in ["Softmax", "LogSoftmax"] {
        cases.extend([
            Single::new(op, 11, &image()),
            Single::new(op, 11, &image()).int("axis", 2),
            Single::new(op, 13, &image()),
            Single::new(op, 13, &image()).int("axis", 1),
        ]);
    }
    check(cases);
}

#[test]
fn layouts() {
    let plain = |op, opset| Single::new(op, opset, &image());
    let thin = |op, opset| Single::new(op, opset, &[2, 1, 5, 1]);
    check(vec![
        plain("Flatten", 13),
        plain("Flatten", 13).int("axis", 0),
        plain("Flatten", 13).int("axis", -1),
        plain("Reshape", 13).integers(&[0, -1]),
        plain("Reshape", 13).integers(&[0, 2, 2, 72]),
        plain("Reshape", 14).integers(&[-1, 4, 72]),
        plain("Transpose", 13),
        plain("Transpose", 13).ints("perm", &[0, 2, 3, 1]),
        thin("Squeeze", 11).ints("axes", &[1]),
        thin("Squeeze", 13).integers(&[-1, 1]),
        plain("Unsqueeze", 11).ints("axes", &[0, 3]),
        plain("Unsqueeze", 13).integers(&[-1, 1]),
        thin("Expand", 13).integers(&[1, 3, 1, 4]),
        thin("Expand", 13).integers(&[3, 1, 1, 1, 1]),
    ]);
}

#[test]
fn joins_and_parts() {
    let plain = |op, opset| Single::new(op, opset, &image());
    let reflected = || plain("Pad", 13).integers(&[0, 0, 1, 2, 0, 0, 2, 0]).text("mode", "reflect");
    check(vec![
        plain("Concat", 13).constant(&[2, 3, 9, 8], 0.0).int("axis", 1),
        plain("Concat", 13).constant(&[2, 4, 9, 1], 0.0).int("axis", -1),
        plain("Split", 11).int("axis", 1).ints("split", &[1, 3]).outputs(2),
        plain("Split", 13).integers(&[3, 5]).int("axis", -1).outputs(2),
        plain("Split", 18).int("axis", 2).int("num_outputs", 2).outputs(2),
        plain("Slice", 9).ints("axes", &[2, 3]).ints("starts", &[1, -3]).ints("ends", &[100, -1]),
        plain("Slice", 13).integers(&[-1, 1]).integers(&[-100, 7]).integers(&[2, 3]).integers(&[-2, 2]),
        plain("Slice", 13).integers(&[1]).integers(&[3]).integers(&[-3]),
        plain("Gather", 13).index(-1).int("axis", 1),
        plain("Gather", 13).integers(&[3, 0, -2]).int("axis", 1),
        plain("Pad", 2).ints("pads", &[0, 0, 1, 2, 0, 0, 0, 3]).float("value", 0.5),
        plain("Pad", 13).integers(&[0, 1, 1, 2, 0, 0, 0, 3]).scalar(-1.5),
        plain("Pad", 18).integers(&[1, 2]).absent().integers(&[-2]),
        reflected(),
        plain("Pad", 13).integers(&[0, 0, 1, 2, 0, 0, 2, 0]).text("mode", "edge"),
        plain("Pad", 19).integers(&[0, 0, 1, 2, 0, 0, 2, 0]).text("mode", "wrap"),
        plain("Shape", 13).gives(DType::I64),
        plain("Shape", 15).int("start", 1).int("end", -1).gives(DType::I64),
    ]);
}

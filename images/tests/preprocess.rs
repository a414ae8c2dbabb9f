//! Preprocessing: what is inferred, what is refused, and the values that reach a network.
#![allow(clippy::unwrap_used)]

use images::{
    Picture,
    preprocess::{InputSettings, Layout, Order, Preprocess, PreprocessError, Resize},
};

fn shape(axes: [usize; 4]) -> Vec<Option<usize>> {
    axes.into_iter().map(|n| (n > 0).then_some(n)).collect()
}

#[test]
fn the_input_shape_tells_layout_size_and_colour() {
    for (axes, layout, order, height, width) in [
        ([1, 3, 32, 32], Layout::Nchw, Order::Rgb, 32, 32),
        ([0, 1, 28, 28], Layout::Nchw, Order::Grey, 28, 28),
        ([0, 48, 192, 3], Layout::Nhwc, Order::Rgb, 48, 192),
        ([1, 200, 200, 1], Layout::Nhwc, Order::Grey, 200, 200),
    ] {
        let found = Preprocess::infer(&shape(axes)).unwrap();
        assert_eq!((found.layout, found.order, found.height, found.width), (layout, order, height, width));
        assert_eq!(found.scale, 1.0 / 255.0);
        assert_eq!((found.mean.as_slice(), found.std.as_slice()), (&[0.0][..], &[1.0][..]));
    }
}

#[test]
fn photographs_are_resized_and_small_pictures_are_not() {
    assert_eq!(Preprocess::infer(&shape([1, 3, 224, 224])).unwrap().resize, Resize::Shorter(256));
    assert_eq!(Preprocess::infer(&shape([1, 3, 32, 32])).unwrap().resize, Resize::None);
}

#[test]
fn shapes_that_are_no_pictures_are_refused_with_their_shape() {
    let refused = |axes: &[Option<usize>]| Preprocess::infer(axes).unwrap_err();
    assert!(matches!(refused(&[Some(1), Some(784)]), PreprocessError::NotPictures { .. }));
    assert!(matches!(refused(&shape([1, 7, 8, 9])), PreprocessError::NoChannels { .. }));
    let open = refused(&shape([1, 3, 0, 32]));
    assert_eq!(
        open.to_string(),
        "the network's input shape [1, 3, ?, 32] leaves the height open; set height in [input]"
    );
}

#[test]
fn settings_fill_what_is_open_and_may_not_contradict() {
    let open = InputSettings { height: Some(64), width: Some(48), ..InputSettings::default() };
    let found = Preprocess::resolve(&shape([0, 3, 0, 0]), &open).unwrap();
    assert_eq!((found.height, found.width), (64, 48));
    let other_size = InputSettings { height: Some(64), ..InputSettings::default() };
    assert!(matches!(
        Preprocess::resolve(&shape([1, 3, 32, 32]), &other_size),
        Err(PreprocessError::Contradiction { key: "height", .. })
    ));
    let grey = InputSettings { order: Some(Order::Grey), ..InputSettings::default() };
    assert!(matches!(
        Preprocess::resolve(&shape([1, 3, 32, 32]), &grey),
        Err(PreprocessError::Contradiction { key: "order", .. })
    ));
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    let refused =
        |settings: InputSettings| Preprocess::resolve(&shape([1, 3, 32, 32]), &settings).unwrap_err().to_string();
    let base = InputSettings::default;
    assert!(refused(InputSettings { std: Some(vec![0.0]), ..base() }).contains("std"));
    assert!(refused(InputSettings { mean: Some(vec![0.5; 2]), ..base() }).contains("mean"));
    assert!(refused(InputSettings { scale: Some(f32::NAN), ..base() }).contains("scale"));
    assert!(refused(InputSettings { resize: Some(Resize::Shorter(16)), ..base() }).contains("resize"));
}

/// 2 × 2, RGB, 12 different bytes.
fn small() -> Picture {
    Picture::from_bytes(3, 2, 2, &[0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 255])
}

fn network(layout: Layout, order: Order) -> Preprocess {
    Preprocess {
        layout,
        order,
        scale: 1.0 / 255.0,
        mean: vec![0.0],
        std: vec![1.0],
        resize: Resize::None,
        height: 2,
        width: 2,
        orient: false,
    }
}

fn input(preprocess: &Preprocess, picture: &Picture) -> Vec<f32> {
    let pixels = preprocess.pixels(picture).unwrap();
    preprocess.batch([&pixels].into_iter())
}

#[test]
fn layout_order_scale_mean_and_deviation_reach_the_network() {
    let raw = Preprocess { scale: 1.0, ..network(Layout::Nchw, Order::Bgr) };
    let wanted = [20.0, 50.0, 80.0, 255.0, 10.0, 40.0, 70.0, 100.0, 0.0, 30.0, 60.0, 90.0];
    for (got, wanted) in input(&raw, &small()).iter().zip(wanted) {
        assert!((got - wanted).abs() < 1e-4);
    }
    let interleaved =
        Preprocess { mean: vec![0.1, 0.2, 0.3], std: vec![0.5, 1.0, 2.0], ..network(Layout::Nhwc, Order::Rgb) };
    let got = input(&interleaved, &small());
    for (index, (mean, std)) in [(0.1, 0.5), (0.2, 1.0), (0.3, 2.0)].into_iter().cycle().take(12).enumerate() {
        let wanted = (small().data[index] - mean) / std;
        assert!((got[index] - wanted).abs() < 1e-6);
    }
    assert_eq!(interleaved.input_shape(5), [5, 2, 2, 3]);
}

#[test]
fn eight_bit_values_arrive_exactly_as_divided_by_255() {
    let ramp: Vec<u8> = (0..=255).collect();
    let picture = Picture::from_bytes(1, 16, 16, &ramp);
    let grey = Preprocess { height: 16, width: 16, ..network(Layout::Nchw, Order::Grey) };
    for (value, byte) in input(&grey, &picture).iter().zip(&ramp) {
        assert_eq!(*value, f32::from(*byte) / 255.0);
    }
    assert_eq!(picture.to_bytes(), ramp);
}

#[test]
fn grey_becomes_three_equal_planes_and_colour_becomes_luma() {
    let grey = Picture::from_bytes(1, 2, 2, &[0, 51, 102, 255]);
    let pixels = network(Layout::Nchw, Order::Rgb).pixels(&grey).unwrap();
    assert_eq!(pixels.data, [grey.data.clone(), grey.data.clone(), grey.data].concat());
    let luma = network(Layout::Nchw, Order::Grey).pixels(&small()).unwrap();
    assert_eq!(luma.channels, 1);
    assert!((luma.data[0] * 255.0 - (0.587 * 10.0 + 0.114 * 20.0)).abs() < 1e-4);
}

#[test]
fn another_size_is_refused_cropped_or_resized_as_asked() {
    let wide = Picture::from_bytes(1, 2, 4, &[10, 20, 30, 40, 50, 60, 70, 80]);
    let with = |resize| Preprocess { resize, ..network(Layout::Nchw, Order::Grey) };
    let error = with(Resize::None).pixels(&wide).unwrap_err().to_string();
    assert!(error.starts_with("it is 4x2 pixels and the network takes 2x2"), "{error}");
    let bytes = |resize| -> Vec<u8> {
        with(resize).pixels(&wide).unwrap().data.iter().map(|v| (v * 255.0).round() as u8).collect()
    };
    assert_eq!(bytes(Resize::Crop), [20, 30, 60, 70]);
    assert_eq!(bytes(Resize::Shorter(2)), [20, 30, 60, 70]);
    // Half the width with the triangle filter at its wider support: weights 3/8, 3/8, 1/8, 1/8 around each new pixel.
    let exact = bytes(Resize::Exact);
    assert!(exact[0] > 15 && exact[0] < 20 && exact[1] > 30 && exact[1] < 35, "{exact:?}");
    let tiny = Picture::from_bytes(1, 1, 1, &[128]);
    assert!(with(Resize::Crop).pixels(&tiny).is_err());
    assert_eq!(with(Resize::Exact).pixels(&tiny).unwrap().data, [128.0 / 255.0; 4]);
}

#[test]
fn settings_survive_being_written_down() {
    let found = Preprocess::infer(&shape([1, 3, 224, 224])).unwrap();
    let json = serde_json::to_string(&found).unwrap();
    assert!(json.contains("shorter=256") && json.contains("nchw"), "{json}");
    assert_eq!(serde_json::from_str::<Preprocess>(&json).unwrap(), found);
    assert!(serde_json::from_str::<InputSettings>(r#"{"meen":[0.5]}"#).is_err());
    assert!("longer=3".parse::<Resize>().is_err());
}

#[test]
fn the_description_names_everything() {
    let text = Preprocess::infer(&shape([1, 3, 32, 32])).unwrap().describe();
    assert_eq!(text, "NCHW RGB 32x32 (pictures of that size only), x/255, mean [0.0], std [1.0]");
}

//! Laws: exact where they can be, in range always, and functions of their generator alone.
#![allow(clippy::unwrap_used)]

use images::{
    Pixels, draw,
    laws::{Law, add_noise, blur, brighten, rotate, scale_contrast},
};
use proptest::prelude::*;

fn pictures() -> impl Strategy<Value = Pixels> {
    (1usize..=2, 1usize..12, 1usize..12).prop_flat_map(|(kind, height, width)| {
        let channels = 2 * kind - 1;
        prop::collection::vec(0u8..=255, channels * height * width).prop_map(move |bytes| Pixels {
            channels,
            height,
            width,
            data: bytes.iter().map(|b| f32::from(*b) / 255.0).collect(),
        })
    })
}

fn laws() -> impl Strategy<Value = Law> {
    (0usize..5, 0.01f32..1.0).prop_map(|(which, size)| match which {
        0 => Law::Rotation { degrees: 180.0 * size },
        1 => Law::Brightness { delta: size },
        2 => Law::Contrast { delta: size },
        3 => Law::Blur { sigma: 4.0 * size },
        _ => Law::Noise { sigma: size },
    })
}

fn close(a: &Pixels, b: &Pixels, tolerance: f32) -> bool {
    a.data.len() == b.data.len() && a.data.iter().zip(&b.data).all(|(a, b)| (a - b).abs() <= tolerance)
}

proptest! {
    #[test]
    fn a_law_keeps_shape_and_range_and_depends_on_its_generator_alone(
        picture in pictures(), law in laws(), seed in 0u64..1000,
    ) {
        let copy = |sample| law.apply(&picture, &mut draw::rng(seed, law.name(), 0, sample));
        let first = copy(1);
        prop_assert_eq!((first.channels, first.height, first.width), (picture.channels, picture.height, picture.width));
        prop_assert!(first.data.iter().all(|v| (0.0..=1.0).contains(v)));
        prop_assert_eq!(&first, &copy(1));
    }

    #[test]
    fn neutral_parameters_change_nothing(picture in pictures()) {
        prop_assert!(close(&rotate(&picture, 0.0), &picture, 0.0));
        prop_assert!(close(&brighten(&picture, 0.0), &picture, 0.0));
        prop_assert!(close(&scale_contrast(&picture, 1.0), &picture, 0.0));
        prop_assert!(close(&blur(&picture, 0.0), &picture, 0.0));
        prop_assert!(close(&add_noise(&picture, 0.0, &mut draw::rng(0, "test", 0, 0)), &picture, 0.0));
    }

    #[test]
    fn brightness_and_contrast_are_their_formulas(picture in pictures(), change in -0.9f32..0.9) {
        for (before, after) in picture.data.iter().zip(brighten(&picture, change).data) {
            prop_assert_eq!(after, (before + change).clamp(0.0, 1.0));
        }
        for (before, after) in picture.data.iter().zip(scale_contrast(&picture, 1.0 + change).data) {
            prop_assert_eq!(after, (before * (1.0 + change)).min(1.0));
        }
    }

    #[test]
    fn blur_keeps_a_constant_picture(value in 0.0f32..=1.0, sigma in 0.1f32..6.0, height in 1usize..20, width in 1usize..20) {
        let flat = Pixels { channels: 1, height, width, data: vec![value; height * width] };
        prop_assert!(close(&blur(&flat, sigma), &flat, 1e-5));
    }

    #[test]
    fn a_law_survives_being_written_down(law in laws()) {
        prop_assert_eq!(law.to_string().parse::<Law>().unwrap(), law);
        let json = serde_json::to_string(&law).unwrap();
        prop_assert_eq!(serde_json::from_str::<Law>(&json).unwrap(), law);
    }
}

/// 3 × 3 with a different value everywhere.
fn nine() -> Pixels {
    Pixels { channels: 1, height: 3, width: 3, data: (1u8..=9).map(|v| f32::from(v) / 10.0).collect() }
}

#[test]
fn quarter_turns_move_pixels_exactly() {
    let turned = rotate(&nine(), 90.0);
    let wanted = [0.3, 0.6, 0.9, 0.2, 0.5, 0.8, 0.1, 0.4, 0.7];
    assert!(turned.data.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6), "{turned:?}");
    let half = rotate(&nine(), 180.0);
    assert!(half.data.iter().rev().zip(nine().data).all(|(a, b)| (a - b).abs() < 1e-6), "{half:?}");
}

#[test]
fn what_turns_in_from_outside_is_black() {
    let white = Pixels { channels: 3, height: 8, width: 8, data: vec![1.0; 3 * 64] };
    let turned = rotate(&white, 45.0);
    for channel in turned.data.chunks(64) {
        assert_eq!((channel[0], channel[7], channel[56], channel[63]), (0.0, 0.0, 0.0, 0.0));
        assert!((channel[27] - 1.0).abs() < 1e-6);
    }
}

#[test]
fn bilinear_interpolation_agrees_with_a_hand_calculation() {
    // Turning by 45° about the centre of 3 × 3: the right middle pixel comes from (1 + √½, 1 + √½).
    let t = 0.5f32.sqrt();
    let turned = rotate(&nine(), 45.0).data[5];
    let wanted = (1.0 - t) * ((1.0 - t) * 0.5 + t * 0.6) + t * ((1.0 - t) * 0.8 + t * 0.9);
    assert!((turned - wanted).abs() < 1e-6, "{turned} {wanted}");
}

#[test]
fn noise_has_the_deviation_it_says() {
    let grey = Pixels { channels: 1, height: 100, width: 101, data: vec![0.5; 10_100] };
    let noisy = add_noise(&grey, 0.05, &mut draw::rng(3, "test", 0, 0));
    let squares: f32 = noisy.data.iter().map(|v| (v - 0.5).powi(2)).sum();
    assert!(((squares / 10_100.0).sqrt() - 0.05).abs() < 0.002);
}

#[test]
fn drawn_parameters_fill_their_range() {
    let grey = Pixels { channels: 1, height: 1, width: 1, data: vec![0.5] };
    let law = Law::Brightness { delta: 0.3 };
    let values: Vec<f32> = (0..2000).map(|i| law.apply(&grey, &mut draw::rng(0, "b", 0, i)).data[0]).collect();
    let (least, most) = values.iter().fold((1f32, 0f32), |(l, m), v| (l.min(*v), m.max(*v)));
    assert!(least > 0.2 - 1e-6 && least < 0.205 && most < 0.8 + 1e-6 && most > 0.795, "{least} {most}");
}

#[test]
fn default_sizes_follow_the_picture() {
    let text = |side| Law::defaults(side).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(text(32), "rotation=10 brightness=0.3 contrast=0.4 blur=1 noise=0.04");
    assert_eq!(text(28), text(32));
    assert_eq!(text(224), "rotation=15 brightness=0.3 contrast=0.4 blur=3 noise=0.08");
    assert_eq!(text(128), "rotation=12.5 brightness=0.3 contrast=0.4 blur=2 noise=0.06");
}

#[test]
fn a_bare_name_takes_the_default_size_and_nonsense_is_refused() {
    assert_eq!(Law::parse("blur", 224).unwrap(), Law::Blur { sigma: 3.0 });
    assert_eq!(Law::parse("rotation=5", 224).unwrap(), Law::Rotation { degrees: 5.0 });
    for text in
        ["shear", "rotation=", "rotation=-3", "rotation=nan", "rotation=181", "contrast=1.5", "blur=1e9", "noise=0"]
    {
        let error = Law::parse(text, 32).unwrap_err().to_string();
        assert!(error.contains(text) && error.contains("rotation"), "{error}");
    }
}

//! Whether a JPEG stream is whole. A decoder fills what is missing with grey.
//!
//! Source: ITU-T T.81, annex B (markers, segments, byte stuffing).

/// Begins every JPEG stream: start of image, and the first byte of the next marker.
const START: [u8; 3] = [0xff, 0xd8, 0xff];
const END_OF_IMAGE: u8 = 0xd9;

/// Whether these bytes are a JPEG stream that ends before its end-of-image marker. What follows the marker does not
/// matter: cameras append previews.
pub(crate) fn is_cut_off(bytes: &[u8]) -> bool {
    if !bytes.starts_with(&START) {
        return false;
    }
    let mut at = 2;
    while let Some((marker, after)) = next_marker(bytes, at) {
        at = match marker {
            END_OF_IMAGE => return false,
            // Markers that stand alone: TEM, restarts, start of image.
            0x01 | 0xd0..=0xd8 => after,
            // All others begin a segment that says how long it is; a scan's own data goes on until the next marker.
            _ => match bytes.get(after..after + 2) {
                Some(length) => after + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2),
                None => return true,
            },
        };
    }
    true
}

/// The next marker's code and the position behind it. `ff 00` is a byte of data, and any number of `ff` may precede a
/// code.
fn next_marker(bytes: &[u8], from: usize) -> Option<(u8, usize)> {
    let rest = bytes.get(from..)?;
    let found = rest.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xff))?;
    Some((rest[found + 1], from + found + 2))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn jpeg() -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let noise =
            image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([(x * 91 % 256) as u8, (y * 57 % 256) as u8, 9]));
        noise.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn every_shorter_stream_is_cut_off_and_what_follows_the_end_does_not_matter() {
        let whole = jpeg();
        assert!(!is_cut_off(&whole));
        for length in 3..whole.len() {
            assert!(is_cut_off(&whole[..length]), "{length} of {} bytes", whole.len());
        }
        assert!(!is_cut_off(&[&whole[..], b"and a preview"].concat()));
    }

    #[test]
    fn the_end_of_a_preview_inside_a_segment_is_not_the_end() {
        let whole = jpeg();
        let segment = [&[0xff, 0xe1, 0x00, 0x06][..], &[0xff, 0xd8, 0xff, 0xd9]].concat();
        let with = [&whole[..2], &segment, &whole[2..]].concat();
        assert!(!is_cut_off(&with));
        assert!(is_cut_off(&with[..with.len() - 2]));
    }

    #[test]
    fn other_forms_are_none_of_its_business() {
        assert!(!is_cut_off(b"P6\n"));
        assert!(!is_cut_off(&[]));
    }
}

//! Numbers as people read them. What was not measured says so.

/// What stands where a figure is absent.
pub(crate) const ABSENT: &str = "not measured";

/// `1.23 M`, `45.6 k`, `789`.
pub(crate) fn count(n: f64) -> String {
    match n {
        n if n >= 1e9 => format!("{:.2} G", n / 1e9),
        n if n >= 1e6 => format!("{:.2} M", n / 1e6),
        n if n >= 1e4 => format!("{:.1} k", n / 1e3),
        n => format!("{n:.0}"),
    }
}

/// Bytes with a binary unit.
pub(crate) fn bytes(n: u64) -> String {
    let n = n as f64;
    match n {
        n if n >= 1_048_576.0 => format!("{:.2} MiB", n / 1_048_576.0),
        n if n >= 1024.0 => format!("{:.1} KiB", n / 1024.0),
        n => format!("{n:.0} B"),
    }
}

/// Bytes from `4GiB`, `500 MB`, `1.5G` or a bare number.
pub(crate) fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0 * 1024.0,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * factor;
    (bytes.is_finite() && bytes >= 1.0).then_some(bytes as u64)
}

/// A share as a percentage with two decimals.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// `1:02:03`, `2:03`, `4.5 s`, `120 ms`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{}:{:02}", whole / 60, whole % 60),
        _ => format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60),
    }
}

/// A small difference: `1.2e-6`.
pub(crate) fn small(x: f64) -> String {
    if x == 0.0 { "0".to_owned() } else { format!("{x:.1e}") }
}

/// The figure in words, or that it was not measured.
pub(crate) fn or_absent<T>(figure: Option<T>, show: impl FnOnce(T) -> String) -> String {
    figure.map_or_else(|| ABSENT.to_owned(), show)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        assert_eq!([count(40_812_345.0), count(270_410.0), count(512.0)], ["40.81 M", "270.4 k", "512"]);
        assert_eq!([bytes(700), bytes(320_330), bytes(47_000_000)], ["700 B", "312.8 KiB", "44.82 MiB"]);
        let sizes = ["4GiB", "1.5 kb", "700", "2m"].map(parse_bytes);
        assert_eq!(sizes, [Some(1 << 32), Some(1500), Some(700), Some(2 << 20)]);
        assert_eq!(["", "GiB", "0", "4 apples", "-1"].map(parse_bytes), [None; 5]);
        assert_eq!(duration(0.0123), "12 ms");
        assert_eq!(duration(75.2), "1:15");
        assert_eq!(duration(3725.0), "1:02:05");
        assert_eq!(percent(0.91234), "91.23 %");
        assert_eq!(or_absent(None, percent), ABSENT);
        assert_eq!([small(0.0), small(0.000_001_24)], ["0", "1.2e-6"]);
    }
}

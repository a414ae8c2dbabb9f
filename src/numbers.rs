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
        assert_eq!(duration(0.0123), "12 ms");
        assert_eq!(duration(75.2), "1:15");
        assert_eq!(duration(3725.0), "1:02:05");
        assert_eq!(percent(0.91234), "91.23 %");
        assert_eq!(or_absent(None, percent), ABSENT);
        assert_eq!([small(0.0), small(0.000_001_24)], ["0", "1.2e-6"]);
    }
}

//! Progress on stderr: bars on a terminal, plain lines elsewhere, nothing with `--quiet`.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::numbers;
use crate::shared::Shared;
use crate::stderr::complain;

/// Plain lines come at most this often.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// From then on the pace says how much time is left.
const PACE_AFTER: Duration = Duration::from_secs(1);
const BAR: &str = "{prefix:>10} [{wide_bar:.cyan/dim}] {pos}/{len} {msg}";

/// Where progress is shown.
#[derive(Clone, Debug)]
pub(crate) enum Progress {
    /// Bars on a terminal.
    Bars(MultiProgress),
    /// A line now and then.
    Lines,
    /// Nothing.
    Quiet,
}

/// How far a piece of work is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tick {
    /// Units done.
    pub(crate) done: u64,
    /// Units there will be.
    pub(crate) total: u64,
    /// Images per second, where that is the speed.
    pub(crate) rate: Option<f64>,
    /// Seconds left, as far as can be told.
    pub(crate) left: Option<f64>,
    /// Named figures: loss, budget.
    pub(crate) figures: Vec<(String, f64)>,
}

impl Progress {
    /// As flags and terminal say.
    pub(crate) fn of(shared: &Shared) -> Self {
        if shared.quiet {
            Self::Quiet
        } else if std::io::stderr().is_terminal() {
            Self::Bars(MultiProgress::new())
        } else {
            Self::Lines
        }
    }

    /// Says something that a person should know.
    pub(crate) fn note(&self, text: &str) {
        match self {
            Self::Bars(bars) => bars.suspend(|| complain(text)),
            Self::Lines => complain(text),
            Self::Quiet => {}
        }
    }

    /// Begins a piece of work.
    pub(crate) fn begin(&self, name: &str) -> Meter {
        let bar = match self {
            Self::Bars(bars) => Some(bars.add(ProgressBar::new(0).with_prefix(name.to_owned()).with_style(style()))),
            Self::Lines | Self::Quiet => None,
        };
        let lines = matches!(self, Self::Lines);
        Meter { name: name.to_owned(), bar, lines, begun: Instant::now(), last_line: None }
    }
}

fn style() -> ProgressStyle {
    // The template is a constant of this file; a wrong one shows as a plain bar.
    ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Shows one piece of work; gone when dropped.
#[derive(Debug)]
pub(crate) struct Meter {
    name: String,
    bar: Option<ProgressBar>,
    lines: bool,
    begun: Instant,
    last_line: Option<Instant>,
}

impl Meter {
    /// Shows how far the work is. Without a time left, one is told from the pace so far.
    pub(crate) fn tick(&mut self, mut tick: Tick) {
        let elapsed = self.begun.elapsed();
        if tick.left.is_none() && (1..tick.total).contains(&tick.done) && elapsed >= PACE_AFTER {
            let pace = elapsed.as_secs_f64() / tick.done as f64;
            tick.left = Some(pace * tick.total.saturating_sub(tick.done) as f64);
        }
        if let Some(bar) = &self.bar {
            bar.set_length(tick.total);
            bar.set_position(tick.done);
            bar.set_message(tick.words());
        }
        let due = self.last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY);
        if self.lines && (due || tick.done == tick.total) {
            self.last_line = Some(Instant::now());
            complain(format!("{}: {}/{} {}", self.name, tick.done, tick.total, tick.words()).trim_end());
        }
    }

    /// Shows units done of a total, and nothing else.
    pub(crate) fn count(&mut self, done: u64, total: u64) {
        self.tick(Tick { done, total, ..Tick::default() });
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Tick {
    /// Everything but the step, in the order people look for it.
    fn words(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.rate.map(|rate| format!("{rate:.0} images/s")));
        words.extend(self.left.map(|left| format!("{} left", numbers::duration(left))));
        words.extend(self.figures.iter().map(|(name, value)| format!("{name} {}", figure(*value))));
        words.join(", ")
    }
}

/// Three significant digits or so.
fn figure(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-3 { format!("{value:.1e}") } else { format!("{value:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_in_one_line() {
        let tick = Tick {
            done: 120,
            total: 400,
            rate: Some(519.6),
            left: Some(75.0),
            figures: vec![("loss".into(), 1.2345), ("budget".into(), 0.5), ("flips".into(), 0.0002)],
        };
        assert_eq!(tick.words(), "520 images/s, 1:15 left, loss 1.234, budget 0.500, flips 2.0e-4");
    }
}

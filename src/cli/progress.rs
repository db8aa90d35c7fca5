//! What a run shows while it measures: a bar on a terminal, plain lines elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::terminal::errln;
use crate::harness::rounds::{Job, RunPlan, RunProgress};

/// A bar or lines, on standard error.
#[derive(Debug, Clone)]
pub(super) struct ProgressDisplay {
    bar: Option<ProgressBar>,
    rounds: u32,
    paired: bool,
}

impl ProgressDisplay {
    /// For label was asked.
    pub(super) fn new(plan: &RunPlan) -> Self {
        Self { bar: bar(0), rounds: plan.rounds, paired: plan.sides() > 1 }
    }

    /// A job begins, or two that are interleaved.
    pub(super) fn begins(&self, jobs: &[Job<'_>], progress: &RunProgress) {
        let Some(round) = jobs.first().map(|job| job.round + 1) else { return };
        let round = format!("round {round}/{}", self.rounds.max(round));
        let mut sides: Vec<_> = jobs.iter().map(|job| (job.entry.side, job.entry.id.as_str())).collect();
        sides.sort_unstable();
        let label = match sides[..] {
            [(side, id)] if self.paired => format!("{id}, side {}", ["A", "B"][side % 2]),
            [(_, a), (_, b)] if a == b => format!("{a}, both sides interleaved"),
            [(_, a), (_, b)] => format!("{a} and {b} interleaved"),
            _ => sides.iter().map(|(_, id)| *id).collect(),
        };
        let left = time(progress.left);
        match &self.bar {
            Some(bar) => {
                bar.set_length(progress.all);
                bar.set_position(progress.done);
                bar.set_message(format!("{round}, {left} left: {label}"));
            }
            None => errln!("{round}, {}/{}, {left} left: {label}", progress.done + 1, progress.all),
        }
    }

    /// Something that must not be overwritten.
    pub(super) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => errln!("{text}"),
        }
    }

    /// A second has passed.
    pub(super) fn tick(&self) {
        if let Some(bar) = &self.bar {
            bar.tick();
        }
    }

    /// The end.
    pub(super) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Steps of a known number that each print something when they are done: a bar on a terminal, a line for each
/// elsewhere.
#[derive(Debug)]
pub(super) struct Steps {
    bar: Option<ProgressBar>,
    all: usize,
}

impl Steps {
    /// So many.
    pub(super) fn new(all: usize) -> Self {
        Self { bar: bar(all as u64), all }
    }

    /// The step of this number, counted from 0, begins.
    pub(super) fn begins(&self, step: usize, label: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_position(step as u64);
                bar.set_message(label.to_owned());
            }
            None => errln!("{}/{}: {label}", step + 1, self.all),
        }
    }

    /// Does `print` without the bar in its way.
    pub(super) fn aside<R>(&self, print: impl FnOnce() -> R) -> R {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

/// Without a bar, a line that often.
const SPARSE: Duration = Duration::from_secs(30);

/// Steps of about the same length: a bar with the time that is left, or a line now and then.
#[derive(Debug)]
pub(super) struct Countdown {
    bar: Option<ProgressBar>,
    all: usize,
    begun: usize,
    /// How long a step takes, before one is done.
    expected: Duration,
    started: Instant,
    told: Option<Instant>,
}

impl Countdown {
    /// So many steps, each of about that length.
    pub(super) fn new(all: usize, expected: Duration) -> Self {
        Self { bar: bar(all as u64), all, begun: 0, expected, started: Instant::now(), told: None }
    }

    /// The next step begins.
    pub(super) fn begins(&mut self, label: &str) {
        let left = time(left(self.started.elapsed(), self.begun, self.all, self.expected));
        self.begun += 1;
        match &self.bar {
            Some(bar) => {
                bar.set_position(self.begun as u64);
                bar.set_message(format!("{left} left: {label}"));
            }
            None if self.told.is_none_or(|told| told.elapsed() >= SPARSE) => {
                self.told = Some(Instant::now());
                errln!("{}/{}, {left} left: {label}", self.begun, self.all);
            }
            None => {}
        }
    }

    /// Does `print` without the bar in its way.
    pub(super) fn aside<R>(&self, print: impl FnOnce() -> R) -> R {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Drop for Countdown {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What is left of `all` steps after `done`, by their pace; `expected` is that of one before any is done.
fn left(elapsed: Duration, done: usize, all: usize, expected: Duration) -> Duration {
    let steps = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let pace = elapsed.checked_div(steps(done)).unwrap_or(expected);
    pace.saturating_mul(steps(all.saturating_sub(done)))
}

impl Drop for Steps {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A bar of so many steps, on a terminal that can show one. The library hides it elsewhere, and with it what is printed
/// past it: on a dumb terminal, and where TERM is not set.
fn bar(steps: u64) -> Option<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg}");
    // The template is a constant; were it wrong, the bar would be a plain one.
    shown(ProgressBar::new(steps).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
}

/// A bar that is seen; none where it would not be.
pub(super) fn shown(bar: ProgressBar) -> Option<ProgressBar> {
    // The library takes a terminal whose kind is the empty word for a capable one.
    let has_kind = std::env::var_os("TERM").is_some_and(|kind| !kind.is_empty());
    Some(bar).filter(|bar| has_kind && !bar.is_hidden())
}

/// `45 s`, `12 min`, `3 h 05 min`.
fn time(left: Duration) -> String {
    let seconds = left.as_secs();
    match seconds {
        0..90 => format!("{seconds} s"),
        90..5400 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_the_pace() {
        let second = Duration::from_secs(1);
        assert_eq!(left(Duration::ZERO, 0, 10, 3 * second), 30 * second);
        assert_eq!(left(20 * second, 5, 10, 3 * second), 20 * second);
        assert_eq!(left(20 * second, 10, 10, 3 * second), Duration::ZERO);
    }
}

//! Estimators over rounds and samples: what a benchmark's figure is, how well it is known, and what follows from it.
//!
//! Pure functions: no clock, no files, and no randomness but from a [`Prng`] with an explicit seed, so that every
//! figure can be recomputed from a record. What the data cannot support is `None`, never a guess; what they support
//! only in part is labelled by its [`Basis`].
//!
//! | question | answer |
//! | --- | --- |
//! | what does it cost, and ± what? | [`rounds_interval`]; for one round alone [`samples_interval`] |
//! | how many times the other one? | [`ratio_interval`], then [`Verdict::of`] |
//! | by how much more than the other one? | [`difference_interval`] |
//! | which samples count? | [`screen`] |
//! | is it one figure or several? | [`modes()`] |
//! | what does one more task cost? | [`slope()`] |
//! | how much longer must it run? | [`further_rounds`] |
//!
//! Statistics are over rounds first, samples second: samples of one process agree with one another far better than
//! with those of the next process, and thousands of them do not replace a second round.

/// The confidence of every interval shown.
pub const CONFIDENCE: f64 = 0.95;

mod bootstrap;
mod budget;
mod contrast;
#[cfg(test)]
mod coverage;
mod gamma;
mod holm;
#[cfg(test)]
mod hosts_simulated;
mod interleaved;
mod interval;
mod modes;
mod prng;
mod quantile;
mod ranks;
mod ratio;
mod rounds;
mod run_scatter;
#[cfg(test)]
mod runs_simulated;
mod screening;
#[cfg(test)]
mod simulation;
mod slope;
mod student;
mod verdict;

pub use bootstrap::samples_interval;
pub use budget::{Budget, Precision, further_rounds};
pub use contrast::{Contrast, run_ratio_interval};
pub use holm::holm;
pub use interleaved::{interleaved_ratio, pair_ratios};
pub use interval::Interval;
pub use modes::{Modes, modes};
pub use prng::Prng;
pub use quantile::{coefficient_of_variation, median, quantile, quantiles};
pub use ratio::{Ratio, difference_interval, ratio_interval};
pub use rounds::{Basis, Estimate, rounds_interval};
pub use run_scatter::{Replication, RunFigure, Scatter, scatter_of_bulk};
pub use screening::{
    ProbedValue, RoundValues, Screening, fastest_probe, probes_differ, screen, screen_pairs, slowed_share, unscreened,
};
pub use slope::{Slope, slope};
pub use verdict::Verdict;

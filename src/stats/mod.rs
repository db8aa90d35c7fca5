//! Estimators over rounds and samples: what a benchmark's figure is, how well it is known, and what follows from it.
//!
//! Pure functions: no clock, no files, and no randomness but from a [`Prng`] with an explicit seed, so that every
//! figure can be recomputed from a record. What the data cannot support is `None`, never a guess; what they support only in
//! part is labelled by its [`Basis`].
//!
//! | question | answer |
//! | --- | --- |
//! | what does it cost, and ± what? | [`rounds_interval`]; for one round alone [`samples_interval`] |
//! | how many times the other one? | [`ratio_interval`], then [`Verdict::of`] |
//! | which samples count? | [`at_best_pace`] |
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
#[cfg(test)]
mod coverage;
mod interval;
mod modes;
mod pace;
mod prng;
mod quantile;
mod ranks;
mod ratio;
mod rounds;
#[cfg(test)]
mod simulation;
mod slope;
mod student;
mod turns;
mod verdict;

pub use bootstrap::samples_interval;
pub use budget::{Budget, Precision, further_rounds};
pub use interval::Interval;
pub use modes::{Modes, modes};
pub use pace::{
    Paced, Rounds, Screened, all_values, at_best_pace, best_pace, paces_differ, pairs_at_best_pace, slowed_share,
};
pub use prng::Prng;
pub use quantile::{coefficient_of_variation, median, quantile, quantiles};
pub use ratio::{Ratio, ratio_interval};
pub use rounds::{Basis, Estimate, rounds_interval};
pub use slope::{Slope, slope};
pub use turns::ratio_in_turns;
pub use verdict::Verdict;

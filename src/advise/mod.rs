//! Whether a live program would use less CPU with an event loop: a pure model. An observation of the program and
//! calibrations of this suite's own servers come in, an [`Advice`] goes out.
//!
//! A thread that waits for one descriptor is woken from outside, runs, and gives its CPU up again. An event loop would
//! have returned from one wait for all of them instead. What that would save is
//!
//! ```text
//! voluntary switches in waits for one descriptor  ×  (CPU of a blocking server − CPU of an event loop) per switch
//! ```
//!
//! where both servers are this suite's own, under the load that the program was seen under: as many connections, as
//! many arrivals a second, as much work for each, on the same CPUs. Both do the same receiving, sending and computing,
//! which drops out of the difference. `docs/method/advice.md` says why, and what is left out.

mod advice;
mod causes;
mod crossover;
mod decision;
mod dispatch_cost;
mod machine_state;
#[cfg(test)]
pub(crate) mod made_up_program;
mod operating_point;
mod prediction;
mod saying;
#[cfg(test)]
mod tests;
mod waits;

pub use advice::{Advice, AdviceReason, AdviceVerdict, ThreadMemory};
pub use causes::CpuCauses;
pub use crossover::LoadRange;
pub use decision::advise;
pub use operating_point::operating_point;
pub use prediction::{LoadPrediction, RequestPrediction, TargetPrediction};
pub use waits::{StayingWait, WaitCounts};

/// A saving below this share of the program's CPU time is not worth another design: the verdict is NO while the upper
/// end of the interval is below it, and YES once the lower end is above.
pub const WORTHWHILE: f64 = 0.05;

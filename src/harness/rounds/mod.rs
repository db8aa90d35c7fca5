//! Rounds: every benchmark in several fresh processes, in an order drawn anew for each round.
//!
//! The scheduler's results vary more between processes than within one, and the machine drifts. So each benchmark of
//! each round gets a process of its own, all benchmarks take part in a round before the next one begins, and the order
//! within a round is random: a drift then falls on all of them alike (T. Mytkowicz et al., "Producing wrong data without
//! doing anything obviously wrong!", ASPLOS 2009). What crashes or hangs costs itself and nothing else. The two sides of a
//! comparison take turns within a round, sample by sample, where that is possible.
//!
//! [`Asked`] is what a run was asked for; it lies in the run's folder, so that a run can go on after a kill.
//! [`conduct`] decides what is measured next, from what was asked and the [`Standing`] alone: it sees processes only
//! through a [`Runner`]. [`Processes`] is the runner that starts them.

mod asked;
mod beside;
mod campaign;
mod foreign;
mod interrupts;
mod order;
mod processes;
mod profile;
mod request;
mod standing;
mod started;
mod sweep;
#[cfg(test)]
mod tests;

pub use asked::{Asked, AskedError, Entry, Held, PLAN_FILE, hold};
pub use campaign::{Conclusion, Job, LeftOut, NotReached, Outlook, Ran, Runner, Witness, conduct};
pub use foreign::foreign_load;
pub use interrupts::Interrupts;
pub use processes::{Processes, Programs, introduce, knows_turns};
pub use profile::{Pick, Profile, ProfileError, duration};
pub use request::answer_round_request;
pub use standing::Standing;

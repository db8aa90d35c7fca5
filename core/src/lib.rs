//! What switchcost measures, and what that stands on: mechanisms, servers and their clients, the tasks they run in,
//! counters, calls of the kernel, statistics, and the words of its records.
//!
//! A crate of its own for the compiler's sake: what is measured is optimised as one piece (`Cargo.toml` says why), and
//! what decides, draws and prints is compiled beside it. The crate `switchcost` shows its rooms as if they were its
//! own, and the picture of who sees whom stands there.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod crew;
pub mod host;
pub mod load;
pub mod mechanism;
pub mod pmu;
pub mod server;
pub mod stats;
pub mod sys;
pub mod terms;
pub mod units;

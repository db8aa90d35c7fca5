//! What switchcost measures, and what that stands on: mechanisms, servers and their clients, the tasks they run in,
//! counters, calls of the kernel, the host, statistics, and the words of its records.
//!
//! A crate of its own because what is measured is optimised as one piece; the root's `Cargo.toml` says why, at
//! `[profile.release.package]`. The crate `switchcost` re-exports these rooms, and the picture of which room calls
//! which is in its `src/lib.rs`.
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

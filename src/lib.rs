//! switchcost measures what each way of passing control between tasks costs on the machine it runs on.
//!
//! The rooms, and who may call whom (arrows point one way; `tests/architecture.rs` checks them):
//!
//! ```text
//! units <- sys <- crew <- mechanism <- harness -> record
//!          sys <- pmu, host <- harness
//!          stats <- harness
//!          record, stats <- compare, report
//!          everything <- cli <- main
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod cli;
pub mod compare;
pub mod crew;
pub mod harness;
pub mod host;
pub mod mechanism;
pub mod pmu;
pub mod record;
pub mod report;
pub mod stats;
pub mod sys;
pub mod units;

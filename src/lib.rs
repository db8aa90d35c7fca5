//! switchcost measures what each way of passing control between tasks costs on the machine it runs on.
//!
//! An arrow points from the room that calls to the room that is called; there are no others (`tests/architecture.rs`
//! checks them). `ARCHITECTURE.md` says what each room does and what is always true of it. Rooms that are re-exported
//! below are those of the crate `switchcost-core`.
//!
//! ```text
//! main       ->  cli
//! cli        ->  every room below
//!
//! report     ->  advise, compare, record, stats, terms, units
//! compare    ->  record, stats, terms, units
//! advise     ->  stats, terms, units
//! harness    ->  mechanism, server, load, crew, host, pmu, record, stats, sys, terms, units
//! mechanism  ->  server, load, crew, sys, terms, units
//! server     ->  crew, sys, terms, units
//! load       ->  stats, sys, terms, units
//! crew       ->  sys, terms, units
//! host       ->  terms, units
//! watch      ->  pmu, sys, terms, units
//! pmu        ->  sys, terms, units
//! sys        ->  terms, units
//! record     ->  terms, units
//! stats      ->  (nothing)
//! terms      ->  units
//! units      ->  (nothing)
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod advise;
pub mod cli;
pub mod compare;
pub mod harness;
pub mod record;
pub mod report;
pub mod watch;

#[doc(inline)]
pub use switchcost_core::{crew, host, load, mechanism, pmu, server, stats, sys, terms, units};

//! Load: a client that asks a server at times fixed beforehand, or as fast as it answers, and tells what came of it.
//!
//! [`run_load`] carries a [`LoadPlan`] out in threads of its own. A caller with threads of its own makes the plan's
//! workers by its engine, lets each connect and [`LoadRun::work`] in a thread, and takes the [`LoadOutcome`] at the
//! end.
//!
//! The response time of a request counts from the moment at which it was meant to be sent, also when it is sent late
//! because the server answers on no connection, or not at all ("coordinated omission": G. Tene, *How NOT to measure
//! latency*, 2013). Nothing is corrected afterwards: histograms hold what happened.

mod client_connection;
mod client_threads;
mod dispatcher;
mod engine;
mod exchange;
mod feed;
mod hdr_log;
mod http_exchange;
mod ledger;
mod load_plan;
mod load_run;
mod outcome;
mod precision;
mod schedule;
mod search;
mod validity;

#[cfg(test)]
mod tests;

pub use client_threads::{IdleConnections, run_load};
pub use engine::{ENGINES, LoadEngine, LoadWorker, engine};
pub use exchange::LoadProtocol;
pub use hdr_log::{hdr_log, now as hdr_now};
pub use http_exchange::HttpRequest;
pub use ledger::{LoadFailure, LoadInterval, RequestCounts};
pub use load_plan::{LONGEST_RUN, LoadDriver, LoadPlan, LoadPlanError};
pub use load_run::{LoadError, LoadObserver, LoadProgress, LoadRun};
pub use outcome::{Backlog, ClientUsage, LoadEnd, LoadFigures, LoadOutcome, VoidReason};
pub use schedule::ArrivalPattern;
pub use search::{RateGrowth, RateProbe, RateSearch};

//! What came of a load run.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ledger::RequestCounts;
use crate::stats::Interval;
use crate::sys::net_counters::NetCounters;
use crate::terms::ValueHistogram;
use crate::units::Nanos;

/// What came of a load run: what was asked, what was answered, and whether the figures may be believed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadOutcome {
    /// What sent and received: `epoll`.
    pub engine: String,
    /// Connections that carried requests.
    pub connections: usize,
    /// Connections beside them that carried nothing.
    pub idle_connections: usize,
    /// Requests a second that were meant to be sent; absent in a closed loop.
    pub asked_rate: Option<f64>,
    /// From the end of the warm-up to the last moment at which a request was due, in nanoseconds.
    pub sending: Nanos,
    /// From the end of the warm-up to the end of the last request, in nanoseconds.
    pub lasted: Nanos,
    /// How many requests came to what.
    pub counts: RequestCounts,
    /// From the intended time of a request to its answer: corrected for requests that were sent late or not at all. In
    /// a closed loop, which has no intended times, as `service`.
    pub response: ValueHistogram,
    /// From the sending of a request to its answer: uncorrected.
    pub service: ValueHistogram,
    /// How much later than it could have been a request was sent.
    pub lateness: ValueHistogram,
    /// The 99th percentile of the response time and its 95 % interval, where there was enough to tell.
    pub p99: Option<Interval>,
    /// Requests outstanding on average.
    pub in_flight: f64,
    /// What the client's threads used.
    pub client: ClientUsage,
    /// What the kernel counted meanwhile in this network namespace, for all its programs; absent where /proc/net does
    /// not tell.
    pub network: Option<NetCounters>,
    /// Why the run ended.
    pub ended: LoadEnd,
    /// The first message of each kind of failure.
    pub told: Vec<String>,
    /// Why the figures are void; empty when they are not.
    pub void: Vec<VoidReason>,
    /// Set when the server did not keep up: what was measured is its backlog.
    pub backlog: Option<Backlog>,
}

/// What several turns of a run came to, for those who put figures of their own together.
#[derive(Debug, Clone)]
pub struct LoadFigures {
    /// How many requests came to what.
    pub counts: RequestCounts,
    /// As [`LoadOutcome::response`].
    pub response: ValueHistogram,
    /// As [`LoadOutcome::service`].
    pub service: ValueHistogram,
    /// As [`LoadOutcome::lateness`]; empty in a closed loop.
    pub lateness: ValueHistogram,
    /// The sum of the times for which requests were outstanding.
    pub outstanding: Nanos,
    /// What the client's threads used.
    pub client: ClientUsage,
}

/// What the client's threads used from the start of the run, its warm-up included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientUsage {
    /// CPU time of the threads that send and receive, in nanoseconds.
    pub cpu: Nanos,
    /// Of that: spent in reading the clock until a request was due.
    pub spun: Nanos,
    /// Time between the start and the end, for each CPU that the threads could use, in nanoseconds.
    pub available: Nanos,
    /// How often a thread returned from a wait with something to do.
    pub wakes: u64,
    /// How many events it returned with.
    pub events: u64,
    /// Connections that were opened during the run.
    pub connects: u64,
    /// RequestBytes that were received.
    pub received: u64,
}

impl ClientUsage {
    /// The share of its CPUs' time for which the client had work to do.
    pub fn busy(&self) -> f64 {
        self.cpu.0.saturating_sub(self.spun.0) as f64 / self.available.0.max(1) as f64
    }

    /// Events for each wake; `None` without a wake.
    pub fn events_per_wake(&self) -> Option<f64> {
        (self.wakes > 0).then(|| self.events as f64 / self.wakes as f64)
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.cpu.0 += other.cpu.0;
        self.spun.0 += other.spun.0;
        self.wakes += other.wakes;
        self.events += other.events;
        self.connects += other.connects;
        self.received += other.received;
    }
}

/// Why a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadEnd {
    /// Its time was over.
    Duration,
    /// All requests were sent.
    Requests,
    /// The 99th percentile was known well enough.
    Precise,
    /// The caller ended it.
    Interrupted,
    /// The server no longer answered; why, in words.
    GaveUp(String),
}

impl fmt::Display for LoadEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration => f.write_str("the time was up"),
            Self::Requests => f.write_str("all requests were sent"),
            Self::Precise => f.write_str("the p99 was known well enough"),
            Self::Interrupted => f.write_str("it was interrupted"),
            Self::GaveUp(why) => f.write_str(why),
        }
    }
}

/// That the server did not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backlog {
    /// Requests a second that were meant to be sent.
    pub asked: f64,
    /// Requests a second that were answered while they were: the ceiling, with these connections.
    pub answered: f64,
}

/// Why figures are void.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VoidReason {
    /// Too many requests were sent late or not at all.
    SentTooFew {
        /// The share that was sent in time.
        in_time: f64,
        /// Sent late.
        late: u64,
        /// Not sent.
        unsent: u64,
    },
    /// The client's own lateness is part of what was measured.
    Lateness {
        /// The median lateness, in nanoseconds.
        lateness: u64,
        /// The median response time, in nanoseconds.
        response: u64,
    },
    /// The client's CPUs were busy.
    ClientBusy {
        /// The share of their time.
        busy: f64,
    },
    /// There is no answer to take a figure from.
    NoAnswer,
}

impl fmt::Display for VoidReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |nanos: u64| Duration::from_nanos(nanos);
        match self {
            Self::SentTooFew { in_time, late, unsent } => {
                let share = in_time * 100.0;
                write!(f, "{share:.1} % of the requests were sent in time: {late} late, {unsent} not at all")
            }
            Self::Lateness { lateness, response } => {
                let (lateness, response) = (of(*lateness), of(*response));
                write!(f, "the client sent {lateness:?} late at the median, of a median response of {response:?}")
            }
            Self::ClientBusy { busy } => {
                write!(f, "the client was the bottleneck: its CPUs were busy for {:.0} % of the time", busy * 100.0)
            }
            Self::NoAnswer => f.write_str("no request was answered"),
        }
    }
}

//! What a load run is asked to do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::engine::LoadEngine;
use super::exchange::LoadProtocol;
use super::schedule::ArrivalPattern;
use crate::units::{CpuId, Nanos};

/// What a load run is asked to do: whom to ask, how often, by which engine, and when to stop.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// The server's address.
    pub address: SocketAddr,
    /// What is sent, and what counts as an answer.
    pub protocol: LoadProtocol,
    /// Connections that carry requests (sockets, for UDP), one request on each at a time; at least 1.
    pub connections: usize,
    /// Connections that are opened beside them and carry nothing.
    pub idle_connections: usize,
    /// When requests are sent.
    pub driver: LoadDriver,
    /// How long requests are meant to be sent, the warm-up included; at most an hour, beyond which no response time
    /// is told apart.
    pub duration: Duration,
    /// At most this many requests.
    pub requests: Option<u64>,
    /// Requests that are meant to be sent within this time from the start are sent and not counted.
    pub warm_up: Duration,
    /// The run ends early once the 95 % interval of the 99th percentile of the response time reaches no further than
    /// this share of it to either side: `0.05` is 5 %.
    pub precision: Option<f64>,
    /// What sends and receives.
    pub engine: &'static dyn LoadEngine,
    /// Threads of an engine that serves many connections in one; engines with a thread per connection ignore it.
    pub threads: usize,
    /// The CPUs that the threads are pinned to, in turn; empty leaves them where the caller may run.
    pub cpus: Vec<CpuId>,
    /// A request without an answer for so long has failed.
    pub timeout: Duration,
    /// How long before a request's time a thread stops sleeping and reads the clock instead.
    pub spin: Nanos,
    /// The seed of arrivals and of the order of connections.
    pub seed: u64,
}

/// When requests are sent.
#[derive(Debug, Clone)]
pub enum LoadDriver {
    /// So many are outstanding at any time, at most one per connection: the next is sent when an answer is there.
    Closed {
        /// How many.
        outstanding: usize,
        /// The first requests are sent at random moments within this time, so that connections do not start in step.
        ramp: Duration,
    },
    /// At times that are fixed before the first is sent, whatever the server does.
    Open(ArrivalPattern),
}

impl LoadDriver {
    /// The mean time between two requests; `None` where no rate was asked for.
    pub fn mean_gap(&self) -> Option<Nanos> {
        match self {
            Self::Closed { .. } => None,
            Self::Open(arrivals) => Some(arrivals.mean_gap()),
        }
    }

    /// Requests a second that it asks for; `None` in a closed loop and for a list of times.
    pub fn rate(&self) -> Option<f64> {
        match self {
            Self::Closed { .. } => None,
            Self::Open(arrivals) => arrivals.rate(),
        }
    }

    /// Its word for people: `closed`, `uniform`, `poisson` …
    pub fn name(&self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Open(arrivals) => arrivals.name(),
        }
    }

    /// Whether it ends by itself.
    pub(super) fn is_a_list(&self) -> bool {
        matches!(self, Self::Open(ArrivalPattern::Times(_)))
    }
}

/// A plan that cannot be carried out, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LoadPlanError(pub String);

/// The longest that a run may last.
pub const LONGEST_RUN: Duration = Duration::from_secs(3600);

impl LoadPlan {
    /// A plan with the defaults of `switchcost load`: 64 connections that are all busy, 10 seconds, one thread.
    pub fn new(address: SocketAddr, protocol: LoadProtocol, engine: &'static dyn LoadEngine) -> Self {
        Self {
            address,
            protocol,
            connections: 64,
            idle_connections: 0,
            driver: LoadDriver::Closed { outstanding: 64, ramp: Duration::from_millis(10) },
            duration: Duration::from_secs(10),
            requests: None,
            warm_up: Duration::ZERO,
            precision: None,
            engine,
            threads: 1,
            cpus: Vec::new(),
            timeout: Duration::from_secs(10),
            spin: Nanos(0),
            seed: 1,
        }
    }

    /// The plan, to be shared by its workers.
    ///
    /// # Errors
    /// What keeps it from being carried out.
    pub fn checked(self) -> Result<Arc<Self>, LoadPlanError> {
        let refused = |why: String| Err(LoadPlanError(why));
        if self.connections == 0 {
            return refused("0 connections carry no request: at least 1 is needed".into());
        }
        if self.threads == 0 {
            return refused("0 threads send no request: at least 1 is needed".into());
        }
        if self.duration.is_zero() || self.duration > LONGEST_RUN {
            return refused(format!("a run lasts more than nothing and at most an hour, not {:?}", self.duration));
        }
        if self.warm_up >= self.duration {
            return refused(format!(
                "the warm-up of {:?} leaves nothing of the {:?} that the run lasts",
                self.warm_up, self.duration
            ));
        }
        if self.timeout.is_zero() {
            return refused("a timeout of 0 leaves no time for an answer".into());
        }
        if self.requests == Some(0) {
            return refused("0 requests measure nothing".into());
        }
        match &self.driver {
            LoadDriver::Closed { outstanding, .. } if *outstanding == 0 || *outstanding > self.connections => {
                refused(format!(
                    "{outstanding} requests outstanding do not fit {} connections, which carry one each",
                    self.connections
                ))
            }
            LoadDriver::Open(arrivals) => match arrivals.check() {
                Err(why) => refused(why),
                Ok(()) => Ok(Arc::new(self)),
            },
            LoadDriver::Closed { .. } => Ok(Arc::new(self)),
        }
    }
}

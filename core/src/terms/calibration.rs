//! What a request costs this suite's own servers, blocking and asynchronous, at the load of a watched program.
//!
//! `src/harness/calibration/` takes it, and the advice is computed from it and an
//! [`Observation`](super::Observation).

use serde::{Deserialize, Serialize};

use super::Shortfall;
use crate::units::{CpuId, Nanos};

/// How a server learns that there is something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dispatch {
    /// A thread for each connection waits in its call.
    Blocking,
    /// An event loop waits in epoll_wait(2).
    Epoll,
    /// A ring waits in io_uring_enter(2).
    Uring,
    /// A task for each connection, on tokio.
    Tokio,
}

impl Dispatch {
    /// All that an advice may be about, in the order in which they are listed.
    pub const TARGETS: &[Self] = &[Self::Epoll, Self::Uring, Self::Tokio];

    /// Its word on the command line and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::Epoll => "epoll",
            Self::Uring => "uring",
            Self::Tokio => "tokio",
        }
    }

    /// Its name in a sentence: `io_uring`.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Blocking => "blocking threads",
            Self::Epoll => "epoll",
            Self::Uring => "io_uring",
            Self::Tokio => "tokio",
        }
    }

    /// The one that is called `name`.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Blocking].iter().chain(Self::TARGETS).copied().find(|dispatch| dispatch.name() == name)
    }
}

/// The load that servers are calibrated under: that of the watched program, where one of its blocking waits is one
/// request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatingPoint {
    /// Connections that carry requests, at least 1: threads that were active at the same time.
    pub connections: u64,
    /// Connections beside them that carry nothing: threads that only waited.
    pub idle_connections: u64,
    /// Requests per second, above 0.
    pub rate: f64,
    /// Whether the program used all of its CPUs: clients then wait for its answers, so that each connection of the
    /// servers has a request outstanding at any time, whatever the rate.
    pub saturated: bool,
    /// What a request computes, beside being received and answered.
    pub work: Nanos,
    /// How long a request waits before it is answered: what threads slept between two waits for a descriptor.
    #[serde(default)]
    pub delay: Nanos,
    /// Threads of an asynchronous server.
    pub workers: u64,
    /// The CPUs that the servers may use.
    pub cpus: Vec<CpuId>,
}

/// Calibration in one go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerCalibration {
    /// Whether the program was watched after it or before it.
    pub time: CalibrationTime,
    /// When it began, in milliseconds since 1970 (UTC).
    pub started_ms: u64,
    /// How long it took.
    pub wall: Nanos,
    /// The CPUs of the servers.
    pub server_cpus: Vec<CpuId>,
    /// The CPUs of their client.
    pub client_cpus: Vec<CpuId>,
    /// Whether the watched program went on meanwhile on CPUs of the servers, and took part of their time.
    pub beside_program: bool,
    /// What was measured.
    pub points: Vec<CalibrationPoint>,
    /// What could not be measured.
    pub lacking: Vec<Shortfall>,
}

/// On which side of the observation a calibration lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CalibrationTime {
    /// Before it.
    Before,
    /// After it.
    After,
}

/// Servers under one load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationPoint {
    /// What it is measured for.
    pub role: PointRole,
    /// Connections that carried requests.
    pub connections: u64,
    /// Connections beside them that carried nothing.
    pub idle_connections: u64,
    /// Requests per second that were meant to arrive, independently of each other (Poisson). `None` is a closed loop:
    /// each connection has a request outstanding at any time.
    pub rate: Option<f64>,
    /// What a request computed.
    pub work: Nanos,
    /// How long a request waited before it was answered.
    #[serde(default)]
    pub delay: Nanos,
    /// One server process each, of all kinds in turn.
    pub laps: Vec<CalibrationLap>,
}

/// What a point is measured for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PointRole {
    /// The same before and after watching, to see whether the machine is in the same state.
    Reference,
    /// The observed load times this factor; 1 is the observed one.
    Load(f64),
    /// One request at a time: the CPU has nothing else to do between two.
    Alone,
    /// A request outstanding on each connection: another thread is ready whenever one waits.
    Full,
}

/// One server process under load, for a fraction of a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationLap {
    /// How the server learned of requests.
    pub dispatch: Dispatch,
    /// The server's model, as `switchcost serve --help` lists it.
    pub model: String,
    /// From the first reading to the last.
    pub wall: Nanos,
    /// Requests that were answered meanwhile.
    pub requests: u64,
    /// CPU time of the server's process.
    pub cpu: Nanos,
    /// Times a thread of the server gave up its CPU to wait.
    pub voluntary: u64,
    /// Times a thread of the server was taken off its CPU.
    pub involuntary: u64,
    /// Returns from a wait that brought something.
    pub wakes: u64,
    /// Events that these waits brought.
    pub events: u64,
    /// CPU time of the client, without what it spent in reading the clock: it wakes the server and carries the packets
    /// up to the server's sockets.
    pub client_cpu: Nanos,
    /// Requests outstanding, in the mean.
    pub in_flight: f64,
    /// Bytes that the server holds for each connection: user memory, page tables and kernel stacks.
    pub memory_per_connection: Option<f64>,
}

impl CalibrationLap {
    fn per_request(&self, amount: u64) -> Option<f64> {
        (self.requests > 0).then(|| amount as f64 / self.requests as f64)
    }

    /// CPU time of the server for each request, in nanoseconds. `None` without requests.
    pub fn cpu_per_request(&self) -> Option<f64> {
        self.per_request(self.cpu.0)
    }

    /// CPU time of the client for each request, in nanoseconds. `None` without requests.
    pub fn client_cpu_per_request(&self) -> Option<f64> {
        self.per_request(self.client_cpu.0)
    }

    /// Voluntary switches for each request. `None` without requests.
    pub fn switches_per_request(&self) -> Option<f64> {
        self.per_request(self.voluntary)
    }

    /// Events for each return from a wait. `None` without returns.
    pub fn events_per_wake(&self) -> Option<f64> {
        (self.wakes > 0).then(|| self.events as f64 / self.wakes as f64)
    }

    /// Requests answered per second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 * 1e9 / self.wall.0.max(1) as f64
    }
}

impl CalibrationPoint {
    /// The laps of one kind of server.
    pub fn laps_of(&self, dispatch: Dispatch) -> impl Iterator<Item = &CalibrationLap> {
        self.laps.iter().filter(move |lap| lap.dispatch == dispatch)
    }

    /// A figure of each lap of one kind of server that has it.
    pub fn figures(&self, dispatch: Dispatch, of: impl Fn(&CalibrationLap) -> Option<f64>) -> Vec<f64> {
        self.laps_of(dispatch).filter_map(of).collect()
    }
}

impl ServerCalibration {
    /// The point for `role`.
    pub fn point(&self, role: PointRole) -> Option<&CalibrationPoint> {
        self.points.iter().find(|point| point.role == role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lap_without_requests_has_no_figure_and_never_0() {
        let lap = CalibrationLap {
            dispatch: Dispatch::Epoll,
            model: "epoll".into(),
            wall: Nanos(1_000_000),
            requests: 0,
            cpu: Nanos(5),
            voluntary: 1,
            involuntary: 0,
            wakes: 0,
            events: 0,
            client_cpu: Nanos(7),
            in_flight: 0.0,
            memory_per_connection: None,
        };
        assert_eq!((lap.cpu_per_request(), lap.switches_per_request(), lap.events_per_wake()), (None, None, None));
        let lap = CalibrationLap { requests: 10, wakes: 2, events: 5, ..lap };
        assert_eq!(
            (lap.cpu_per_request(), lap.switches_per_request(), lap.events_per_wake()),
            (Some(0.5), Some(0.1), Some(2.5))
        );
        assert_eq!((lap.client_cpu_per_request(), lap.rate()), (Some(0.7), 10_000.0));
    }

    #[test]
    fn every_kind_of_server_is_found_by_its_name() {
        for dispatch in Dispatch::TARGETS {
            assert_eq!(Dispatch::named(dispatch.name()), Some(*dispatch));
        }
        assert_eq!(Dispatch::named("smoke signals"), None);
    }
}

//! Servers: what a request costs the server, by its way to wait for clients.
//!
//! The server is a process of its own, which runs one of the models of `core/src/server/`; the driver is its only
//! client, the epoll engine of `core/src/load/`, with `connections` that carry requests, and idle ones that ask
//! nothing. An operation is a request. Its figure is **CPU time** of the server's processes, children included, as
//! getrusage(2) has it, and not the time that the request took: that is among the metrics, as the client saw it.
//!
//! On loopback, and with nothing to do for a request, all models cost the same: two system calls and the protocol
//! stack. They part where many connections are idle (`idle`), where a request waits for something else (`delay_us`)
//! and where it computes (`work_us`), so that the defaults have the first two.
//!
//! CPU for each request falls as more of them wait at the same time, since one wakeup then serves several. A figure
//! is therefore one of a number of requests in flight, which stands beside it with the events of a wakeup. Without
//! `period_us` each connection has a request outstanding, so that a model that answers sooner is asked more often. With
//! it requests come at the same rate to each model, at times that are fixed before and independent of each other, as
//! those of many clients are that know nothing of one another: a clock that sends several at a time would make a server
//! look cheaper. The response time then counts from the intended time.
//!
//! The sender of a packet on loopback is charged for its way up to the receiver's socket: the CPU that the client used
//! stands beside the server's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;

use super::{
    Batch, Crew, Descriptor, Domain, Failure, Group, Mechanism, Metric, MetricKey, Operation, Parameter, Parameters,
    Resources, Tasks, Unit, Unsupported, Value,
};
use crate::crew::UsageMeter;
use crate::load::{ArrivalPattern, HttpRequest, LONGEST_RUN, LoadDriver, LoadPlan, LoadProtocol, engine};
use crate::server::{Protocol, ServerConfig, ServerProcess, ServerState, Shots, Trigger, find_model};
use crate::sys::SysError;
use crate::sys::socket::waiting_datagrams;
use crate::terms::{Placement, ResourceUsage};
use crate::units::{Amount, Nanos, Ops, Quantity};

use super::batched_load::{BatchFigures, BatchedLoad};
use super::server_beside::{ClientNetwork, NETWORK, check_ports, is_apart, prepare_process, start_beside, told};
use expectations::{is_datagrams, over_sockets};

mod compio;
mod epoll;
mod expectations;
mod forking;
mod iterative;
mod may;
mod mio;
mod poll;
mod preforked;
mod prethreaded;
mod select;
mod smol;
mod threaded;
mod tokio_current_thread;
mod tokio_multi_thread;
mod uring;
mod uring_per_thread;

/// The group `server`, with the question that its mechanisms answer.
pub const GROUP: Group = Group {
    name: "server",
    question: "How much CPU time does a request cost a server?",
    queues: true,
    measures: Quantity::Nanoseconds,
};

const CONNECTIONS: Parameter = Parameter {
    name: "connections",
    meaning: "connections that carry requests, one at a time",
    domain: Domain::Number { default: 32, min: 1, max: 100_000 },
};

const IDLE: Parameter = Parameter {
    name: "idle_connections",
    meaning: "connections that ask nothing, beside the others",
    domain: Domain::Number { default: 256, min: 0, max: 1_000_000 },
};

const PERIOD: Parameter = Parameter {
    name: "period_us",
    meaning: "mean time between two requests that come whatever the server does, in microseconds; 0 sends the next one \
              when an answer is there",
    domain: Domain::Number { default: 0, min: 0, max: 10_000_000 },
};

const DELAY: Parameter = Parameter {
    name: "delay_us",
    meaning: "how long a request waits in the server, as for another one, in microseconds",
    domain: Domain::Number { default: 500, min: 0, max: 10_000_000 },
};

const WORK: Parameter = Parameter {
    name: "work_us",
    meaning: "what a request computes in the server, in microseconds on an otherwise idle CPU",
    domain: Domain::Number { default: 0, min: 0, max: 10_000_000 },
};

const PAYLOAD: Parameter = Parameter {
    name: "payload",
    meaning: "bytes in the body of an answer, or in an echo",
    domain: Domain::Number { default: 64, min: 1, max: 16 * 1024 * 1024 },
};

const PROTOCOL: Parameter = Parameter {
    name: "protocol",
    meaning: "HTTP/1.1 with keep-alive, or with a connection for each request; or bytes that are sent back, over TCP \
              or in datagrams",
    domain: Domain::Word { words: Protocol::NAMES },
};

const BACKLOG: Parameter = Parameter {
    name: "backlog",
    meaning: "connections that may wait to be accepted; 0 is as many as net.core.somaxconn allows",
    domain: Domain::Number { default: 0, min: 0, max: 65_535 },
};

const POOL: Parameter = Parameter {
    name: "pool",
    meaning: "workers beside those that idle connections keep busy; 0 is one more than there are connections",
    domain: Domain::Number { default: 0, min: 0, max: 100_000 },
};

const WORKERS: Parameter = Parameter {
    name: "workers",
    meaning: "threads of the server; 0 is one for each of its CPUs",
    domain: Domain::Number { default: 0, min: 0, max: 1024 },
};

/// A client that is idle for an hour is not given up.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(3600);

/// A descriptor without what each model says itself.
const OF_A_SERVER: Descriptor = Descriptor {
    id: "server/epoll",
    isolates: "",
    unit: Unit::Request,
    // The client, and the server's processes and threads.
    tasks: Tasks::Several,
    parameters: &[CONNECTIONS, IDLE, PERIOD, DELAY, WORK, PAYLOAD, PROTOCOL, NETWORK, BACKLOG],
    baseline: "server/epoll",
    requirements: &[],
    source: "",
    // As many as are outstanding: fewer would leave connections without any.
    lap: |parameters| parameters.number(CONNECTIONS.name),
    resources,
    expects: |parameters, _| over_sockets(parameters),
};

/// The server's end and the client's are in two processes, whose limits are the same.
fn resources(parameters: &Parameters) -> Resources {
    let connections = parameters.number(CONNECTIONS.name) + optional(parameters, &IDLE);
    Resources { descriptors: connections + 32, threads: 2, processes: 1 }
}

/// As with [`resources`], where each connection has a thread.
fn resources_of_threads(parameters: &Parameters) -> Resources {
    let Resources { descriptors, threads, processes } = resources(parameters);
    Resources { descriptors, threads: threads + descriptors + pool(parameters) as u64, processes }
}

/// As with [`resources`], where each connection has a process.
fn resources_of_processes(parameters: &Parameters) -> Resources {
    let Resources { descriptors, threads, processes } = resources(parameters);
    let children = descriptors + pool(parameters) as u64;
    Resources { descriptors: descriptors + children, threads, processes: processes + children }
}

/// The number, where the model has such a parameter; else 0.
fn optional(parameters: &Parameters, parameter: &Parameter) -> u64 {
    match parameters.iter().find(|(name, _)| *name == parameter.name) {
        Some((_, Value::Number(number))) => *number,
        _ => 0,
    }
}

fn word<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a str> {
    match parameters.iter().find(|(declared, _)| *declared == name) {
        Some((_, Value::Word(word))) => Some(word),
        _ => None,
    }
}

fn pool(parameters: &Parameters) -> usize {
    let beside = match optional(parameters, &POOL) {
        0 => parameters.number(CONNECTIONS.name) + 1,
        pool => pool,
    };
    // A client that sends no datagrams is none that a server knows of.
    let idle = if is_datagrams(parameters) { 0 } else { optional(parameters, &IDLE) };
    (beside + idle) as usize
}

/// What is spoken; a model that has no choice closes each connection behind its answer.
fn protocol(parameters: &Parameters) -> Protocol {
    word(parameters, PROTOCOL.name).and_then(Protocol::named).unwrap_or(Protocol::HttpClose)
}

const ACCEPT: Parameter = Parameter {
    name: "accept",
    meaning: "connections that a request to accept brings: as many as come, or one",
    domain: Domain::Word { words: Shots::NAMES },
};

const RECEIVE: Parameter = Parameter {
    name: "receive",
    meaning: "pieces that a request to receive brings: as many as come, or one",
    domain: Domain::Word { words: Shots::NAMES },
};

/// A mechanism that is a server's model.
struct MeasuredModel(&'static Descriptor);

impl MeasuredModel {
    fn config(&self, parameters: &Parameters) -> ServerConfig {
        let micros = |parameter: &Parameter| Nanos(parameters.number(parameter.name) * 1000);
        let workers = self.0.parameter(WORKERS.name).map(|workers| parameters.size(workers.name));
        let shots = |name: &str| word(parameters, name).and_then(Shots::named).unwrap_or_default();
        ServerConfig {
            protocol: protocol(parameters),
            pool: pool(parameters),
            workers,
            delay: micros(&DELAY),
            work: micros(&WORK),
            payload: parameters.size(PAYLOAD.name),
            timeout: TIMEOUT,
            trigger: word(parameters, "trigger").and_then(Trigger::named).unwrap_or_default(),
            accept: shots("accept"),
            receive: shots("receive"),
            backlog: Some(parameters.number(BACKLOG.name)).filter(|backlog| *backlog > 0).map(|backlog| backlog as u32),
            ..ServerConfig::new(([127, 0, 0, 1], 0).into())
        }
    }
}

impl MeasuredModel {
    fn supports_datagrams(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        let (name, asked) = (self.0.name(), Protocol::UdpEcho);
        if find_model(name).is_none_or(|model| !model.protocols().contains(&asked)) {
            return Err(Unsupported::new(
                "a model that has no thread or process for each connection: datagrams have none",
                format!("{}={} for {name}", PROTOCOL.name, asked.name()),
                "another protocol, or another model",
            ));
        }
        let (connections, payload) = (parameters.size(CONNECTIONS.name), parameters.size(PAYLOAD.name));
        if payload > LONGEST_PAYLOAD {
            return Err(Unsupported::new(
                format!("a payload that fits into a datagram: at most {LONGEST_PAYLOAD} bytes"),
                format!("payload={payload}"),
                "a smaller payload, or protocol=tcp-echo",
            ));
        }
        let waiting = waiting_datagrams(payload);
        if connections > waiting {
            return Err(Unsupported::new(
                "room in a socket for a datagram of each client: others are lost",
                format!("room for {waiting} of {payload} bytes, and connections={connections}"),
                "fewer connections, a smaller payload, or `sysctl net.core.rmem_max=4194304`",
            ));
        }
        Ok(())
    }
}

/// What an IPv4 datagram holds beside its two headers (RFC 768, RFC 791).
const LONGEST_PAYLOAD: usize = 65_507;

impl Mechanism for MeasuredModel {
    fn descriptor(&self) -> &'static Descriptor {
        self.0
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        let (connections, pool) = (parameters.number(CONNECTIONS.name), optional(parameters, &POOL));
        if is_datagrams(parameters) {
            self.supports_datagrams(parameters)?;
        }
        check_ports(parameters, connections + optional(parameters, &IDLE))?;
        if protocol(parameters) == Protocol::TcpEcho && pool > 0 && pool < connections {
            return Err(Unsupported::new(
                "a worker for each connection that never closes",
                format!("pool={pool} for {connections} connections"),
                "a larger pool, fewer connections, or protocol=http",
            ));
        }
        Ok(())
    }

    /// The client's thread has counters, and is no part of what is measured.
    fn inherits_counters(&self) -> bool {
        false
    }

    fn chosen_by_default(&self, placement: Placement, offered: &[Placement]) -> bool {
        is_apart(placement, offered)
    }

    fn prepare_process(&self, parameters: &Parameters) {
        prepare_process(parameters);
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let name = self.0.name();
        let (process, network) = start_beside(name, self.config(parameters), parameters, crew)?;
        let meter = SharedProcess(Arc::new(Mutex::new(process)));
        let before = meter.state()?;
        let (connections, idle_connections) = (parameters.size(CONNECTIONS.name), optional(parameters, &IDLE) as usize);
        let plan = LoadPlan {
            connections,
            idle_connections,
            driver: driver(parameters),
            duration: LONGEST_RUN,
            timeout: crew.timeout(),
            ..LoadPlan::new(
                network.address,
                spoken(parameters),
                engine(ENGINE).expect("it is one of those of core/src/load"),
            )
        };
        let mut client = network.within(|| BatchedLoad::start(plan, crew))??;
        // Each connection has been served once, so that what it takes is there.
        network.within(|| client.run(connections as u64))??;
        let state = meter.state()?;
        let memory = state.memory.saturating_sub(before.memory) as f64 / (connections + idle_connections) as f64;
        drop(client.take_figures());
        Ok(Box::new(MeasuredServer { client, network, meter, state, memory, is_open: period(parameters) > 0 }))
    }
}

/// What asks: one thread for all connections.
const ENGINE: &str = "epoll";

fn period(parameters: &Parameters) -> u64 {
    parameters.number(PERIOD.name)
}

/// When requests are sent. The superposition of many independent streams of requests is nearly a Poisson process
/// whatever each of them is (C. Palm, 1943; A. Khintchine, 1955).
fn driver(parameters: &Parameters) -> LoadDriver {
    match period(parameters) {
        0 => LoadDriver::Closed { outstanding: parameters.size(CONNECTIONS.name), ramp: std::time::Duration::ZERO },
        period => LoadDriver::Open(ArrivalPattern::Poisson { rate: 1e6 / period as f64 }),
    }
}

/// What the client speaks, as browsers and load generators do.
fn spoken(parameters: &Parameters) -> LoadProtocol {
    let request = HttpRequest::get("localhost", "/");
    match protocol(parameters) {
        Protocol::Http => LoadProtocol::Http(request),
        Protocol::HttpClose => LoadProtocol::Http(HttpRequest { keep_alive: false, ..request }),
        Protocol::TcpEcho => LoadProtocol::TcpEcho { payload: parameters.size(PAYLOAD.name) },
        Protocol::UdpEcho => LoadProtocol::UdpEcho { payload: parameters.size(PAYLOAD.name) },
    }
}

/// The server's process, which the harness asks what it has used and the operation what it has done.
#[derive(Debug, Clone)]
struct SharedProcess(Arc<Mutex<ServerProcess>>);

impl SharedProcess {
    fn lock(&self) -> MutexGuard<'_, ServerProcess> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cpu(&self) -> Result<Nanos, Failure> {
        self.lock().cpu().map_err(|error| told("the server", error))
    }

    fn state(&self) -> Result<ServerState, Failure> {
        self.lock().state().map_err(|error| told("the server", error))
    }
}

impl UsageMeter for SharedProcess {
    fn usage(&self) -> Result<ResourceUsage, SysError> {
        let state = self.lock().state();
        state.map(|state| state.usage).map_err(|_| SysError::new("ask the server what it has used", Errno::EPIPE))
    }
}

struct MeasuredServer {
    client: BatchedLoad,
    network: ClientNetwork,
    // Behind the client: a server that stops waits for its connections.
    meter: SharedProcess,
    /// As it stood when metrics were last taken.
    state: ServerState,
    /// Bytes for each connection.
    memory: f64,
    /// Whether requests have times of their own.
    is_open: bool,
}

impl Operation for MeasuredServer {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        let before = self.meter.cpu()?;
        self.network.within(|| self.client.run(ops))??;
        let used = self.meter.cpu()?.0.saturating_sub(before.0);
        Ok(Batch { ops: Ops(ops), amount: Amount(used.max(1)) })
    }

    fn meter(&self) -> Option<Arc<dyn UsageMeter>> {
        Some(Arc::new(self.meter.clone()))
    }

    fn metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        let state = self.meter.state()?;
        let (done, used) = (state.activity.since(self.state.activity), state.usage.since(self.state.usage));
        let BatchFigures { load, elapsed } = self.client.take_figures();
        let (answers, elapsed) = (load.counts.answered.max(1) as f64, elapsed.0.max(1) as f64);
        let number = |of, value: f64| Metric::scalar(of, Quantity::Number, value);
        let mut metrics = vec![
            number(MetricKey::Throughput, answers * 1e9 / elapsed),
            number(MetricKey::RequestsInFlight, load.outstanding.0 as f64 / elapsed),
            number(MetricKey::SwitchesPerRequest, (used.voluntary + used.involuntary) as f64 / answers),
            number(MetricKey::ConnectionsPerRequest, done.accepted as f64 / answers),
            Metric::scalar(MetricKey::ClientCpu, Quantity::Nanoseconds, load.client.cpu.0 as f64 / answers),
            Metric::scalar(MetricKey::MemoryPerConnection, Quantity::Bytes, self.memory),
        ];
        if done.wakes > 0 {
            metrics.push(number(MetricKey::EventsPerWake, done.events as f64 / done.wakes as f64));
        }
        if state.activity.workers > 1 {
            let share = state.activity.most_accepted as f64 / state.activity.accepted.max(1) as f64;
            metrics.push(Metric::scalar(MetricKey::BusiestWorker, Quantity::Share, share));
        }
        if self.is_open {
            let share = |of, count: u64| Metric::scalar(of, Quantity::Share, count as f64 / answers);
            let slip = load.lateness.quantile(0.99) as f64;
            metrics.push(Metric::scalar(MetricKey::ScheduleSlip, Quantity::Nanoseconds, slip));
            metrics.push(share(MetricKey::SentLate, load.counts.late));
            metrics.push(share(MetricKey::HeldForConnection, load.counts.held));
        }
        metrics.push(Metric::latencies(MetricKey::ResponseTime, load.response));
        self.state = state;
        Ok(metrics)
    }
}

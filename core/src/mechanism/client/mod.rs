//! Clients: what a request costs the program that sends it and waits for the answer, by its way to wait.
//!
//! The server is a process of its own, the model `epoll` of `core/src/server/` with nothing to do for a request, and is
//! pinned apart from the client where that can be; the client is an engine of `core/src/load/`. An operation is a
//! request, and its figure the **CPU time** of the client's threads, user and system: waiting costs none. So many
//! requests as `outstanding` says are under way at any time, one on each connection. Over loopback the sender of a
//! packet is charged for its way up to the receiver's socket, requests to the client and answers to the server, so that
//! engines differ by what they add to a send and a receive.
//!
//! With one request outstanding each waits for its own answer. With many, an event loop returns from a wait with
//! several answers, as the metrics say, and pays for one wait; a thread for each connection pays for a switch each.

use std::time::Duration;

use super::batched_load::{BatchFigures, BatchedLoad};
use super::server_beside::{
    ClientNetwork, ENTERING, NETWORK, check_ports, is_apart, is_apart_in_network, prepare_process, start_beside, told,
};
use super::{
    Batch, Bound, Crew, Descriptor, Domain, Expectation, Failure, Group, Mechanism, Metric, MetricKey, Operation,
    Parameter, Parameters, Resources, Tasks, Unit, Unsupported,
};
use crate::load::{HttpRequest, LONGEST_RUN, LoadDriver, LoadEngine, LoadPlan, LoadProtocol, engine};
use crate::server::{Protocol, ServerConfig, ServerProcess};
use crate::terms::Placement;
use crate::units::{Amount, Nanos, Ops, Quantity};

mod epoll;
mod threads;
mod tokio;
mod uring;

/// The group `client`, with the question that its mechanisms answer.
pub const GROUP: Group = Group {
    name: "client",
    question: "How much CPU time does a request cost the client that waits for its answer?",
    queues: true,
    measures: Quantity::Nanoseconds,
};

const OUTSTANDING: Parameter = Parameter {
    name: "outstanding",
    meaning: "requests under way at any time, each on a connection of its own",
    domain: Domain::Number { default: 64, min: 1, max: 50_000 },
};

const PAYLOAD: Parameter = Parameter {
    name: "payload",
    meaning: "bytes in the body of an answer, or in an echo",
    domain: Domain::Number { default: 64, min: 1, max: 1024 * 1024 },
};

const PROTOCOL: Parameter = Parameter {
    name: "protocol",
    meaning: "bytes that are sent back, or HTTP/1.1 with keep-alive",
    domain: Domain::Word { words: &[Protocol::TcpEcho.name(), Protocol::Http.name()] },
};

/// The server that is asked.
const SERVER: &str = "epoll";

/// Longer than a client may pause between batches.
const TIMEOUT: Duration = Duration::from_secs(3600);

/// A descriptor without what each engine says itself.
const OF_A_CLIENT: Descriptor = Descriptor {
    id: "client/threads",
    isolates: "",
    unit: Unit::Request,
    // The client, and the server's process.
    tasks: Tasks::Several,
    parameters: &[OUTSTANDING, PAYLOAD, PROTOCOL, NETWORK],
    baseline: "client/threads",
    requirements: &[],
    source: "",
    // A batch begins with a request on each connection and ends with the last answers, when fewer are under way.
    lap: |parameters| 4 * parameters.number(OUTSTANDING.name),
    resources: |parameters| resources(parameters, 2),
    expects: |parameters, _| in_one_thread(parameters, READINGS),
};

/// Each of the two processes has one end of every connection.
fn resources(parameters: &Parameters, threads: u64) -> Resources {
    Resources { descriptors: parameters.number(OUTSTANDING.name) + 32, threads, processes: 1 }
}

/// Of the client alone: one thread, which sends and receives, and does not wait for more than one event a request.
fn in_one_thread(parameters: &Parameters, per_batch: f64) -> Expectation {
    let expects =
        of_the_client(parameters, per_batch).call("recvfrom", Bound::Exactly(1.0)).call("sendto", Bound::Exactly(1.0));
    expects.voluntary(Bound::AtMost(1.0)).wakeups(Bound::AtMost(1.0))
}

/// What every engine keeps to, whatever it sends and receives with, and makes `per_batch` calls beside that in a batch.
fn of_the_client(parameters: &Parameters, per_batch: f64) -> Expectation {
    let per_batch = per_batch + if is_apart_in_network(parameters) { ENTERING } else { 0.0 };
    Expectation::nothing().of_own_process().per_batch(Expectation::OTHER_CALLS, per_batch)
}

/// Calls of a thread in a batch beside those for its requests: it reads its clock of CPU time.
const READINGS: f64 = 4.0;

/// A mechanism that is an engine of `core/src/load/`.
struct MeasuredEngine(&'static Descriptor);

impl MeasuredEngine {
    fn engine(&self) -> &'static dyn LoadEngine {
        engine(self.0.name()).expect("each mechanism of the group has the name of an engine")
    }
}

impl Mechanism for MeasuredEngine {
    fn descriptor(&self) -> &'static Descriptor {
        self.0
    }

    fn probe(&self) -> Result<(), Unsupported> {
        self.engine().supports()
    }

    /// The server descends from the driver's thread as well, and is no part of what is measured.
    fn inherits_counters(&self) -> bool {
        false
    }

    fn chosen_by_default(&self, placement: Placement, offered: &[Placement]) -> bool {
        is_apart(placement, offered)
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        check_ports(parameters, parameters.number(OUTSTANDING.name))?;
        self.probe()
    }

    fn prepare_process(&self, parameters: &Parameters) {
        prepare_process(parameters);
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let (outstanding, payload) = (parameters.size(OUTSTANDING.name), parameters.size(PAYLOAD.name));
        let protocol = spoken(parameters);
        let config = ServerConfig {
            protocol,
            payload,
            timeout: TIMEOUT,
            // The fast side: one loop, whatever is asked.
            workers: Some(1),
            delay: Nanos(0),
            work: Nanos(0),
            ..ServerConfig::new(([127, 0, 0, 1], 0).into())
        };
        let (server, network) = start_beside(SERVER, config, parameters, crew)?;
        let asked = match protocol {
            Protocol::TcpEcho => LoadProtocol::TcpEcho { payload },
            _ => LoadProtocol::Http(HttpRequest::get("localhost", "/")),
        };
        let plan = LoadPlan {
            connections: outstanding,
            driver: LoadDriver::Closed { outstanding, ramp: Duration::ZERO },
            duration: LONGEST_RUN,
            timeout: crew.timeout(),
            ..LoadPlan::new(network.address, asked, self.engine())
        };
        let mut load = network.within(|| BatchedLoad::start(plan, crew))??;
        // Each connection has carried a request, so that what it takes is there.
        network.within(|| load.run(outstanding as u64))??;
        drop(load.take_figures());
        let mut client = MeasuredClient { load, network, server, used: Nanos(0) };
        client.server_cpu()?;
        Ok(Box::new(client))
    }
}

fn spoken(parameters: &Parameters) -> Protocol {
    let word = parameters.word(PROTOCOL.name);
    Protocol::named(word).expect("the words of the parameter are names of protocols")
}

struct MeasuredClient {
    load: BatchedLoad,
    network: ClientNetwork,
    // Behind the client: a server that stops waits for its connections.
    server: ServerProcess,
    /// CPU time of the server when metrics were last taken.
    used: Nanos,
}

impl MeasuredClient {
    /// CPU time of the server since this was last asked.
    fn server_cpu(&mut self) -> Result<Nanos, Failure> {
        let used = self.server.cpu().map_err(|error| told(SERVER, error))?;
        let before = std::mem::replace(&mut self.used, used);
        Ok(Nanos(used.0.saturating_sub(before.0)))
    }
}

impl Operation for MeasuredClient {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        let batch = self.network.within(|| self.load.run(ops))??;
        Ok(Batch { ops: Ops(batch.answered), amount: Amount(batch.cpu.0.max(1)) })
    }

    fn metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        let server = self.server_cpu()?;
        let BatchFigures { load, elapsed } = self.load.take_figures();
        let (answers, elapsed) = (load.counts.answered.max(1) as f64, elapsed.0.max(1) as f64);
        let number = |of, value: f64| Metric::scalar(of, Quantity::Number, value);
        let mut metrics = vec![
            number(MetricKey::Throughput, answers * 1e9 / elapsed),
            number(MetricKey::RequestsInFlight, load.outstanding.0 as f64 / elapsed),
            Metric::scalar(MetricKey::ServerCpu, Quantity::Nanoseconds, server.0 as f64 / answers),
        ];
        metrics.extend(load.client.events_per_wake().map(|events| number(MetricKey::EventsPerWake, events)));
        metrics.push(Metric::latencies(MetricKey::ResponseTime, load.response));
        Ok(metrics)
    }
}

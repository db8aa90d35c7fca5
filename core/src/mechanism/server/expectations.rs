//! What the models are expected to call: of one request, and of one batch.

use super::{CONNECTIONS, DELAY, optional, protocol};
use crate::mechanism::{Bound, Expectation, Parameters};
use crate::server::Protocol;

/// Whether each request needs a connection.
pub(super) fn connects(parameters: &Parameters) -> bool {
    protocol(parameters) == Protocol::HttpClose
}

/// Whether requests are datagrams.
pub(super) fn is_datagrams(parameters: &Parameters) -> bool {
    protocol(parameters).is_datagrams()
}

/// What is counted is the server's, and none of its client's. The server is asked for its CPU time before and behind a
/// batch: two questions, each with a wait for it, an answer and three readings of what was used.
pub(super) fn of_the_server(parameters: &Parameters) -> Expectation {
    let expects = Expectation::nothing().of_child_processes().per_batch(Expectation::OTHER_CALLS, QUESTIONS);
    let expects = expects.under_way(connected_ahead(parameters));
    // Where the standard library is checked (debug_assertions), it asks whether a descriptor is open before it closes
    // it.
    expects.call("fcntl", Bound::AtMost(1.0)).voluntary(Bound::Depends).wakeups(Bound::Depends)
}

/// The client connects again as soon as it has an answer: where each request needs a connection, as many as it has may
/// already be accepted, and served by a task of their own, as a batch ends.
fn connected_ahead(parameters: &Parameters) -> u64 {
    if connects(parameters) { optional(parameters, &CONNECTIONS) } else { 1 }
}

/// Calls of the server's main thread in a batch, but for the reading of child processes.
const QUESTIONS: f64 = 12.0;

/// Connections for each request.
pub(super) fn connections(parameters: &Parameters) -> f64 {
    if connects(parameters) { 1.0 } else { 0.0 }
}

/// One receive and one send a request. An event loop accepts until no further connection waits, and receives datagrams
/// until no further one does. Where each request connects, the end of the connection may be received as well.
pub(super) fn over_sockets(parameters: &Parameters) -> Expectation {
    sockets(parameters, connects(parameters) || is_datagrams(parameters))
}

fn sockets(parameters: &Parameters, receives_the_end: bool) -> Expectation {
    let connection = connections(parameters);
    let receives = if receives_the_end { Bound::Between(1.0, 2.0) } else { Bound::Exactly(1.0) };
    of_the_server(parameters)
        .call("recvfrom", receives)
        .call("sendto", Bound::Exactly(1.0))
        .call("accept4", Bound::Between(connection, 2.0 * connection))
        .call("close", Bound::Exactly(connection))
}

/// The same where calls wait, and the delay is a sleep.
pub(super) fn in_waiting_calls(parameters: &Parameters) -> Expectation {
    let sleeps = if parameters.number(DELAY.name) > 0 { 1.0 } else { 0.0 };
    sockets(parameters, connects(parameters)).call("clock_nanosleep", Bound::Exactly(sleeps))
}

/// The same where processes serve: each that there is has its clock read twice a batch.
pub(super) fn in_processes(parameters: &Parameters, processes: usize) -> Expectation {
    let mut expects = in_waiting_calls(parameters);
    expects.per_batch = vec![(Expectation::OTHER_CALLS.into(), QUESTIONS + 2.0 * processes as f64)];
    expects
}

/// The same where a task receives before it waits: up to `receives` a request.
pub(super) fn awaited(parameters: &Parameters, receives: f64) -> Expectation {
    let connection = connections(parameters);
    of_the_server(parameters)
        .call("recvfrom", Bound::Between(1.0, receives))
        .call("sendto", Bound::Exactly(1.0))
        .call("accept4", Bound::Between(connection, 3.0 * connection))
        .call("close", Bound::Exactly(connection))
}

pub(super) fn on_tokio(parameters: &Parameters) -> Expectation {
    let connection = connections(parameters);
    awaited(parameters, 2.0)
        // A thread that sleeps in its wait is woken by an eventfd.
        .call("write", Bound::AtMost(1.0))
        .call("epoll_wait", Bound::AtMost(3.0))
        .call("epoll_ctl:edge", Bound::Exactly(connection))
        .call("epoll_ctl:remove", Bound::Exactly(connection))
}

/// All by the ring, but for the end of a connection. What is accepted, received and sent for a connection, and the end
/// of a delay, may each end a wait of its own.
pub(super) fn on_a_ring(parameters: &Parameters) -> Expectation {
    let connection = connections(parameters);
    let delays = if parameters.number(DELAY.name) > 0 { 1.0 } else { 0.0 };
    of_the_server(parameters)
        .call("io_uring_enter", Bound::AtMost(2.0 + delays + 3.0 * connection))
        // Before it is closed, what it still receives is ended.
        .call("shutdown", Bound::AtMost(connection))
        .call("close", Bound::Exactly(connection))
}

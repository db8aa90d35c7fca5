//! A pool of threads that wait for connections on the one listening socket.
//!
//! Timed: CPU of the server for recvfrom and sendto in a thread of the pool, the delay as a sleep; with `protocol =
//! http-close` its accept4 and close. Not timed: the client.
//! Distortions: the pool is as large as the connections need, unless `pool` says otherwise: then each is closed behind
//! its answer while all threads have one.

use super::expectations::in_waiting_calls;
use super::{
    BACKLOG, CONNECTIONS, DELAY, IDLE, MeasuredModel, NETWORK, OF_A_SERVER, PAYLOAD, PERIOD, POOL, PROTOCOL, WORK,
    resources_of_threads,
};
use crate::mechanism::{Bound, Descriptor, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "server/prethreaded",
    isolates: "threads that are there from the start, one for each connection: a switch for each wait",
    parameters: &[CONNECTIONS, IDLE, PERIOD, DELAY, WORK, PAYLOAD, PROTOCOL, POOL, NETWORK, BACKLOG],
    source: "accept(2)",
    resources: resources_of_threads,
    expects: |parameters, _| {
        in_waiting_calls(parameters).call("futex:wake", Bound::Depends).call("futex:wait", Bound::Depends)
    },
    ..OF_A_SERVER
};

register!(MeasuredModel(&DESCRIPTOR));

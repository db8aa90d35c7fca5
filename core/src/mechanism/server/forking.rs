//! A process for each connection, forked when it is accepted.
//!
//! Timed: CPU of the server for recvfrom and sendto in the connection's process, the delay as a sleep; with `protocol =
//! http-close` the fork, the end and the reaping of a process too. Not timed: the client.
//! Distortions: processes copy pages that they write to when they are new, before the first sample.

use super::expectations::{connections, in_processes};
use super::{
    BACKLOG, CONNECTIONS, DELAY, IDLE, MeasuredModel, NETWORK, OF_A_SERVER, PAYLOAD, PERIOD, PROTOCOL, WORK, pool,
    resources_of_processes,
};
use crate::mechanism::{Bound, Descriptor, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "server/forking",
    isolates: "a process for each connection: switches between address spaces, and a fork where each request connects",
    parameters: &[CONNECTIONS, IDLE, PERIOD, DELAY, WORK, PAYLOAD, PROTOCOL, NETWORK, BACKLOG],
    source: "fork(2)",
    resources: resources_of_processes,
    expects: |parameters, _| {
        let created = connections(parameters);
        // A new process takes its name, its signals and its descriptors over; the parent waits for it later.
        in_processes(parameters, pool(parameters))
            .call("clone", Bound::Exactly(created))
            .call("wait4", Bound::AtMost(2.0 * created))
            .others(Bound::AtMost(20.0 * created))
    },
    ..OF_A_SERVER
};

register!(MeasuredModel(&DESCRIPTOR));

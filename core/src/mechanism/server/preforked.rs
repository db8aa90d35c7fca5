//! A pool of processes that wait for connections on the one listening socket, which they share.
//!
//! Timed: CPU of the server for recvfrom and sendto in a process of the pool, the delay as a sleep; with `protocol =
//! http-close` its accept4 and close. Not timed: the client.
//! Distortions: the pool is as large as the connections need, unless `pool` says otherwise: then each is closed behind
//! its answer while all processes have one.

use super::expectations::in_processes;
use super::{
    BACKLOG, CONNECTIONS, DELAY, IDLE, MeasuredModel, NETWORK, OF_A_SERVER, PAYLOAD, PERIOD, POOL, PROTOCOL, WORK,
    pool, resources_of_processes,
};
use crate::mechanism::{Descriptor, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "server/preforked",
    isolates: "processes that are there from the start, one for each connection: switches between address spaces",
    parameters: &[CONNECTIONS, IDLE, PERIOD, DELAY, WORK, PAYLOAD, PROTOCOL, POOL, NETWORK, BACKLOG],
    source: "Apache HTTP Server, \"prefork\"; accept(2)",
    resources: resources_of_processes,
    expects: |parameters, _| in_processes(parameters, pool(parameters)),
    ..OF_A_SERVER
};

register!(MeasuredModel(&DESCRIPTOR));

//! A thread for each connection, created when it is accepted.
//!
//! Timed: CPU of the server for recvfrom and sendto in the connection's thread, the delay as a sleep; with `protocol =
//! http-close` the creation and the end of a thread too. Not timed: the client.
//! Distortions: none that the others have not.

use super::expectations::{connections, in_waiting_calls};
use super::{
    BACKLOG, CONNECTIONS, DELAY, IDLE, MeasuredModel, NETWORK, OF_A_SERVER, PAYLOAD, PERIOD, PROTOCOL, WORK,
    resources_of_threads,
};
use crate::mechanism::{Bound, Descriptor, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "server/threaded",
    isolates: "a thread for each connection: a switch for each wait",
    parameters: &[CONNECTIONS, IDLE, PERIOD, DELAY, WORK, PAYLOAD, PROTOCOL, NETWORK, BACKLOG],
    source: "pthread_create(3)",
    resources: resources_of_threads,
    expects: |parameters, _| {
        let created = connections(parameters);
        // A new thread maps a stack and a signal stack, and registers itself in some ways (nptl, library/std).
        in_waiting_calls(parameters)
            .call("clone", Bound::Exactly(created))
            .call("futex:wake", Bound::Depends)
            .call("futex:wait", Bound::Depends)
            .others(Bound::AtMost(30.0 * created))
    },
    ..OF_A_SERVER
};

register!(MeasuredModel(&DESCRIPTOR));

//! Threads that each ask epoll(7), through epoll_pwait2, which of their sockets are ready; by default there is one.
//!
//! Timed: CPU of the server for recvfrom, sendto and a share of the wait; with `trigger = one-shot` the epoll_ctl that
//! arms a socket again; the delay is a timeout of the wait. Not timed: the client.
//! Distortions: several threads have a listening socket each, among which the kernel distributes connections by their
//! addresses, evenly on average alone: the share of the busiest one is among the metrics.

use super::expectations::{connections, connects, over_sockets};
use super::{
    BACKLOG, CONNECTIONS, DELAY, IDLE, MeasuredModel, NETWORK, OF_A_SERVER, PAYLOAD, PERIOD, PROTOCOL, WORK, WORKERS,
};
use crate::mechanism::{Bound, Descriptor, Domain, Parameter, register};
use crate::server::Trigger;

const TRIGGER: Parameter = Parameter {
    name: "trigger",
    meaning: "whether a socket is reported as long as it is ready, when it becomes so, or once until it is armed again",
    domain: Domain::Word { words: Trigger::NAMES },
};

const THREADS: Parameter = Parameter { domain: Domain::Number { default: 1, min: 0, max: 1024 }, ..WORKERS };

static DESCRIPTOR: Descriptor = Descriptor {
    id: "server/epoll",
    isolates: "an event loop whose waits cost nothing for connections that are idle",
    parameters: &[CONNECTIONS, IDLE, PERIOD, DELAY, WORK, PAYLOAD, PROTOCOL, TRIGGER, THREADS, NETWORK, BACKLOG],
    source: "epoll(7); socket(7), SO_REUSEPORT",
    expects: |parameters, _| {
        let connection = connections(parameters);
        let sockets = over_sockets(parameters).call("epoll_wait", Bound::AtMost(2.0));
        // A socket is added when it is accepted and removed before it is closed.
        let sockets = sockets.call("epoll_ctl:remove", Bound::Exactly(connection));
        match parameters.word(TRIGGER.name) {
            "edge" => sockets.call("epoll_ctl:edge", Bound::Exactly(connection)),
            // The listener is armed again once it has been emptied.
            "one-shot" if connects(parameters) => sockets.call("epoll_ctl:oneshot", Bound::Between(1.0, 2.0)),
            "one-shot" => sockets.call("epoll_ctl:oneshot", Bound::Exactly(1.0)),
            _ => sockets.call("epoll_ctl:level", Bound::Exactly(connection)),
        }
    },
    ..OF_A_SERVER
};

register!(MeasuredModel(&DESCRIPTOR));

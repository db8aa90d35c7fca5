//! One thread on mio, the library below tokio: edges of epoll behind a portable surface.
//!
//! Timed: CPU of the server for recvfrom, sendto and a share of the wait; the delay is a timeout of the wait. Not
//! timed: the client.
//! Distortions: mio's timeouts are whole milliseconds, rounded up, so that a delay takes up to one longer than it
//! should.

use super::expectations::{connections, over_sockets};
use super::{BACKLOG, CONNECTIONS, DELAY, IDLE, MeasuredModel, NETWORK, OF_A_SERVER, PAYLOAD, PERIOD, PROTOCOL, WORK};
use crate::mechanism::{Bound, Descriptor, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "server/mio",
    isolates: "what a portable layer over epoll adds to an event loop",
    parameters: &[CONNECTIONS, IDLE, PERIOD, DELAY, WORK, PAYLOAD, PROTOCOL, NETWORK, BACKLOG],
    source: "docs.rs/mio",
    expects: |parameters, _| {
        let connection = connections(parameters);
        over_sockets(parameters)
            .call("epoll_wait", Bound::AtMost(2.0))
            .call("epoll_ctl:edge", Bound::Exactly(connection))
            .call("epoll_ctl:remove", Bound::Exactly(connection))
    },
    ..OF_A_SERVER
};

register!(MeasuredModel(&DESCRIPTOR));

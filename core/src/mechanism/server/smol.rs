//! A task for each connection on smol's executor in one thread, over sockets that async-io watches.
//!
//! Timed: CPU of the server for recvfrom, sendto, the polls of the task, the arming of the socket and a share of the
//! reactor's wait; the delay is a timer of the reactor. Not timed: the client.
//! Distortions: async-io arms a socket anew each time a task waits for it. A thread of its own takes the reactor over
//! while the server's thread is busy.

use super::expectations::{connections, of_the_server};
use super::{BACKLOG, CONNECTIONS, DELAY, IDLE, MeasuredModel, NETWORK, OF_A_SERVER, PAYLOAD, PERIOD, PROTOCOL, WORK};
use crate::mechanism::{Bound, Descriptor, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "server/smol",
    isolates: "the other well-known async stack: a reactor that arms sockets one by one",
    parameters: &[CONNECTIONS, IDLE, PERIOD, DELAY, WORK, PAYLOAD, PROTOCOL, NETWORK, BACKLOG],
    baseline: "server/tokio_current_thread",
    source: "docs.rs/async-io, \"Implementation\"",
    expects: |parameters, _| {
        let connection = connections(parameters);
        // The ones that find nothing, and the one after the socket was armed and has become ready. The executor polls
        // the task that accepts with the others.
        of_the_server(parameters)
            .call("recvfrom", Bound::Between(1.0, 4.0))
            .call("sendto", Bound::Exactly(1.0))
            .call("accept4", Bound::AtMost(1.0 + 3.0 * connection))
            .call("close", Bound::Exactly(connection))
            .call("epoll_ctl:oneshot", Bound::AtMost(8.0))
            .call("epoll_ctl:remove", Bound::Exactly(connection))
            .call("epoll_wait", Bound::AtMost(4.0))
            .call("timerfd_settime", Bound::AtMost(4.0))
            .call("read", Bound::AtMost(8.0))
            .call("write", Bound::Depends)
            .call("futex:wait", Bound::Depends)
            .call("futex:wake", Bound::Depends)
            .others(Bound::AtMost(4.0))
    },
    ..OF_A_SERVER
};

register!(MeasuredModel(&DESCRIPTOR));

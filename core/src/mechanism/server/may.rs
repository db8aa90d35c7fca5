//! A stackful coroutine for each connection on may's scheduler: code that looks as if it blocked.
//!
//! Timed: CPU of the server for recvfrom, sendto, the switches of stacks in user space and a share of the scheduler's
//! wait; the delay is a timer of the scheduler's. Not timed: the client.
//! Distortions: the scheduler has a thread for timers beside its workers.

use super::expectations::{awaited, connections};
use super::{
    BACKLOG, CONNECTIONS, DELAY, IDLE, MeasuredModel, NETWORK, OF_A_SERVER, PAYLOAD, PERIOD, PROTOCOL, WORK, WORKERS,
};
use crate::mechanism::{Bound, Descriptor, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "server/may",
    isolates: "stackful coroutines over an epoll loop: switching stacks in user space instead of polling futures",
    parameters: &[CONNECTIONS, IDLE, PERIOD, DELAY, WORK, PAYLOAD, PROTOCOL, WORKERS, NETWORK, BACKLOG],
    baseline: "server/tokio_current_thread",
    source: "docs.rs/may",
    expects: |parameters, _| {
        let connection = connections(parameters);
        // The first finds nothing where the coroutine has come back before the client.
        awaited(parameters, 3.0)
            .call("epoll_wait", Bound::Depends)
            .call("epoll_ctl:edge", Bound::AtMost(connection))
            .call("epoll_ctl:remove", Bound::AtMost(connection))
            .call("futex:wait", Bound::Depends)
            .call("futex:wake", Bound::Depends)
            .call("write", Bound::Depends)
            .call("read", Bound::Depends)
            .others(Bound::AtMost(4.0))
    },
    ..OF_A_SERVER
};

register!(MeasuredModel(&DESCRIPTOR));

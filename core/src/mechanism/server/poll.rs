//! One thread that asks poll(2), through ppoll, which sockets are ready.
//!
//! Timed: CPU of the server for recvfrom, sendto and a share of the wait, which looks at every connection, idle ones
//! too; the delay is a timeout of the wait. Not timed: the client.
//! Distortions: none that the others have not.

use super::expectations::over_sockets;
use super::{BACKLOG, CONNECTIONS, DELAY, IDLE, MeasuredModel, NETWORK, OF_A_SERVER, PAYLOAD, PERIOD, PROTOCOL, WORK};
use crate::mechanism::{Bound, Descriptor, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "server/poll",
    isolates: "an event loop whose every wait hands the kernel a list of all connections",
    parameters: &[CONNECTIONS, IDLE, PERIOD, DELAY, WORK, PAYLOAD, PROTOCOL, NETWORK, BACKLOG],
    source: "poll(2)",
    expects: |parameters, _| over_sockets(parameters).call("poll", Bound::AtMost(2.0)),
    ..OF_A_SERVER
};

register!(MeasuredModel(&DESCRIPTOR));

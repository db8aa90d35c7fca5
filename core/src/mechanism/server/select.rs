//! One thread that asks select(2), through pselect6, which sockets are ready.
//!
//! Timed: CPU of the server for recvfrom, sendto and a share of the wait, which looks at every descriptor, idle ones
//! too; the delay is a timeout of the wait. Not timed: the client.
//! Distortions: the call is made directly: the C library's limit of 1024 descriptors is not the kernel's.

use super::expectations::over_sockets;
use super::{BACKLOG, CONNECTIONS, DELAY, IDLE, MeasuredModel, NETWORK, OF_A_SERVER, PAYLOAD, PERIOD, PROTOCOL, WORK};
use crate::mechanism::{Bound, Descriptor, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "server/select",
    isolates: "an event loop whose every wait hands the kernel three bitmaps of all descriptors",
    parameters: &[CONNECTIONS, IDLE, PERIOD, DELAY, WORK, PAYLOAD, PROTOCOL, NETWORK, BACKLOG],
    source: "select(2)",
    expects: |parameters, _| over_sockets(parameters).call("select", Bound::AtMost(2.0)),
    ..OF_A_SERVER
};

register!(MeasuredModel(&DESCRIPTOR));

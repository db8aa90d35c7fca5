//! A thread for each connection, which blocks in recv(2).
//!
//! Timed: CPU of all client threads, from when each has been woken for a batch to its last answer. Not timed:
//! connecting.
//! Distortions: how the threads share the requests of a batch is the scheduler's business: one that runs may send
//! several while another is on its way.

use super::{MeasuredEngine, OF_A_CLIENT, OUTSTANDING, READINGS, of_the_client, resources};
use crate::mechanism::{Bound, Descriptor, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "client/threads",
    isolates: "a thread for each connection, which blocks: a switch for each answer",
    source: "recv(2), send(2)",
    resources: |parameters| resources(parameters, 2 + parameters.number(OUTSTANDING.name)),
    expects: |parameters, _| {
        // Where one is outstanding its thread is the driver's; else they sleep and wake once a batch, and hand in what
        // they have seen under one lock.
        let threads = parameters.number(OUTSTANDING.name) as f64;
        let expects = of_the_client(parameters, READINGS * threads)
            .call("recvfrom", Bound::Exactly(1.0))
            .call("sendto", Bound::Exactly(1.0));
        let expects = expects.call("futex:wait", Bound::Depends).call("futex:wake", Bound::Depends);
        // Each thread of a batch is woken for it.
        expects.voluntary(Bound::AtMost(1.5)).wakeups(Bound::AtMost(1.5))
    },
    ..OF_A_CLIENT
};

register!(MeasuredEngine(&DESCRIPTOR));

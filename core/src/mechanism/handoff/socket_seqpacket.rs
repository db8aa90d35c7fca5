//! A pair of UNIX sequenced-packet sockets: a message per send, kept apart by the kernel, in order and reliable.
//!
//! Timed: per handoff one write that wakes, one read that blocks, and the switch. What differs from
//! `handoff/socketpair` is the kernel's receive path: a datagram's queue in place of a stream's, one buffer (skb) per
//! message either way, and no merging of what was written (net/unix/af_unix.c, `unix_seqpacket_recvmsg`).
//! Distortions: a message of one byte, which a stream would not have merged either.

use super::socketpair::{StreamHalf, through_a_socket};
use super::{handoffs_per_lap, resources, spawn_partner};
use crate::mechanism::{
    Bound, Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Placement, Tasks, Unit, register,
};
use crate::sys::channel::seqpacket_pair;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/socket_seqpacket",
    isolates: "a message through a UNIX seqpacket socket: what message boundaries cost over a stream",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[],
    baseline: "handoff/pipe",
    requirements: &[],
    source: "unix(7), SOCK_SEQPACKET; socketpair(2)",
    lap: handoffs_per_lap,
    resources,
    expects: |_, placement| match placement {
        // As on the stream: the reader may preempt the writer, which then runs once more before it sleeps.
        Placement::SameCpu => through_a_socket(placement).switches(Bound::Between(1.0, 2.1)),
        _ => through_a_socket(placement),
    },
};

struct SocketSeqpacket;

register!(SocketSeqpacket);

impl Mechanism for SocketSeqpacket {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let ends = seqpacket_pair()?;
        spawn_partner(crew, StreamHalf(ends.reader), StreamHalf(ends.writer))
    }
}

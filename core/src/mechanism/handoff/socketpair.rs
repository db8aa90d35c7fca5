//! A pair of UNIX stream sockets: what many programs use where a pipe would do.
//!
//! Timed: per handoff one write that wakes, one read that blocks, and the switch. What it costs more than a pipe is a
//! buffer of its own for each message (an skb, allocated by the writer and freed by the reader).
//! Distortions: none known.

use std::os::fd::OwnedFd;

use super::{Command, HandoffHalf, handoffs_per_lap, resources, spawn_partner, switched_once};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Placement, Tasks, Unit, register,
};
use crate::sys::channel::{ReadOutcome, read_byte, socket_pair, write_byte};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/socketpair",
    isolates: "a byte through a UNIX stream socket: what a socket's buffers add to a pipe",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[],
    baseline: "handoff/pipe",
    requirements: &[],
    source: "socketpair(2), unix(7)",
    lap: handoffs_per_lap,
    resources,
    expects: |_, placement| match placement {
        // One sleep a handoff, and preemptions besides, where the reader wakes and finds the writer not done with it:
        // up to three in ten on Linux 6.18, one each time on 7.2 (emulated).
        Placement::SameCpu => through_a_socket(placement).switches(Bound::Between(1.0, 2.1)),
        _ => through_a_socket(placement),
    },
};

struct Socketpair;

register!(Socketpair);

impl Mechanism for Socketpair {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let ends = socket_pair(false)?;
        spawn_partner(crew, StreamHalf(ends.reader), StreamHalf(ends.writer))
    }
}

/// One read and one write a handoff.
pub(super) fn through_a_socket(placement: Placement) -> Expectation {
    let calls = Expectation::nothing().call("read", Bound::Exactly(1.0)).call("write", Bound::Exactly(1.0));
    match placement {
        Placement::SameCpu => switched_once(calls, placement),
        // Reader and writer also meet at the socket's locks, and either may sleep there.
        _ => calls.voluntary(Bound::AtMost(3.0)).wakeups(Bound::AtMost(3.0)),
    }
}

/// One end of a stream; closing it ends the other's turn.
pub(super) struct StreamHalf(pub(super) OwnedFd);

impl HandoffHalf for StreamHalf {
    fn hand_over(&mut self) -> Result<(), Failure> {
        Ok(write_byte(&self.0, 1)?)
    }

    fn await_turn(&mut self) -> Result<Command, Failure> {
        Ok(match read_byte(&self.0)? {
            ReadOutcome::Byte(_) => Command::Go,
            ReadOutcome::Closed | ReadOutcome::WouldBlock => Command::Stop,
        })
    }
}

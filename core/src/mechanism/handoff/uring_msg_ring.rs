//! A ring for each task, and a message from one ring to the other: `IORING_OP_MSG_RING`.
//!
//! Timed: per handoff one io_uring_enter that sends the message and waits for the answer, and the switch: a write and
//! a read in one call. Distortions: none known on one CPU.

use std::os::fd::OwnedFd;

use super::{Command, HandoffHalf, handoffs_per_lap, resources, spawn_partner, switched_once};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};
use crate::sys::SysError;
use crate::sys::bare_ring::{Arrival, BareRing, RingOp};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/uring_msg_ring",
    isolates: "a message between two io_uring rings: waking and waiting in one system call",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[],
    baseline: "handoff/eventfd",
    requirements: &["io_uring with IORING_OP_MSG_RING (Linux 5.18)"],
    source: "io_uring_enter(2), IORING_OP_MSG_RING",
    lap: handoffs_per_lap,
    resources,
    expects: |_, placement| {
        let calls = Expectation::nothing().call("io_uring_enter", Bound::Exactly(1.0));
        switched_once(calls, placement)
    },
};

struct UringMsgRing;

register!(UringMsgRing);

impl Mechanism for UringMsgRing {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        knows(RingOp::Message, "IORING_OP_MSG_RING (Linux 5.18)")
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let (driver, partner) = (BareRing::new(ENTRIES)?, BareRing::new(ENTRIES)?);
        let (to_driver, to_partner) = (driver.address()?, partner.address()?);
        spawn_partner(crew, Half { ring: driver, other: to_partner }, Half { ring: partner, other: to_driver })
    }
}

pub(super) const ENTRIES: u32 = 4;

/// Whether this kernel has io_uring, lets this process use it, and knows `request`.
pub(super) fn knows(request: RingOp, words: &str) -> Result<(), Unsupported> {
    let missing = |observed: String, remedy: &str| Unsupported::new(format!("io_uring with {words}"), observed, remedy);
    match request.is_known() {
        Ok(true) => Ok(()),
        Ok(false) => Err(missing(format!("this kernel does not know {}", request.name()), "boot a kernel that has it")),
        Err(error) => Err(missing(
            error.to_string(),
            "Linux 5.6 or later, `sysctl kernel.io_uring_disabled=0`, and a seccomp profile that allows io_uring_setup",
        )),
    }
}

const TURN: u64 = 1;
const STOP: u64 = 2;
/// Sending failed.
const UNSENT: u64 = 3;

struct Half {
    ring: BareRing,
    other: OwnedFd,
}

impl Half {
    fn queue(&mut self, tag: u64) -> Result<(), SysError> {
        self.ring.push_message(&self.other, Arrival { tag, result: 0 }, UNSENT)
    }
}

impl HandoffHalf for Half {
    fn hand_over(&mut self) -> Result<(), Failure> {
        // It leaves with the wait for the answer.
        Ok(self.queue(TURN)?)
    }

    fn await_turn(&mut self) -> Result<Command, Failure> {
        loop {
            self.ring.submit_and_wait(1)?;
            match self.ring.arrival() {
                Some(Arrival { tag: TURN, .. }) => return Ok(Command::Go),
                Some(Arrival { tag: STOP, .. }) => return Ok(Command::Stop),
                Some(Arrival { result, .. }) => {
                    let errno = nix::errno::Errno::from_raw(-result);
                    return Err(SysError::new("IORING_OP_MSG_RING", errno).into());
                }
                None => {}
            }
        }
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        // A ring that is gone refuses the message, and then there is no partner to tell.
        let _ = self.queue(STOP).and_then(|()| self.ring.submit_and_wait(0));
    }
}

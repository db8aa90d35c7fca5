//! A bounded crossbeam channel each way: what programs use instead of a handshake of their own.
//!
//! Timed: per handoff one send, one receive. Distortions: the receiver spins and yields before it parks, so on two
//! CPUs it is often awake when the message comes, and on one CPU it gives its CPU away by sched_yield first. That is
//! the mechanism, and it is why its system calls depend on the scheduler.

use crossbeam::channel::{Receiver, Sender, bounded};

use super::{Command, HandoffHalf, handoffs_per_lap, resources, spawn_partner};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/crossbeam_channel",
    isolates: "a message through a bounded channel that spins before it sleeps",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[],
    baseline: "handoff/futex",
    requirements: &[],
    source: "docs.rs/crossbeam-channel, bounded; crossbeam_utils::Backoff",
    lap: handoffs_per_lap,
    resources,
    expects: |_, _| {
        Expectation::nothing()
            .call("futex:wake", Bound::AtMost(1.1))
            .call("futex:wait", Bound::AtMost(1.1))
            // Backoff::snooze yields from its seventh step to its tenth.
            .call("sched_yield", Bound::AtMost(16.0))
            .voluntary(Bound::Depends)
            .wakeups(Bound::AtMost(1.1))
    },
};

struct CrossbeamChannel;

register!(CrossbeamChannel);

impl Mechanism for CrossbeamChannel {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let (to_partner, from_driver) = bounded(1);
        let (to_driver, from_partner) = bounded(1);
        spawn_partner(
            crew,
            Half { sender: to_partner, receiver: from_partner },
            Half { sender: to_driver, receiver: from_driver },
        )
    }
}

struct Half {
    sender: Sender<u8>,
    receiver: Receiver<u8>,
}

impl HandoffHalf for Half {
    fn hand_over(&mut self) -> Result<(), Failure> {
        self.sender.send(1).map_err(|error| Failure::library("crossbeam", error))
    }

    fn await_turn(&mut self) -> Result<Command, Failure> {
        Ok(if self.receiver.recv().is_ok() { Command::Go } else { Command::Stop })
    }
}

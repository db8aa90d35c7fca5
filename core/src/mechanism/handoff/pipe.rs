//! A pipe each way and one byte: the handoff that everybody's context-switch benchmark measures.
//!
//! Timed: per handoff one write that wakes, one read that blocks, and the switch. A round trip of this is what
//! `perf bench sched pipe -T` reports per operation.
//! Distortions: on several CPUs reader and writer can meet at the pipe's mutex.

use std::os::fd::OwnedFd;

use super::{Command, HandoffHalf, handoffs_per_lap, resources, spawn_partner};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Placement, Tasks, Unit, register,
};
use crate::sys::channel::{ReadOutcome, pipe, read_byte, write_byte};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/pipe",
    isolates: "a byte through a pipe to a task that blocks in read(2): input, output, wakeup and switch",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[],
    baseline: "handoff/futex",
    requirements: &[],
    source: "pipe(7); Linux tools/perf/bench/sched-pipe.c",
    lap: handoffs_per_lap,
    resources,
    expects: |_, placement| expectation(placement),
};

/// A read and a write a handoff, wherever the other task is.
pub(super) fn expectation(placement: Placement) -> Expectation {
    let calls = Expectation::nothing().call("read", Bound::Exactly(1.0)).call("write", Bound::Exactly(1.0));
    match placement {
        // One switch, and now and then another: a writer that is preempted while it holds the pipe's mutex leaves
        // the reader it has woken to sleep there.
        Placement::SameCpu => {
            calls.voluntary(Bound::AtMost(1.25)).switches(Bound::Between(1.0, 1.25)).wakeups(Bound::AtMost(1.25))
        }
        // Side by side they meet at that mutex often, and either may sleep there.
        _ => calls.voluntary(Bound::AtMost(3.0)).wakeups(Bound::AtMost(3.0)),
    }
}

struct Pipe;

register!(Pipe);

impl Mechanism for Pipe {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let (there, back) = (pipe(false)?, pipe(false)?);
        let driver = Half { reader: back.reader, writer: there.writer };
        let partner = Half { reader: there.reader, writer: back.writer };
        spawn_partner(crew, driver, partner)
    }
}

struct Half {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl HandoffHalf for Half {
    fn hand_over(&mut self) -> Result<(), Failure> {
        Ok(write_byte(&self.writer, 1)?)
    }

    fn await_turn(&mut self) -> Result<Command, Failure> {
        Ok(match read_byte(&self.reader)? {
            ReadOutcome::Byte(_) => Command::Go,
            ReadOutcome::Closed | ReadOutcome::WouldBlock => Command::Stop,
        })
    }
}

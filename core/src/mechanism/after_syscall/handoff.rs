//! A byte to another task and its answer, over two pipes: what is lost by having blocked and been switched out.
//!
//! On the same CPU the other task runs in between, and the call is two real switches. On another CPU this one has
//! nothing to run and goes idle: what is lost then is what idling and the kernel's own work evict, and what a
//! hypervisor does with a CPU that it was given back.
//! Timed: the blocks after the answer has come. Not timed: the write, the wait and the read. Distortions: the other
//! task touches next to nothing, which makes this the least that a switch costs afterwards.

use std::os::fd::OwnedFd;

use super::one_at_a_time;
use super::stream::{self, STREAM, WORKING_SET};
use super::trials::{self, Call};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Placement, Resources, Tasks, Unit,
    Unsupported, register,
};
use crate::sys::channel::{ReadOutcome, pipe, read_byte, write_byte};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "after_syscall/handoff",
    isolates: "user code after a call that blocked: another task ran, or the CPU was idle",
    unit: Unit::Trial,
    tasks: Tasks::Several,
    parameters: &[WORKING_SET, STREAM],
    baseline: "after_syscall/nothing",
    requirements: &[],
    source: "pipe(7); Li, Ding and Shen, Quantifying the Cost of Context Switch, ExpCS 2007",
    lap: one_at_a_time,
    resources: |_| Resources { descriptors: 8, threads: 2, processes: 0 },
    expects: |_, placement| {
        let calls = Expectation::nothing().call("read", Bound::Exactly(2.0)).call("write", Bound::Exactly(2.0));
        match placement {
            // As handoff/pipe, there and back: who is woken may preempt its waker, or find the pipe's mutex taken.
            Placement::SameCpu => {
                calls.voluntary(Bound::AtMost(2.5)).switches(Bound::Between(2.0, 2.5)).wakeups(Bound::AtMost(2.5))
            }
            _ => calls.voluntary(Bound::AtMost(6.0)).wakeups(Bound::AtMost(6.0)),
        }
    },
};

struct Handoff;

register!(Handoff);

impl Mechanism for Handoff {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        stream::supports(parameters)
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let (there, back) = (pipe(false)?, pipe(false)?);
        let (reader, writer) = (there.reader, back.writer);
        crew.spawn(1, move |ready| {
            ready.signal();
            while let ReadOutcome::Byte(byte) = read_byte(&reader)? {
                write_byte(&writer, byte)?;
            }
            Ok(())
        })?;
        trials::set_up(parameters, RoundTrip { writer: there.writer, reader: back.reader })
    }
}

/// Dropping it closes the pipe that the other task waits at.
struct RoundTrip {
    writer: OwnedFd,
    reader: OwnedFd,
}

impl Call for RoundTrip {
    #[inline]
    fn make(&mut self) -> Result<(), Failure> {
        write_byte(&self.writer, 1)?;
        match read_byte(&self.reader)? {
            ReadOutcome::Byte(_) => Ok(()),
            ReadOutcome::Closed | ReadOutcome::WouldBlock => Err(Failure::Corrupted("the other task ended".into())),
        }
    }
}

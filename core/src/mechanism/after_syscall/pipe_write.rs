//! write(2) of a byte to a pipe that no task waits at: a call that touches the kernel's data.
//!
//! Timed: the blocks after the write. Not timed: the write, and the read that takes the byte out when they are done;
//! the next trial settles the working set again. Distortions: none beyond the group's.

use super::stream::{self, STREAM, WORKING_SET};
use super::trials::{self, Call};
use super::{one_at_a_time, resources};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};
use crate::sys::channel::{Ends, ReadOutcome, pipe, read_byte, write_byte};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "after_syscall/pipe_write",
    isolates: "user code after a call that looks a descriptor up, takes a lock and copies into the kernel's memory",
    unit: Unit::Trial,
    tasks: Tasks::OneThread,
    parameters: &[WORKING_SET, STREAM],
    baseline: "after_syscall/nothing",
    requirements: &[],
    source: "pipe(7), write(2); Soares and Stumm, FlexSC, OSDI 2010, figure 1",
    lap: one_at_a_time,
    resources,
    expects: |_, _| Expectation::nothing().call("write", Bound::Exactly(1.0)).call("read", Bound::Exactly(1.0)),
};

struct PipeWrite;

register!(PipeWrite);

impl Mechanism for PipeWrite {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        stream::supports(parameters)
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        trials::set_up(parameters, Write(pipe(false)?))
    }
}

struct Write(Ends);

const BYTE: u8 = 1;

impl Call for Write {
    #[inline]
    fn make(&mut self) -> Result<(), Failure> {
        Ok(write_byte(&self.0.writer, BYTE)?)
    }

    fn undo(&mut self) -> Result<(), Failure> {
        match read_byte(&self.0.reader)? {
            ReadOutcome::Byte(BYTE) => Ok(()),
            other => Err(Failure::Corrupted(format!("{other:?} came out of the pipe"))),
        }
    }
}

//! Two pipes between two processes: the same bytes as `handoff/pipe`, and an address space to change with the task.
//!
//! Timed: as there, and where the processes share a CPU the switch of the page tables. Not timed: forking the partner.
//! Distortions: the partner is a copy of the benchmark, so both have the same code in their caches and different
//! entries in their TLB; the kernel's mitigations for switches between processes are part of the figure.

use std::os::fd::{AsRawFd, OwnedFd};

use super::pipe::expectation;
use super::{Command, HandoffHalf, answer, handoffs_per_lap, make_round_trips};
use crate::mechanism::{
    Batch, Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit, register,
};
use crate::sys::channel::{ReadOutcome, pipe, read_byte, write_byte};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/process_pipe",
    isolates: "a pipe between processes: what changing the address space adds to a pipe between threads",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[],
    baseline: "handoff/pipe",
    requirements: &[],
    source: "pipe(7), fork(2); Linux tools/perf/bench/sched-pipe.c",
    lap: handoffs_per_lap,
    resources: |_| Resources { descriptors: 4, threads: 1, processes: 1 },
    expects: |_, placement| expectation(placement),
};

struct ProcessPipe;

register!(ProcessPipe);

impl Mechanism for ProcessPipe {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let (there, back) = (pipe(false)?, pipe(false)?);
        let mut driver = Half { reader: back.reader, writer: there.writer };
        let mut partner = Half { reader: there.reader, writer: back.writer };
        crew.fork(1, &[partner.reader.as_raw_fd(), partner.writer.as_raw_fd()], |ready| {
            ready.signal();
            answer(&mut partner).is_ok()
        })?;
        // Each end is open in one process now, so that the other process reads an end of file when one of them ends.
        drop(partner);
        crew.await_ready()?;
        // The first round trip shows that the child reads.
        make_round_trips(&mut driver, super::ROUND_TRIP)?;
        Ok(Box::new(move |ops: u64| Batch::timed(|| make_round_trips(&mut driver, ops))))
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

//! Two pipes between two processes: the same bytes as `handoff/pipe`, and an address space to change with the task.
//!
//! Timed: as there, and where the processes share a CPU the switch of the page tables. Not timed: forking the partner.
//! Distortions: the partner is a copy of the benchmark, so both have the same code in their caches and different
//! entries in their TLB; the kernel's mitigations for switches between processes are part of the figure.

use std::os::fd::OwnedFd;

use super::child::Child;
use super::{Side, Turn, handoffs_per_lap, make_round_trips};
use crate::mechanism::{
    Batch, Bound, Crew, Demand, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit,
    register,
};
use crate::sys::channel::{Received, pipe, read_byte, write_byte};

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
    demand: |_| Demand { descriptors: 4, threads: 1, processes: 1 },
    expects: |_, _| {
        // The kernel accounts a child's switches to its parent when it has been reaped, and wakeups meet at the pipe's
        // mutex: what is seen is the driver's half.
        Expectation::nothing()
            .call("read", Bound::Exactly(1.0))
            .call("write", Bound::Exactly(1.0))
            .voluntary(Bound::AtMost(1.5))
            .wakeups(Bound::AtMost(3.0))
    },
};

struct ProcessPipe;

register!(ProcessPipe);

impl Mechanism for ProcessPipe {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let (there, back) = (pipe(false)?, pipe(false)?);
        let child = Child::fork(crew, || answer(&there.reader, &back.writer))?;
        let mut driver = Half { reader: back.reader, writer: there.writer, _child: child };
        // The first round trip shows that the child sits and reads.
        make_round_trips(&mut driver, super::ROUND_TRIP)?;
        Ok(Box::new(move |ops: u64| Batch::timed(|| make_round_trips(&mut driver, ops))))
    }
}

const TURN: u8 = 1;
/// Said in so many words: another forked child may hold a copy of the writing end, and then closing it ends nothing.
const OVER: u8 = 2;

/// The child's life; its status says which step failed.
fn answer(reader: &OwnedFd, writer: &OwnedFd) -> i32 {
    loop {
        match read_byte(reader) {
            Ok(Received::Byte(TURN)) => {}
            Ok(Received::Byte(_) | Received::Closed) => return 0,
            Ok(Received::WouldBlock) | Err(_) => return 2,
        }
        if write_byte(writer, TURN).is_err() {
            return 3;
        }
    }
}

/// The driver's. Its `drop` speaks before the child's is reaped.
struct Half {
    reader: OwnedFd,
    writer: OwnedFd,
    _child: Child,
}

impl Side for Half {
    fn hand_over(&mut self) -> Result<(), Failure> {
        Ok(write_byte(&self.writer, TURN)?)
    }

    fn await_turn(&mut self) -> Result<Turn, Failure> {
        Ok(match read_byte(&self.reader)? {
            Received::Byte(TURN) => Turn::Mine,
            _ => Turn::Over,
        })
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        // A child that cannot hear it is killed when its time is up.
        let _ = write_byte(&self.writer, OVER);
    }
}

//! io_uring: reads are queued and submitted by one io_uring_enter(2), completions awaited by another.
//!
//! Timed: queueing, submitting, waiting, and the disk. Not timed: making the file and the ring, dropping pages.
//! Distortions: as for the group. A program that need not know how long submission takes makes one call of the two.
//! Where the file system cannot start a read without blocking, kernel workers of this process do it: their CPU time is
//! in the usage, their wakeups and switches are in the time. With `ring = sqpoll` a kernel thread takes the
//! submissions, and looks for more during 5 ms after each: its CPU time is part of the cost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::inline::prepared;
use super::reading::{FileReading, ReadMethod, Wave};
use super::source::{self, BlockSource};
use super::{BLOCK, CACHE, DEPTH, IO, ON_DISK, SIZE, a_wave, resources_of_one_thread, waits_for_the_disk};
use crate::mechanism::brigade::rings;
use crate::mechanism::{
    Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters, Tasks, Unit,
    Unsupported, register,
};
use crate::sys::blocks::Blocks;
use crate::sys::file_ring::FileRing;
use crate::sys::uring::RingSetup;

const RING: Parameter = Parameter {
    name: "ring",
    meaning: "whether the task enters the kernel to submit, or a kernel thread takes submissions (IORING_SETUP_SQPOLL)",
    domain: Domain::Word { words: &["plain", SQPOLL] },
};
const SQPOLL: &str = "sqpoll";

static DESCRIPTOR: Descriptor = Descriptor {
    id: "file/uring",
    isolates: "reads submitted to an io_uring: asynchronous with O_DIRECT and through the page cache",
    unit: Unit::Read,
    tasks: Tasks::OneThread,
    parameters: &[CACHE, IO, BLOCK, DEPTH, SIZE, RING],
    baseline: "file/inline",
    requirements: &[ON_DISK, "io_uring with IORING_OP_READ (Linux 5.6); ring=sqpoll without privilege: 5.11"],
    source: "io_uring_enter(2), io_uring_setup(2); Linux io_uring/rw.c",
    lap: a_wave,
    resources: resources_of_one_thread,
    expects: |parameters, _| {
        let wave = 1.0 / a_wave(parameters) as f64;
        if setup(parameters).sqpoll {
            // The task enters the kernel to sleep or to wake the thread that submits, and each may find the other
            // awake.
            let expected = Expectation::nothing().call("io_uring_enter", Bound::AtMost(2.0 * wave));
            return prepared(parameters, expected).voluntary(Bound::Depends).wakeups(Bound::Depends);
        }
        // Done by the time submission returns, a wave needs no second call.
        let expected = Expectation::nothing().call("io_uring_enter", Bound::Between(wave, 2.0 * wave));
        let expected = prepared(parameters, expected);
        if waits_for_the_disk(parameters) {
            expected.voluntary(Bound::Depends).wakeups(Bound::Depends)
        } else {
            expected
        }
    },
};

fn setup(parameters: &Parameters) -> RingSetup {
    RingSetup { sqpoll: parameters.word(RING.name) == SQPOLL, ..RingSetup::default() }
}

struct Uring;

register!(Uring);

impl Mechanism for Uring {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        source::probe()?;
        rings::probe()
    }

    fn is_busy_between_batches(&self, parameters: &Parameters) -> bool {
        setup(parameters).sqpoll
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        source::probe()?;
        rings::supports(setup(parameters))
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        self.supports(parameters)?;
        let depth = parameters.size(DEPTH.name);
        let source = BlockSource::open(parameters, depth)?;
        let blocks = Arc::new(Blocks::new(source.block(), depth));
        // At most 256.
        let ring = FileRing::new(depth as u32, setup(parameters), source.descriptor(), Arc::clone(&blocks))?;
        Ok(FileReading::operation(source, depth, Submitter { ring, blocks }))
    }
}

struct Submitter {
    ring: FileRing,
    blocks: Arc<Blocks>,
}

impl ReadMethod for Submitter {
    #[inline]
    fn read(&mut self, offsets: &[u64], begun: Instant, _: &mut Vec<Duration>) -> Result<Wave, Failure> {
        let (submit, wait) = (|r: &mut FileRing| Ok(r.submit(offsets)?), |r: &mut FileRing| Ok(r.await_all()?));
        Wave::in_two_steps(begun, &mut self.ring, submit, wait)
    }

    fn first_word(&self, number: usize) -> u64 {
        self.blocks.first_word(number)
    }
}

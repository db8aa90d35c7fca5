//! pread(2) by the task that needs the block: submission is all there is.
//!
//! Timed: the call, and on a cold file the disk, which it sleeps for. Not timed: making the file, dropping its pages.
//! Distortions: as for the group: caches below the page cache stay warm, and the clock is read twice a read.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::reading::{FileReading, ReadMethod, Wave};
use super::source::{self, BlockSource};
use super::{BLOCK, CACHE, IO, ON_DISK, SIZE, one_at_a_time, resources_of_one_thread, waits_for_the_disk};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};
use crate::sys::blocks::Blocks;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "file/inline",
    isolates: "a pread by the caller itself: one system call, which blocks until the data are there",
    unit: Unit::Read,
    tasks: Tasks::OneThread,
    parameters: &[CACHE, IO, BLOCK, SIZE],
    baseline: "file/inline",
    requirements: &[ON_DISK],
    source: "pread(2), posix_fadvise(2), mincore(2); open(2), O_DIRECT",
    lap: one_at_a_time,
    resources: resources_of_one_thread,
    expects: |parameters, _| by_pread(parameters, Expectation::nothing()),
};

/// One pread(2) for each read, by the thread that asks.
pub(super) fn by_pread(parameters: &Parameters, others: Expectation) -> Expectation {
    prepared(parameters, others).call("pread64", Bound::Exactly(1.0))
}

/// What stands between batches: pages dropped and counted, once for as many reads as the file has blocks, and again
/// after a pause if some stay. And the sleep for the disk of a thread that blocks.
pub(super) fn prepared(parameters: &Parameters, others: Expectation) -> Expectation {
    let seldom = Bound::AtMost(0.1);
    let expected = others.call("fadvise64", seldom).call("mincore", seldom).call("clock_nanosleep", seldom);
    if waits_for_the_disk(parameters) {
        expected.voluntary(Bound::AtMost(2.0)).wakeups(Bound::AtMost(2.0))
    } else {
        expected
    }
}

struct Inline;

register!(Inline);

impl Mechanism for Inline {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        source::probe()
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let source = BlockSource::open(parameters, 1)?;
        let method = InlineReader { file: source.descriptor(), blocks: Blocks::new(source.block(), 1) };
        Ok(FileReading::operation(source, 1, method))
    }
}

struct InlineReader {
    file: Arc<OwnedFd>,
    blocks: Blocks,
}

impl ReadMethod for InlineReader {
    #[inline]
    fn read(&mut self, offsets: &[u64], begun: Instant, _: &mut Vec<Duration>) -> Result<Wave, Failure> {
        for (number, &offset) in offsets.iter().enumerate() {
            self.blocks.read(&self.file, number, offset)?;
        }
        Ok(Wave::blocking(begun))
    }

    fn first_word(&self, number: usize) -> u64 {
        self.blocks.first_word(number)
    }
}

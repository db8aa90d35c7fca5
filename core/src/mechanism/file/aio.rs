//! Linux AIO: io_submit(2) hands reads over, io_getevents(2) waits for them.
//!
//! Timed: the two calls, and the disk. Not timed: making the file and the context, dropping pages.
//! Distortions: as for the group. The interface is asynchronous for O_DIRECT alone: a read through the page cache is
//! done inside io_submit(2), which sleeps for the disk (aio_read in fs/aio.c calls the file system's read and finds it
//! done).

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::inline::prepared;
use super::reading::{FileReading, ReadMethod, Wave};
use super::source::{self, BlockSource};
use super::{BLOCK, CACHE, DEPTH, IO, ON_DISK, SIZE, a_wave, resources_of_one_thread};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};
use crate::sys::SysError;
use crate::sys::aio::AioContext;
use crate::sys::blocks::Blocks;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "file/aio",
    isolates: "reads submitted by io_submit: asynchronous with O_DIRECT, blocking in the submission through the page \
               cache",
    unit: Unit::Read,
    tasks: Tasks::OneThread,
    parameters: &[CACHE, IO, BLOCK, DEPTH, SIZE],
    baseline: "file/inline",
    requirements: &[ON_DISK, "Linux AIO (CONFIG_AIO)"],
    source: "io_submit(2), io_getevents(2); Linux fs/aio.c",
    lap: a_wave,
    resources: resources_of_one_thread,
    expects: |parameters, _| {
        let each = Bound::Exactly(1.0 / a_wave(parameters) as f64);
        prepared(parameters, Expectation::nothing().call("io_submit", each).call("io_getevents", each))
    },
};

struct Aio;

register!(Aio);

/// Why there is no context.
fn refused(error: SysError) -> Failure {
    let remedy = match error.errno {
        Errno::EAGAIN => "`sysctl fs.aio-max-nr=1048576`, which others have used up",
        _ => "a kernel with CONFIG_AIO, and a container profile that allows io_setup",
    };
    Unsupported::new("Linux AIO", error.to_string(), remedy).into()
}

impl Mechanism for Aio {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        source::probe()
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let depth = parameters.size(DEPTH.name);
        let source = BlockSource::open(parameters, depth)?;
        let blocks = Arc::new(Blocks::new(source.block(), depth));
        let context = AioContext::new(depth, source.descriptor(), Arc::clone(&blocks)).map_err(refused)?;
        Ok(FileReading::operation(source, depth, Submitter { context, blocks }))
    }
}

struct Submitter {
    context: AioContext,
    blocks: Arc<Blocks>,
}

impl ReadMethod for Submitter {
    #[inline]
    fn read(&mut self, offsets: &[u64], begun: Instant, _: &mut Vec<Duration>) -> Result<Wave, Failure> {
        let (submit, wait) = (|c: &mut AioContext| Ok(c.submit(offsets)?), |c: &mut AioContext| Ok(c.await_all()?));
        Wave::in_two_steps(begun, &mut self.context, submit, wait)
    }

    fn first_word(&self, number: usize) -> u64 {
        self.blocks.first_word(number)
    }
}

//! poll(2) or select(2) before each read, as an event loop does that treats the file like a socket: it is always told
//! "ready", and then the read blocks for the disk all the same.
//!
//! Timed: the question, the pread(2) that follows, and the disk. Not timed: making the file, dropping its pages.
//! Distortions: as for the group. The question is asked with a timeout of zero, so that an answer other than "ready"
//! would be seen; what is found out is how often it was "ready", on a file of which not one page is in memory.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;

use super::inline::by_pread;
use super::readiness::{ReadinessCall, ReadinessReader};
use super::reading::FileReading;
use super::source::{self, BlockSource};
use super::{BLOCK, CACHE, IO, ON_DISK, SIZE, one_at_a_time, resources_of_one_thread};
use crate::mechanism::{
    Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters, Tasks, Unit,
    Unsupported, register,
};
use crate::sys::SysError;
use crate::sys::select::SelectSet;

const ASK: Parameter =
    Parameter { name: "ask", meaning: "how readiness is asked for", domain: Domain::Word { words: &["poll", SELECT] } };
const SELECT: &str = "select";

static DESCRIPTOR: Descriptor = Descriptor {
    id: "file/poll",
    isolates: "a read by an event loop that asks for readiness first: poll and select report a regular file as always \
               ready",
    unit: Unit::Read,
    tasks: Tasks::OneThread,
    parameters: &[CACHE, IO, BLOCK, SIZE, ASK],
    baseline: "file/inline",
    requirements: &[ON_DISK],
    source: "poll(2), select(2); POSIX.1-2017, poll(): \"Regular files shall always poll TRUE\"",
    lap: one_at_a_time,
    resources: resources_of_one_thread,
    expects: |parameters, _| {
        by_pread(parameters, Expectation::nothing().call(parameters.word(ASK.name), Bound::Exactly(1.0)))
    },
};

struct Poll;

register!(Poll);

impl Mechanism for Poll {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        source::probe()
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let source = BlockSource::open(parameters, 1)?;
        let file = source.descriptor();
        Ok(if parameters.word(ASK.name) == SELECT {
            let mut set = SelectSet::default();
            set.add(&file, 0);
            let method = ReadinessReader::new(&source, SelectCall { set, ready: Vec::with_capacity(1), _file: file });
            FileReading::operation(source, 1, method)
        } else {
            let method = ReadinessReader::new(&source, PollCall(file));
            FileReading::operation(source, 1, method)
        })
    }
}

struct PollCall(Arc<OwnedFd>);

impl ReadinessCall for PollCall {
    #[inline]
    fn is_ready(&mut self) -> Result<bool, Failure> {
        let mut list = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut list, PollTimeout::ZERO) {
                Ok(found) => return Ok(found == 1),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(SysError::new("poll", errno).into()),
            }
        }
    }
}

struct SelectCall {
    set: SelectSet,
    ready: Vec<usize>,
    /// The set knows its number alone.
    _file: Arc<OwnedFd>,
}

impl ReadinessCall for SelectCall {
    #[inline]
    fn is_ready(&mut self) -> Result<bool, Failure> {
        self.ready.clear();
        self.set.poll(&mut self.ready)?;
        Ok(!self.ready.is_empty())
    }
}
